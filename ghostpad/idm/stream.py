"""Label a whole video with an IDM in pieces: every frame is decoded and encoded once, and the result does not depend on the pieces.

A prediction depends on `reach` rows each way, so a piece is predicted together with that many row vectors before and after it, and only
its own rows are kept. At the ends of the video there is nothing beyond, as in training.

Only the labels take memory that grows: 4 bytes a row for each slot the IDM predicts, the spread of each of its sticks and the
confidence, 8 for the time stamp. Decoding runs in a thread or in a child process, a few frames ahead of the model.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from ghostpad.base.ahead import read_ahead
from ghostpad.base.errors import MediaError
from ghostpad.base.pad import SLOTS, STICKS, slot
from ghostpad.base.records import LABELS
from ghostpad.feed.window import WindowSpec
from ghostpad.idm.calibrate import Calibration
from ghostpad.idm.confidence import row_confidence
from ghostpad.video.child import VideoChild
from ghostpad.video.damage import Gap
from ghostpad.video.decode import Frame, decode_frames, parts
from ghostpad.video.paint import Boxes

PIECE_ROWS = 64
"""Rows predicted at a time (a guess; the result does not depend on it)."""

AHEAD_FRAMES = 64
"""Frames that decoding may run ahead of the model (0.8 MB at 128 x 96 gray; a guess)."""


class Logits(NamedTuple):
    """What an IDM's heads give for rows; a part is empty where there is no head for it."""

    held: Tensor
    """[B, T, buttons] whether each is down."""
    events: Tensor
    """[B, T, 2, buttons] whether a press begins, and ends, in this row."""
    bins: Tensor
    """[B, T, sticks, bins] over the values of each stick axis."""


class _Idm(Protocol):
    """What is used here of `ghostpad.idm.model.Idm`, which labels by this module."""

    calibration: Calibration | None
    bins: Tensor

    @property
    def window(self) -> WindowSpec: ...
    @property
    def reach(self) -> int: ...
    def encode(self, frames: Tensor) -> Tensor: ...
    def slots_of(self, game: str | None) -> list[str]: ...
    def game_rows(self, games: Sequence[str | None]) -> Tensor: ...
    def relate(self, rows: Tensor, games: Tensor) -> Logits: ...
    def pads_of(self, logits: Logits) -> tuple[Tensor, Tensor]: ...


def label_video(
    model: _Idm,
    path: str | Path,
    *,
    game: str | None = None,
    threads: int = 1,
    piece_rows: int = PIECE_ROWS,
    mask: Boxes = (),
    child: VideoChild | None = None,
    gaps: list[Gap] | None = None,
) -> pa.Table:
    """The calibrated `labels` table of a video file; see `Idm.label`."""
    spec, columns = model.window, _Columns(model.slots_of(game))
    size = {"width_px": spec.width_px, "height_px": spec.height_px}
    decode = child.frames if child else decode_frames
    frames = decode(path, **size, gray=spec.gray, rate_hz=spec.rate_hz, mask=mask, gaps=gaps)
    with torch_threads(threads):
        for part in parts(frames if child else read_ahead(frames, AHEAD_FRAMES), [] if gaps is None else gaps):
            for pads, spreads in predict_rows(model, columns.noting(part), piece_rows, game):
                columns.add(*(pads, spreads) if model.calibration is None else model.calibration.apply(pads, spreads))
            columns.end_part()
    if not columns.confidence:
        raise MediaError(f"{path} shows no two frames after each other: they are needed to see a pad between them")
    return columns.table()


@torch.inference_mode()
def predict_rows(
    model: _Idm, frames: Iterable[NDArray[np.uint8]], piece_rows: int = PIECE_ROWS, game: str | None = None
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield (pads [n, 25], spreads [n, 4]) for successive rows of a stream of frames uint8 [H, W, 1], uncalibrated."""

    def predicted(start: int, stop: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        pads, spreads = model.pads_of(model.relate(kept, model.game_rows([game])))
        return pads[0, start:stop].cpu().numpy(), spreads[0, start:stop].cpu().numpy()

    kept, done = torch.zeros(1, 0, 0), 0  # row vectors that are still needed, of which the first `done` rows are predicted
    for piece in _pieces(frames, piece_rows):
        vectors = model.encode(torch.from_numpy(piece)[None].to(model.bins.device))
        kept = torch.cat([kept, vectors], 1) if kept.shape[1] else vectors
        ready = kept.shape[1] - model.reach  # rows before this have all they depend on
        if ready > done:
            yield predicted(done, ready)
            drop = max(0, ready - model.reach)
            kept, done = kept[:, drop:], ready - drop
    if kept.shape[1] > done:
        yield predicted(done, kept.shape[1])


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use `threads` threads on the CPU while the block runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _pieces(frames: Iterable[NDArray[np.uint8]], rows: int) -> Iterator[NDArray[np.uint8]]:
    """Frames uint8 [rows + 1, H, W, 1] of successive pieces, the last one shorter; the last frame of a piece is the first of the next."""
    stream = iter(frames)
    piece = list(islice(stream, 1))
    while more := list(islice(stream, rows)):
        piece = [piece[-1], *more]
        yield np.stack(piece)


class _Columns:
    """The labels of a video as they are predicted: flat columns that grow in place, so that no row is held twice."""

    def __init__(self, slots: list[str]):
        self.pts_s, self.confidence = array("d"), array("f")
        self._values = {name: array("f") for name in slots}
        self._spreads = {name: array("f") for name in slots if name in STICKS}
        self._known = np.isin(SLOTS, slots)

    def noting(self, frames: Iterable[Frame]) -> Iterator[NDArray[np.uint8]]:
        """The pictures [H, W, 1] of gray frames, whose time stamps are kept."""
        for frame in frames:
            self.pts_s.append(frame.pts_s)
            yield frame.image[..., None]

    def end_part(self) -> None:
        """The last frame is the end of the video or of a good part of it: no row begins with it."""
        self.pts_s.pop()

    def add(self, pads: NDArray[np.float32], spreads: NDArray[np.float32]) -> None:
        """Append rows: pads [n, 25] and stick spreads [n, 4]."""
        for name, column in self._values.items():
            column.frombytes(pads[:, slot(name)].tobytes())
        for name, column in self._spreads.items():
            column.frombytes(spreads[:, STICKS.index(name)].tobytes())
        self.confidence.frombytes(row_confidence(pads, spreads, self._known).tobytes())

    def table(self) -> pa.Table:
        """All rows as a `labels` table, without a copy; the columns of unknown slots share one of nulls."""
        rows, spreads = len(self.confidence), {f"{name}_spread": column for name, column in self._spreads.items()}
        known = {"pts_s": self.pts_s, "confidence": self.confidence} | self._values | spreads
        columns = dict.fromkeys(LABELS.names, pa.nulls(rows, pa.float32()))
        for name, column in known.items():
            columns[name] = pa.Array.from_buffers(LABELS.field(name).type, rows, [None, pa.py_buffer(column)])
        return pa.table(columns, schema=LABELS)

"""Read a whole video with an IDM in pieces: every frame is decoded and encoded once, and the cut into pieces does not show.

A row's belief depends on `Idm.reach` rows each way, so a piece is related together with that many row vectors before and
after it and only its own rows are kept. At the true ends of the video there is nothing beyond, as in training.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from ghostpad.base.errors import MediaError
from ghostpad.base.pad import PAD_DIM, slot
from ghostpad.base.records import labels_table
from ghostpad.idm.calibrate import Calibration
from ghostpad.idm.confidence import row_confidence
from ghostpad.idm.model import Idm
from ghostpad.video.decode import Frame, decode_frames

PIECE_ROWS = 64
"""Rows encoded and related at a time (a guess; the result does not depend on it)."""


def label_video(model: Idm, path: str | Path, calibration: Calibration, piece_rows: int = PIECE_ROWS) -> pa.Table:
    """The `labels` table of a video file: one row for every kept frame but the last.

    Raises `MediaError` if the video cannot be read to its end or shows fewer than two frames.
    """
    spec = model.window
    frames = decode_frames(path, width_px=spec.width_px, height_px=spec.height_px, gray=spec.gray, rate_hz=spec.rate_hz)
    times: list[float] = []
    beliefs = list(predict_rows(model, _noting(frames, times), piece_rows))
    if not beliefs:
        raise MediaError(f"{path} shows {len(times)} frame: at least two are needed to see a pad between them")
    pads, spreads = (np.concatenate([np.asarray(belief[part]) for belief in beliefs]) for part in (0, 1))
    pads, spreads = calibration.apply(pads, spreads)
    known = np.zeros(PAD_DIM, np.bool_)
    known[[slot(name) for name in model.facts["slots"]]] = True
    return labels_table(np.asarray(times[:-1]), pads, spreads, known, row_confidence(pads, spreads, known))


def predict_rows(model: Idm, frames: Iterable[NDArray[np.uint8]], piece_rows: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (pads [n, 25], spreads [n, 4]) for successive rows of a stream of frames uint8 [H, W, 1], uncalibrated."""
    reach, held, first = model.reach, None, 0  # held: row vectors from row `first` on that are still needed
    done = 0
    for encoded in _encoded(model, frames, piece_rows):
        held = encoded if held is None else torch.cat([held, encoded], 1)
        ready = first + held.shape[1] - reach  # rows before this have all they depend on
        if ready > done:
            yield _related(model, held, done - first, ready - first)
            done = ready
            drop = max(0, done - reach - first)
            held, first = held[:, drop:], first + drop
    if held is not None and first + held.shape[1] > done:
        yield _related(model, held, done - first, held.shape[1])


@torch.no_grad()
def _related(model: Idm, held: Tensor, start: int, stop: int) -> tuple[Tensor, Tensor]:
    pads, spreads = model.belief(*model.relate(held))
    return pads[0, start:stop], spreads[0, start:stop]


@torch.no_grad()
def _encoded(model: Idm, frames: Iterable[NDArray[np.uint8]], piece_rows: int) -> Iterator[Tensor]:
    """Row vectors [1, n, dim] of successive pieces; the last frame of a piece is the first of the next."""
    piece: list[NDArray[np.uint8]] = []
    for frame in frames:
        piece.append(frame)
        if len(piece) == piece_rows + 1:
            yield model.encode(torch.from_numpy(np.stack(piece))[None])
            piece = piece[-1:]
    if len(piece) > 1:
        yield model.encode(torch.from_numpy(np.stack(piece))[None])


def _noting(frames: Iterable[Frame], times: list[float]) -> Iterator[NDArray[np.uint8]]:
    """The pictures [H, W, 1] of gray frames, their time stamps put into `times`."""
    for frame in frames:
        times.append(frame.pts_s)
        yield frame.image[..., None]

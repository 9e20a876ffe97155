"""Label whole videos with an IDM, one or several side by side: see `ghostpad.idm.predict` for what happens to their frames.

Only the labels take memory that grows: 4 bytes a row for each slot the IDM predicts, the spread of each of its sticks and the
confidence, 8 for the time stamp. Each video is read in a thread, a few pieces ahead of the model, and decoded there or in a child process.
One video at a time is best on a CPU, where a larger batch saves nothing. On a GPU several are decoded side by side, their pieces go
through the model together, and the host takes the rows of a batch when the next has been sent.
"""

from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from ghostpad.base.ahead import ReadTogether, Taken
from ghostpad.base.errors import GhostpadError, NoRowsError, SettingsError
from ghostpad.base.pad import SLOTS, STICKS, slot
from ghostpad.base.records import LABELS
from ghostpad.idm.confidence import row_confidence
from ghostpad.idm.predict import PIECE_ROWS, AnyIdm, Piece, Prediction, Stretch, cut
from ghostpad.video.child import VideoChild
from ghostpad.video.damage import Gap
from ghostpad.video.decode import decode_frames, parts
from ghostpad.video.paint import Boxes

AHEAD_PIECES = 1
"""Pieces that wait decoded for each video, besides one that is being decoded (0.8 MB each at 128 x 96 gray; a guess)."""


@dataclass(frozen=True, eq=False)
class Job:
    """A video file to label, or its frames from `start_s` to before `end_s`; the rest as in `Idm.label`.

    child   decodes it, and no other video meanwhile; None: a thread of this process decodes it, which works for one video at a time only,
            as FFmpeg tells a process of damage and not which of its videos has it
    """

    path: str | Path
    game: str | None = None
    mask: Boxes = ()
    start_s: float = 0.0
    end_s: float | None = None
    gaps: list[Gap] | None = None
    child: VideoChild | None = None


def label_video(
    model: AnyIdm,
    path: str | Path,
    *,
    game: str | None = None,
    threads: int = 1,
    piece_rows: int = PIECE_ROWS,
    mask: Boxes = (),
    child: VideoChild | None = None,
    gaps: list[Gap] | None = None,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> pa.Table:
    """The calibrated `labels` table of a video file; see `Idm.label`."""
    job = Job(path, game, mask, start_s, end_s, gaps, child)
    ((_, table),) = label_together(model, [job], threads=threads, piece_rows=piece_rows)
    if isinstance(table, Exception):
        raise table
    return table


def label_together(
    model: AnyIdm, jobs: Iterable[Job], *, videos_at_once: int = 1, threads: int = 1, piece_rows: int = PIECE_ROWS
) -> Iterator[tuple[Job, pa.Table | Exception]]:
    """Each job with its calibrated `labels` table, or with what kept its video from being read; as they are finished.

    At most `videos_at_once` are open at a time, and a job is asked for when one of these is finished and has been yielded, so that the
    caller may give it the child of that one. A job that is slow to come keeps the others waiting. An error of the model ends it all.
    Rows of several videos at once equal those of one at a time but for rounding. Raises `SettingsError` for a number below 1, and
    for a job without a child among several.
    """
    if wrong := [name for name, value in (("videos_at_once", videos_at_once), ("piece_rows", piece_rows)) if value < 1]:
        raise SettingsError([f"{name} must be 1 or more" for name in wrong])
    todo, running, flying = iter(jobs), 0, deque[_Flight]()
    with ReadTogether[_Video, _Part](AHEAD_PIECES) as reader:
        while True:
            while running < videos_at_once and (job := next(todo, None)) is not None:
                if videos_at_once > 1 and job.child is None:
                    raise SettingsError(f"{job.path} has no child that decodes it: several videos at once need one each")
                try:
                    video = _Video(model, job)
                except (GhostpadError, OSError) as error:
                    yield job, error
                else:
                    running += 1
                    reader.add(video, video.read(piece_rows))
            if not running:
                return
            if reader:
                taken = reader.take()
                pieces = [one.key.piece(one.item) for one in taken if one.item is not None]
                with torch_threads(threads):
                    flying.append(_Flight(taken, Prediction(model, pieces)))
            while len(flying) > (1 if reader else 0):  # one stays: the GPU works on it while the next is taken
                for video, result in flying.popleft().land():
                    running -= 1
                    yield video.job, result


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use `threads` threads on the CPU while the block runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Part(NamedTuple):
    """What is read of a video at a time."""

    stamps: list[float]
    """Of the frames that rows begin with: all but the last."""
    frames: NDArray[np.uint8] | None
    """Frames uint8 [n + 1, H, W, 1]; None where a stretch without a gap ends."""


class _Video:
    """A video that is open: what is read of it goes through the model, and its rows come back."""

    def __init__(self, model: AnyIdm, job: Job):
        self.job, self._calibration = job, model.calibration
        self._stretch, self._columns = Stretch(job.game), _Columns(model.slots_of(job.game))
        spec, decode = model.window, job.child.frames if job.child else decode_frames
        # Called here and not in the thread that reads, which would end a child that it had started.
        self._frames = decode(
            job.path, width_px=spec.width_px, height_px=spec.height_px, gray=spec.gray, rate_hz=spec.rate_hz,
            start_s=job.start_s, end_s=job.end_s, mask=job.mask, gaps=job.gaps,
        )  # fmt: skip

    def read(self, piece_rows: int) -> Iterator[_Part]:
        """Its frames in pieces."""
        for stretch in parts(self._frames, [] if self.job.gaps is None else self.job.gaps):
            for frames in cut(stretch, piece_rows):
                yield _Part([frame.pts_s for frame in frames[:-1]], np.stack([frame.image for frame in frames])[..., None])
            yield _Part([], None)

    def piece(self, part: _Part) -> Piece:
        """What is read next, for the model."""
        self._columns.pts_s.extend(part.stamps)
        piece = Piece(self._stretch, part.frames)
        if part.frames is None:
            self._stretch = Stretch(self.job.game)
        return piece

    def add(self, pads: NDArray[np.float32], spreads: NDArray[np.float32]) -> None:
        """Keep its next rows, calibrated."""
        self._columns.add(*(pads, spreads) if self._calibration is None else self._calibration.apply(pads, spreads))

    def table(self) -> pa.Table | NoRowsError:
        """All its rows, or why there are none."""
        if not self._columns.confidence:
            return NoRowsError(f"{self.job.path} shows no two frames after each other: they are needed to see a pad between them")
        return self._columns.table()


class _Flight(NamedTuple):
    """What was taken of the videos that are read, and the rows that the model makes of it."""

    taken: list[Taken[_Video, _Part]]
    prediction: Prediction

    def land(self) -> Iterator[tuple[_Video, pa.Table | Exception]]:
        """Give every video its rows; those that ended, with their result."""
        rows = self.prediction.rows()
        for video, part, error in self.taken:
            if part is not None:
                if (known := next(rows)) is not None:
                    video.add(*known)
            elif error is None or isinstance(error, Exception):
                yield video, error or video.table()
            else:
                raise error


class _Columns:
    """The labels of a video as they are predicted: flat columns that grow in place, so that no row is held twice."""

    def __init__(self, slots: list[str]):
        self.pts_s, self.confidence = array("d"), array("f")
        self._values = {name: array("f") for name in slots}
        self._spreads = {name: array("f") for name in slots if name in STICKS}
        self._known = np.isin(SLOTS, slots)

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

"""What a model sees and learns around one row: a `WindowSpec`, which the model defines and the feed follows.

Row i is the pad in force between showing frame i and frame i+1: an IDM that explains row i looks at frames around i and i+1; a policy
that chooses row i looks at frames up to i.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import SettingsError
from ghostpad.video.child import VideoChild
from ghostpad.video.decode import Frame
from ghostpad.video.paint import Boxes


@dataclass(frozen=True)
class WindowSpec:
    """Frames and rows of one window, relative to its row i, and the size the frames are decoded at.

    frame_offsets   frames the model sees, e.g. (-2, 0) for a policy or (0, 1, ..., 32) for an IDM clip
    row_offsets     rows it learns, e.g. (0, ..., 7)
    rate_hz         the rate frames are kept at; None keeps every frame of the video
    inside          learn only from windows whose rows are all inside the video

    A frame before the first or after the last repeats the edge frame; a row outside the video has weight 0.
    """

    frame_offsets: tuple[int, ...]
    row_offsets: tuple[int, ...]
    width_px: int
    height_px: int
    gray: bool
    rate_hz: float | None = None
    inside: bool = False

    def __post_init__(self) -> None:
        problems = []
        if not self.frame_offsets or not self.row_offsets:
            problems.append("a window needs at least one frame and one row")
        if self.width_px < 8 or self.height_px < 8:
            problems.append(f"frames of {self.width_px}x{self.height_px} px are too small: use 8 px or more a side")
        if self.rate_hz is not None and self.rate_hz <= 0:
            problems.append(f"rate_hz is {self.rate_hz}: it must be above 0, or left out for every frame")
        if problems:
            raise SettingsError(problems)

    @property
    def picture(self) -> str:
        """A name for the decoded pictures, shared by every window that sees the same ones, e.g. `96x72-gray` or `128x96-rgb-20hz`."""
        rate = "" if self.rate_hz is None else f"-{self.rate_hz:g}hz"
        return f"{self.width_px}x{self.height_px}-{'gray' if self.gray else 'rgb'}{rate}"

    def frames_at(self, row: int, frames: int) -> NDArray[np.int64]:
        """Indices int64 [T] of the frames seen at `row` of a video of `frames` kept frames, clamped to the video."""
        return _within(np.asarray(self.frame_offsets) + row, frames)

    def rows_at(self, row: int, rows: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Indices int64 [K] of the rows learned at `row`, clamped to the video, and whether each is inside it."""
        wanted = np.asarray(self.row_offsets) + row
        return _within(wanted, rows), (wanted >= 0) & (wanted < rows)

    def frames_of(self, path: Path, child: VideoChild, mask: Boxes = ()) -> Iterator[Frame]:
        """The frames of a video as the model sees them, in order. Raises as `ghostpad.video.decode.decode_frames`."""
        return child.frames(path, width_px=self.width_px, height_px=self.height_px, gray=self.gray, rate_hz=self.rate_hz, mask=mask)

    def rows_around(self, first: int, last: int, rows: int) -> tuple[int, int]:
        """The rows, from one to before the other, that windows at rows `first` ... `last - 1` of a video of `rows` rows learn."""
        return max(0, min(rows, first + min(self.row_offsets))), max(0, min(rows, last + max(self.row_offsets)))

    def windows_at(self, weighs: NDArray[np.bool_], first: int, last: int, rows: int) -> NDArray[np.int64]:
        """The rows int64 [n] among `first` ... `last - 1` at which a video of `rows` rows has a window.

        That is every row at which the first row learned weighs anything; with `inside`, wherever all rows learned are inside the video (a
        shorter video gives one window) and any of them weighs anything. `weighs` is bool for the rows of `rows_around(first, last, rows)`.
        """
        base, at = self.rows_around(first, last, rows)[0], np.arange(first, last)
        low, high = min(self.row_offsets), max(self.row_offsets)
        if self.inside:
            at = at[at < max(1, rows - high)]
            before = np.concatenate([[0], np.cumsum(weighs)])
            ends = np.minimum(at + high + 1, rows) - base
            return at[before[ends] > before[np.minimum(at + low, rows) - base]]
        at = at[(at + low >= 0) & (at + low < rows)]
        return at[weighs[at + low - base]]

    def all_true(self, flags: NDArray[np.bool_], at: NDArray[np.int64], first: int, rows: int) -> NDArray[np.bool_]:
        """bool [n]: whether a flag holds in every row inside the video that the windows at rows `at` learn; `flags[0]` is that of row
        `first`."""
        true = np.ones(len(at), np.bool_)
        for offset in self.row_offsets:
            wanted = at + offset
            true &= flags[_within(wanted - first, len(flags))] | (wanted < 0) | (wanted >= rows)
        return true


def _within(wanted: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """`wanted` clamped to 0...count - 1. numpy's own clip takes four times as long for a handful of numbers, once or twice a window."""
    return np.minimum(np.maximum(wanted, 0), count - 1)

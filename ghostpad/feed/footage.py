"""Footage: one video's kept frames with the rows a model may learn from, recorded or pseudo-labels.

Pictures and rows are arrays, or files that are read like arrays, part by part (`ghostpad.feed.pictures`, `segments`, `packs`), so that
thousands of hours take a few kilobytes of memory a video. Pure but for what those read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.pad import PAD_DIM, in_use
from ghostpad.base.settings import fingerprint
from ghostpad.feed.window import WindowSpec
from ghostpad.video.paint import Share

SEGMENT_S = 10.0
"""A segment is the footage from a keyframe at or behind a multiple of this to the next such one (10 to 20 s are common; a guess)."""


class ArrayLike(Protocol):
    """What is read like an array: `x[4:9]` and `x[[4, 7]]` read those items, `len(x)` reads none."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: Any, /) -> Any: ...


@dataclass(frozen=True, eq=False)
class ClipFacts:
    """What is known of a video's rows without reading them.

    starts           int32 [segments], the first row of each segment
    windows, idle    int32 [segments], how many windows begin in each segment, and how many of them are idle (see `ghostpad.feed.idle`)
    known            bool [25], the slots that are known in any row
    first_s, last_s  stamps of the first and last frame
    mark             a text that is another when the pictures or rows are other ones
    """

    starts: NDArray[np.int32]
    windows: NDArray[np.int32]
    idle: NDArray[np.int32]
    known: NDArray[np.bool_]
    first_s: float
    last_s: float
    mark: str


@dataclass(frozen=True, eq=False)
class Footage:
    """Frames uint8 [N, H, W, C] at pts_s [N]; pads and weight float32 [N-1, 25], one row between every two frames.

    game    the game's name, "" where unknown
    masks   the grey boxes over its pictures, as shares of width and height
    coded   whether its frames are decoded when they are read
    far     whether they are read at an address
    facts   for a model's window, where they are known already
    """

    video: str
    pts_s: ArrayLike
    frames: ArrayLike
    pads: ArrayLike
    weight: ArrayLike
    game: str = ""
    masks: tuple[Share, ...] = ()
    coded: bool = False
    far: bool = False
    facts: ClipFacts | None = field(default=None, repr=False)

    @property
    def seconds(self) -> float:
        """How long it lasts, from its first frame to its last."""
        if self.facts:
            return self.facts.last_s - self.facts.first_s
        return float(self.pts_s[-1] - self.pts_s[0])

    @property
    def known(self) -> NDArray[np.bool_]:
        """bool [25], the slots that are known in any row."""
        return self.facts.known if self.facts else np.asarray(self.weight[:].any(axis=0))

    @property
    def mark(self) -> str:
        """A text that is another when the pictures or rows are other ones."""
        if self.facts:
            return self.facts.mark
        few: NDArray[np.uint8] = self.frames[:: max(1, len(self.frames) // 8)]
        return fingerprint(float(self.pads[:].sum()), float(self.weight[:].sum()), int(few.sum(dtype=np.int64)))

    def facts_for(self, spec: WindowSpec) -> ClipFacts:
        """Its facts, worked out where they are not known yet."""
        return self.facts or clip_facts(self.pts_s[:], self.pads[:], self.weight[:], spec, mark=self.mark)

    def first(self, frames: int) -> "Footage":
        """The first `frames` frames (2 or more) and the rows between them."""
        parts = {"pts_s": self.pts_s[:frames], "pads": self.pads[: frames - 1], "weight": self.weight[: frames - 1]}
        return replace(self, frames=_Part(self.frames, frames), facts=None, **parts)


class _Part:
    """The first items of something read like an array."""

    def __init__(self, whole: ArrayLike, count: int):
        self._whole, self._count = whole, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        return self._whole[np.arange(self._count)[index]]


def clip_facts(
    pts_s: NDArray[np.float64],
    pads: NDArray[np.float32],
    weight: NDArray[np.float32],
    spec: WindowSpec,
    keys: NDArray[np.int64] | None = None,
    mark: str = "",
) -> ClipFacts:
    """The facts of a video from its rows, for a window; `keys` are the numbers of its keyframes (None: every frame is one)."""
    rows, weighs = len(pads), np.asarray(weight.any(axis=1))
    starts = segment_starts(pts_s, np.arange(len(pts_s)) if keys is None else keys, rows)
    at = spec.windows_at(weighs[spec.rows_around(0, rows, rows)[0] :], 0, rows, rows)
    idle = spec.all_true(idle_rows(pads, weight), at, 0, rows)
    ends = [*starts, max(rows, starts[-1] + 1)]
    windows, still = (np.histogram(each, bins=ends)[0].astype(np.int32) for each in (at, at[idle]))
    known = np.asarray(weight.any(axis=0)) if rows else np.zeros(PAD_DIM, np.bool_)
    return ClipFacts(starts, windows, still, known, float(pts_s[0]), float(pts_s[-1]), mark)


def segment_starts(pts_s: NDArray[np.float64], keys: NDArray[np.int64], rows: int) -> NDArray[np.int32]:
    """The numbers int32 of the frames at which segments begin, of a video with `rows` rows: its first frame, and of every `SEGMENT_S` of
    its clock the first keyframe."""
    inside = keys[keys < max(1, rows)]
    ticks = np.asarray(np.floor((pts_s[inside] - float(pts_s[0])) / SEGMENT_S))
    _, first = np.unique(ticks, return_index=True)
    return inside[first].astype(np.int32)


def idle_rows(pads: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.bool_]:
    """bool [n]: rows in which no known button is pressed and no known stick is away from rest."""
    return np.asarray(~(in_use(pads) & (weight > 0)).any(axis=1))


def first_minutes(footage: Sequence[Footage], minutes: float | None) -> list[Footage]:
    """The first `minutes` of footage, of the last video only a part; all of it for None."""
    if minutes is None:
        return list(footage)
    kept: list[Footage] = []
    left_s = 60 * minutes
    for clip in footage:
        if clip.seconds > left_s:
            frames = int(np.searchsorted(clip.pts_s[:], clip.pts_s[0] + left_s, side="right"))
            return [*kept, clip.first(frames)] if frames >= 2 else kept
        kept.append(clip)
        left_s -= clip.seconds
    return kept

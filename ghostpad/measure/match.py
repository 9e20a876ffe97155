"""Predicted rows and true rows, matched by time stamp, and videos joined end to end so that they are measured as one.

Reads anybody's tables: `pts_s` and any subset of the pad's slots, with or without spreads and confidence. Rows may be in any
order; null is unknown. A prediction may have fewer rows a second than the truth. Cost: one sort of each table; about
700 bytes of memory a matched row.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ghostpad.base.errors import FormatError, SettingsError
from ghostpad.base.pad import PAD_DIM, PRESSED, SLOTS, STICKS, is_stick

Table = Any
"""A pyarrow table, or what pyarrow makes one of: a data frame of pandas or polars, a dict of columns."""

APART_S = 10.0
"""Seconds between two videos on the common clock of `pool`: far more than any collar, so no events match across."""


@dataclass(frozen=True)
class Matched:
    """The n rows that both tables have, in the order of their videos and of time."""

    clock_s: NDArray[np.float64]
    """[n] seconds, ascending: time stamp of the true row; after `pool`, on a clock on which videos follow each other."""
    follows: NDArray[np.bool_]
    """[n] True where the row before it is its neighbour in both tables, so that a press can be seen to begin."""
    predicted: NDArray[np.float32]
    """[n, 25] probabilities of buttons, values of sticks; 0 where unknown."""
    truth: NDArray[np.float32]
    """[n, 25] buttons 0 or 1, sticks -1...1; 0 where unknown."""
    previous: NDArray[np.float32]
    """[n, 25] the true row before this one; 0 in the first row of a video and where unknown."""
    known: NDArray[np.bool_]
    """[n, 25] True where both tables know the slot."""
    spreads: NDArray[np.float32]
    """[n, 4] predicted standard deviations of the sticks, NaN where there is none."""
    confidence: NDArray[np.float32]
    """[n] predicted confidence, NaN where there is none."""
    row_s: NDArray[np.float64]
    """[n] how long a row lasts, seconds: the usual step from one matched row of its video to the next."""
    video: NDArray[np.intp]
    """[n] number of the row's video, ascending; 0 before `pool`."""
    unmatched: int
    """Rows that only one of the two tables has."""

    def __len__(self) -> int:
        return len(self.clock_s)

    def columns(self, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Prediction and truth of the slot `index` in the rows where both are known, float64."""
        known = self.known[:, index]
        return self.predicted[known, index].astype(np.float64), self.truth[known, index].astype(np.float64)

    def predicting(self, values: NDArray[np.float32]) -> Self:
        """The same rows and slots with another prediction, [n, 25] or [25], that has neither spreads nor confidence."""
        values = np.broadcast_to(values, self.truth.shape)
        return replace(self, predicted=values, spreads=np.full_like(self.spreads, np.nan), confidence=np.full_like(self.confidence, np.nan))

    def videos(self) -> Iterator[Self]:
        """The rows of each video alone, in order. Their `unmatched` is 0, because a pool has only its sum."""
        edges = np.flatnonzero(np.diff(self.video, prepend=-1, append=-1)) if len(self) else np.zeros(0, np.intp)
        for start, stop in zip(edges[:-1], edges[1:], strict=True):
            yield replace(self, unmatched=0, **{name: getattr(self, name)[start:stop] for name in _ARRAYS})


def match(predicted: Table, truth: Table, fps: float) -> Matched:
    """Match the rows of one video: each predicted row with the nearest true row within half a frame, one to one.

    Raises `FormatError` for a table without finite `pts_s` or with values outside a slot's range, and `SettingsError` for an
    impossible `fps`.
    """
    if not (fps > 0 and math.isfinite(fps)):
        raise SettingsError(f"fps is {fps}: it must be the number of rows a second, above 0")
    ours, theirs = _by_time(predicted, "predicted"), _by_time(truth, "truth")
    our_s, their_s = (table.column("pts_s").to_numpy() for table in (ours, theirs))
    ours_at, theirs_at = _nearest(our_s, their_s, 0.5 / fps)
    predicted_pads, predicted_known = slots_of(ours, "predicted")
    truth_pads, truth_known = slots_of(theirs, "truth")
    truth_pads = _pressed_or_not(truth_pads)
    clock_s = their_s[theirs_at]
    return Matched(
        clock_s=clock_s,
        follows=_follows(ours_at, theirs_at, clock_s, our_s, their_s),
        predicted=predicted_pads[ours_at],
        truth=truth_pads[theirs_at],
        previous=_previous(truth_pads)[theirs_at],
        known=predicted_known[ours_at] & truth_known[theirs_at],
        spreads=np.stack([_optional(ours, f"{name}_spread")[ours_at] for name in STICKS], axis=1),
        confidence=_optional(ours, "confidence")[ours_at],
        row_s=_row_s(clock_s, fps),
        video=np.zeros(len(clock_s), np.intp),
        unmatched=len(our_s) + len(their_s) - 2 * len(ours_at),
    )


def aligned(
    clock_s: NDArray[np.float64],
    predicted: NDArray[np.float32],
    spreads: NDArray[np.float32],
    truth: NDArray[np.float32],
    known: NDArray[np.bool_],
    fps: float,
) -> Matched:
    """The rows of one video from arrays that are matched already, times ascending [n]: pads [n, 25], spreads [n, 4], mask [n, 25]."""
    truth, row_s = _pressed_or_not(truth), _row_s(clock_s, fps)
    return Matched(
        clock_s=clock_s,
        follows=np.diff(clock_s, prepend=-np.inf) <= 1.5 * row_s,
        predicted=np.where(known, predicted, np.float32(0)),
        truth=np.where(known, truth, np.float32(0)),
        previous=_previous(truth),
        known=known,
        spreads=spreads,
        confidence=np.full(len(clock_s), np.nan, np.float32),
        row_s=row_s,
        video=np.zeros(len(clock_s), np.intp),
        unmatched=0,
    )


def pool(videos: Sequence[Matched]) -> Matched:
    """The rows of several videos as one, on a clock on which each video begins 10 s after the one before it ended.

    Each video was matched at its own frame rate. Pools may be pooled again.
    """
    parts, now_s, number = [_NOTHING], 0.0, 0
    for video in videos:
        if len(video):
            parts.append(replace(video, clock_s=video.clock_s - video.clock_s[0] + now_s, video=video.video + number))
            now_s, number = float(parts[-1].clock_s[-1]) + APART_S, int(parts[-1].video[-1]) + 1
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
    return Matched(unmatched=sum(video.unmatched for video in videos), **arrays)


def slots_of(table: pa.Table, which: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Pads float32 [n, 25] and known bool [n, 25] of a table with any subset of the slots; unknown slots are 0 and False.

    Raises `FormatError`, naming the table as `which`, for a button outside 0...1, a true stick outside -1...1, or a value that is not a
    number.
    """
    columns = np.stack([_numbers(table, name, which) for name in SLOTS], axis=1)
    known = ~np.isnan(columns)
    for index in np.flatnonzero(known.any(axis=0)):
        name, low, high = SLOTS[index], np.nanmin(columns[:, index]), np.nanmax(columns[:, index])
        if not is_stick(name) and not 0 <= low <= high <= 1:
            raise FormatError(f"{which}: {name} runs from {low:g} to {high:g}: a button is a probability, 0...1")
        if is_stick(name) and which != "predicted" and max(-low, high) > 1 + _STICK_SLACK:
            raise FormatError(f"{which}: {name} runs from {low:g} to {high:g}: a stick is -1...1, positive right and down")
    return np.where(known, columns, np.float32(0)), known


def _pressed_or_not(truth: NDArray[np.float32]) -> NDArray[np.float32]:
    """True pads [n, 25] whose buttons are 0 or 1."""
    return np.where([is_stick(name) for name in SLOTS], truth, truth >= PRESSED).astype(np.float32)


def _previous(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([np.zeros((1, PAD_DIM), np.float32), rows])[: len(rows)]


def _row_s(clock_s: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    return np.full(len(clock_s), np.median(np.diff(clock_s)) if len(clock_s) > 1 else 1 / fps)


_NONE = np.zeros((0, PAD_DIM), np.float32)
_NOTHING = aligned(np.zeros(0), _NONE, np.zeros((0, len(STICKS)), np.float32), _NONE, _NONE > 0, fps=1)
_ARRAYS = tuple(field.name for field in fields(Matched) if field.name != "unmatched")
_STICK_SLACK = 1e-3  # what rounding may add to a stick at its end


def _follows(
    ours_at: NDArray[np.intp],
    theirs_at: NDArray[np.intp],
    clock_s: NDArray[np.float64],
    our_s: NDArray[np.float64],
    their_s: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """[n] whether the row before is the neighbour in both tables; in a table of fewer rows a second, the next in its own step."""
    if len(clock_s) < 2:
        return np.zeros(len(clock_s), np.bool_)
    step_s = max(float(np.median(np.diff(pts_s))) for pts_s in (our_s, their_s))
    adjacent = (np.diff(ours_at) == 1) & (np.diff(theirs_at) == 1)
    return np.concatenate([[False], adjacent | (np.diff(clock_s) <= 1.5 * step_s)])


def _by_time(rows: Table, which: str) -> pa.Table:
    try:
        table = pa.table(rows)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise FormatError(f"{which}: this {type(rows).__name__} is no table ({error}): give a pyarrow table or a dict of columns") from None
    if "pts_s" not in table.column_names:
        raise FormatError(f"{which}: the table has no column pts_s: rows are matched by their time stamps in seconds")
    pts_s = _column(table, "pts_s", which)
    if not np.isfinite(pts_s).all():
        raise FormatError(f"{which}: pts_s has a value that is not a number: every row needs its time stamp")
    return table.set_column(table.column_names.index("pts_s"), "pts_s", pa.array(pts_s)).take(pa.array(np.argsort(pts_s, kind="stable")))


def _optional(table: pa.Table, name: str) -> NDArray[np.float32]:
    """A column of spreads or confidence as float32 [n], NaN where it is null, not there or not finite."""
    values = _column(table, name, "predicted") if name in table.column_names else np.full(table.num_rows, np.nan)
    return np.where(np.isfinite(values), values, np.nan).astype(np.float32)


def _numbers(table: pa.Table, name: str, which: str) -> NDArray[np.float32]:
    """A column as float32 [n], NaN where it is null or not there. A NaN or infinity that was written as a value is refused."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan, np.float32)
    values = _column(table, name, which)
    if table.column(name).null_count != np.isnan(values).sum() or np.isinf(values).any():
        raise FormatError(f"{which}: {name} has a value that is not a finite number: leave unknown values null")
    return values.astype(np.float32)


def _column(table: pa.Table, name: str, which: str) -> NDArray[np.float64]:
    try:
        return np.asarray(table.column(name).cast(pa.float64()).to_numpy(), np.float64)
    except (pa.ArrowException, ValueError) as error:
        raise FormatError(f"{which}: {name} does not hold numbers ({error})") from None


def _nearest(ours_s: NDArray[np.float64], theirs_s: NDArray[np.float64], within_s: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions, ascending, of the rows that match one to one; of several that are near one row the nearest takes it."""
    if not len(ours_s) or not len(theirs_s):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    after = np.searchsorted(theirs_s, ours_s)
    low, high = np.maximum(after - 1, 0), np.minimum(after, len(theirs_s) - 1)
    closest = np.where(np.abs(ours_s - theirs_s[low]) <= np.abs(theirs_s[high] - ours_s), low, high)
    distance_s = np.abs(ours_s - theirs_s[closest])
    order = np.lexsort((distance_s, closest))
    takers = order[np.unique(closest[order], return_index=True)[1]]
    takers = takers[distance_s[takers] <= within_s]
    return takers, closest[takers]

"""Presses and releases: when they happen, how many are predicted in time, and false ones while nobody plays.

Pure: matched rows in, numbers out. A change is counted only where the row before it is its neighbour and known. Matching follows
the onset measures of MIREX (one to one, within a collar). Cost: microseconds a change.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.pad import BUTTONS, PRESSED, in_use
from ghostpad.measure.match import Matched

COLLARS = {"": 0.0, "_50ms": 0.05, "_100ms": 0.1}
"""Ending of a measure's name -> seconds that a change may be off. 0: in the same row."""

QUIET_S = 0.1
"""A row is idle only if no true button is held and no true stick moved within this time of it, so that an early press is not one."""

_ROUNDING_S = 1e-6
_B = len(BUTTONS)


@dataclass(frozen=True)
class Changes:
    """Numbers of presses, or of releases; they may be added over videos."""

    matched: int
    predicted: int
    true: int

    @property
    def f1(self) -> float | None:
        """2 matched / (predicted + true), None if there is neither."""
        total = self.predicted + self.true
        return 2 * self.matched / total if total else None


def changes(rows: Matched, index: int, collar_s: float, *, release: bool = False) -> Changes:
    """Presses of the button in slot `index`, or its releases, matched one to one within `collar_s`."""
    seen = seen_changes(rows, index)
    times = []
    for values in (rows.predicted, rows.truth):
        held = values[:, index] >= PRESSED
        before, after = (held, ~held) if release else (~held, held)
        times.append(rows.clock_s[after & np.roll(before, 1) & seen])
    ours_s, theirs_s = times
    return Changes(matched_onsets(ours_s, theirs_s, collar_s), len(ours_s), len(theirs_s))


def seen_changes(rows: Matched, index: int) -> NDArray[np.bool_]:
    """[n] the rows in which a change of the slot would be seen."""
    known = rows.known[:, index]
    return rows.follows & known & np.roll(known, 1)


def matched_onsets(predicted_s: NDArray[np.float64], truth_s: NDArray[np.float64], collar_s: float) -> int:
    """How many onsets, ascending times, match one to one within `collar_s`: the earliest of each side first."""
    ours = theirs = matched = 0
    while ours < len(predicted_s) and theirs < len(truth_s):
        late_s = predicted_s[ours] - truth_s[theirs]
        matched += abs(late_s) <= collar_s + _ROUNDING_S
        ours += late_s <= collar_s + _ROUNDING_S
        theirs += late_s >= -collar_s - _ROUNDING_S
    return int(matched)


def idle_presses(rows: Matched) -> dict[str, float | int | None]:
    """Presses that the prediction begins while nobody plays: {"false_presses_a_minute", "presses", "minutes"}.

    A row is idle if it is further than 0.1 s from every row whose truth holds a button or moves a stick, and both tables know a button
    there. The rate is per minute of idle time, None without any.
    """
    buttons = rows.known[:, :_B]
    busy = np.asarray(in_use(rows.truth).any(axis=1), np.bool_)
    idle = buttons.any(axis=1) & ~_near(busy, rows.clock_s, QUIET_S)
    held = rows.predicted[:, :_B] >= PRESSED
    begun = held & ~np.roll(held, 1, axis=0) & buttons & np.roll(buttons, 1, axis=0) & rows.follows[:, None]
    presses, minutes = int(begun[idle].sum()), float(rows.row_s[idle].sum() / 60)
    return {"false_presses_a_minute": presses / minutes if minutes else None, "presses": presses, "minutes": minutes}


def _near(marked: NDArray[np.bool_], clock_s: NDArray[np.float64], within_s: float) -> NDArray[np.bool_]:
    """[n] whether a marked row is within `within_s`; the clock ascends."""
    at, reach_s = clock_s[marked], within_s + _ROUNDING_S
    return np.searchsorted(at, clock_s - reach_s, "left") < np.searchsorted(at, clock_s + reach_s, "right")

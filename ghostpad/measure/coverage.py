"""How wrong single rows are, and what the confidence knows of it: the risk-coverage curve, and the worst confident mistakes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.pad import BUTTONS, PRESSED
from ghostpad.measure.match import Matched

_COVERAGES = 20
_B = len(BUTTONS)


@dataclass(frozen=True)
class Mistake:
    """A row that was wrong and sure of it."""

    video: int
    """Place of its video in the list."""
    row: int
    """Place among that video's matched rows."""
    at_s: float
    """Time stamp of the row."""
    error: float
    confidence: float | None


def row_error(rows: Matched) -> NDArray[np.float64]:
    """[n] mean over a row's known slots of |stick error| and of buttons that are on the wrong side of 0.5 (1 each)."""
    buttons = (rows.predicted[:, :_B] >= PRESSED) != (rows.truth[:, :_B] >= PRESSED)
    error = np.concatenate([buttons, np.abs(rows.predicted - rows.truth)[:, _B:]], axis=1) * rows.known
    return error.sum(axis=1, dtype=np.float64) / np.maximum(rows.known.sum(axis=1), 1)


def risk_coverage(confidence: NDArray[np.floating], error: NDArray[np.floating]) -> list[dict[str, float]]:
    """The mean error of the most confident share of rows, at 20 shares; rows of equal confidence each count as their mean."""
    if not len(error):
        return []
    values, group = np.unique(-confidence, return_inverse=True)
    shared = (np.bincount(group, error, len(values)) / np.bincount(group, minlength=len(values)))[group]
    running = np.cumsum(shared[np.argsort(group, kind="stable")]) / np.arange(1, len(error) + 1)
    shares = np.arange(1, _COVERAGES + 1) / _COVERAGES
    return [{"coverage": float(share), "error": float(running[max(1, round(share * len(error))) - 1])} for share in shares]


def row_curve(rows: Matched) -> list[dict[str, float]]:
    """`risk_coverage` of the rows that can be judged; [] unless every row has a confidence."""
    judged = rows.known.any(axis=1)
    certain = len(rows) > 0 and not np.isnan(rows.confidence).any()
    return risk_coverage(rows.confidence[judged], row_error(rows)[judged]) if certain else []


def worst_mistakes(videos: Sequence[Matched], count: int = 6, apart_s: float = 1.0) -> list[Mistake]:
    """The rows of the largest error x confidence (1 where there is none) of videos that are not pooled, worst first.

    No two of a video lie within `apart_s`. They are spread over the videos: none gives more than its share of `count`, rounded up.
    Rows without error never count.
    """
    share = -(-count // max(1, len(videos)))
    found: list[tuple[float, Mistake]] = []
    for place, one in enumerate(videos):
        error = row_error(one)
        badness = error * np.where(np.isnan(one.confidence), 1.0, one.confidence)
        taken: list[float] = []
        for row in np.argsort(-badness, kind="stable"):
            if len(taken) == share or badness[row] <= 0:
                break
            at_s = float(one.clock_s[row])
            if all(abs(at_s - other) >= apart_s for other in taken):
                taken.append(at_s)
                sure = None if np.isnan(one.confidence[row]) else float(one.confidence[row])
                found.append((float(badness[row]), Mistake(place, int(row), at_s, float(error[row]), sure)))
    return [mistake for _, mistake in sorted(found, key=lambda each: -each[0])[:count]]

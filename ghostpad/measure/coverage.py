"""How wrong single rows are, and whether confidence predicts it: the risk-coverage curve, and the worst confident mistakes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.pad import BUTTONS, PRESSED
from ghostpad.measure.match import Matched

_COVERAGES = 20
_B = len(BUTTONS)


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
    """`risk_coverage` of the rows with a known slot; [] unless every row has a confidence."""
    known = rows.known.any(axis=1)
    return [] if np.isnan(rows.confidence).any() else risk_coverage(rows.confidence[known], row_error(rows)[known])


def worst_mistakes(videos: Mapping[str, Matched], count: int = 6, apart_s: float = 1.0) -> list[dict[str, Any]]:
    """The rows of the largest error x confidence (1 where there is none), worst first: video, at_s, error, confidence (or None).

    Videos by id, not pooled. Two rows of one video are at least `apart_s` seconds apart, and no video has more than its share of `count`,
    rounded up. Rows without error are left out.
    """
    share = -(-count // max(1, len(videos)))
    ranked: list[tuple[float, dict[str, Any]]] = []
    for id, rows in videos.items():
        error = row_error(rows)
        badness = error * np.where(np.isnan(rows.confidence), 1.0, rows.confidence)
        taken: list[float] = []
        for row in np.argsort(-badness, kind="stable"):
            if len(taken) == share or badness[row] <= 0:
                break
            at_s = float(rows.clock_s[row])
            if all(abs(at_s - other) >= apart_s for other in taken):
                taken.append(at_s)
                confidence = None if np.isnan(rows.confidence[row]) else float(rows.confidence[row])
                ranked.append((badness[row], {"video": id, "at_s": at_s, "error": float(error[row]), "confidence": confidence}))
    return [mistake for _, mistake in sorted(ranked, key=lambda each: -each[0])[:count]]

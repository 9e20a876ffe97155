"""The measures of one stick, one pair of axes and one button: matched rows in, JSON-able numbers out, None where undefined."""

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.pad import PRESSED, moved, slot
from ghostpad.measure.events import COLLARS, changes
from ghostpad.measure.match import Matched
from ghostpad.measure.reliability import calibration_error

Measures = dict[str, float | int | None]
"""Measures by name."""


def stick_measures(rows: Matched, index: int) -> Measures:
    """r2, mae, moving_mae and n_moving (rows whose truth moves), dead_zone_f1 (moving or at rest) of the axis in slot `index`."""
    predicted, truth = columns(rows, index)
    error, moving = predicted - truth, moved(truth)
    variance = float(np.var(truth)) if np.ptp(truth) > 0 else 0.0
    return {
        "r2": 1 - float(np.mean(error**2)) / variance if variance else None,
        "mae": float(np.abs(error).mean()),
        "moving_mae": float(np.abs(error[moving]).mean()) if moving.any() else None,
        "dead_zone_f1": _f1(moved(predicted), moving),
        "n_moving": int(moving.sum()),
    }


def angle_measures(rows: Matched, side: str) -> Measures:
    """Angle between true and predicted direction of the stick `side` ("left" or "right"), over rows whose truth moves.

    A centred prediction has no direction and counts as 90 degrees, the mean of a random one.
    """
    at = [slot(f"{side}_x"), slot(f"{side}_y")]
    known = rows.known[:, at].all(axis=1)
    predicted, truth = (values[known][:, at].astype(np.float64) for values in (rows.predicted, rows.truth))
    moving = moved(np.hypot(*truth.T))
    predicted, truth = predicted[moving], truth[moving]
    cross, dot = predicted[:, 0] * truth[:, 1] - predicted[:, 1] * truth[:, 0], (predicted * truth).sum(axis=1)
    degrees = np.where(predicted.any(axis=1), np.degrees(np.abs(np.arctan2(cross, dot))), 90.0)
    return {"angular_error_deg": float(degrees.mean()) if len(degrees) else None, "n_moving": len(degrees)}


def button_measures(rows: Matched, index: int) -> Measures:
    """The measures of the button in slot `index`, at least one row of which both tables know.

    ap, prevalence, f1, accuracy, onset_f1 and release_f1 (in the very row, _50ms and _100ms: within that time), onsets (how many
    true ones are seen), press_rate_ratio (rows called pressed / rows pressed), ece.
    """
    p, target = columns(rows, index)
    pressed, truth = p >= PRESSED, target >= PRESSED
    found: Measures = {
        "ap": average_precision(p, truth),
        "prevalence": float(truth.mean()),
        "f1": _f1(pressed, truth),
        "accuracy": float((pressed == truth).mean()),
    }
    for ending, collar_s in COLLARS.items():
        found[f"onset_f1{ending}"] = changes(rows, index, collar_s).f1
    for ending, collar_s in COLLARS.items():
        found[f"release_f1{ending}"] = changes(rows, index, collar_s, release=True).f1
    found["onsets"] = changes(rows, index, 0.0).true
    found["press_rate_ratio"] = float(pressed.mean() / truth.mean()) if truth.any() else None
    found["ece"] = calibration_error(p, truth)
    return found


def average_precision(p: NDArray[np.floating], truth: NDArray[np.bool_]) -> float | None:
    """Sum over distinct thresholds of (recall gained) x precision, [n] and [n]; None without a positive.

    Equal scores are one threshold, so a constant prediction scores the prevalence.
    """
    positives = int(truth.sum())
    if not positives:
        return None
    order = np.argsort(-p, kind="stable")
    last_of_threshold = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)
    hits = np.cumsum(truth[order])[last_of_threshold]
    return float(np.sum(np.diff(hits, prepend=0) * hits / (last_of_threshold + 1)) / positives)


def columns(rows: Matched, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Prediction and truth of a slot where both are known, float64."""
    known = rows.known[:, index]
    return rows.predicted[known, index].astype(np.float64), rows.truth[known, index].astype(np.float64)


def _f1(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float | None:
    total = int(predicted.sum()) + int(truth.sum())
    return 2 * int((predicted & truth).sum()) / total if total else None

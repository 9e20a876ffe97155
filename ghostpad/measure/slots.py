"""The measures of one stick, one pair of axes and one button: matched rows in, JSON-able numbers out, None where undefined.

R² and average precision are scikit-learn's, imported where they are needed because that takes a second. Its `f1_score` is not used: it
takes 2 ms for any table, a hundred times as long as two counts, and a report holds thousands.
"""

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.pad import PRESSED, moved, slot
from ghostpad.measure.events import COLLARS, changes
from ghostpad.measure.match import Matched
from ghostpad.measure.reliability import calibration_error, error_floor

Measures = dict[str, float | int | None]
"""Measures by name."""


def stick_measures(rows: Matched, index: int) -> Measures:
    """The measures of the axis in slot `index`, in stick units except for r2 and dead_zone_f1; `score_rows` explains them.

    R² and RMSE belong together, because R² also depends on how much the player moved the stick: the same RMSE of 0.31 is R² 0.84 for one
    player and 0.22 for another (measured).
    """
    predicted, truth = rows.columns(index)
    error, moving = predicted - truth, moved(truth)
    return {
        "r2": r2(predicted, truth),
        "rmse": float(np.sqrt(np.mean(error**2))),
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
    """The measures of the button in slot `index`, which both tables know in some row; `score_rows` explains them."""
    p, target = rows.columns(index)
    pressed, truth = p >= PRESSED, target >= PRESSED
    measures: Measures = {
        "ap": average_precision(p, truth),
        "prevalence": float(truth.mean()),
        "f1": _f1(pressed, truth),
        "accuracy": float((pressed == truth).mean()),
    }
    for ending, collar_s in COLLARS.items():
        measures[f"onset_f1{ending}"] = changes(rows, index, collar_s).f1
    for ending, collar_s in COLLARS.items():
        measures[f"release_f1{ending}"] = changes(rows, index, collar_s, release=True).f1
    measures["onsets"] = changes(rows, index, 0.0).true
    measures["press_rate_ratio"] = float(pressed.mean() / truth.mean()) if truth.any() else None
    return measures | {"ece": calibration_error(p, truth), "ece_floor": error_floor(rows, index)}


def average_precision(p: NDArray[np.floating], truth: NDArray[np.bool_]) -> float | None:
    """Sum over distinct thresholds of (recall gained) x precision, [n] and [n]; None without a positive.

    Equal scores are one threshold, so a constant prediction scores the prevalence.
    """
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(truth, p)) if truth.any() else None


def r2(predicted: NDArray[np.floating], truth: NDArray[np.floating]) -> float | None:
    """The coefficient of determination of [n] and [n]: 1 - squared error / variance of the truth; None where that does not vary."""
    from sklearn.metrics import r2_score

    return float(r2_score(truth, predicted)) if len(truth) and np.ptp(truth) > 0 else None


def _f1(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float | None:
    total = int(predicted.sum()) + int(truth.sum())
    return 2 * int((predicted & truth).sum()) / total if total else None

"""How good predicted rows are: measures against the truth, the trivial baselines beside them, and calibration.

Works on anybody's tables, needs no model and writes nothing. Every result is JSON-able; what is undefined (no variance, no
presses) is None, never NaN. A number counts only where both tables know it, and baselines are measured on the same rows and
slots as the prediction. `always_released` is right most of the time and `copy_previous` nearly always, so accuracy means
little; a press found at collar 0 cannot be had by copying, a press found within a collar can.

Sources: average precision is the step-wise sum over distinct thresholds; onset matching follows the onset measures of MIREX
(collar of 50 ms); calibration error over 15 bins of equal mass is common in the literature. Cost: about 2 s for an hour at
20 Hz with all 25 slots.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ghostpad.base.pad import BUTTONS, SLOTS, STICKS, slot
from ghostpad.idm.match import Matched, match, pool, slots_of

Score = dict[str, Any]
"""{"rows", "unmatched", "sticks": {axis: ...}, "angles": {"left" | "right": ...}, "buttons": {name: ...}, "risk_coverage"}."""

Pairs = Sequence[tuple[pa.Table, pa.Table]]
"""(predicted, truth) of each video."""

DEAD_ZONE = 0.1
"""A stick nearer to its centre than this is at rest (a guess; drivers use 0.1...0.25)."""

PRESSED = 0.5
"""A button's probability from which it counts as pressed in measures; nothing on disk is thresholded."""

_ECE_BINS, _CALIBRATION_BINS, _COVERAGES = 15, 10, 20
_ROUNDING_S = 1e-6


def score(predicted: pa.Table, truth: pa.Table, fps: float) -> Score:
    """Measure one video: `predicted` (like `LABELS`, any subset of columns) against `truth` (like `ACTIONS`).

    `fps` is the rows a second; rows match within half a frame. Raises what `ghostpad.idm.match.match` raises.
    """
    return score_videos([(predicted, truth)], fps)


def score_videos(pairs: Pairs, fps: float) -> Score:
    """Measure several videos as one pool of rows; presses are never matched across videos.

    rows, unmatched   rows that both tables have, and that only one has
    sticks            axis: r2, mae, moving_mae and n_moving (rows whose truth moves), dead_zone_f1 (moving or at rest)
    angles            left, right: angular_error_deg of the direction, over the n_moving rows whose true stick moves
    buttons           name: ap, prevalence, f1, accuracy, onset_f1 (same row), onset_f1_50ms, press_rate_ratio, ece
    risk_coverage     the mean error of the most confident share of rows, [] unless every row has a confidence
    """
    return _score(pool([match(predicted, truth, fps) for predicted, truth in pairs]))


def baselines(pairs: Pairs, train_truths: Sequence[pa.Table] | None, fps: float) -> dict[str, Score]:
    """The measures of trivial predictions, on the rows and slots that the pairs' predictions and truths both have.

    always_released   nothing pressed, sticks centred
    copy_previous     the true row before, which no labeller has: the ceiling of smoothness
    prior             each slot's mean in `train_truths` (0 where they do not know it); left out if that is None
    """
    rows = pool([match(predicted, truth, fps) for predicted, truth in pairs])
    found = {
        "always_released": _score(rows.predicting(np.zeros_like(rows.truth))),
        "copy_previous": _score(rows.predicting(rows.previous)),
    }
    if train_truths is not None:
        found["prior"] = _score(rows.predicting(_means(train_truths)))
    return found


def calibration(pairs: Pairs, fps: float) -> dict[str, Any]:
    """Ten bins of equal mass a slot, fewer where values repeat: what was claimed beside what came true.

    {"sticks": {axis: [{"spread", "rmse", "n"}]}, "buttons": {name: [{"p", "frequency", "n"}]}}; axes without spreads are left out.
    """
    rows = pool([match(predicted, truth, fps) for predicted, truth in pairs])
    found: dict[str, dict[str, list[dict[str, float]]]] = {"sticks": {}, "buttons": {}}
    for index, name in enumerate(SLOTS):
        predicted, truth, known = _columns(rows, index)
        if name in BUTTONS and known.any():
            found["buttons"][name] = [
                {"p": float(predicted[part].mean()), "frequency": float(truth[part].mean()), "n": len(part)}
                for part in _equal_mass(predicted, _CALIBRATION_BINS)
            ]
        elif name in STICKS:
            spread = rows.spreads[known, STICKS.index(name)].astype(np.float64)
            spread, error = spread[~np.isnan(spread)], (predicted - truth)[~np.isnan(spread)]
            if len(spread):
                found["sticks"][name] = [
                    {"spread": float(spread[part].mean()), "rmse": float(np.sqrt(np.mean(error[part] ** 2))), "n": len(part)}
                    for part in _equal_mass(spread, _CALIBRATION_BINS)
                ]
    return found


# ---- one slot ---------------------------------------------------------------------------------------------------


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


def matched_onsets(predicted_s: NDArray[np.float64], truth_s: NDArray[np.float64], collar_s: float) -> int:
    """How many onsets, ascending times, match one to one within `collar_s`: the earliest of each side first."""
    ours = theirs = found = 0
    while ours < len(predicted_s) and theirs < len(truth_s):
        late_s = predicted_s[ours] - truth_s[theirs]
        found += abs(late_s) <= collar_s + _ROUNDING_S
        ours += late_s <= collar_s + _ROUNDING_S
        theirs += late_s >= -collar_s - _ROUNDING_S
    return int(found)


def calibration_error(p: NDArray[np.floating], truth: NDArray[np.bool_]) -> float | None:
    """Expected calibration error over 15 bins of equal mass: the mean gap between claimed and actual frequency; None without rows."""
    gaps = [abs(float(p[part].mean()) - float(truth[part].mean())) * len(part) for part in _equal_mass(p, _ECE_BINS)]
    return sum(gaps) / len(p) if len(p) else None


def risk_coverage(confidence: NDArray[np.floating], error: NDArray[np.floating]) -> list[dict[str, float]]:
    """The mean error of the most confident share of rows, at 20 shares; rows of equal confidence each count as their mean."""
    if not len(error):
        return []
    values, group = np.unique(-confidence, return_inverse=True)
    shared = (np.bincount(group, error, len(values)) / np.bincount(group, minlength=len(values)))[group]
    running = np.cumsum(shared[np.argsort(group, kind="stable")]) / np.arange(1, len(error) + 1)
    shares = np.arange(1, _COVERAGES + 1) / _COVERAGES
    return [{"coverage": float(share), "error": float(running[max(1, round(share * len(error))) - 1])} for share in shares]


def _score(rows: Matched) -> Score:
    names = [name for index, name in enumerate(SLOTS) if rows.known[:, index].any()]
    certain = len(rows) > 0 and not np.isnan(rows.confidence).any()
    judged = rows.known.any(axis=1)
    return {
        "rows": len(rows),
        "unmatched": rows.unmatched,
        "sticks": {name: _stick(*_columns(rows, slot(name))[:2]) for name in names if name in STICKS},
        "angles": {side: _angle(rows, side) for side in ("left", "right") if {f"{side}_x", f"{side}_y"} <= set(names)},
        "buttons": {name: _button(rows, slot(name)) for name in names if name in BUTTONS},
        "risk_coverage": risk_coverage(rows.confidence[judged], _row_error(rows)[judged]) if certain else [],
    }


def _columns(rows: Matched, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Prediction and truth of a slot where both are known, float64, and the mask [n] of those rows."""
    known = rows.known[:, index]
    return rows.predicted[known, index].astype(np.float64), rows.truth[known, index].astype(np.float64), known


def _stick(predicted: NDArray[np.float64], truth: NDArray[np.float64]) -> dict[str, float | None]:
    error, moving = predicted - truth, _moves(truth)
    variance = float(np.var(truth)) if np.ptp(truth) > 0 else 0.0
    return {
        "r2": 1 - float(np.mean(error**2)) / variance if variance else None,
        "mae": float(np.abs(error).mean()),
        "moving_mae": float(np.abs(error[moving]).mean()) if moving.any() else None,
        "dead_zone_f1": _f1(_moves(predicted), moving),
        "n_moving": int(moving.sum()),
    }


def _moves(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    # Compared as the float32 that tables hold: there, 0.1 is a little more than 0.1.
    return np.abs(values) > np.float32(DEAD_ZONE)


def _angle(rows: Matched, side: str) -> dict[str, float | None]:
    """Angle between true and predicted direction. A centred prediction has none and counts as 90 degrees, a random one's mean."""
    at = [slot(f"{side}_x"), slot(f"{side}_y")]
    known = rows.known[:, at].all(axis=1)
    predicted, truth = (values[known][:, at].astype(np.float64) for values in (rows.predicted, rows.truth))
    moving = _moves(np.hypot(*truth.T))
    predicted, truth = predicted[moving], truth[moving]
    cross, dot = predicted[:, 0] * truth[:, 1] - predicted[:, 1] * truth[:, 0], (predicted * truth).sum(axis=1)
    degrees = np.where(predicted.any(axis=1), np.degrees(np.abs(np.arctan2(cross, dot))), 90.0)
    return {"angular_error_deg": float(degrees.mean()) if len(degrees) else None, "n_moving": len(degrees)}


def _button(rows: Matched, index: int) -> dict[str, float | None]:
    p, target, known = _columns(rows, index)
    pressed, truth = p >= PRESSED, target >= PRESSED
    seen = rows.follows & known & np.roll(known, 1)
    ours_s, theirs_s = (_onsets_s(rows.clock_s, values[:, index] >= PRESSED, seen) for values in (rows.predicted, rows.truth))
    return {
        "ap": average_precision(p, truth),
        "prevalence": float(truth.mean()),
        "f1": _f1(pressed, truth),
        "accuracy": float((pressed == truth).mean()),
        "onset_f1": _onset_f1(ours_s, theirs_s, 0.0),
        "onset_f1_50ms": _onset_f1(ours_s, theirs_s, 0.05),
        "press_rate_ratio": float(pressed.mean() / truth.mean()) if truth.any() else None,
        "ece": calibration_error(p, truth),
    }


def _onsets_s(clock_s: NDArray[np.float64], pressed: NDArray[np.bool_], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Times of the rows in which a press begins; a row whose neighbour before it is missing or unknown cannot tell."""
    return clock_s[pressed & ~np.roll(pressed, 1) & seen]


def _onset_f1(ours_s: NDArray[np.float64], theirs_s: NDArray[np.float64], collar_s: float) -> float | None:
    total = len(ours_s) + len(theirs_s)
    return 2 * matched_onsets(ours_s, theirs_s, collar_s) / total if total else None


def _f1(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float | None:
    total = int(predicted.sum()) + int(truth.sum())
    return 2 * int((predicted & truth).sum()) / total if total else None


def _equal_mass(values: NDArray[np.floating], bins: int) -> list[NDArray[np.intp]]:
    """Row numbers of each bin, ascending; equal values share a bin, so that a constant is not split by the order of rows."""
    if not len(values):
        return []
    edges = np.unique(np.sort(values)[[len(values) * part // bins for part in range(1, bins)]])
    bin_of = np.searchsorted(edges, values, side="right")
    return [np.flatnonzero(bin_of == number) for number in np.unique(bin_of)]


def _row_error(rows: Matched) -> NDArray[np.float64]:
    """[n] mean over a row's known slots of |stick error| and of buttons that are on the wrong side of 0.5 (1 each)."""
    buttons = (rows.predicted[:, : len(BUTTONS)] >= PRESSED) != (rows.truth[:, : len(BUTTONS)] >= PRESSED)
    sticks = np.abs(rows.predicted - rows.truth)[:, len(BUTTONS) :]
    error = np.concatenate([buttons, sticks], axis=1) * rows.known
    return error.sum(axis=1, dtype=np.float64) / np.maximum(rows.known.sum(axis=1), 1)


def _means(truths: Sequence[pa.Table]) -> NDArray[np.float32]:
    """[25] each slot's mean over the rows that know it, 0 where none does."""
    total, count = np.zeros(len(SLOTS)), np.zeros(len(SLOTS))
    for table in truths:
        pads, known = slots_of(table, "training truth")
        total, count = total + pads.sum(axis=0, dtype=np.float64), count + known.sum(axis=0)
    return (total / np.maximum(count, 1)).astype(np.float32)

"""Calibration: reliability bins, calibration error, and the predictions as they were before calibration.

Pure. Bins have equal mass (as many rows each), fewer where values repeat; scikit-learn's `calibration_curve` cuts the same bins but does
not return the numbers of rows, by which the error weighs them. Temperature scaling and the scale of a spread have exact
inverses, so "before" needs only the numbers in the run's `calibration.json`, no second labelling.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.pad import BUTTONS, PRESSED, SLOTS, STICKS, slot
from ghostpad.measure.match import Matched

_ECE_BINS, _DIAGRAM_BINS, _FLOOR_DRAWS = 15, 10, 50


def calibration_error(p: NDArray[np.floating], truth: NDArray[np.bool_]) -> float | None:
    """Expected calibration error over 15 bins of equal mass: the mean gap between probability and frequency; None without rows."""
    gaps = [abs(float(p[part].mean()) - float(truth[part].mean())) * len(part) for part in equal_mass(p, _ECE_BINS)]
    return sum(gaps) / len(p) if len(p) else None


def equal_mass(values: NDArray[np.floating], bins: int) -> list[NDArray[np.intp]]:
    """Row numbers of each bin, ascending; equal values share a bin, so that a constant is not split by the order of rows."""
    bin_of = bin_numbers(values, bins)
    return [np.flatnonzero(bin_of == number) for number in np.unique(bin_of)]


def bin_numbers(values: NDArray[np.floating], bins: int = _ECE_BINS) -> NDArray[np.intp]:
    """[n] the bin, 0...bins-1, of each value, as `equal_mass` and `calibration_error` cut them."""
    if not len(values):
        return np.zeros(0, np.intp)
    edges = np.unique(np.sort(values)[[len(values) * part // bins for part in range(1, bins)]])
    return np.searchsorted(edges, values, side="right")


def reliability(rows: Matched) -> dict[str, Any]:
    """Ten bins a slot: what was predicted beside what happened.

    {"sticks": {axis: [{"spread", "rmse", "n"}]}, "buttons": {name: [{"p", "frequency", "n"}]}}; axes without spreads are left out.
    """
    bins: dict[str, dict[str, list[dict[str, float]]]] = {"sticks": {}, "buttons": {}}
    for index, name in enumerate(SLOTS):
        predicted, truth = rows.columns(index)
        if name in BUTTONS and len(predicted):
            bins["buttons"][name] = [
                {"p": float(predicted[part].mean()), "frequency": float(truth[part].mean()), "n": len(part)}
                for part in equal_mass(predicted, _DIAGRAM_BINS)
            ]
        elif name in STICKS:
            spread = rows.spreads[rows.known[:, index], STICKS.index(name)].astype(np.float64)
            spread, error = spread[~np.isnan(spread)], (predicted - truth)[~np.isnan(spread)]
            if len(spread):
                bins["sticks"][name] = [
                    {"spread": float(spread[part].mean()), "rmse": float(np.sqrt(np.mean(error[part] ** 2))), "n": len(part)}
                    for part in equal_mass(spread, _DIAGRAM_BINS)
                ]
    return bins


def button_errors(rows: Matched) -> dict[str, float | None]:
    """The calibration error of every known button."""
    columns = {name: rows.columns(slot(name)) for name in BUTTONS}
    return {name: calibration_error(p, truth >= PRESSED) for name, (p, truth) in columns.items() if len(p)}


def error_floor(rows: Matched, index: int, seed: int = 0) -> float | None:
    """The calibration error that a perfect forecaster with the same probabilities of the button in slot `index` would show.

    It is not 0, because the rows of a press are one outcome. Method: 50 truths are drawn from the probabilities. Each true press, and each
    stretch of a pause as long as a mean press, gets one uniform number, and its rows are pressed where their probability exceeds it: so
    every row is pressed as often as predicted. Returns the mean error over these truths; None without rows.
    0.02 s for an hour at 20 Hz (measured).
    """
    p, truth = rows.columns(index)
    if not len(p):
        return None
    rng, bins, cluster = np.random.default_rng(seed), bin_numbers(p), _press_clusters(truth >= PRESSED, rows.video[rows.known[:, index]])
    drawn = (rng.random(int(cluster[-1]) + 1)[cluster] < p for _ in range(_FLOOR_DRAWS))
    return float(np.mean([np.abs(np.bincount(bins, p - pressed)).sum() / len(p) for pressed in drawn]))


def _press_clusters(truth: NDArray[np.bool_], video: NDArray[np.intp]) -> NDArray[np.intp]:
    """[n] the number, ascending, of the press, or of the press-long stretch of a pause, to which each row of a pool belongs."""
    starts = np.diff(video, prepend=-1) != 0
    starts[1:] |= truth[1:] != truth[:-1]
    presses = int((starts & truth).sum())
    press_rows = max(1, round(int(truth.sum()) / presses)) if presses else 1
    since = np.arange(len(truth)) - np.maximum.accumulate(np.where(starts, np.arange(len(truth)), 0))
    return np.cumsum(starts | ~truth & (since % press_rows == 0)) - 1


def uncalibrated(rows: Matched, temperatures: Mapping[str, float], spread_scales: Mapping[str, float]) -> Matched:
    """The rows as they were before calibration: logits times the temperature, spreads divided by their scale.

    Exact apart from rounding: a probability that float32 holds as 1 stays 1.
    """
    predicted, spreads = rows.predicted.copy(), rows.spreads.copy()
    for name, temperature in temperatures.items():
        p = np.clip(predicted[:, slot(name)].astype(np.float64), 1e-12, 1 - 1e-12)
        predicted[:, slot(name)] = 1 / (1 + (1 / p - 1) ** temperature)
    for name, scale in spread_scales.items():
        spreads[:, STICKS.index(name)] /= scale
    return replace(rows, predicted=predicted, spreads=spreads)

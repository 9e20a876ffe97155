"""The lag of a prediction: the shift at which it fits the truth best, for each video.

Cross-correlation of stick values, and of the rises of button probabilities with true presses, on the grid of the video's own rows;
the peak is refined between rows by a parabola through its neighbours. Pure; milliseconds a video. The limits below, under which a lag
is unknown, are guesses.
"""

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.pad import BUTTONS, PRESSED, STICKS, slot
from ghostpad.measure.events import seen_changes
from ghostpad.measure.match import Matched

MAX_LAG_S = 0.4
"""The largest shift tried; a peak there does not count."""

_MIN_ROWS, _MIN_PRESSES, _MIN_SD = 40, 5, 0.05
_MIN_PEAK = {"sticks": 0.3, "presses": 0.2}

Signals = list[tuple[NDArray[np.float64], NDArray[np.float64]]]
"""(predicted, true) on the grid of rows, centred, NaN where unknown."""


def lags(rows: Matched) -> dict[str, dict[str, float | int | None] | None]:
    """{"sticks", "presses"}: median_rows, median_ms, iqr_ms (None with one video), worst_ms and videos; None where nothing moves enough.

    Positive: the prediction is late by that much. Each video has one lag.
    """
    by_kind: dict[str, list[tuple[float, float]]] = {"sticks": [], "presses": []}
    for video in rows.videos():
        for kind, known in by_kind.items():
            if (shift := video_lag(video, kind)) is not None:
                known.append((shift, shift * float(video.row_s[0]) * 1000))
    return {kind: _summary(np.array(known)) if known else None for kind, known in by_kind.items()}


def video_lag(rows: Matched, kind: str) -> float | None:
    """The lag of one video in rows, from its "sticks" or its "presses"; None without enough movement or a clear peak."""
    if len(rows) < _MIN_ROWS:
        return None
    grid = np.round((rows.clock_s - rows.clock_s[0]) / rows.row_s[0]).astype(np.intp)
    signals = _stick_signals(rows) if kind == "sticks" else _press_signals(rows)
    placed = [(_placed(ours, grid), _placed(theirs, grid)) for ours, theirs in signals]
    reach = max(2, round(MAX_LAG_S / float(rows.row_s[0])))
    if not placed or reach >= grid[-1] // 4:
        return None
    fit = np.array([_correlation(placed, shift) for shift in range(-reach, reach + 1)])
    peak = int(fit.argmax())
    if fit[peak] < _MIN_PEAK[kind] or peak in (0, 2 * reach):
        return None
    bend = fit[peak - 1] - 2 * fit[peak] + fit[peak + 1]
    between = 0.5 * (fit[peak - 1] - fit[peak + 1]) / bend if bend < 0 else 0.0
    return float(peak - reach + between)


def _stick_signals(rows: Matched) -> Signals:
    signals = []
    for index in map(slot, STICKS):
        known = rows.known[:, index]
        pair = [np.where(known, values[:, index], np.nan).astype(np.float64) for values in (rows.predicted, rows.truth)]
        if known.sum() >= _MIN_ROWS and all(np.nanstd(values) >= _MIN_SD for values in pair):
            ours, theirs = (values - np.nanmean(values) for values in pair)
            signals.append((ours, theirs))
    return signals


def _press_signals(rows: Matched) -> Signals:
    """Rises of the probability, and true presses as spikes, of every button that is pressed often enough."""
    signals = []
    for index in range(len(BUTTONS)):
        seen = seen_changes(rows, index)
        held = rows.truth[:, index] >= PRESSED
        spikes = (held & ~np.roll(held, 1))[seen]
        rises = np.maximum(0, np.diff(rows.predicted[:, index].astype(np.float64), prepend=0.0))[seen]
        if spikes.sum() >= _MIN_PRESSES and rises.sum() >= 1:
            ours, theirs = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
            ours[seen], theirs[seen] = rises - rises.mean(), spikes - spikes.mean()
            signals.append((ours, theirs))
    return signals


def _placed(values: NDArray[np.float64], grid: NDArray[np.intp]) -> NDArray[np.float64]:
    line = np.full(int(grid[-1]) + 1, np.nan)
    line[grid] = values
    return line


def _correlation(signals: Signals, shift: int) -> float:
    """Correlation over all signals of the prediction `shift` rows later with the truth, where both are known."""
    products = ours_squared = theirs_squared = 0.0
    for ours, theirs in signals:
        late = ours[max(0, shift) : len(ours) + min(0, shift)]
        true = theirs[max(0, -shift) : len(theirs) + min(0, -shift)]
        both = ~np.isnan(late) & ~np.isnan(true)
        products += float((late[both] * true[both]).sum())
        ours_squared += float((late[both] ** 2).sum())
        theirs_squared += float((true[both] ** 2).sum())
    scale = np.sqrt(ours_squared * theirs_squared)
    return products / float(scale) if scale > 0 else 0.0


def _summary(shifts: NDArray[np.float64]) -> dict[str, float | int | None]:
    """The summary of the lags [videos, 2] in rows and in ms."""
    rows, ms = shifts.T
    low, high = np.percentile(ms, [25, 75])
    return {
        "median_rows": float(np.median(rows)),
        "median_ms": float(np.median(ms)),
        "iqr_ms": float(high - low) if len(ms) > 1 else None,
        "worst_ms": float(ms[np.abs(ms).argmax()]),
        "videos": len(ms),
    }

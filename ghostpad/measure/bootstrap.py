"""How far the headline measures would move with other videos: percentile intervals of a bootstrap over whole videos.

Rows of one video resemble each other, so whole videos are drawn with replacement (Efron and Tibshirani 1993, chapter 8). What a
measure needs of each video is counted once, and a resample only adds counts: 0.6 s for an hour at 20 Hz with 25 slots (measured).
`scipy.stats.bootstrap` would score every resample anew, a hundred times as long (reckoned), and gives no interval if one draw has no press.
R2, RMSE and onset F1 are exact; bins of the calibration error are those of all videos; average precision is exact up to `_LEVELS`
different scores of positives.

**Few videos make intervals too narrow.** Where videos differ in quality, these covered the true value in 58 % of draws with 4 videos,
75 % with 8 and 77 % with 20, instead of 95 % (simulated).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.pad import BUTTONS, PRESSED, SLOTS
from ghostpad.measure.events import changes
from ghostpad.measure.match import Matched
from ghostpad.measure.reliability import bin_numbers

MIN_VIDEOS = 3
"""With fewer videos there is no interval."""

SHARE = 0.95
"""The share of resamples that an interval covers."""

_LEVELS = 2000

Draws = NDArray[np.float64]
"""[resamples] a measure in each resample, NaN where it is undefined."""


def intervals(rows: Matched, resamples: int = 200, seed: int = 0) -> dict[str, Any]:
    """The middle 95 % of the headline measures over `resamples` draws of as many videos as there are, [low, high] each.

    {"videos", "resamples", "share", "sticks": {axis: {"r2", "rmse"}}, "buttons": {name: {"ap", "onset_f1_50ms", "ece"}},
    "macro": {"r2", "rmse", "ap", "onset_f1_50ms", "ece"}}. None instead of a pair with fewer than three videos, or
    where most draws leave the measure undefined.
    """
    videos = list(rows.videos())
    resamples = resamples if len(videos) >= MIN_VIDEOS else 0
    shares = np.full(max(1, len(videos)), 1 / max(1, len(videos)))
    draws = np.random.default_rng(seed).multinomial(len(videos), shares, resamples)
    sticks: dict[str, dict[str, Draws]] = {}
    buttons: dict[str, dict[str, Draws]] = {}
    for index in np.flatnonzero(rows.known.any(axis=0)).tolist():
        if (name := SLOTS[index]) in BUTTONS:
            onset_f1 = _onset_f1(videos, index, draws)
            buttons[name] = {"ap": _ap(rows, index, draws), "onset_f1_50ms": onset_f1, "ece": _ece(rows, index, draws)}
        else:
            sticks[name] = dict(zip(("r2", "rmse"), _r2_rmse(videos, index, draws), strict=True))
    macro = {measure: _mean(sticks, measure) for measure in ("r2", "rmse")}
    macro |= {measure: _mean(buttons, measure) for measure in ("ap", "onset_f1_50ms", "ece")}
    return {
        "videos": len(videos),
        "resamples": resamples,
        "share": SHARE,
        "sticks": {name: _intervals(each) for name, each in sticks.items()},
        "buttons": {name: _intervals(each) for name, each in buttons.items()},
        "macro": _intervals(macro),
    }


def _intervals(measures: Mapping[str, Draws]) -> dict[str, list[float] | None]:
    return {name: _interval(values) for name, values in measures.items()}


def _interval(values: Draws) -> list[float] | None:
    """[low, high] of the middle 95 % of the numbers among `values`; None if fewer than half are numbers."""
    numbers = values[~np.isnan(values)]
    if len(numbers) * 2 < len(values) or not len(numbers):
        return None
    low, high = np.percentile(numbers, [50 * (1 - SHARE), 50 * (1 + SHARE)])
    return [float(low), float(high)]


def _mean(slots: Mapping[str, Mapping[str, Draws]], measure: str) -> Draws:
    """The macro average in each resample, over the slots that have the measure there; empty without slots."""
    values = [each[measure] for each in slots.values()]
    return np.ma.masked_invalid(values).mean(axis=0).filled(np.nan) if values else np.zeros(0)


def _ratio(top: Draws, bottom: Draws) -> Draws:
    return np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)


def _r2_rmse(videos: Sequence[Matched], index: int, draws: NDArray[np.intp]) -> tuple[Draws, Draws]:
    """Both from sums over videos, in which R2 is `ghostpad.measure.slots.r2` (a test holds them together)."""
    sums = np.zeros((len(videos), 4))
    for place, video in enumerate(videos):
        predicted, truth = video.columns(index)
        sums[place] = len(truth), truth.sum(), (truth**2).sum(), ((predicted - truth) ** 2).sum()
    n, total, squares, errors = (draws @ sums).T
    spread = squares - _ratio(total**2, n)
    return 1 - _ratio(errors, np.where(spread > 1e-9 * squares, spread, 0)), np.sqrt(_ratio(errors, n))


def _onset_f1(videos: Sequence[Matched], index: int, draws: NDArray[np.intp]) -> Draws:
    counts = [changes(video, index, 0.05) for video in videos]
    matched, total = (draws @ np.array([[each.matched, each.predicted + each.true] for each in counts], np.float64)).T
    return _ratio(2 * matched, total)


def _ece(rows: Matched, index: int, draws: NDArray[np.intp]) -> Draws:
    """Calibration error of each resample, over the bins that all rows together are cut into."""
    p, truth = rows.columns(index)
    bins, video = bin_numbers(p), rows.video[rows.known[:, index]]
    gaps = _by_video(p - (truth >= PRESSED), video, bins, draws.shape[1])
    counts = _by_video(np.ones(len(p)), video, bins, draws.shape[1])
    return _ratio(np.abs(draws @ gaps).sum(axis=1), (draws @ counts).sum(axis=1))


def _ap(rows: Matched, index: int, draws: NDArray[np.intp]) -> Draws:
    """Average precision of each resample. Only the scores of positives are thresholds: between two of them no recall is gained."""
    p, target = rows.columns(index)
    truth, video = target >= PRESSED, rows.video[rows.known[:, index]]
    levels = np.unique(p[truth])[::-1]
    if not len(levels):
        return np.full(len(draws), np.nan)
    if len(levels) > _LEVELS:
        levels = levels[np.unique(np.linspace(0, len(levels) - 1, _LEVELS).astype(np.intp))]
    group = np.searchsorted(-levels, -p, side="left")  # the first level that a row reaches; len(levels): none
    reach = group < len(levels)
    hits = draws @ _by_video(truth[reach].astype(np.float64), video[reach], group[reach], draws.shape[1], len(levels))
    called = draws @ _by_video(np.ones(int(reach.sum())), video[reach], group[reach], draws.shape[1], len(levels))
    precision = np.cumsum(hits, axis=1) / np.maximum(np.cumsum(called, axis=1), 1)
    return _ratio((hits * precision).sum(axis=1), hits.sum(axis=1))


def _by_video(
    values: NDArray[np.float64], video: NDArray[np.intp], group: NDArray[np.intp], videos: int, groups: int | None = None
) -> NDArray[np.float64]:
    """[videos, groups] sums of `values`."""
    width = groups or int(group.max(initial=0)) + 1
    return np.bincount(video * width + group, values, videos * width).astype(np.float64).reshape(videos, width)

"""Thresholds that bound errors: "of the kept presses at most a share eps is wrong", with confidence 1 - delta.

Chosen on held-out videos, kept in `RUN/risk.json`, checked on test videos. From strict to loose, each threshold is tested with an
exact binomial (Clopper-Pearson) bound until the first fails: fixed-sequence testing, Learn then Test (Angelopoulos et al.,
arXiv:2110.01052), for the risk of conformal risk control (arXiv:2208.02814). The sequence begins at the strictest threshold that
keeps enough to allow one mistake, chosen without the truth. Each slot is bounded by itself; together they may miss more often.

Trials: the rows of one press are right or wrong together, so n is not their number but the effective number of presses,
(sum of m)^2 / (sum of m^2) for kept presses of m rows (Kish), which is the number of presses if all are equally long. For sticks the rows
of one second of a video form a cluster instead. The error share is that of rows. The bound holds for new videos like the held-out ones,
not for another game.

**Presses are assumed independent, but errors cluster by video too.** Where videos differ in quality, the true share of wrong presses was
above a target of 2 % in 9 % of draws with 20 held-out videos, 26 % with 6 and 46 % with 3, where delta allows 10 % (simulated).

A target of 2 % at delta 0.1 needs at least 114 presses without a mistake. Cost: 0.06 s a slot and hour at 20 Hz (measured).
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import FormatError, SettingsError
from ghostpad.base.files import read_json
from ghostpad.base.pad import BUTTONS, PRESSED, SLOTS, STICKS, slot
from ghostpad.measure.match import Matched

Thresholds = dict[str, Any]
"""JSON: {"eps", "delta", "tolerance", "buttons": {name: Threshold or None}, "sticks": {axis: Threshold or None}}.
A threshold is {"threshold", "kept_share", "error_share", "bound", "n"}; None: none keeps the bound below eps."""

TOLERANCE = 0.25
"""A stick prediction with a larger error is wrong (a guess: an eighth of the range)."""

_LEVELS = 1 / (1 + np.exp(-np.arange(0, 9.01, 0.15)))
"""Probabilities tried, 0.5 (pressed) ... 0.9999, evenly spaced in logits."""

_SPREADS = np.geomspace(0.6, 0.005, 60)
"""Stick spreads tried, from loose to strict."""


def choose(rows: Matched, eps: float, delta: float = 0.1, tolerance: float = TOLERANCE) -> Thresholds:
    """The loosest threshold of every known slot whose error share is at most `eps`, with confidence 1 - `delta`.

    Button: keep rows with p >= threshold; an error is a kept row whose button is up; kept_share is that of truly pressed rows. Stick:
    keep rows with spread <= threshold; an error exceeds `tolerance`; kept_share is that of all rows. `rows` must be
    calibrated, and of videos to which nothing was fitted but temperatures, one number a button. Raises `SettingsError` for shares outside
    0...1.
    """
    if not (0 < eps < 1 and 0 < delta < 1 and tolerance > 0):
        raise SettingsError(f"eps {eps}, delta {delta}, tolerance {tolerance}: shares must lie between 0 and 1, a tolerance above 0")
    chosen: Thresholds = {"eps": eps, "delta": delta, "tolerance": tolerance, "buttons": {}, "sticks": {}}
    for index, name in enumerate(SLOTS):
        if rows.known[:, index].any() and (name in BUTTONS or _has_spread(rows, name)):
            chosen["buttons" if name in BUTTONS else "sticks"][name] = _choose_slot(rows, name, eps, delta, tolerance)
    return chosen


def load_thresholds(run: Path) -> Thresholds | None:
    """The thresholds in `run/risk.json`, None if there are none. Raises `FormatError` for a file that is something else."""
    path = run / "risk.json"
    if not path.exists():
        return None
    thresholds = read_json(path)
    if not isinstance(thresholds, dict) or {"eps", "delta", "tolerance", "buttons", "sticks"} - set(thresholds):
        raise FormatError(f"{path} holds no thresholds: remove it and run the command that trained the IDM again")
    return thresholds


def kept(rows: Matched, thresholds: Thresholds) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """The rows that the thresholds keep, and the share of them that is wrong.

    {"buttons" | "sticks": {name: {"threshold", "bound", "error_share", "kept_share", "kept_rows", "n"}}} for the slots that have a
    threshold and that `rows` knows; shares are None where nothing was kept or nothing was pressed. `n` is the effective number.
    """
    result: dict[str, dict[str, dict[str, float | int | None]]] = {"buttons": {}, "sticks": {}}
    for kind in result:
        for name, chosen in thresholds[kind].items():
            if chosen is None or not rows.known[:, slot(name)].any():
                continue
            keep = kept_rows(rows, name, chosen["threshold"])
            wrong = _wrong(rows, name, thresholds["tolerance"])
            result[kind][name] = {
                "threshold": chosen["threshold"],
                "bound": chosen["bound"],
                "error_share": float(wrong[keep].mean()) if keep.any() else None,
                "kept_share": _kept_share(rows, name, keep),
                "kept_rows": int(keep.sum()),
                "n": round(effective_n(_clusters(rows, name, keep)), 1),
            }
    return result


def kept_rows(rows: Matched, name: str, threshold: float) -> NDArray[np.bool_]:
    """[n] the rows of a slot that a threshold keeps: buttons by probability, sticks by spread; unknown rows are not kept."""
    known = rows.known[:, slot(name)]
    if name in BUTTONS:
        return known & (rows.predicted[:, slot(name)] >= threshold)
    return known & (rows.spreads[:, STICKS.index(name)] <= threshold)  # False for NaN


def upper_bound(errors: int, n: int, delta: float) -> float:
    """The Clopper-Pearson upper bound, at confidence 1 - `delta`, of a share with `errors` in `n` trials; 1 without trials."""
    from scipy.stats import beta  # here, because it takes a second to import

    return float(beta.ppf(1 - delta, errors + 1, n - errors)) if errors < n else 1.0


def effective_n(sizes: NDArray[np.intp]) -> float:
    """Kish's effective number of clusters of these sizes, (sum)^2 / sum of squares; 0 without any."""
    sizes = np.asarray(sizes, np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if len(sizes) else 0.0


def _choose_slot(rows: Matched, name: str, eps: float, delta: float, tolerance: float) -> dict[str, float] | None:
    """Test one threshold after another, from the first of the sequence towards looser ones, until one fails."""
    loosening = _LEVELS[::-1] if name in BUTTONS else _SPREADS[::-1]
    keeps = [kept_rows(rows, name, float(threshold)) for threshold in loosening]
    counts = [effective_n(_clusters(rows, name, keep)) for keep in keeps]
    wrong, chosen = _wrong(rows, name, tolerance), None
    for at in range(_first(counts, eps, delta), len(loosening)):
        keep, n = keeps[at], counts[at]
        share = float(wrong[keep].mean()) if keep.any() else 1.0
        bound = _bound(share, n, delta)
        if bound > eps:
            break
        chosen = {
            "threshold": float(loosening[at]),
            "kept_share": _kept_share(rows, name, keep) or 0.0,
            "error_share": share,
            "bound": bound,
            "n": math.floor(n),
        }
    return chosen


def _first(counts: Sequence[float], eps: float, delta: float) -> int:
    """Where the sequence begins: the strictest threshold that keeps enough to allow one mistake, or else none."""
    for mistakes in (1, 0):
        for at, n in enumerate(counts):
            if upper_bound(mistakes, math.floor(n + 1e-9), delta) <= eps:
                return at
    return len(counts)


def _bound(share: float, n: float, delta: float) -> float:
    """The bound of an error share over an effective number of trials, rounded so that the bound can only grow."""
    trials = math.floor(n + 1e-9)
    return upper_bound(math.ceil(share * trials - 1e-9), trials, delta)


def _wrong(rows: Matched, name: str, tolerance: float) -> NDArray[np.bool_]:
    """[n] whether a row, if kept, is wrong."""
    truth = rows.truth[:, slot(name)]
    return truth < PRESSED if name in BUTTONS else np.abs(rows.predicted[:, slot(name)] - truth) > tolerance


def _clusters(rows: Matched, name: str, keep: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Sizes in rows of the clusters of kept rows: presses of a button, seconds of a stick."""
    if not keep.any():
        return np.zeros(0, np.intp)
    if name in BUTTONS:
        begins = keep & ~(np.roll(keep, 1) & rows.follows)
        return np.bincount(np.cumsum(begins)[keep])[1:]
    return np.unique(np.floor(rows.clock_s[keep]), return_counts=True)[1]  # of a pool, whose videos are 10 s apart


def _kept_share(rows: Matched, name: str, keep: NDArray[np.bool_]) -> float | None:
    among = rows.known[:, slot(name)]
    if name in BUTTONS:
        among = among & (rows.truth[:, slot(name)] >= PRESSED)
    return float(keep[among].mean()) if among.any() else None


def _has_spread(rows: Matched, name: str) -> bool:
    return not np.isnan(rows.spreads[rows.known[:, slot(name)], STICKS.index(name)]).all()

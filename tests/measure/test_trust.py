"""Measures of trust: intervals against a bootstrap written out, thresholds that keep their promise, claims before calibration."""

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ghostpad.base.errors import SettingsError
from ghostpad.base.pad import PAD_DIM, slot
from ghostpad.idm.calibrate import Calibration
from ghostpad.measure.bootstrap import intervals
from ghostpad.measure.coverage import row_error, worst_mistakes
from ghostpad.measure.match import Matched, aligned, pool
from ghostpad.measure.reliability import bin_numbers, calibration_error, error_floor, uncalibrated
from ghostpad.measure.risk import choose, effective_n, kept, upper_bound
from ghostpad.measure.scores import score_rows

FPS, SOUTH, STICK = 20.0, slot("south"), slot("left_x")


def video(
    p: NDArray[np.float64], held: NDArray[np.bool_], stick: NDArray[np.float64] | None = None, told: NDArray[np.float64] | None = None,
    spread: NDArray[np.float64] | None = None,
) -> Matched:  # fmt: skip
    rows = len(p)
    predicted, truth, known = (np.zeros((rows, PAD_DIM), kind) for kind in (np.float32, np.float32, np.bool_))
    predicted[:, SOUTH], truth[:, SOUTH], known[:, SOUTH] = p, held, True
    spreads = np.full((rows, 4), np.nan, np.float32)
    if stick is not None:
        predicted[:, STICK], truth[:, STICK], known[:, STICK] = told, stick, True
        spreads[:, 0] = spread
    return aligned(np.arange(rows) / FPS, predicted, spreads, truth, known, FPS)


def some_videos(count: int, rows: int = 60) -> list[Matched]:
    rng = np.random.default_rng(7)
    found = []
    for _ in range(count):
        held, stick = rng.random(rows) < rng.uniform(0.05, 0.4), rng.uniform(-1, 1, rows)
        p = np.clip(0.6 * held + rng.normal(0.2, 0.2, rows), 0, 1).round(2)
        found.append(video(p, held, stick, stick + rng.normal(0, rng.uniform(0.1, 0.9), rows), np.full(rows, 0.3)))
    return found


# ---- intervals ----------------------------------------------------------------------------------------------------


def test_intervals_are_those_of_a_bootstrap_written_out() -> None:
    videos, resamples = some_videos(6), 40
    rows = pool(videos)
    found = intervals(rows, resamples, seed=3)
    draws = np.random.default_rng(3).multinomial(6, np.full(6, 1 / 6), resamples)
    edges_of = bin_numbers(rows.predicted[:, SOUTH].astype(np.float64))
    values: dict[str, list[float]] = {"r2": [], "rmse": [], "ap": [], "onset_f1_50ms": [], "ece": []}
    for draw in draws:
        chosen = [each for each, times in zip(videos, draw, strict=True) for _ in range(times)]
        score = score_rows(pool(chosen))
        for name in ("r2", "rmse"):
            values[name].append(score["sticks"]["left_x"][name])
        for name in ("ap", "onset_f1_50ms"):
            values[name].append(score["buttons"]["south"][name])
        at = np.concatenate([np.flatnonzero(rows.video == place) for place, times in enumerate(draw) for _ in range(times)])
        p, truth, bins = rows.predicted[at, SOUTH].astype(np.float64), rows.truth[at, SOUTH], edges_of[at]
        values["ece"].append(sum(abs((p[bins == one] - truth[bins == one]).sum()) for one in np.unique(bins)) / len(at))
    assert found["videos"] == 6 and found["resamples"] == resamples
    for name in ("r2", "rmse"):
        assert found["sticks"]["left_x"][name] == pytest.approx(np.percentile(values[name], [2.5, 97.5]), abs=1e-6), name
    for name in ("ap", "onset_f1_50ms", "ece"):
        assert found["buttons"]["south"][name] == pytest.approx(np.percentile(values[name], [2.5, 97.5]), abs=1e-6), name
        assert found["macro"][name] == found["buttons"]["south"][name]


def test_intervals_are_seeded_and_lie_around_the_measure() -> None:
    rows = pool(some_videos(8))
    found, score = intervals(rows), score_rows(rows)
    assert found == intervals(rows) != intervals(rows, seed=1) and json.dumps(found, allow_nan=False)
    low, high = found["sticks"]["left_x"]["r2"]
    assert low < score["sticks"]["left_x"]["r2"] < high
    low, high = found["buttons"]["south"]["ap"]
    assert low < score["buttons"]["south"]["ap"] < high


def test_few_videos_or_no_presses_give_no_interval() -> None:
    two = intervals(pool(some_videos(2)))
    assert two["resamples"] == 0 and two["sticks"] == {"left_x": {"r2": None, "rmse": None}}
    assert set(two["buttons"]["south"].values()) == {None} and set(two["macro"].values()) == {None}
    never = intervals(pool([video(np.full(30, 0.1), np.zeros(30, bool)) for _ in range(4)]))["buttons"]["south"]
    assert never["ap"] is None and never["onset_f1_50ms"] is None and never["ece"] == pytest.approx([0.1, 0.1])
    assert intervals(pool([]))["buttons"] == {}


# ---- the binomial bound -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("errors", "n", "delta", "bound"),
    [(0, 114, 0.1, 0.02), (1, 10, 0.05, 0.3942), (1, 10, 0.025, 0.4450),
     (5, 100, 0.05, 0.1023), (5, 100, 0.025, 0.1128), (0, 10, 0.05, 0.2589)],
)  # fmt: skip
def test_the_bound_has_its_textbook_values(errors: int, n: int, delta: float, bound: float) -> None:
    assert upper_bound(errors, n, delta) == pytest.approx(bound, abs=1e-4)


@pytest.mark.parametrize(("errors", "n", "delta"), [(0, 114, 0.1), (3, 7, 0.2), (1, 40, 0.05), (12, 500, 0.1)])
def test_at_the_bound_so_few_errors_are_seen_with_probability_delta(errors: int, n: int, delta: float) -> None:
    p = Fraction(upper_bound(errors, n, delta))
    tail = sum(math.comb(n, seen) * p**seen * (1 - p) ** (n - seen) for seen in range(errors + 1))
    assert float(tail) == pytest.approx(delta, rel=1e-9)


def test_the_bound_is_one_where_nothing_is_known() -> None:
    assert upper_bound(0, 0, 0.1) == upper_bound(3, 3, 0.1) == 1
    assert effective_n(np.full(8, 5)) == 8 and effective_n(np.array([9, 1])) == pytest.approx(100 / 82) and effective_n(np.zeros(0)) == 0


# ---- thresholds that promise --------------------------------------------------------------------------------------


def true_error(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """How often a press of probability p is wrong in the made-up world: the model is too sure of itself."""
    return np.clip(1.6 * (1 - p), 0, 1)


def presses(seed: int, count: int) -> Matched:
    """Presses of one to nine rows, each right or wrong as a whole, with rows of rest between."""
    rng = np.random.default_rng(seed)
    sure = 1 / (1 + np.exp(-rng.uniform(-1, 8, count)))
    right = rng.random(count) >= true_error(sure)
    lengths = np.stack([rng.integers(1, 10, count), np.full(count, 3)], axis=1).ravel()
    p = np.repeat(np.stack([sure, np.full(count, 0.01)], axis=1).ravel(), lengths)
    return video(p, np.repeat(np.stack([right, np.zeros(count, bool)], axis=1).ravel(), lengths))


def test_promises_are_broken_no_more_often_than_they_say() -> None:
    eps, delta, runs = 0.05, 0.2, 60
    p = 1 / (1 + np.exp(-np.linspace(-1, 8, 200_001)))
    broken = made = 0
    for seed in range(runs):
        promise = choose(presses(seed, 400), eps, delta)["buttons"]["south"]
        if promise is not None:
            made += 1
            broken += true_error(p[p >= promise["threshold"]]).mean() > eps
    assert made > 0.9 * runs, "and the promise is not bought by never giving one"
    assert broken <= delta * runs + 2 * math.sqrt(delta * (1 - delta) * runs)


def test_a_promise_is_kept_on_other_footage_and_keeps_presses() -> None:
    thresholds = choose(pool([presses(seed, 300) for seed in range(5)]), eps=0.02)
    promise, other = thresholds["buttons"]["south"], presses(99, 4000)
    assert promise["bound"] <= 0.02 and promise["error_share"] <= promise["bound"] and json.dumps(thresholds, allow_nan=False)
    found = kept(other, thresholds)["buttons"]["south"]
    keep = other.predicted[:, SOUTH] >= promise["threshold"]
    assert found["error_share"] == pytest.approx(1 - other.truth[keep, SOUTH].mean(dtype=np.float64)) and found["error_share"] < 0.02
    assert found["kept_share"] == pytest.approx(keep[other.truth[:, SOUTH] > 0].mean()) and found["kept_share"] > 0.2
    looser = choose(pool([presses(seed, 300) for seed in range(5)]), eps=0.1)["buttons"]["south"]
    assert looser["threshold"] < promise["threshold"] and looser["kept_share"] > promise["kept_share"]


def test_rows_of_one_press_are_no_independent_trials() -> None:
    long = video(np.tile(np.repeat([0.99, 0.01], 50), 20), np.tile(np.repeat([True, False], 50), 20))
    assert long.truth[:, SOUTH].sum() == 1000
    thresholds = choose(long, eps=0.02)
    assert thresholds["buttons"] == {"south": None}, "a thousand right rows, but only twenty presses"
    assert choose(long, eps=0.15)["buttons"]["south"]["n"] == 20
    assert kept(long, thresholds) == {"buttons": {}, "sticks": {}}


def test_sticks_are_kept_by_their_spread() -> None:
    rng = np.random.default_rng(0)

    def footage(rows: int) -> Matched:
        spread = np.repeat(rng.uniform(0.02, 0.5, rows // 20), 20)
        stick = rng.uniform(-0.5, 0.5, rows)
        return video(np.zeros(rows), np.zeros(rows, bool), stick, stick + rng.normal(0, spread), spread)

    thresholds = choose(footage(40_000), eps=0.05)
    promise, other = thresholds["sticks"]["left_x"], footage(40_000)
    assert thresholds["buttons"] == {"south": None} and promise["bound"] <= 0.05
    found = kept(other, thresholds)["sticks"]["left_x"]
    keep = other.spreads[:, 0] <= promise["threshold"]
    off = np.abs(other.predicted - other.truth)[:, STICK] > 0.25
    assert found["error_share"] == pytest.approx(off[keep].mean()) and found["error_share"] < 0.05
    assert found["kept_share"] == pytest.approx(keep.mean()) and 0.2 < found["kept_share"] < 0.7


@pytest.mark.parametrize("wrong", [{"eps": 0.0}, {"eps": 1.5}, {"eps": 0.1, "delta": 0}, {"eps": 0.1, "tolerance": 0}])
def test_impossible_shares_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="shares must lie between"):
        choose(presses(0, 10), **wrong)


def test_nothing_known_promises_nothing() -> None:
    assert choose(pool([]), 0.1) == {"eps": 0.1, "delta": 0.1, "tolerance": 0.25, "buttons": {}, "sticks": {}}
    assert choose(video(np.zeros(50), np.zeros(50, bool)), 0.1)["buttons"] == {"south": None}


# ---- the calibration error of a perfect forecaster ----------------------------------------------------------------


def forecast(rng: np.random.Generator, presses: int, rows_a_press: int) -> Matched:
    """What a perfect forecaster says: of presses that it gives p, a share p comes true, each with all of its rows."""
    p = rng.random(presses)
    return video(np.repeat(p, rows_a_press), np.repeat(rng.random(presses) < p, rows_a_press))


def shown(rows: Matched) -> float:
    error = calibration_error(rows.predicted[:, SOUTH].astype(np.float64), rows.truth[:, SOUTH] >= 0.5)
    assert error is not None
    return error


@pytest.mark.parametrize(("presses", "rows_a_press"), [(300, 8), (300, 1), (2000, 5)])
def test_the_floor_is_the_error_that_a_perfect_forecaster_shows(presses: int, rows_a_press: int) -> None:
    rng = np.random.default_rng(5)
    worlds = [forecast(rng, presses, rows_a_press) for _ in range(40)]
    floors = [error_floor(rows, SOUTH) for rows in worlds[:10]]
    assert np.mean(floors) == pytest.approx(np.mean([shown(rows) for rows in worlds]), rel=0.12)


def test_the_floor_is_seeded_grows_with_longer_presses_and_says_nothing_of_what_is_unknown() -> None:
    rows = forecast(np.random.default_rng(1), 500, 6)
    floor, longer = error_floor(rows, SOUTH), error_floor(forecast(np.random.default_rng(1), 150, 20), SOUTH)
    assert floor == error_floor(rows, SOUTH) != error_floor(rows, SOUTH, seed=1)
    assert floor is not None and longer is not None and longer > 1.5 * floor
    assert error_floor(rows, SOUTH + 1) is None is error_floor(pool([]), SOUTH)
    assert error_floor(video(np.repeat([1.0, 0.0], 20), np.repeat([True, False], 20)), SOUTH) == 0


# ---- claims before calibration, and mistakes ----------------------------------------------------------------------


def test_calibration_is_undone_exactly() -> None:
    rng = np.random.default_rng(1)
    pads, spreads = np.zeros((500, PAD_DIM), np.float32), rng.uniform(0.01, 0.5, (500, 4)).astype(np.float32)
    pads[:, SOUTH] = rng.uniform(0.001, 0.999, 500)
    calibration = Calibration({"south": 2.5}, {"left_x": 3.0}, 500)
    after, wide = calibration.apply(pads, spreads)
    known = np.ones((500, PAD_DIM), np.bool_)
    rows = aligned(np.arange(500) / FPS, after, wide, np.zeros_like(pads), known, FPS)
    before = uncalibrated(rows, calibration.temperatures, calibration.spread_scales)
    assert before.predicted == pytest.approx(pads, abs=1e-4) and before.spreads == pytest.approx(spreads, rel=1e-5)


def test_the_worst_mistakes_are_apart_and_spread_over_videos() -> None:
    rng = np.random.default_rng(2)
    held = np.zeros(200, bool)
    bad, good = video(rng.random(200), held, *(rng.uniform(-1, 1, 200) for _ in "ab"), np.ones(200)), video(np.zeros(200), held)
    some = video(np.where(np.arange(200) == 100, 0.9, 0.0), held)
    found = worst_mistakes({"good": good, "bad": bad, "some": some}, count=6)
    assert [each["video"] for each in found].count("good") == 0 and [each["video"] for each in found].count("some") == 1
    times = sorted(each["at_s"] for each in found if each["video"] == "bad")
    assert len(times) == 2 and times[1] - times[0] >= 1.0
    assert next(each for each in found if each["video"] == "some")["at_s"] == some.clock_s[100]
    errors = row_error(bad)
    assert max(each["error"] for each in found) == pytest.approx(errors.max())
    assert worst_mistakes({"good": good}) == [] == worst_mistakes({})

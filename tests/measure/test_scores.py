"""Measures of labels: against references written out the slow way, and with the traps that make bad labels look good."""

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ghostpad.base.errors import FormatError, SettingsError
from ghostpad.base.pad import PAD_DIM, slot
from ghostpad.base.records import actions_table, labels_table
from ghostpad.measure.coverage import risk_coverage
from ghostpad.measure.events import matched_onsets
from ghostpad.measure.match import match, pool
from ghostpad.measure.reliability import calibration_error, reliability
from ghostpad.measure.scores import baseline_scores, prior_of, score, score_rows
from ghostpad.measure.slots import average_precision, r2

FPS = 20.0


def table(start: float = 0.0, **columns: Any) -> pa.Table:
    rows = len(next(iter(columns.values())))
    return pa.table({"pts_s": start + np.arange(rows) / FPS, **columns})


def calibration(pairs: Any, fps: float) -> dict[str, Any]:
    return reliability(pool([match(*pair, fps) for pair in pairs]))


def score_videos(pairs: Any, fps: float) -> dict[str, Any]:
    return score_rows(pool([match(*pair, fps) for pair in pairs]))


def baselines(pairs: Any, train: list[pa.Table] | None, fps: float) -> dict[str, Any]:
    return baseline_scores([match(*pair, fps) for pair in pairs], None if train is None else [prior_of(train)] * len(pairs))


def finite(value: Any) -> bool:
    """Whether a result is JSON without NaN or infinity."""
    return bool(json.dumps(value, allow_nan=False))


# ---- references -------------------------------------------------------------------------------------------------


def slow_average_precision(p: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    found, recall_before = 0.0, 0.0
    for threshold in sorted(set(p.tolist()), reverse=True):
        called = p >= threshold
        recall = (called & truth).sum() / truth.sum()
        found, recall_before = found + (recall - recall_before) * (called & truth).sum() / called.sum(), recall
    return float(found)


def best_matching(ours: list[float], theirs: list[float], collar: float) -> int:
    """The most pairs that any one-to-one matching has, by trying all (augmenting paths)."""
    taken: dict[int, int] = {}

    def place(mine: int, tried: set[int]) -> bool:
        for other, at in enumerate(theirs):
            if abs(ours[mine] - at) <= collar + 1e-6 and other not in tried:
                tried.add(other)
                if other not in taken or place(taken[other], tried):
                    taken[other] = mine
                    return True
        return False

    return sum(place(mine, set()) for mine in range(len(ours)))


def test_average_precision_by_hand() -> None:
    # Thresholds 0.9: 1 of 1 right; 0.6: 1 of 2; 0.5 (two rows at once): 3 of 4. Recall gained 1/3, 0, 2/3.
    p = np.array([0.9, 0.6, 0.5, 0.5, 0.1])
    truth = np.array([True, False, True, True, False])
    assert average_precision(p, truth) == pytest.approx(1 / 3 * 1 + 2 / 3 * 3 / 4)
    assert average_precision(np.full(4, 0.3), np.array([True, False, False, False])) == pytest.approx(0.25)
    assert average_precision(p, np.zeros(5, np.bool_)) is None


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=30).filter(lambda rows: any(truth for _, truth in rows)))
def test_average_precision_is_the_slow_one(rows: list[tuple[int, bool]]) -> None:
    p, truth = np.array([p / 6 for p, _ in rows]), np.array([truth for _, truth in rows])
    assert average_precision(p, truth) == pytest.approx(slow_average_precision(p, truth))


def test_r2_by_hand_and_undefined_where_the_truth_does_not_vary() -> None:
    truth = np.array([0.0, 1.0])
    assert r2(truth, truth) == 1 and r2(truth[::-1], truth) == pytest.approx(-3)
    assert r2(truth, np.ones(2)) is None is r2(np.zeros(0), np.zeros(0))


onset_times = st.lists(st.integers(0, 60), max_size=12, unique=True).map(lambda ticks: sorted(tick / 20 for tick in ticks))


@given(onset_times, onset_times, st.sampled_from([0.0, 0.05, 0.2]))
def test_onsets_match_one_to_one_and_as_many_as_can_be(ours: list[float], theirs: list[float], collar: float) -> None:
    assert matched_onsets(np.array(ours), np.array(theirs), collar) == best_matching(ours, theirs, collar)


def test_calibration_error_by_hand() -> None:
    # 30 rows in 15 bins of two: each bin claims 0.5 on average and is right half the time, but for the last, always pressed.
    p = np.linspace(0.01, 0.99, 30)
    truth = np.tile([False, True], 15)
    gaps = [abs(p[at : at + 2].mean() - 0.5) for at in range(0, 30, 2)]
    assert calibration_error(p, truth) == pytest.approx(np.mean(gaps))
    assert calibration_error(np.full(40, 0.25), np.arange(40) < 10) == pytest.approx(0), "a constant prior is calibrated, in any order"
    assert calibration_error(np.zeros(0), np.zeros(0, np.bool_)) is None


def test_risk_coverage_by_hand() -> None:
    curve = risk_coverage(np.array([0.1, 0.9, 0.5, 0.7]), np.array([1.0, 0.0, 0.5, 0.1]))
    at = {round(point["coverage"], 2): point["error"] for point in curve}
    assert len(curve) == 20 and at[0.25] == 0 and at[0.5] == pytest.approx(0.05) and at[1.0] == pytest.approx(0.4)
    flat = risk_coverage(np.ones(10), np.arange(10.0))
    assert {point["error"] for point in flat} == {4.5}, "equal confidence orders nothing"
    assert risk_coverage(np.zeros(0), np.zeros(0)) == []


def test_sticks_by_hand() -> None:
    truth = table(left_x=[0.0, 0.5, -1.0, 0.05], left_y=[0.0, 0.0, 0.0, 0.0])
    told = table(left_x=[0.2, 0.5, -0.5, 0.0], left_y=[0.0, 0.5, 0.0, 0.0])
    found = score(told, truth, FPS)
    x = found["sticks"]["left_x"]
    errors, values = np.array([0.2, 0, 0.5, -0.05]), np.array([0, 0.5, -1, 0.05])
    assert x["r2"] == pytest.approx(1 - (errors**2).sum() / ((values - values.mean()) ** 2).sum(), rel=1e-5)
    assert (
        x["rmse"] == pytest.approx(math.sqrt((errors**2).mean()))
        and x["mae"] == pytest.approx(0.75 / 4)
        and x["moving_mae"] == pytest.approx(0.25)
        and x["n_moving"] == 2
    )
    assert x["dead_zone_f1"] == pytest.approx(2 * 2 / (3 + 2))
    assert found["sticks"]["left_y"]["r2"] is None and found["sticks"]["left_y"]["moving_mae"] is None
    assert found["angles"] == {"left": {"angular_error_deg": pytest.approx(22.5), "n_moving": 2}}
    centred = score(table(left_x=[0.0] * 4, left_y=[0.0] * 4), truth, FPS)
    assert centred["angles"]["left"]["angular_error_deg"] == 90, "no direction is no better than a random one"


def test_a_stick_at_the_edge_of_the_dead_zone_is_at_rest() -> None:
    assert (
        score(table(left_x=np.float32([0.1, -0.1, 0.2])), table(left_x=np.float32([0.1, -0.1, 0.2])), FPS)["sticks"]["left_x"]["n_moving"]
        == 1
    )


def test_buttons_by_hand() -> None:
    truth = table(south=[False, True, True, False, False, True, False])
    told = table(south=[0.1, 0.2, 0.9, 0.4, 0.3, 0.8, 0.6])
    found = score(told, truth, FPS)["buttons"]["south"]
    assert found["prevalence"] == pytest.approx(3 / 7) and found["accuracy"] == pytest.approx(5 / 7)
    assert found["f1"] == pytest.approx(2 * 2 / 6) and found["press_rate_ratio"] == pytest.approx(1)
    assert found["onset_f1"] == pytest.approx(0.5) and found["onset_f1_50ms"] == pytest.approx(1)
    never = score(table(south=[0.0] * 7), table(south=[False] * 7), FPS)["buttons"]["south"]
    assert never == dict.fromkeys(never) | {"prevalence": 0, "accuracy": 1, "ece": 0, "ece_floor": 0, "onsets": 0}
    blind = score(table(south=[0.0] * 7), truth, FPS)["buttons"]["south"]
    assert blind["f1"] == blind["onset_f1"] == blind["press_rate_ratio"] == 0


# ---- rows -------------------------------------------------------------------------------------------------------


def test_rows_match_within_half_a_frame_one_to_one() -> None:
    truth = pa.table({"pts_s": [0.0, 0.05, 0.10, 0.20], "south": [False, True, False, True]})
    told = pa.table({"pts_s": [0.024, 0.051, 0.07, 0.126, 0.2], "south": [0.0, 1.0, 0.0, 0.0, 1.0]})
    rows = match(told, truth, FPS)
    assert rows.clock_s.tolist() == [0.0, 0.05, 0.2]
    assert rows.unmatched == (4 - 3) + (5 - 3)
    assert rows.predicted[:, slot("south")].tolist() == [0, 1, 1]
    assert score(told, truth, FPS)["unmatched"] == 3


def test_only_what_both_know_counts() -> None:
    truth = table(south=[True, None, False, True], east=[True] * 4, left_x=[0.1, 0.2, 0.3, 0.4])
    told = table(south=[1.0, 0.0, None, 1.0], west=[0.5] * 4, left_x=pa.nulls(4, pa.float32()))
    found = score(told, truth, FPS)
    assert list(found["buttons"]) == ["south"] and not found["sticks"] and not found["angles"]
    assert found["buttons"]["south"]["accuracy"] == 1 and found["buttons"]["south"]["prevalence"] == 1
    assert found["rows"] == 4 and found["risk_coverage"] == []


def test_a_press_behind_a_gap_is_not_an_onset() -> None:
    south = [False, False, True, True, False, True]
    truth, told = table(south=south), table(south=south)
    assert score(told, truth, FPS)["buttons"]["south"]["onset_f1"] == 1
    holes = told.take([0, 1, 3, 4])  # both presses begin in rows that are not there
    assert score(holes, truth, FPS)["buttons"]["south"]["onset_f1"] is None
    unknown = table(south=[False, None, True, True, False, True])
    assert match(unknown, truth, FPS).follows.tolist() == [False] + [True] * 5
    assert score(unknown, truth, FPS)["buttons"]["south"]["onset_f1"] == 1


def test_presses_never_match_across_videos() -> None:
    early, late = table(south=[0.0, 1.0, 0.0]), table(south=[0.0, 0.0, 0.0])
    pairs = [(early, late), (late, early)]
    found = score_videos(pairs, FPS)["buttons"]["south"]
    assert found["onset_f1"] == found["onset_f1_50ms"] == 0
    # A video that begins pressed shows no onset, whatever the one before ended with.
    pressed, released = table(south=[1.0, 1.0]), table(south=[0.0, 0.0])
    assert score_videos([(released, released), (pressed, pressed)], FPS)["buttons"]["south"]["onset_f1"] is None


def test_videos_are_measured_as_one_pool() -> None:
    rng = np.random.default_rng(0)
    pairs = [
        (table(south=rng.random(50), left_x=rng.uniform(-1, 1, 50)), table(south=rng.random(50) < 0.3, left_x=rng.uniform(-1, 1, 50)))
        for _ in "ab"
    ]
    pooled = score_videos(pairs, FPS)
    joined = [
        pa.concat_tables([pairs[0][side], pairs[1][side].set_column(0, "pts_s", pa.array(100 + np.arange(50) / FPS))]) for side in (0, 1)
    ]
    one = score(joined[0], joined[1], FPS)
    assert pooled["rows"] == 100 and pooled["sticks"] == one["sticks"]
    assert pooled["buttons"]["south"]["ap"] == one["buttons"]["south"]["ap"]


pads = st.integers(0, 2**32 - 1).map(
    lambda seed: (
        np.random.default_rng(seed).uniform(-1, 1, (12, PAD_DIM)).astype(np.float32)
        * np.random.default_rng(seed).integers(0, 2, (12, PAD_DIM))
    )
)


def truth_of(values: NDArray[np.float32]) -> pa.Table:
    return actions_table(np.arange(len(values)) / FPS, values.astype(np.float32), np.ones(PAD_DIM, np.bool_))


def labels_of(values: NDArray[np.float32], confidence: float = 0.9) -> pa.Table:
    rows = len(values)
    believed = values.astype(np.float32)
    believed[:, :21] = np.clip(believed[:, :21], 0, 1)
    return labels_table(
        np.arange(rows) / FPS,
        believed,
        np.full((rows, 4), 0.1, np.float32),
        np.ones(PAD_DIM, np.bool_),
        np.full(rows, confidence, np.float32),
    )


@settings(max_examples=30)
@given(pads)
def test_perfect_labels_score_perfectly(values: NDArray[np.float32]) -> None:
    truth = truth_of(values)
    certain = truth_as_labels(truth)
    found = score(certain, truth, FPS)
    assert found["rows"] == 12 and found["unmatched"] == 0 and finite(found)
    for button in found["buttons"].values():
        assert button["accuracy"] == 1 and button["ece"] == 0
        assert {button[name] for name in ("ap", "f1", "onset_f1", "onset_f1_50ms", "press_rate_ratio")} <= {1.0, None}
    for stick in found["sticks"].values():
        assert stick["r2"] in (1.0, None) and stick["mae"] == 0 and stick["dead_zone_f1"] in (1.0, None)
    assert all(angle["angular_error_deg"] in (None, pytest.approx(0, abs=1e-4)) for angle in found["angles"].values())
    assert all(point["error"] == 0 for point in found["risk_coverage"])


def truth_as_labels(truth: pa.Table) -> pa.Table:
    columns = {name: truth.column(name).cast(pa.float32()) for name in truth.column_names if name != "pts_s"}
    return pa.table({"pts_s": truth.column("pts_s"), **columns, "confidence": pa.array([1.0] * truth.num_rows, pa.float32())})


@settings(max_examples=30)
@given(pads, pads, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(ours: NDArray[np.float32], theirs: NDArray[np.float32], random: Any) -> None:
    told, truth = labels_of(ours), truth_of(theirs)
    orders = [random.sample(range(12), 12) for _ in range(2)]
    assert score(told.take(orders[0]), truth.take(orders[1]), FPS) == score(told, truth, FPS)
    assert calibration([(told.take(orders[0]), truth)], FPS) == calibration([(told, truth)], FPS)
    assert finite(score(told, truth, FPS)) and finite(baselines([(told, truth)], [truth], FPS))


# ---- baselines and calibration ----------------------------------------------------------------------------------


def presses(rng: np.random.Generator, rows: int = 400) -> pa.Table:
    held = np.repeat(rng.random(rows // 5) < 0.25, 5)  # whole fifths of a quarter second, so that onsets are rows apart
    return table(south=held, left_x=np.repeat(rng.uniform(-1, 1, rows // 5), 5))


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_copying_scores_high_on_everything_but_exact_onsets(seed: int) -> None:
    truth = presses(np.random.default_rng(seed))
    found = baselines([(truth, truth)], None, FPS)["copy_previous"]["buttons"]["south"]
    assert found["onset_f1"] == 0 and found["onset_f1_50ms"] > 0.9 and found["accuracy"] > 0.85


def test_trivial_baselines() -> None:
    rng = np.random.default_rng(1)
    truth, train = presses(rng), presses(rng)
    found = baselines([(truth, truth)], [train], FPS)
    assert list(found) == ["always_released", "copy_previous", "prior"]
    prevalence = np.mean(truth.column("south").to_numpy())
    released, prior = found["always_released"], found["prior"]
    assert released["buttons"]["south"]["accuracy"] == pytest.approx(1 - prevalence)
    assert released["buttons"]["south"]["ap"] == pytest.approx(prevalence) == pytest.approx(prior["buttons"]["south"]["ap"])
    assert prior["buttons"]["south"]["ece"] == pytest.approx(abs(np.mean(train.column("south").to_numpy()) - prevalence), abs=1e-6)
    assert -0.05 < prior["sticks"]["left_x"]["r2"] <= 0 and found["copy_previous"]["sticks"]["left_x"]["r2"] > 0.4
    assert released["risk_coverage"] == []
    assert "prior" not in baselines([(truth, truth)], None, FPS)


def test_baselines_answer_for_the_rows_that_the_prediction_answered() -> None:
    truth = table(south=[True] * 10 + [False] * 10, east=[True] * 20)
    told = table(south=[0.9] * 10)
    found = baselines([(told, truth)], [truth], FPS)["always_released"]
    assert (
        found["rows"] == 10
        and found["unmatched"] == 10
        and list(found["buttons"]) == ["south"]
        and found["buttons"]["south"]["accuracy"] == 0
    )


def test_the_prior_is_zero_where_training_knows_nothing() -> None:
    truth = table(south=[True, False], left_x=[0.5, -0.5])
    found = baselines([(truth, truth)], [table(left_x=[0.5, 0.5])], FPS)["prior"]
    assert found["buttons"]["south"]["press_rate_ratio"] == 0 and found["sticks"]["left_x"]["mae"] == pytest.approx(0.5)


def test_calibration_tells_claimed_from_true() -> None:
    rng = np.random.default_rng(2)
    rows = 5000
    spread, p = rng.uniform(0.05, 0.5, rows), rng.random(rows)
    truth = table(left_x=np.zeros(rows), left_y=np.zeros(rows), south=rng.random(rows) < p)
    told = table(left_x=rng.normal(0, spread), left_y=np.zeros(rows), south=p, left_x_spread=spread)
    found = calibration([(told, truth)], FPS)
    assert list(found["sticks"]) == ["left_x"] and list(found["buttons"]) == ["south"]
    bins = found["sticks"]["left_x"]
    assert [each["n"] for each in bins] == [500] * 10 and all(each["rmse"] == pytest.approx(each["spread"], rel=0.15) for each in bins)
    assert all(each["frequency"] == pytest.approx(each["p"], abs=0.08) for each in found["buttons"]["south"])
    assert sum(each["n"] for each in found["buttons"]["south"]) == rows


def test_confidence_that_knows_gives_a_rising_curve() -> None:
    rng = np.random.default_rng(3)
    wrong = rng.random(200)
    truth = table(left_x=np.zeros(200))
    curve = score(table(left_x=wrong, confidence=1 - wrong), truth, FPS)["risk_coverage"]
    errors = [point["error"] for point in curve]
    assert errors == sorted(errors) and errors[-1] == pytest.approx(wrong.mean())


# ---- tables of other libraries ----------------------------------------------------------------------------------


class Frame:
    """A data frame of another library: it speaks the Arrow C stream, as those of pandas and polars do."""

    def __init__(self, table: pa.Table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


def test_dicts_of_columns_and_data_frames_are_tables_too() -> None:
    truth, told = table(south=[False, True, True, False], left_x=[0.0, 0.5, 1.0, 0.5]), table(south=[0.1, 0.9, 0.4, 0.2], left_x=[0.1] * 4)
    found = score(told, truth, FPS)
    assert score(told.to_pydict(), truth.to_pydict(), FPS) == found == score(Frame(told), Frame(truth), FPS)
    assert score({"pts_s": [0.0, 0.05], "south": [True, None]}, {"pts_s": [0.0, 0.05], "south": [True, False]}, FPS)["rows"] == 2


@pytest.mark.parametrize("told", [None, 3, "rows.parquet", {"pts_s": [0.0], "south": [0.0, 1.0]}, [1.0, 2.0]])
def test_what_is_no_table_is_refused(told: Any) -> None:
    with pytest.raises(FormatError, match="predicted: this .* is no table"):
        score(told, table(south=[True]), FPS)


# ---- what cannot be measured ------------------------------------------------------------------------------------


def test_nothing_in_common_is_nothing_and_no_nan() -> None:
    for pairs in ([], [(table(south=[1.0]), table(start=9.0, south=[True]))], [(table(south=[1.0]), table(east=[True]))]):
        found = score_videos(pairs, FPS)
        assert found["buttons"] == {} == found["sticks"] and finite(found)
        assert finite(baselines(pairs, [], FPS)) and calibration(pairs, FPS) == {"sticks": {}, "buttons": {}}


@pytest.mark.parametrize(
    "told, message",
    [
        (pa.table({"south": [1.0]}), "predicted: the table has no column pts_s"),
        (pa.table({"pts_s": [math.nan], "south": [1.0]}), "pts_s has a value that is not a number"),
        (pa.table({"pts_s": ["soon"], "south": [1.0]}), "pts_s does not hold numbers"),
        (table(south=[3.5, -2.0]), "south runs from -2 to 3.5"),
        (table(left_x=[math.nan]), "left_x has a value that is not a finite number"),
        (table(left_x=[math.inf]), "left_x has a value that is not a finite number"),
    ],
)
def test_tables_that_make_no_sense_are_refused(told: pa.Table, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        score(told, table(south=[True], left_x=[0.0]), FPS)


@pytest.mark.parametrize("fps", [0, -1, math.nan, math.inf])
def test_an_impossible_rate_is_refused(fps: float) -> None:
    with pytest.raises(SettingsError, match="fps is"):
        score(table(south=[1.0]), table(south=[True]), fps)

"""Measures of time: presses and releases within collars, false presses while nobody plays, lag, and videos of several frame rates."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ghostpad.base.errors import FormatError
from ghostpad.base.pad import slot
from ghostpad.measure.events import changes, idle_presses
from ghostpad.measure.match import match, pool
from ghostpad.measure.scores import baseline_scores, score, score_rows

FPS = 20.0


def table(start: float = 0.0, fps: float = FPS, **columns: Any) -> pa.Table:
    rows = len(next(iter(columns.values())))
    return pa.table({"pts_s": start + np.arange(rows) / fps, **columns})


# ---- presses and releases -----------------------------------------------------------------------------------------


def most_pairs(ours: list[int], theirs: list[int], within: int) -> int:
    """The most pairs of any one-to-one matching, by trying every choice for the first of `ours`."""
    if not ours or not theirs:
        return 0
    best = most_pairs(ours[1:], theirs, within)
    for other in theirs:
        if abs(ours[0] - other) <= within:
            best = max(best, 1 + most_pairs(ours[1:], [each for each in theirs if each != other], within))
    return best


def slow_f1(p: NDArray[np.float64], truth: NDArray[np.bool_], within: int, release: bool) -> float | None:
    def moments(held: NDArray[np.bool_]) -> list[int]:
        return [row for row in range(1, len(held)) if held[row - 1] != held[row] and held[row] != release]

    ours, theirs = moments(p >= 0.5), moments(truth)
    return 2 * most_pairs(ours, theirs, within) / (len(ours) + len(theirs)) if ours or theirs else None


held_rows = st.lists(st.booleans(), min_size=16, max_size=16)


@settings(max_examples=60)
@given(held_rows, held_rows)
def test_presses_and_releases_match_the_slow_reference_at_every_collar(ours: list[bool], theirs: list[bool]) -> None:
    p, truth = np.where(ours, 0.9, 0.2), np.array(theirs)
    found = score(table(south=p), table(south=truth), FPS)["buttons"]["south"]
    for ending, within in (("", 0), ("_50ms", 1), ("_100ms", 2)):
        assert found[f"onset_f1{ending}"] == pytest.approx(slow_f1(p, truth, within, release=False))
        assert found[f"release_f1{ending}"] == pytest.approx(slow_f1(p, truth, within, release=True))
    for kind in ("onset", "release"):
        values = [found[f"{kind}_f1{ending}"] for ending in ("", "_50ms", "_100ms")]
        assert values == [None] * 3 or values == sorted(values), "a wider collar never finds fewer"


@given(held_rows, held_rows)
@settings(max_examples=30)
def test_a_release_is_a_press_of_the_opposite_button(ours: list[bool], theirs: list[bool]) -> None:
    p, truth = np.where(ours, 0.9, 0.2), np.array(theirs)
    plain = score(table(south=p), table(south=truth), FPS)["buttons"]["south"]
    turned = score(table(south=1 - p), table(south=~truth), FPS)["buttons"]["south"]
    for ending in ("", "_50ms", "_100ms"):
        assert plain[f"release_f1{ending}"] == turned[f"onset_f1{ending}"]


# ---- false presses while nobody plays ------------------------------------------------------------------------------


def test_idle_false_presses_by_hand() -> None:
    rows = 120
    truth_south, stick, p = np.zeros(rows, bool), np.zeros(rows), np.zeros(rows)
    truth_south[40:50] = True
    stick[80:90] = 0.8
    p[[10, 11, 12]] = 0.9  # one false press
    p[38:48] = 0.9  # a little early: not idle there
    p[85] = 0.9  # while a stick moves
    p[110] = 0.9  # and another one
    found = score(table(south=p), table(south=truth_south, left_x=stick), FPS)["idle"]
    idle_rows = sum(all(not truth_south[j] and abs(stick[j]) <= 0.1 for j in range(max(0, i - 2), min(rows, i + 3))) for i in range(rows))
    assert found["presses"] == 2 and found["minutes"] == pytest.approx(idle_rows / FPS / 60)
    assert found["false_presses_a_minute"] == pytest.approx(2 / found["minutes"])


def test_nobody_is_idle_who_always_plays_and_sticks_alone_press_nothing() -> None:
    busy = score(table(south=[0.0, 1.0, 0.0]), table(south=[True] * 3), FPS)["idle"]
    assert busy == {"false_presses_a_minute": None, "presses": 0, "minutes": 0}
    assert score(table(left_x=[0.0] * 9), table(left_x=[0.0] * 9), FPS)["idle"]["minutes"] == 0


# ---- lag ----------------------------------------------------------------------------------------------------------


def play(seed: int, rows: int = 600) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A stick that wanders smoothly and a button that is held now and then."""
    rng = np.random.default_rng(seed)
    stick = np.convolve(rng.normal(size=rows + 20), np.hanning(9), "same")[10 : rows + 10]
    held = np.repeat(rng.random(rows // 6) < 0.25, 6)
    return np.clip(stick / 4, -1, 1), held


@pytest.mark.parametrize("late", [-4, -1, 0, 1, 3])
def test_a_shift_of_whole_rows_is_found(late: int) -> None:
    stick, held = play(1)
    told = table(left_x=np.roll(stick, late), south=np.where(np.roll(held, late), 0.8, 0.1))
    found = score(told, table(left_x=stick, south=held), FPS)["lag"]
    assert found["sticks"]["median_rows"] == pytest.approx(late, abs=0.1)
    assert found["presses"]["median_rows"] == pytest.approx(late, abs=0.2)
    assert found["sticks"]["median_ms"] == pytest.approx(50 * found["sticks"]["median_rows"]) and found["sticks"]["iqr_ms"] is None


def test_a_shift_between_rows_is_found() -> None:
    stick, _ = play(2)
    late = np.interp(np.arange(600) - 0.5, np.arange(600), stick)
    assert score(table(left_x=late), table(left_x=stick), FPS)["lag"]["sticks"]["median_rows"] == pytest.approx(0.5, abs=0.15)


def test_copying_the_row_before_is_one_row_late() -> None:
    stick, held = play(3)
    truth = table(left_x=stick, south=held)
    found = baseline_scores([match(truth, truth, FPS)], None)
    assert found["copy_previous"]["lag"]["sticks"]["median_rows"] == pytest.approx(1, abs=0.1)
    assert found["always_released"]["lag"] == {"sticks": None, "presses": None}


def test_lag_is_unknown_without_movement_or_likeness() -> None:
    stick, held = play(4)
    other, other_held = play(5)
    still = table(left_x=np.full(600, 0.01), south=np.zeros(600, bool))
    assert score(table(left_x=stick, south=held * 0.9), still, FPS)["lag"] == {"sticks": None, "presses": None}
    assert score(table(left_x=other), table(left_x=stick), FPS)["lag"]["sticks"] is None
    assert score(table(left_x=stick[:30]), table(left_x=stick[:30]), FPS)["lag"]["sticks"] is None, "too short"
    far = table(left_x=np.roll(stick, 40))
    assert score(far, table(left_x=stick), FPS)["lag"]["sticks"] is None, "further than is looked for"


def test_holes_do_not_move_the_lag() -> None:
    stick, _ = play(6)
    keep = np.sort(np.random.default_rng(0).permutation(600)[:450])
    told = table(left_x=np.roll(stick, 2)).take(keep)
    assert score(told, table(left_x=stick), FPS)["lag"]["sticks"]["median_rows"] == pytest.approx(2, abs=0.15)


def test_lag_is_the_median_over_videos_with_its_spread() -> None:
    pairs = []
    for seed, late in enumerate((0, 1, 1, 1, 4)):
        stick, _ = play(seed)
        pairs.append((table(left_x=np.roll(stick, late)), table(left_x=stick)))
    found = score_rows(pool([match(*pair, FPS) for pair in pairs]))["lag"]["sticks"]
    assert found["videos"] == 5 and found["median_ms"] == pytest.approx(50, abs=5)
    assert found["iqr_ms"] < 10 and found["worst_ms"] == pytest.approx(200, abs=8)


# ---- several frame rates ------------------------------------------------------------------------------------------


def test_videos_of_several_rates_are_each_matched_with_their_own() -> None:
    slow, fast = np.array([0, 1, 1, 0, 0, 1, 0, 0] * 10, bool), np.array([0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0] * 10, bool)
    late = table(fps=10.0, south=np.roll(slow, 1) * 1.0)
    pairs = [(late, table(fps=10.0, south=slow)), (table(fps=60.0, south=fast * 1.0), table(fps=60.0, south=fast))]
    videos = [match(*pair, fps) for pair, fps in zip(pairs, (10.0, 60.0), strict=True)]
    found, parts = score_rows(pool(videos)), [changes(video, slot("south"), 0.05) for video in videos]
    both = 2 * sum(part.matched for part in parts) / sum(part.predicted + part.true for part in parts)
    assert found["buttons"]["south"]["onset_f1_50ms"] == pytest.approx(both) and parts[0].matched == 0 < parts[1].matched
    assert found["minutes"] == pytest.approx((80 / 10 + 120 / 60) / 60) and found["videos"] == 2 and found["unmatched"] == 0


def test_a_prediction_with_fewer_rows_a_second_still_shows_its_presses() -> None:
    held = np.repeat(np.array([0, 1, 0, 0, 1, 1, 0] * 10, bool), 3)
    truth = table(fps=60.0, south=held)
    told = truth.take(np.arange(0, len(held), 3))
    found = score(told, truth, 60.0)
    assert found["buttons"]["south"]["onset_f1"] == 1 and found["buttons"]["south"]["onsets"] == 20
    assert found["minutes"] == pytest.approx(len(held) / 60 / 60)


def test_pooling_pools_again_and_splits_again() -> None:
    videos = [match(table(left_x=[0.1 * seed] * 5), table(left_x=[0.0] * 5), FPS) for seed in range(4)]
    empty = match(table(left_x=[0.0]), table(9.0, left_x=[0.0]), FPS)
    rows = pool([pool(videos[:2]), empty, pool(videos[2:])])
    assert rows.video.tolist() == np.repeat(range(4), 5).tolist() and rows.unmatched == 2
    assert [float(video.predicted[0, slot("left_x")]) for video in rows.videos()] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert list(pool([]).videos()) == []


# ---- anybody's tables ---------------------------------------------------------------------------------------------


def test_empty_tables_and_doubts_that_are_no_numbers_are_borne() -> None:
    empty = pa.table({"pts_s": pa.array([], pa.float64())})
    for told, truth in ((empty, table(south=[True])), (table(south=[0.5]), empty), (empty, empty)):
        assert score(told, truth, FPS)["rows"] == 0
    assert score(pa.table({"pts_s": []}), table(south=[True]), FPS)["rows"] == 0
    doubtful = table(left_x=[0.1, 0.2, 0.3], left_x_spread=[np.nan, 0.1, None], confidence=[0.5, np.nan, 0.5])
    found = score(doubtful, table(left_x=[0.1, 0.2, 0.3]), FPS)
    assert found["sticks"]["left_x"]["r2"] == pytest.approx(1) and found["risk_coverage"] == []


def test_a_true_stick_on_another_scale_is_refused() -> None:
    with pytest.raises(FormatError, match=r"truth: left_x runs from 0 to 255: a stick is -1\.\.\.1"):
        score(table(left_x=[0.0, 1.0]), table(left_x=[0.0, 255.0]), FPS)


def test_macro_averages_are_over_the_buttons_that_have_the_measure() -> None:
    truth = table(south=[True, False, False, False], east=[False] * 4, left_x=[0.0, 1.0, 0.0, 1.0])
    told = table(south=[0.9, 0.1, 0.1, 0.1], east=[0.1] * 4, left_x=[0.0, 1.0, 0.0, 1.0])
    macro = score(told, truth, FPS)["macro"]
    assert macro["ap"] == 1 and macro["ap_prevalence"] == 0.25 and macro["prevalence"] == 0.125 and macro["buttons"] == 2
    assert macro["r2"] == 1 and macro["onset_f1"] is None
    assert idle_presses(match(told, truth, FPS))["presses"] == 0

"""The study's commands fit together and go on where they stopped; its tables are those of the evaluation files that are there."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostpad.base.errors import GhostpadError, SettingsError
from ghostpad.games.spec import game_spec, player_names
from ghostpad.idm.settings import IdmRun
from ghostpad.lab.study.common import evaluation_file, read_evaluations
from ghostpad.lab.study.idm.plan import FOOTAGE, PARTS, evaluations
from ghostpad.lab.study.idm.run import Study, estimate, study_idm, study_tasks
from ghostpad.lab.study.idm.tables import collect, crossing, curve_of, table_text

SEEDS = (0, 1, 2)


def study(out: Path, parts: tuple[str, ...] = tuple(PARTS), steps: int | None = None) -> Study:
    return Study(out, SEEDS, parts, steps, 1.0)


def report(r2: float, f1: float = 0.5, ece: float = 0.01, error: float | None = 0.015) -> dict[str, Any]:
    """An evaluation as `ghostpad eval idm` writes it, as far as the tables read it."""
    button = {"ap": f1, "prevalence": 0.2, "onset_f1_50ms": f1, "release_f1_50ms": f1 / 2, "ece": ece, "ece_floor": 0.007, "accuracy": 0.9}
    score = {"sticks": {axis: {"r2": r2, "rmse": 1 - r2} for axis in ("left_x", "left_y", "right_x")}, "buttons": {"right_trigger": button}}
    kept = {"error_share": error, "kept_share": 0.4}
    return {
        "idm": score,
        "intervals": {"sticks": {"right_x": {"r2": [r2 - 0.01, r2 + 0.01]}}, "buttons": {"right_trigger": {"ece": None}}},
        "baselines": {"prior": {"sticks": {"right_x": {"r2": 0.0}}, "buttons": {"right_trigger": {"ap": 0.2}}}},
        "calibration": {
            "ece_before": {"right_trigger": 0.05},
            "buttons": {"right_trigger": [{"p": 0.5, "frequency": 0.5, "n": 30}, {"p": 1.0, "frequency": 1.0, "n": 10}]},
            "sticks": {"left_x": [{"spread": 0.0, "rmse": 0.0, "n": 40}]},
        },
        "risk": {"eps": 0.02, "no_threshold": [] if error is not None else ["right_trigger"], "sticks": {}}
        | {"buttons": {} if error is None else {"right_trigger": kept}},
    }


def put(out: Path, arm: str, test: str, reports: Mapping[int, dict[str, Any]]) -> None:
    (out / "study.json").write_text('{"steps": null, "minutes_scale": 1.0}')
    for seed, one in reports.items():
        path = evaluation_file(out, arm, test, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(one))


def test_every_command_comes_after_what_it_needs_and_once(tmp_path: Path) -> None:
    names: list[str] = []
    for task in study_tasks(study(tmp_path)):
        assert set(task.needs) <= set(names), task
        names.append(task.name)
    assert len(names) == len(set(names))


def test_all_seeds_of_an_arm_come_before_the_next_arm(tmp_path: Path) -> None:
    tests = [task.name.partition(" on ")[0].rpartition("-s") for task in study_tasks(study(tmp_path)) if task.stage == "eval idm"]
    arms = list(dict.fromkeys(arm for arm, _, _ in tests))
    assert arms == [arm.name for part in PARTS.values() for arm in part]
    assert [arm for arm, _, _ in tests] == sorted((arm for arm, _, _ in tests), key=arms.index)


def test_every_setting_of_every_arm_exists_and_every_corpus_can_be_recorded(read_flags: Any) -> None:
    for arms in PARTS.values():
        for arm in arms:
            read_flags(IdmRun(), arm.settings)
            assert {*arm.corpora, *arm.tests} <= set(FOOTAGE)
            learned = {(FOOTAGE[name].game, FOOTAGE[name].seed) for name in arm.corpora}
            assert not learned & {(FOOTAGE[name].game, FOOTAGE[name].seed) for name in arm.tests}, "a test's seed was trained on"
            assert all(FOOTAGE[name].withheld for name in arm.tests)
    for footage in FOOTAGE.values():
        assert game_spec(footage.game) and footage.player in player_names(footage.game)


def test_the_estimate_counts_what_is_left(tmp_path: Path) -> None:
    one = study(tmp_path, ("table",))
    assert estimate(list(study_tasks(one)), 2).startswith("36 trainings and 96 evaluations to do, about ")
    put(tmp_path, "doom-window", "doom-expert", {0: report(0.9)})
    assert estimate(list(study_tasks(one)), 2).startswith("36 trainings and 95 evaluations to do, about ")


def test_what_would_not_work_or_mix_is_refused_before_any_work(tmp_path: Path) -> None:
    out = tmp_path / "study"
    with pytest.raises(SettingsError, match="no part of the study called 'tabel': did you mean 'table'"):
        study_idm(out=out, only=("tabel",))
    with pytest.raises(SettingsError, match="workers is 0.*\nsteps is 0.*\nminutes-scale is 0"):
        study_idm(out=out, workers=0, steps=0, minutes_scale=0)
    assert not out.exists()
    out.mkdir()
    (out / "study.json").write_text('{"steps": null, "minutes_scale": 1.0}')
    with pytest.raises(SettingsError, match="holds a study with steps None: choose another --out"):
        study_idm(out=out, steps=5)


def test_a_tiny_study_runs_to_its_page_and_does_nothing_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> str:
        study_idm(out=tmp_path, seeds="3", only=("pedals",), steps=2, minutes_scale=0.05, workers=1)
        return capsys.readouterr().out

    assert "$ ghostpad train idm" in run()
    results = json.loads((tmp_path / "results.json").read_text())
    assert [row["slot"] for row in results["pedals"]] == ["left_x", "left_trigger", "right_trigger"]
    assert all(0 <= row["confidence"] <= 1 for row in results["pedals"])
    assert "pedals" not in results["missing"] and len(results["missing"]["table"]) == 32
    assert "A shortened study: 2 steps a training" in (tmp_path / "report.html").read_text()
    again = run()
    assert "$ ghostpad train idm" not in again and "$ ghostpad eval idm" not in again
    assert json.loads((tmp_path / "results.json").read_text())["pedals"] == results["pedals"]


def test_a_failed_command_leaves_a_page_of_what_is_there(tmp_path: Path) -> None:
    put(tmp_path, "doom-window", "doom-expert", {0: report(0.97)})
    (tmp_path / "footage").write_text("a file where a folder should be")
    with pytest.raises(GhostpadError, match="'ghostpad record racing-pedals .*failed: "):
        study_idm(out=tmp_path, seeds="0", only=("pedals",), workers=1)
    assert "0.970" in (tmp_path / "report.html").read_text()


def test_the_table_has_means_spreads_intervals_and_verdicts(tmp_path: Path) -> None:
    put(tmp_path, "doom-window", "doom-expert", {0: report(0.97), 1: report(0.93), 2: report(0.95)})
    put(tmp_path, "doom-window", "doom-expert-crf32", {0: report(0.90), 1: report(0.86)})
    put(tmp_path, "doom-pair", "doom-expert", {0: report(0.8)})
    results = collect(tmp_path, SEEDS, {})
    rows = {row["words"]: row for row in results["table"]}
    turn = rows["Doom, turn stick, R²"]
    window = turn["figures"]["window"]
    assert (window["mean"], window["sd"], window["n"]) == (pytest.approx(0.95), pytest.approx(0.02), 3)
    assert window["interval"] == [pytest.approx(0.96), pytest.approx(0.98)] and window["by_seed"]["1"] == 0.93
    assert turn["figures"]["pair"]["sd"] is None and turn["figures"]["frame"] is None
    assert turn["beside"]["words"] == "RMSE" and turn["beside"]["figure"]["mean"] == pytest.approx(0.05)
    assert turn["baselines"] == {"prior": 0.0} and turn["verdict"] == "met"
    loss = rows["Doom, turn stick, R² lost from crf 23 to crf 32"]
    assert loss["figures"]["window"]["by_seed"] == {"0": pytest.approx(0.07), "1": pytest.approx(0.07)}, "only seeds that have both"
    assert loss["verdict"] == "missed"
    assert rows["racing, unseen tracks, steering, R²"]["verdict"] is None
    assert "doom-window on supreme-expert, seed 1" in results["missing"]["table"]
    assert rows["Doom, turn stick, R² lost from crf 23 to crf 32"]["beside"] is None
    assert "0.950 ± 0.020" in table_text(results) and "RMSE 0.050 ± 0.020" in table_text(results) and "not done yet" in table_text(results)


def test_a_target_that_no_threshold_keeps_is_neither_met_nor_missed(tmp_path: Path) -> None:
    words = "trigger, share of kept presses that is wrong"
    put(tmp_path, "defend-window", "defend-expert", {0: report(0.9, error=None), 1: report(0.9, error=None)})
    row = next(row for row in collect(tmp_path, SEEDS, {})["table"] if row["words"] == words)
    assert (row["verdict"], row["no_threshold"], row["figures"]["window"]) == ("no threshold", [0, 1], None)
    put(tmp_path, "defend-window", "defend-expert", {1: report(0.9, error=0.01)})
    row = next(row for row in collect(tmp_path, SEEDS, {})["table"] if row["words"] == words)
    assert (row["verdict"], row["no_threshold"], row["figures"]["window"]["by_seed"]) == ("met", [0], {"1": 0.01})


def test_differences_are_taken_seed_by_seed(tmp_path: Path) -> None:
    put(tmp_path, "doom-window", "doom-expert", {0: report(0.90), 1: report(0.96), 2: report(0.5)})
    put(tmp_path, "doom-no-motion", "doom-expert", {0: report(0.80), 1: report(0.86)})
    put(tmp_path, "all-game", "doom-expert", {0: report(0.88), 1: report(0.92)})
    put(tmp_path, "all-none", "doom-expert", {0: report(0.86), 1: report(0.91)})
    results = collect(tmp_path, SEEDS, {})
    ablated = next(line for line in results["ablation"] if line["arm"] == "doom-no-motion")["measures"]["turn R²"]
    assert ablated["difference"]["mean"] == pytest.approx(-0.1) and ablated["difference"]["sd"] == pytest.approx(0)
    mirrored = next(line for line in results["ablation"] if line["arm"] == "doom-no-motion")["measures"]["turn RMSE"]
    assert mirrored["difference"]["mean"] == pytest.approx(0.1), "what R² loses, RMSE gains"
    assert ablated["full"]["by_seed"] == {"0": 0.90, "1": 0.96}
    shared = next(line for line in results["generalist"] if line["words"] == "Doom, turn stick, R²")
    assert shared["all-game"]["difference"]["mean"] == pytest.approx(-0.03) and shared["all-none"]["verdict"] == "missed"


def test_the_curve_finds_the_minutes_that_reach_the_level(tmp_path: Path) -> None:
    for arm, r2 in (("doom-1min", 0.7), ("doom-2.5min", 0.8), ("doom-window", 0.96), ("doom-10min", 0.97), ("doom-20min", 0.98)):
        put(tmp_path, arm, "doom-expert", {0: report(r2), 1: report(min(r2, 0.89))})
    put(tmp_path, "doom-1min", "doom-expert", {2: report(0.95)})  # the rest of this seed is not there yet
    curve = curve_of(read_evaluations(tmp_path))
    share = (0.9 - 0.8) / (0.96 - 0.8)
    assert curve["reached"]["by_seed"] == {"0": pytest.approx(math.exp(math.log(2.5) + share * math.log(2)))}
    assert curve["never"] == [1]
    put(tmp_path, "doom-2.5min", "doom-expert", {0: report(0.8) | {"learned_minutes": 2.2}})
    put(tmp_path, "doom-window", "doom-expert", {0: report(0.96) | {"learned_minutes": 4.3}})
    curve = curve_of(read_evaluations(tmp_path))
    assert curve["reached"]["by_seed"]["0"] == pytest.approx(math.exp(math.log(2.2) + share * math.log(4.3 / 2.2))), (
        "without what is held out"
    )
    assert [point["recorded"] for point in curve["points"]] == [1, 2.5, 5, 10, 20]
    assert next(row for row in collect(tmp_path, SEEDS, {})["table"] if "minutes" in row["words"])["verdict"] == "missed"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0.01, 0.99))
def test_a_crossing_lies_where_the_line_first_passes_the_level(values: list[float], level: float) -> None:
    line = [(2.0**index, value) for index, value in enumerate(values)]
    found = crossing(line, level)
    if max(values) < level:
        assert found is None
    else:
        first = next(index for index, value in enumerate(values) if value >= level)
        assert found is not None and 2.0 ** max(0, first - 1) <= found * (1 + 1e-9) and found <= 2.0**first * (1 + 1e-9)


def test_no_evaluation_shares_its_file_with_another(tmp_path: Path) -> None:
    files = [evaluation_file(tmp_path, arm.name, test, seed) for _, arm, test, seed in evaluations(PARTS, SEEDS)]
    assert len(files) == len(set(files))

"""The demo's tasks run in order, side by side, resumably; its results are those of the evaluation files."""

import json
from pathlib import Path

import pytest

from ghostpad.base.errors import GhostpadError, SettingsError
from ghostpad.cli.demo import Demo, arms_table, collect, demo
from ghostpad.cli.tasks import Task, run_tasks


def evaluation(mean: float, returns: list[float]) -> dict[str, object]:
    """What `ghostpad eval policy` writes, as far as the demo reads it."""
    return {"games": [{"game": "doom", "rows": [{"mean": mean, "returns": returns}]}]}


def test_a_task_waits_for_those_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [Task("second-s0", "settings", ("settings", "idm"), needs=("first",)), Task("first", "settings", ("settings", "policy"))]
    seconds = run_tasks(tasks, 2, tmp_path / "seconds.json")
    printed = capsys.readouterr().out
    assert printed.index("$ ghostpad settings policy") < printed.index("$ ghostpad settings idm")
    assert set(seconds) == {"settings"} and seconds["settings"] > 0


def test_a_done_task_is_not_run_again_and_keeps_its_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "seconds.json").write_text('{"settings": {"idm-s0": 12.5}}')
    (tmp_path / "done.json").write_text("{}")
    task = Task("idm-s0", "settings", ("settings", "idm"), done=tmp_path / "done.json")
    assert run_tasks([task], 2, tmp_path / "seconds.json") == {"settings": 12.5}
    assert "$ ghostpad" not in capsys.readouterr().out


def test_a_command_that_finds_its_work_done_does_not_hide_how_long_it_took(tmp_path: Path) -> None:
    (tmp_path / "seconds.json").write_text('{"settings": {"idm-s0": 1e6}}')
    assert run_tasks([Task("idm-s0", "settings", ("settings", "idm"))], 1, tmp_path / "seconds.json") == {"settings": 1e6}


def test_a_failed_command_is_told_in_its_own_words(tmp_path: Path) -> None:
    tasks = [
        Task("status", "status", ("corpus", "status", str(tmp_path / "nowhere"))),
        Task("after", "settings", ("settings", "idm"), ("status",)),
    ]
    with pytest.raises(GhostpadError, match="there is no corpus at"):
        run_tasks(tasks, 2, tmp_path / "seconds.json")


def test_work_that_keeps_going_leaves_out_only_what_needs_the_failed_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [
        Task("status", "status", ("corpus", "status", str(tmp_path / "nowhere"))),
        Task("after", "settings", ("settings", "idm"), ("status",)),
        Task("later", "settings", ("settings", "idm"), ("after",)),
        Task("other", "settings", ("settings", "policy")),
    ]
    with pytest.raises(GhostpadError, match="there is no corpus at"):
        run_tasks(tasks, 1, tmp_path / "seconds.json", keep_going=True)
    printed = capsys.readouterr().out
    assert "$ ghostpad settings policy" in printed and "$ ghostpad settings idm" not in printed


@pytest.mark.parametrize("seeds", ["", "0,0", "-1", "a"])
def test_impossible_seeds_are_refused_before_any_work(tmp_path: Path, seeds: str) -> None:
    with pytest.raises(SettingsError, match="--seeds"):
        demo(out=tmp_path / "demo", seeds=seeds)
    assert not (tmp_path / "demo").exists()


def test_a_folder_of_another_demo_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text(json.dumps({"game": "doom", "episodes": 40, "evaluation_seed": 2000}))
    with pytest.raises(SettingsError, match="holds a demo with game doom, episodes 40: choose another --out"):
        demo(game="racing", out=tmp_path, episodes=20)
    with pytest.raises(SettingsError, match="episodes is 0"):
        demo(out=tmp_path / "new", episodes=0)
    assert [path.name for path in tmp_path.iterdir()] == ["demo.json"]


def test_results_pool_episodes_and_report_the_spread_over_seeds(tmp_path: Path) -> None:
    (tmp_path / "eval").mkdir()
    for arm, shift in (("recorded", 0), ("pseudo", 10), ("oracle", 20)):
        for seed in (0, 1):
            returns = [shift + seed, shift + seed + 2.0]
            (tmp_path / "eval" / f"{arm}-s{seed}.json").write_text(json.dumps(evaluation(sum(returns) / 2, returns)))
    for player in ("random", "expert"):
        (tmp_path / "eval" / f"{player}.json").write_text(json.dumps(evaluation(1.0, [1.0, 1.0])))
    for seed, r2 in ((0, 0.5), (1, 0.7)):
        score = {"sticks": {"left_x": {"r2": r2, "mae": None}}, "buttons": {}}
        report = {"idm": score, "baselines": {"always_released": score}}
        (tmp_path / "eval" / f"idm-s{seed}.json").write_text(json.dumps(report))
    results = collect(Demo("doom", tmp_path, (0, 1), 2), {"record": 1.0})
    pseudo = results["arms"]["pseudo"]
    assert (pseudo["mean"], pseudo["n"], pseudo["by_seed"]) == (11.5, 4, {"0": 11.0, "1": 12.0})
    assert pseudo["sem"] == pytest.approx((5 / 3) ** 0.5 / 2)
    assert pseudo["sd_seeds"] == pytest.approx(0.5**0.5)
    assert results["idm"] == {"left_x_r2": pytest.approx(0.6), "baselines": {"always_released": {"left_x_r2": pytest.approx(0.6)}}}
    assert "pseudo" in arms_table(results)

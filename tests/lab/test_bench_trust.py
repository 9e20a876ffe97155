"""`ghostpad lab bench trust` tries what it says, finds nothing lost, and would find something."""

import json
import os
import shutil
from pathlib import Path

import pytest

from ghostpad.cli.main import main
from ghostpad.lab.bench.trust.broken import broken
from ghostpad.lab.bench.trust.run import TRIALS
from ghostpad.lab.bench.trust.stage import Stage, Trial, Way, difference, ended_badly, run, state_of
from ghostpad.lab.made_up.broken_videos import make_good_videos


def test_the_command_gives_what_was_tried_and_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "trust.json"
    assert main(["lab", "bench", "trust", "--only", "writers", "--videos", "2", "--out", str(out)]) == 0
    (trial,) = json.loads(out.read_text())
    assert trial["lost"] == [] and trial["tried"] == 400
    assert trial["name"] in capsys.readouterr().out


def test_every_good_file_is_labelled_and_every_broken_one_is_a_row(idm_run: Path, tmp_path: Path) -> None:
    shutil.copytree(idm_run, tmp_path / "idm")
    trial = broken(Stage(tmp_path, 0, "http://127.0.0.1:1"), good=8)
    assert trial.lost == [] and trial.tried > 80


def test_what_is_lost_is_told(tmp_path: Path) -> None:
    (tmp_path / "footage").mkdir()
    make_good_videos(tmp_path / "footage", 2)
    stage = Stage(tmp_path, 2, "http://127.0.0.1:1")
    assert run(stage.added("c").commands[0]).returncode == 0
    expected, trial = state_of(stage.corpus("c")), Trial("test")
    way = Way(stage.corpus("c"), [], lambda: expected)
    way.check(trial, "after nothing")
    assert (trial.tried, trial.lost) == (1, [])
    first, second = sorted((way.root / "videos").iterdir())
    first.unlink()
    os.truncate(second, 100)
    (way.root / "videos" / "more.mp4").touch()
    way.check(trial, "after damage")
    assert trial.tried == 2
    assert all(word in trial.lost[0] for word in (f"footage of {first.stem}", f"footage of {second.stem}", "more.mp4, of no video"))
    assert "missing a" in difference({"a": 1}, {}) and difference({"a": 1}, {"a": 1}) == ""
    assert ended_badly(run(["corpus", "status", str(tmp_path / "nothing")])) == ""


def test_a_mistyped_trial_and_impossible_numbers_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "bench", "trust", "--only", "outage"]) == 2
    assert "did you mean 'outages'?" in capsys.readouterr().err and "outages" in TRIALS
    assert main(["lab", "bench", "trust", "--kills", "0"]) == 2

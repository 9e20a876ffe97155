"""`ghostpad lab bench engines` kills what it says, finds nothing lost, and would find something."""

import json
from pathlib import Path

import pytest

from ghostpad.cli.main import main
from ghostpad.lab.bench.engines.cost import item_ms
from ghostpad.lab.bench.engines.kills import Expected, KillTrial, checked
from ghostpad.lab.bench.engines.noted import notes_of
from ghostpad.lab.bench.engines.scene import Case


def test_killed_workers_and_drivers_lose_nothing(idm_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "engines.json"
    words = ["--quick", "--parts", "kills", "--engines", "pool", "--places", "disk", "--videos", "6", "--every-s", "1", "--kills", "2"]
    assert main(["lab", "bench", "engines", *words, "--idm", str(idm_run), "--out", str(out)]) == 0
    joined, trial = json.loads(out.read_text())["trials"]
    assert trial["worker_kills"] + trial["driver_kills"] > 0 and trial["files"] == trial["videos"] == 6 < trial["units"]
    assert joined["lost"] == trial["lost"] == [] and joined["tried"] > 10 and "pool, on the disk" in capsys.readouterr().out


def test_what_is_lost_or_done_again_is_told(tmp_path: Path) -> None:
    case = Case(tmp_path / "c", tmp_path / "idm")
    (case.root / "actions" / "idm-0").mkdir(parents=True)
    (case.root / "actions" / "idm-0" / "a.parquet").write_bytes(b"rows")
    notes_of(case.run).write_text("7 a\n7 b\n8 c 1/2\n9 c 1/2\n")
    right = Expected(3, 0, case.files(), 3)
    fine = checked(KillTrial("in flight"), case, right)
    assert fine.lost == [] and fine.redone == 1 and fine.files == 1
    with open(notes_of(case.run), "a") as file:
        file.write("9 a\n")
    (again,) = checked(KillTrial("done again"), case, right).lost
    assert "not in flight at a kill were done again: a" in again
    (case.root / "actions" / "idm-0" / "a.parquet").write_bytes(b"other")
    files, again = checked(KillTrial("other"), case, right).lost
    assert "other idm-0/a.parquet" in files
    (written,) = checked(KillTrial("written again", rewritten=1), case, Expected(3, 0, case.files(), 3)).lost[:1]
    assert "1 files were written again" in written


def test_an_engine_adds_little_to_an_item() -> None:
    assert item_ms("here", 100) > 0 and item_ms("pool", 20) > 0


def test_mistyped_names_are_told_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "bench", "engines", "--parts", "kill", "--engines", "rays", "--places", "disc", "--every-s", "-1"]) == 2
    told = capsys.readouterr().err
    assert all(word in told for word in ("'kills'", "'ray'", "'disk'", "every_s is -1"))

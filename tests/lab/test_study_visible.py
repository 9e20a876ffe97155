"""`ghostpad lab study visible` gives every number it promises."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ghostpad.cli.main import main


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from numbers(item)
    elif not isinstance(value, str):
        yield value


def test_a_small_study_gives_finite_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "visible.json"
    assert main(["lab", "study", "visible", "--episodes", "1", "--out", str(out)]) == 0
    report = json.loads(out.read_text())
    assert all(math.isfinite(number) for number in numbers(report))
    doom, told = report["doom"], capsys.readouterr().out
    assert len(doom["r2"]) == 9 and all(who in told for who in doom["r2"])
    for name in ("novice", "expert"):
        free = doom["r2"]["rule of motion, free rows"][name]
        assert free["forward"] > 0.98 and free["turn"] > 0.98 and 0.5 < doom["free_share"][name] < 1
    values = doom["expert_forward"]
    assert [one["value"] for one in values] == pytest.approx([-1, -0.3, -0.2], abs=1e-6)
    assert sum(one["share"] for one in values) == pytest.approx(1)
    for who in values[0]["oracles"]:
        assert sum(one["oracles"][who]["error_share"] for one in values) == pytest.approx(1)
    for player, shares in report["doom-defend"].items():
        assert player in told and all(0 <= one["visible_share"] <= 1 for one in shares.values())
        assert shares["first_rows"]["n"] == shares["whole_presses"]["n"] > 0
        assert shares["rows_after"]["visible_share"] < shares["first_rows"]["visible_share"]


def test_impossible_numbers_and_folders_are_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "study", "visible", "--episodes", "0", "--seed", "-1", "--out", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "episodes is 0" in told and "seed is -1" in told and f"{tmp_path} is a folder" in told
    assert not list(tmp_path.iterdir())

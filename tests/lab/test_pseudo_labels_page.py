"""The page of the pseudo-label study: shows what is measured, names what is missing, and never claims more."""

from pathlib import Path
from typing import Any

import pytest

from ghostpad.lab.study.pseudo_labels.page import beside, curve_plot, figure_words, write_page


def figure(mean: float, at: float | None = 0.5) -> dict[str, Any]:
    by_seed = {"0": mean - 1, "1": mean + 1}
    return {"mean": mean, "sd": 1.4, "sem": 1.0, "n": 40, "by_seed": by_seed, "at": at, "at_sd": 0.1, "at_by_seed": {}}


def point(
    arm: str, mean: float, unlabelled: float = 60, recorded: float = 5, domain: str = "racing", game: str = "racing"
) -> dict[str, Any]:
    return {"domain": domain, "arm": arm, "recorded": recorded, "unlabelled": unlabelled, "game": game, "figure": figure(mean)}


@pytest.fixture
def results() -> dict[str, Any]:
    """Content of a results.json in which something of everything is there."""
    scale = {"recorded": [1, 5], "unlabelled": [0, 8, 60], "centre": 5, "most": 60, "steps": 900, "idm_steps": 500, "episodes": 20}
    target = {
        "game": "racing",
        "words": "recorded + pseudo-labels over recorded alone",
        "target": "≥ 2",
        "raw": None,
        "scaled": 17.25,
        "verdict": "met",
    }
    shuffled = {
        "game": "racing",
        "words": "shuffled <b>",
        "target": "≤ 2 s.e.",
        "mean": 41.0,
        "sem": 5.0,
        "seeds": ["0"],
        "verdict": "missed",
    }
    return {
        "settings": {"quick": False},
        "scale": scale | {"transfer": 30},
        "arms": {"truth": "a novice alone", "pseudo": "and labels"},
        "domains": {"doom": "Doom", "racing": "racing", "all": "both", "supreme": "unlabelled level"},
        "evaluation_seed": 5000,
        "seeds": [0, 1],
        "players": {"racing": {"random": figure(-50, 0.0), "expert": figure(600, 1.0)}},
        "points": [
            point("truth", -20, 0), point("truth", -40, 0, 1), point("pseudo", 580), point("pseudo", 300, 8), point("pseudo", 200, 60, 1),
            point("oracle", 590), point("pseudo", 560, domain="all"),
            point("tuned", 900, 30, domain="supreme", game="doom-supreme"),
            point("pseudo", 700, domain="doom", game="doom-supreme"),
        ],
        "missing": {"labels": ["racing-truth-10-0-s0"]},
        "asked": {"centre": 8, "labels": 2},
        "seconds": {"train policy": 5000.0},
        "targets": [target, shuffled],
        "conclusion": ["1 of 2 targets are met. Missed: shuffled.", "Racing: something."],
    }  # fmt: skip


def test_the_page_shows_every_part_and_is_one_file(results: dict[str, Any], tmp_path: Path) -> None:
    text = write_page(results, tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<p class="lead">1 of 2 targets are met.' in text and "Racing: something." in text
    assert "17.25" in text and "+41.0 ± 5.0" in text and '<span class="missed">missed</span>' in text
    assert "shuffled &lt;b&gt;" in text and "http" not in text.replace("http://www.w3.org", "")
    assert text.count("<svg") == 3, "both of racing, one of the unseen level"
    assert "9 of 10 units are done" in text and "racing-truth-10-0-s0" in text and "its figures say nothing" not in text
    assert "at every pair of minutes" not in text
    assert write_page(results, tmp_path / "again.html").read_text(encoding="utf-8") == text


def test_points_off_the_centre_are_drawn_as_a_line_for_each_number_of_labelled_minutes(results: dict[str, Any], tmp_path: Path) -> None:
    results["points"] += [point("pseudo", 150, 8, 1)]
    text = write_page(results, tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.count("<svg") == 4 and "at every pair of minutes" in text and "1 recorded" in text and "5 recorded" in text


def test_what_is_missing_is_named_with_its_command(results: dict[str, Any], tmp_path: Path) -> None:
    nothing = {"points": [], "players": {}, "targets": [], "seeds": [], "seconds": {}, "conclusion": ["Nothing is measured yet."]}
    quick = {"settings": {"quick": True}}
    text = write_page(results | nothing | quick, tmp_path / "report.html").read_text(encoding="utf-8")
    for part in ("centre", "generalist", "transfer"):
        assert f"ghostpad lab study pseudo-labels --only {part}" in text
    assert "its figures say nothing" in text and "<svg" not in text


def test_the_generalist_stands_beside_the_specialist_and_the_tuned_agent_beside_the_first_levels(results: dict[str, Any]) -> None:
    (one,), (tuned,) = beside(results, "all"), beside(results, "supreme")
    assert (one["figure"]["mean"], one["specialist"]["mean"]) == (560, 580)
    assert (tuned["figure"]["mean"], tuned["specialist"]["mean"]) == (900, 700)
    results["points"] = [point("pseudo", 560, domain="all")]
    assert beside(results, "all")[0]["specialist"] is None and figure_words(None) == "–"


def test_every_arm_and_player_is_drawn(results: dict[str, Any]) -> None:
    points = [one for one in results["points"] if one["domain"] == "racing" and one["recorded"] == 5]
    drawn = curve_plot(points, "unlabelled", results["players"]["racing"], (0, 8, 60))
    assert all(name in drawn for name in ("truth", "pseudo", "oracle", "random", "expert", "unlabelled minutes (5 recorded)"))
    assert "shuffled" not in drawn
    most = [one for one in results["points"][:6] if one["unlabelled"] in (0, 60)]
    assert "recorded minutes (60 unlabelled)" in curve_plot(most, "recorded", {}, (1, 5))

"""The page of a study: shows what is measured, names what is missing, and never claims more."""

import re
from pathlib import Path
from typing import Any

import pytest

from ghostpad.lab.study.common import difference_words, figure_words
from ghostpad.lab.study.idm.page import headline, write_page


def figure(*values: float) -> dict[str, Any]:
    mean = sum(values) / len(values)
    by_seed = {str(seed): value for seed, value in enumerate(values)}
    return {
        "mean": mean,
        "sd": 0.0123 if len(values) > 1 else None,
        "n": len(values),
        "by_seed": by_seed,
        "interval": [mean - 0.05, mean + 0.05],
    }


def row(words: str, window: Any, verdict: str | None, target: float | None = 0.9) -> dict[str, Any]:
    figures = {"window": window, "pair": figure(0.5), "frame": None}
    line = {"words": words, "test": "doom-expert", "target": target, "at_least": True, "figures": figures}
    return line | {
        "no_threshold": [2] if verdict == "no threshold" else [],
        "verdict": verdict,
        "baselines": {"prior": -0.004},
        "beside": {"words": "RMSE", "figure": figure(0.321)},
    }


@pytest.fixture
def results() -> dict[str, Any]:
    """Content of a results.json in which everything is there."""
    points = [
        {
            "minutes": minutes,
            "recorded": minutes,
            "turn": figure(0.8 + minutes / 50, 0.81 + minutes / 50),
            "forward": figure(0.3),
            "turn_rmse": figure(0.2),
            "forward_rmse": None,
        }
        for minutes in (1, 5)
    ]
    change = {"figure": figure(0.7), "full": figure(0.9), "difference": {**figure(-0.2), "interval": None}}
    joint = {"figure": figure(0.88), "difference": figure(-0.02), "verdict": "met"}
    return {
        "settings": {"steps": None, "minutes_scale": 1.0},
        "seeds": [0, 1],
        "table": [row("turn R²", figure(0.95, 0.96), "met"), row("press F1 <b>", figure(0.7), "missed"),
                  row("AP", figure(0.6), None, None)],
        "generalist": [{"words": "turn R²", "test": "doom-expert", "specialist": figure(0.9), "all-game": joint, "all-none": joint}],
        "curve": {"points": points, "reached": figure(2.2), "never": [], "r2": 0.9, "target_minutes": 3.0},
        "ablation": [{"arm": "doom-x", "words": "without x", "test": "doom-expert", "measures": {"turn R²": change}}],
        "pedals": [{"slot": "left_x", "confidence": 0.8, "r2": 0.9, "rmse": 0.1, "ap": None, "prevalence": None}
                   | dict.fromkeys(("onset_f1_50ms", "accuracy", "ece"))],
        "missing": {},
        "seconds": {"train idm": 3700.0},
    }  # fmt: skip


def empty(results: dict[str, Any]) -> dict[str, Any]:
    nothing = {"window": None, "pair": None, "frame": None}
    table = [one | {"figures": nothing, "verdict": None, "baselines": {}} for one in results["table"]]
    points = [
        {"minutes": point["minutes"], "turn": None, "forward": None, "turn_rmse": None, "forward_rmse": None}
        for point in results["curve"]["points"]
    ]
    missing = {"table": ["doom-window on doom-expert, seed 0"]}
    curve = results["curve"] | {"points": points, "reached": None}
    return results | {"table": table, "generalist": [], "curve": curve, "ablation": [], "pedals": [], "missing": missing, "seeds": []}


def test_the_page_shows_every_part_and_is_one_file(results: dict[str, Any], tmp_path: Path) -> None:
    text = write_page(results, tmp_path / "report.html").read_text()
    for word in (
        "0.955 ± 0.012",
        "−0.020",
        "−0.200",
        "without x",
        "R² 0.9 with 2.2 minutes",
        "Left stick, right is +",
        "1 h 01 min",
        "<svg",
        "0.321<br><small>RMSE</small>",
    ):
        assert word in text, word
    assert "&lt;b&gt;" in text and "press F1 <b>" not in text, "text is escaped"
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert "Every evaluation of the study is there." in text and "shortened study" not in text


def test_a_page_of_nothing_says_what_makes_the_parts(results: dict[str, Any], tmp_path: Path) -> None:
    text = write_page(empty(results), tmp_path / "report.html").read_text()
    assert "Nothing is measured yet." in text
    assert text.count("Not measured yet:") == 4 and "ghostpad lab study idm --only curve" in text
    assert "doom-window on doom-expert, seed 0" in text


def test_the_headline_counts_targets_and_names_those_missed(results: dict[str, Any]) -> None:
    assert headline(results) == "1 of 2 targets are met. Not: press F1 <b> (0.700 for ≥ 0.9)."
    results["table"][0]["verdict"] = None
    results["table"].append(row("kept", None, "no threshold"))
    assert headline(results) == (
        "0 of 2 targets are met. Not: press F1 <b> (0.700 for ≥ 0.9); kept (no threshold keeps it). 1 more are not measured yet."
    )


def test_a_shortened_study_says_so(results: dict[str, Any], tmp_path: Path) -> None:
    results["settings"] = {"steps": 20, "minutes_scale": 0.1}
    text = write_page(results, tmp_path / "report.html").read_text()
    assert "A shortened study: 20 steps a training, 0.1 times the usual minutes." in text


def test_figures_are_written_for_people() -> None:
    assert figure_words(None) == "–" and figure_words(figure(0.5)) == "0.500" and figure_words(figure(0.5, 0.6)) == "0.550 ± 0.012"
    assert difference_words(figure(-0.5, -0.5)) == "−0.500 ± 0.012" and difference_words(figure(0.25)) == "+0.250"

"""The tables of the study of masks: measures of an IDM on a test, and figures of every arm and test.

A figure is as in `ghostpad.lab.study.common`. Macro AP is the mean average precision over all that is pressed: the buttons, and each
direction of a stick, which counts as pressed beyond `PUSHED` and is ranked by the stick's predicted value.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ghostpad.base.lines import text_table
from ghostpad.base.pad import BUTTONS, PRESSED, SLOTS
from ghostpad.corpus.folder import Corpus
from ghostpad.lab.study.common import Json, difference_words, figure, figure_words, less, missing, read_evaluations, verdict
from ghostpad.lab.study.masks.plan import ARMS, CLEAN, MASKED, TESTS, UNMASKED

PUSHED, LEAST = 0.3, 20
"""How far a stick must be pushed to count as pressed, and in how many rows something must be pressed to be measured (guesses)."""

WITHIN = 0.03
"""How far an IDM of masked footage may stay behind one of clean footage, in macro AP (target, set before anything was measured)."""


def measure(corpus: Path, run: Path, truth: Path) -> dict[str, Any]:
    """The measures of a run in a corpus that it has labelled: macro_ap, targets {game and slot: ap, prevalence}, sticks {…: r2},
    rmse {…: rmse}."""
    from ghostpad.label.labeller import label_source_of  # here, because torch takes seconds to import
    from ghostpad.measure.evaluate import judge
    from ghostpad.measure.match import pool
    from ghostpad.measure.slots import average_precision, r2

    judged = judge(Corpus.open(corpus), label_source_of(run), truth)
    targets: dict[str, Any] = {}
    sticks: dict[str, float | None] = {}
    rmse: dict[str, float] = {}
    for game in sorted({one.video.game or "" for one in judged}):
        rows = pool([one.rows for one in judged if one.video.game == game])
        for index in np.flatnonzero(rows.known.any(0)).tolist():
            predicted, true = rows.columns(index)
            name, button = f"{game} {SLOTS[index]}", SLOTS[index] in BUTTONS
            for sign, words in ((1, ""),) if button else ((1, " +"), (-1, " -")):
                pressed = true >= PRESSED if button else sign * true > PUSHED
                if min(pressed.sum(), (~pressed).sum()) >= LEAST:
                    precision = average_precision(sign * predicted, pressed)
                    targets[name + words] = {"ap": precision, "prevalence": float(pressed.mean())}
            if not button and np.ptp(true) > 0:
                sticks[name], rmse[name] = r2(predicted, true), float(np.sqrt(np.mean((predicted - true) ** 2)))
    macro = float(np.mean([one["ap"] for one in targets.values()])) if targets else None
    return {"videos": len(judged), "macro_ap": macro, "targets": targets, "sticks": sticks, "rmse": rmse}


def collect(out: Path, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The figures of every arm and test that is there, and which targets are met on clean footage."""
    reports = read_evaluations(out)

    def macro(arm: str, test: str) -> dict[int, float]:
        return {seed: value for seed, one in reports.get((arm, test), {}).items() if (value := one["macro_ap"]) is not None}

    def gap(arm: str, test: str, other: str, other_test: str) -> dict[str, Any] | None:
        return figure(less(macro(arm, test), macro(other, other_test)))

    behind = gap(MASKED, CLEAN, CLEAN, CLEAN)
    both = [(arm.name, test) for arm in ARMS for test in TESTS]
    return {
        "arms": {arm.name: {test: _figures(reports.get((arm.name, test), {}), macro(arm.name, test)) for test in TESTS} for arm in ARMS},
        "seeds": sorted({seed for arm, test in both for seed in macro(arm, test)}),
        "masked_minus_clean": behind,
        "verdict": verdict(behind, -WITHIN),
        "unmasked_minus_clean": gap(UNMASKED, CLEAN, CLEAN, CLEAN),
        "unmasked_lost_on_clean": gap(UNMASKED, CLEAN, UNMASKED, UNMASKED),
        "random_gained_on_masked": gap("random", MASKED, CLEAN, MASKED),
        "missing": missing(reports, [(arm, test, seed) for arm, test in both for seed in seeds]),
    }


def _figures(reports: Mapping[int, Json], macro: Mapping[int, float]) -> dict[str, Any]:
    """The figures of an arm on a test by its reports and macro AP."""

    def by_name(kind: str, key: str | None = None) -> dict[str, Any]:
        values: dict[str, dict[int, float]] = {}
        for seed, report in reports.items():
            for name, value in report.get(kind, {}).items():
                values.setdefault(name, {})[seed] = value[key] if key else value
        return {name: figure(values[name]) for name in sorted(values)}

    return {
        "macro_ap": figure(macro),
        "targets": by_name("targets", "ap"),
        "sticks": by_name("sticks"),
        "rmse": by_name("rmse"),
        "prevalence": {name: target["prevalence"] for report in reports.values() for name, target in report["targets"].items()},
    }


def table_text(results: Json) -> str:
    """The tables for a terminal: macro AP of every IDM on every test, then each target on clean footage."""
    rows = [(arm.words, *(figure_words(results["arms"][arm.name][test]["macro_ap"]) for test in TESTS)) for arm in ARMS]
    lines = [text_table(("macro AP, learned from", *TESTS), rows), ""]
    first, rows = results["arms"][CLEAN][CLEAN], []
    for kind, words in (("targets", "AP"), ("sticks", "R²"), ("rmse", "RMSE")):
        for name in first[kind]:
            cells = [figure_words(results["arms"][arm.name][CLEAN][kind].get(name)) for arm in ARMS]
            rows.append((f"{name} {words}", f"{first['prevalence'][name]:.2f}" if kind == "targets" else "", *cells))
    lines.append(text_table(("on clean footage", "pressed", *(arm.name for arm in ARMS)), rows))
    lines.append("")
    for key, words in CLAIMS.items():
        target = f" (target, at least {-WITHIN:g}: {results['verdict']})" if key == "masked_minus_clean" and results["verdict"] else ""
        lines.append(f"{words}: {difference_words(results[key])}{target}")
    if results["missing"]:
        lines.append(f"not done yet: {len(results['missing'])} evaluations")
    return "\n".join(lines)


CLAIMS = {
    "masked_minus_clean": "masked against clean, both on clean footage",
    "unmasked_minus_clean": "mask ignored against clean, both on clean footage",
    "unmasked_lost_on_clean": "mask ignored, on clean footage against footage with the controller",
    "random_gained_on_masked": "random masks against none, learned from clean footage, on masked footage",
}
"""Differences of macro AP, seed by seed, in words."""

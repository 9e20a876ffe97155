"""What the study of masks found: what an IDM reads in a test, figures of every arm and test, and the tables.

A figure is as in `ghostpad.lab.study.common`. Macro AP is the mean average precision over all that is pressed: the buttons, and each
direction of a stick, which counts as pressed beyond `PUSHED` and is ranked by the stick's read value.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ghostpad.base.files import read_json
from ghostpad.base.pad import BUTTONS, PRESSED, SLOTS
from ghostpad.base.table import text_table
from ghostpad.corpus.folder import Corpus
from ghostpad.lab.study.common import difference_words, evaluation_file, figure, figure_words, less, verdict
from ghostpad.lab.study.masks.plan import ARMS, CLEAN, MASKED, TESTS, UNMASKED

PUSHED, LEAST = 0.3, 20
"""How far a stick must be pushed to count as pressed, and in how many rows something must be pressed to be measured (guesses)."""

WITHIN = 0.03
"""How far an IDM of masked footage may stay behind one of clean footage, in macro AP (target, set before anything was measured)."""


def measure(corpus: Path, run: Path, truth: Path) -> dict[str, Any]:
    """What a run reads in a corpus that it has labelled: macro_ap, targets {game and slot: ap, prevalence}, sticks {…: r2},
    rmse {…: rmse}."""
    from ghostpad.label.label import label_source_of  # here, because torch takes seconds to import
    from ghostpad.measure.evaluate import judge
    from ghostpad.measure.match import pool
    from ghostpad.measure.slots import average_precision, r2

    judged = judge(Corpus.open(corpus), label_source_of(run), truth)
    targets: dict[str, Any] = {}
    sticks: dict[str, Any] = {}
    rmse: dict[str, Any] = {}
    for game in sorted({one.video.game or "" for one in judged}):
        rows = pool([one.rows for one in judged if one.video.game == game])
        for index in np.flatnonzero(rows.known.any(0)).tolist():
            read, true = rows.columns(index)
            button = SLOTS[index] in BUTTONS
            for sign, words in ((1, ""),) if button else ((1, " +"), (-1, " -")):
                pressed = true >= PRESSED if button else sign * true > PUSHED
                if min(pressed.sum(), (~pressed).sum()) >= LEAST:
                    precision = average_precision(sign * read, pressed)
                    targets[f"{game} {SLOTS[index]}{words}"] = {"ap": precision, "prevalence": float(pressed.mean())}
            if not button and np.ptp(true) > 0:
                name = f"{game} {SLOTS[index]}"
                sticks[name], rmse[name] = r2(read, true), float(np.sqrt(np.mean((read - true) ** 2)))
    macro = float(np.mean([one["ap"] for one in targets.values()])) if targets else None
    return {"videos": len(judged), "macro_ap": macro, "targets": targets, "sticks": sticks, "rmse": rmse}


def collect(out: Path, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The figures of every arm and test that is there, and which targets are met on clean footage."""
    found: dict[str, Any] = {arm.name: {test: _figures(out, arm.name, test) for test in TESTS} for arm in ARMS}

    def gap(arm: str, test: str, other: str, other_test: str) -> dict[str, Any] | None:
        return figure(less(_seeds(found[arm][test]["macro_ap"]), _seeds(found[other][other_test]["macro_ap"])))

    behind = gap(MASKED, CLEAN, CLEAN, CLEAN)
    missing = [
        f"{arm.name} on {test}, seed {seed}"
        for arm in ARMS
        for test in TESTS
        for seed in seeds
        if not evaluation_file(out, arm.name, test, seed).exists()
    ]
    return {
        "arms": found,
        "seeds": sorted({int(seed) for arm in found.values() for test in arm.values() for seed in _seeds(test["macro_ap"])}),
        "masked_minus_clean": behind,
        "verdict": verdict(behind, -WITHIN),
        "unmasked_minus_clean": gap(UNMASKED, CLEAN, CLEAN, CLEAN),
        "unmasked_lost_on_clean": gap(UNMASKED, CLEAN, UNMASKED, UNMASKED),
        "random_gained_on_masked": gap("random", MASKED, CLEAN, MASKED),
        "missing": missing,
    }


def _seeds(one: Mapping[str, Any] | None) -> dict[int, float]:
    return {} if one is None else {int(seed): value for seed, value in one["by_seed"].items()}


def _figures(out: Path, arm: str, test: str) -> dict[str, Any]:
    reports = {int(path.stem.rpartition("-s")[2]): read_json(path) for path in sorted((out / "eval" / arm).glob(f"{test}-s*.json"))}
    reports = {seed: reports[seed] for seed in sorted(reports)}

    def by_name(kind: str, key: str | None = None) -> dict[str, Any]:
        names = sorted({name for report in reports.values() for name in report.get(kind, {})})
        values = {name: {seed: one[kind][name] for seed, one in reports.items() if name in one.get(kind, {})} for name in names}
        return {name: figure({seed: value[key] if key else value for seed, value in each.items()}) for name, each in values.items()}

    return {
        "macro_ap": figure({seed: report["macro_ap"] for seed, report in reports.items() if report["macro_ap"] is not None}),
        "targets": by_name("targets", "ap"),
        "sticks": by_name("sticks"),
        "rmse": by_name("rmse"),
        "prevalence": {name: report["targets"][name]["prevalence"] for report in reports.values() for name in report["targets"]},
    }


def table_text(results: Mapping[str, Any]) -> str:
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

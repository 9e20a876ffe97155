"""What `ghostpad lab study masks` trains and tests, as data, and the tables of what it found.

A figure is as in `ghostpad.lab.study.idm.tables`. Macro AP is the mean average precision over all that is pressed: the buttons, and each
direction of a stick, which counts as pressed beyond `PUSHED` and is ranked by the stick's read value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ghostpad.base.files import read_json
from ghostpad.base.pad import BUTTONS, SLOTS
from ghostpad.corpus.folder import Corpus
from ghostpad.lab.study.idm.tables import figure, less, verdict

CLEAN, MASKED, UNMASKED = TESTS = ("clean", "masked", "unmasked")
"""What is seen of the controller: none was drawn, its mask, itself."""

PUSHED, LEAST = 0.3, 20
"""How far a stick must be pushed to count as pressed, and in how many rows something must be pressed to be measured (guesses)."""

WITHIN = 0.03
"""How far an IDM of masked footage may stay behind one of clean footage, in macro AP (target of the issue)."""


@dataclass(frozen=True)
class Arm:
    """An IDM: its name, what it learned from in words, what is seen there of the controller, and settings that differ."""

    name: str
    words: str
    corpus: str
    settings: tuple[str, ...] = ()


ARMS = (
    Arm(CLEAN, "clean footage", CLEAN),
    Arm(MASKED, "a controller drawn in, masked", MASKED),
    Arm(UNMASKED, "a controller drawn in, mask ignored", UNMASKED),
    Arm("random", "clean footage, random masks", CLEAN, ("--model.mask=0.5",)),
)
"""The IDMs, in the order of the table."""


def evaluation_file(out: Path, arm: str, test: str, seed: int) -> Path:
    """Where the evaluation of an arm on a test with a training seed lies."""
    return out / "eval" / arm / f"{test}-s{seed}.json"


def measure(corpus: Path, run: Path, truth: Path) -> dict[str, Any]:
    """What a run reads in a corpus that it has labelled: macro_ap, targets {game and slot: ap, prevalence}, sticks {…: r2}."""
    from ghostpad.label.label import label_source_of  # here, because torch takes seconds to import
    from ghostpad.measure.evaluate import judge
    from ghostpad.measure.match import pool
    from ghostpad.measure.slots import average_precision, r2

    judged = judge(Corpus.open(corpus), label_source_of(run), truth)
    targets: dict[str, Any] = {}
    sticks: dict[str, float | None] = {}
    for game in sorted({one.video["game"] for one in judged}):
        rows = pool([one.rows for one in judged if one.video["game"] == game])
        for index in np.flatnonzero(rows.known.any(0)).tolist():
            read, true = rows.columns(index)
            button = SLOTS[index] in BUTTONS
            for sign, words in ((1, ""),) if button else ((1, " +"), (-1, " -")):
                pressed = sign * true >= 0.5 if button else sign * true > PUSHED
                if min(pressed.sum(), (~pressed).sum()) >= LEAST:
                    precision = average_precision(sign * read, pressed)
                    targets[f"{game} {SLOTS[index]}{words}"] = {"ap": precision, "prevalence": float(pressed.mean())}
            if not button and np.ptp(true) > 0:
                sticks[f"{game} {SLOTS[index]}"] = r2(read, true)
    macro = float(np.mean([one["ap"] for one in targets.values()])) if targets else None
    return {"videos": len(judged), "macro_ap": macro, "targets": targets, "sticks": sticks}


def collect(out: Path, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The figures of every arm and test that is there, and how the issue's two claims fare on clean footage."""
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
    names = {kind: sorted({name for report in reports.values() for name in report[kind]}) for kind in ("targets", "sticks")}
    return {
        "macro_ap": figure({seed: report["macro_ap"] for seed, report in reports.items() if report["macro_ap"] is not None}),
        "targets": {
            name: figure({seed: report["targets"][name]["ap"] for seed, report in reports.items() if name in report["targets"]})
            for name in names["targets"]
        },
        "sticks": {
            name: figure({seed: report["sticks"][name] for seed, report in reports.items() if name in report["sticks"]})
            for name in names["sticks"]
        },
        "prevalence": {name: report["targets"][name]["prevalence"] for report in reports.values() for name in report["targets"]},
    }


def table_text(results: Mapping[str, Any]) -> str:
    """The tables for a terminal: macro AP of every IDM on every test, then each target on clean footage."""
    wide = max(len(arm.words) for arm in ARMS) + 2
    lines = [f"macro AP, learned from{'':<{wide - 22}}" + "".join(f"{test:>18}" for test in TESTS)]
    for arm in ARMS:
        lines.append(f"{arm.words:<{wide}}" + "".join(f"{_cell(results['arms'][arm.name][test]['macro_ap']):>18}" for test in TESTS))
    lines += ["", f"on clean footage{'':<14}{'pressed':>8}" + "".join(f"{arm.name:>18}" for arm in ARMS)]
    first = results["arms"][CLEAN][CLEAN]
    for kind, words in (("targets", "AP"), ("sticks", "R2")):
        for name in first[kind]:
            cells = [_cell(results["arms"][arm.name][CLEAN][kind].get(name)) for arm in ARMS]
            share = f"{first['prevalence'][name]:.2f}" if kind == "targets" else ""
            lines.append(f"{name + ' ' + words:<30}{share:>8}" + "".join(f"{cell:>18}" for cell in cells))
    lines.append("")
    for key, words in CLAIMS.items():
        told = f" ({results['verdict']}: at least {-WITHIN:g} was asked)" if key == "masked_minus_clean" and results["verdict"] else ""
        lines.append(f"{words}: {_cell(results[key], '+')}{told}")
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


def _cell(one: Mapping[str, Any] | None, sign: str = "") -> str:
    if one is None:
        return "-"
    return format(one["mean"], f"{sign}.3f") + ("" if one["sd"] is None else f" ± {one['sd']:.3f}")

"""The tables of the study of the IDM: reads its evaluation files and fills results.json, with what is missing by name.

Figures are those of `ghostpad.lab.study.common`. RMSE is shown beside each R², and a perfect forecaster's calibration error beside each
ECE; older evaluations have neither.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ghostpad.base.files import read_json
from ghostpad.base.lines import text_table
from ghostpad.lab.study.common import Evaluations, Json, figure, figure_words, less, missing, read_evaluations, verdict
from ghostpad.lab.study.idm.plan import GAMES, PARTS, RECORDED_MINUTES, VARIANTS, evaluations


@dataclass(frozen=True)
class Row:
    """A line of the table: a game's measure on a test, by its path in the report, the target and whether it is a floor or a ceiling."""

    words: str
    game: str
    test: str
    path: str
    target: float | None = None
    at_least: bool = True
    minus: str | None = None
    """A test whose value is taken off: this line is a loss."""

    @property
    def beside(self) -> tuple[str, str] | None:
        """The measure shown beside it, in words and by path: RMSE beside R², a perfect forecaster's calibration error beside ECE."""
        if self.minus is None and self.path.endswith(".r2"):
            return "RMSE", _rmse(self.path)
        return ("a perfect forecaster", f"{self.path}_floor") if self.path == f"{_FIRE}.ece" else None


_TURN, _FORWARD, _STEER, _FIRE = "idm.sticks.right_x.r2", "idm.sticks.left_y.r2", "idm.sticks.left_x.r2", "idm.buttons.right_trigger"
_KEPT = "risk.buttons.right_trigger"


def _rmse(r2_path: str) -> str:
    return r2_path.removesuffix("r2") + "rmse"


ROWS = (
    Row("Doom, turn stick, R²", "doom", "doom-expert", _TURN, 0.95),
    Row("Doom, forward stick, R²", "doom", "doom-expert", _FORWARD, 0.80),
    Row("Doom, unseen level, turn stick, R²", "doom", "supreme-expert", _TURN, 0.85),
    Row("racing, unseen tracks, steering, R²", "racing", "racing-expert", _STEER, 0.90),
    Row("racing, other colours, steering, R²", "racing", "recoloured-expert", _STEER, 0.80),
    Row("Doom with a trigger, presses found within 50 ms, F1", "defend", "defend-expert", f"{_FIRE}.onset_f1_50ms", 0.80),
    Row("trigger, calibration error (ECE)", "defend", "defend-expert", f"{_FIRE}.ece", 0.02, at_least=False),
    Row("trigger, share of kept presses that is wrong", "defend", "defend-expert", f"{_KEPT}.error_share", 0.02, at_least=False),
    Row("Doom, turn stick, R² lost from crf 23 to crf 32", "doom", "doom-expert", _TURN, 0.05, at_least=False, minus="doom-expert-crf32"),
    Row("trigger, share of true presses kept", "defend", "defend-expert", f"{_KEPT}.kept_share"),
    Row("trigger, ECE on another video of the novice", "defend", "defend-novice", f"{_FIRE}.ece"),
    Row("trigger, share of kept presses that is wrong, novice", "defend", "defend-novice", f"{_KEPT}.error_share"),
    Row("trigger, ECE before calibration", "defend", "defend-expert", "calibration.ece_before.right_trigger"),
    Row("trigger, average precision", "defend", "defend-expert", f"{_FIRE}.ap"),
    Row("trigger, releases found within 50 ms, F1", "defend", "defend-expert", f"{_FIRE}.release_f1_50ms"),
    Row("Doom with a trigger, turn stick, R²", "defend", "defend-expert", _TURN),
    Row("novice, Doom, turn stick, R²", "doom", "doom-novice", _TURN),
    Row("novice, Doom, forward stick, R²", "doom", "doom-novice", _FORWARD),
    Row("novice, Doom with a trigger, presses found within 50 ms, F1", "defend", "defend-novice", f"{_FIRE}.onset_f1_50ms"),
    Row("novice, trigger, average precision", "defend", "defend-novice", f"{_FIRE}.ap"),
)
"""The table, lines with a target first."""

GENERALIST_WITHIN = 0.03
"""How far the generalist may stay behind each specialist (target, set before anything was measured)."""
MINUTES_R2, MINUTES_TARGET = 0.9, 3.0
"""The turn stick's R² to be reached by learning from this many minutes (target, set before anything was measured)."""

_R2 = {"turn": _TURN, "forward": _FORWARD, "steering": _STEER}
_SHARED = {f"{name} R²": path for name, path in _R2.items()} | {"press F1": f"{_FIRE}.onset_f1_50ms", "AP": f"{_FIRE}.ap"}
_SHARED |= {f"{name} RMSE": _rmse(path) for name, path in _R2.items()}
_EVEN_SPREAD = 3**-0.5  # of a stick that could be anywhere, as in `ghostpad.idm.confidence`


def collect(out: Path, seeds: tuple[int, ...], seconds: Mapping[str, float]) -> dict[str, Any]:
    """The content of results.json from the evaluations that are there, with any training seed; `seeds` are those that should be there."""
    reports = read_evaluations(out)
    curve = curve_of(reports)
    wanted = {part: [(arm.name, test, seed) for _, arm, test, seed in evaluations((part,), seeds)] for part in PARTS}
    return {
        "settings": read_json(out / "study.json"),
        "seeds": sorted({seed for by_seed in reports.values() for seed in by_seed}),
        "table": [*(_table_row(reports, row) for row in ROWS), _minutes_row(curve)],
        "generalist": _generalist(reports),
        "curve": curve,
        "ablation": _ablation(reports),
        "pedals": _pedals(reports),
        "missing": {part: names for part in PARTS if (names := missing(reports, wanted[part]))},
        "seconds": dict(seconds),
    }


def look(report: Json, path: str) -> Any:
    """The value at a dotted path, None where anything on the way is not there."""
    value: Any = report
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def by_seed(reports: Evaluations, arm: str, test: str, path: str) -> dict[int, float]:
    """A measure of an arm by training seed, those that have it."""
    values = {seed: look(report, path) for seed, report in sorted(reports.get((arm, test), {}).items())}
    return {seed: float(value) for seed, value in values.items() if value is not None}


def measured(reports: Evaluations, arm: str, test: str, path: str) -> dict[str, Any] | None:
    """The figure of an arm's measure on a test."""
    values = by_seed(reports, arm, test, path)
    first = reports[arm, test][min(values)] if values else {}
    return figure(values, look(first, path.replace("idm.", "intervals.", 1)) if path.startswith("idm.") else None)


def _line(words: str, test: str, target: float | None, at_least: bool, figures: Json) -> dict[str, Any]:
    """A line of the table whose measure has nothing beside it."""
    line: dict[str, Any] = {"words": words, "test": test, "target": target, "at_least": at_least, "figures": figures}
    return line | {"verdict": verdict(figures["window"], target, at_least), "no_threshold": [], "beside": None, "baselines": {}}


def _table_row(reports: Evaluations, row: Row) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for variant in VARIANTS:
        arm = f"{row.game}-{variant}"
        if row.minus is None:
            figures[variant] = measured(reports, arm, row.test, row.path)
        else:
            figures[variant] = figure(less(by_seed(reports, arm, row.test, row.path), by_seed(reports, arm, row.minus, row.path)))
    line, own = _line(row.words, row.test, row.target, row.at_least, figures), f"{row.game}-window"
    if row.path.startswith("risk."):
        line["no_threshold"] = sorted(set(reports.get((own, row.test), {})) - set(by_seed(reports, own, row.test, row.path)))
        if line["verdict"] is None and line["no_threshold"] and row.target is not None:
            line["verdict"] = "no threshold"
    if row.beside:
        line["beside"] = {"words": row.beside[0], "figure": measured(reports, own, row.test, row.beside[1])}
    return line | {"baselines": _baselines(reports.get((own, row.test), {}), row)}


def _baselines(reports: Mapping[int, Json], row: Row) -> dict[str, float | None]:
    """What trivial answers score, which no training seed changes."""
    if not reports or not row.path.startswith("idm.") or row.minus is not None:
        return {}
    report = reports[min(reports)]
    return {name: look(report, row.path.replace("idm.", f"baselines.{name}.", 1)) for name in report["baselines"]}


def curve_of(reports: Evaluations) -> dict[str, Any]:
    """R² and RMSE of both sticks over the minutes learned from, and where the turn stick reaches 0.9, seed by seed.

    Held-out minutes are not learned from; where an evaluation does not say how many they were, all recorded ones count.
    """
    points: list[dict[str, Any]] = []
    turn: dict[int, list[tuple[float, float]]] = {}
    paths = {"turn": _TURN, "forward": _FORWARD, "turn_rmse": _rmse(_TURN), "forward_rmse": _rmse(_FORWARD)}
    for minutes in RECORDED_MINUTES:
        name = f"doom-{minutes:g}min"
        arm = "doom-window" if name == GAMES["doom"][0] else name
        learned = by_seed(reports, arm, "doom-expert", "learned_minutes")
        mean = sum(learned.values()) / len(learned) if learned else minutes
        points.append(
            {"minutes": mean, "recorded": minutes} | {name: measured(reports, arm, "doom-expert", path) for name, path in paths.items()}
        )
        for seed, value in by_seed(reports, arm, "doom-expert", _TURN).items():
            turn.setdefault(seed, []).append((learned.get(seed, minutes), value))
    # A seed counts once it has every point: the crossing could lie in the gap of one that is missing.
    complete = {seed: line for seed, line in turn.items() if len(line) == len(RECORDED_MINUTES)}
    reached = {seed: at for seed, line in complete.items() if (at := crossing(line, MINUTES_R2)) is not None}
    never = sorted(set(complete) - set(reached))
    return {"points": points, "reached": figure(reached), "never": never, "r2": MINUTES_R2, "target_minutes": MINUTES_TARGET}


def crossing(line: Iterable[tuple[float, float]], level: float) -> float | None:
    """Where a line of (x, y) first reaches `level`, linear in log x; its first x if it begins there, None if it never does."""
    before: tuple[float, float] | None = None
    for x, y in line:
        if y >= level:
            if before is None:
                return x
            share = (level - before[1]) / (y - before[1])
            return math.exp(math.log(before[0]) + share * (math.log(x) - math.log(before[0])))
        before = x, y
    return None


def _minutes_row(curve: Json) -> dict[str, Any]:
    words = f"minutes of Doom learned from, needed for turn R² {MINUTES_R2}"
    line = _line(words, "doom-expert", MINUTES_TARGET, False, {"window": curve["reached"]})
    return line | ({"verdict": "missed"} if curve["never"] else {})


def _generalist(reports: Evaluations) -> list[dict[str, Any]]:
    """One IDM for all games beside the specialist of each, on every test and measure that the table has, RMSE below each R²."""
    lines = []
    for row in ROWS:
        if not row.path.startswith("idm.") or row.minus is not None or row.path.endswith((".ece", ".release_f1_50ms")):
            continue
        paths = {row.words: row.path} | ({row.words.replace("R²", row.beside[0]): row.beside[1]} if row.beside else {})
        for words, path in paths.items():
            own = f"{row.game}-window"
            line: dict[str, Any] = {"words": words, "test": row.test, "specialist": measured(reports, own, row.test, path)}
            for arm in PARTS["generalist"]:
                gap = figure(less(by_seed(reports, arm.name, row.test, path), by_seed(reports, own, row.test, path)))
                judged = verdict(gap, -GENERALIST_WITHIN) if path == row.path else None
                line[arm.name] = {"figure": measured(reports, arm.name, row.test, path), "difference": gap, "verdict": judged}
            lines.append(line)
    return lines


def _ablation(reports: Evaluations) -> list[dict[str, Any]]:
    """What each change does to the window IDM of its game, measure by measure."""
    lines = []
    for arm in PARTS["ablation"]:
        for test in arm.tests:
            measures = {}
            for words, path in _SHARED.items():
                own, full = (by_seed(reports, name, test, path) for name in (arm.name, f"{arm.name.partition('-')[0]}-window"))
                if own:
                    same = {seed: full[seed] for seed in own if seed in full}
                    measures[words] = {"figure": figure(own), "full": figure(same), "difference": figure(less(own, full))}
            lines.append({"arm": arm.name, "words": arm.words, "test": test, "measures": measures})
    return lines


def _pedals(reports: Evaluations) -> list[dict[str, Any]]:
    """Steering and pedals of the first seed: how well they are predicted, and the IDM's mean confidence (0...1)."""
    by_seed = reports.get(("pedals-window", "pedals-expert"), {})
    lines = []
    for kind in ("sticks", "buttons") if by_seed else ():
        report = by_seed[min(by_seed)]
        for name, score in report["idm"][kind].items():
            bins = look(report, f"calibration.{kind}.{name}") or []
            sure = [1 - min(1, one["spread"] / _EVEN_SPREAD) if kind == "sticks" else abs(2 * one["p"] - 1) for one in bins]
            confidence = float(np.average(sure, weights=[one["n"] for one in bins])) if bins else None
            lines.append({"slot": name, "confidence": confidence, **{key: score.get(key) for key in _PEDAL_MEASURES}})
    return lines


_PEDAL_MEASURES = ("r2", "rmse", "ap", "prevalence", "onset_f1_50ms", "accuracy", "ece")


def table_text(results: Json) -> str:
    """The table for a terminal: the window IDM beside the target, the other variants behind it."""
    first, *others = VARIANTS
    rows = []
    for row in results["table"]:
        target = "" if row["target"] is None else f"{'≥' if row['at_least'] else '≤'} {row['target']:g}"
        window, *figures = (figure_words(row["figures"].get(variant)) for variant in VARIANTS)
        beside = f"{row['beside']['words']} {figure_words(row['beside']['figure'])}" if row["beside"] else ""
        rows.append((row["words"], target, window, row["verdict"] or "", beside, *figures))
    lines = [text_table(("", "target", first, "", "beside it", *others), rows)]
    if results["missing"]:
        lines.append("not done yet: " + ", ".join(f"{len(names)} evaluations of {part}" for part, names in results["missing"].items()))
    return "\n".join(lines)

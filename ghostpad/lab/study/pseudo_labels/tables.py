"""What the pseudo-label study found: reads its evaluation files and fills results.json: points, targets met or missed, a conclusion.

A figure is {"mean", "sd", "sem", "n", "by_seed", "at"}: the mean over training seeds of mean returns, their spread, the standard error of
that mean (the larger of that over seeds and that over episodes: three seeds can agree by chance), and where it lies between random play
(0) and the expert (1) on the same episodes. Comparisons are made seed by seed. Nothing is dropped: what is not measured yet is named.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ghostpad.base.files import read_json
from ghostpad.base.table import text_table
from ghostpad.games.players import normalized_return
from ghostpad.lab.study.common import Json, mean_sd
from ghostpad.lab.study.pseudo_labels.conclusion import conclusion, figure_words, targets
from ghostpad.lab.study.pseudo_labels.plan import ARMS, DOMAINS, EVALUATION_SEED, PARTS, TUNED, Scale, Unit, units_of

Scores = Mapping[tuple[str, str], Mapping[str, Any]]
"""(name of the unit or player and seed, game): its row of `ghostpad eval policy`."""


def collect(out: Path, scale: Scale, seeds: tuple[int, ...], seconds: Mapping[str, float]) -> dict[str, Any]:
    """The content of results.json from the evaluations that are there, with any training seed; `seeds` are those that should be there."""
    scores = read_scores(out)
    there = sorted({int(name.rpartition("-s")[2]) for name, _ in scores})
    wanted = units_of(PARTS, scale, seeds)
    units = {unit for part in units_of(PARTS, scale, tuple(sorted({*seeds, *there}))).values() for unit in part}
    points = [point for key in sorted({_key(unit) for unit in units}, key=_order) for point in _points(scores, key, there)]
    results: dict[str, Any] = {
        "settings": read_json(out / "study.json"),
        "scale": {"labelled": scale.labelled, "unlabelled": scale.unlabelled, "centre": scale.centre, "most": scale.most}
        | {"steps": scale.steps, "idm_steps": scale.idm_steps, "episodes": scale.episodes, "transfer": scale.transfer},
        "arms": ARMS,
        "domains": {name: domain.words for name, domain in DOMAINS.items()},
        "evaluation_seed": EVALUATION_SEED,
        "seeds": there,
        "players": _players(scores, there),
        "points": points,
        "missing": {part: names for part, names in _missing(out, wanted).items() if names},
        "asked": {part: len(names) for part, names in wanted.items()},
        "seconds": dict(seconds),
    }
    results["targets"] = targets(results)
    results["conclusion"] = conclusion(results)
    return results


def read_scores(out: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Everybody's row in every game, of the evaluations of a study that are there."""
    found = {}
    for path in sorted((out / "eval").glob("*.json")):
        who, _, seed = path.stem.rpartition("-s")
        for game in read_json(path)["games"]:
            for row in game["rows"]:
                found[f"{row['player'] if who == 'players' else who}-s{seed}", game["game"]] = row
    return found


_Key = tuple[str, str, float, float]
"""domain, arm, labelled and unlabelled minutes."""


def _key(unit: Unit) -> _Key:
    return unit.domain, unit.arm, unit.labelled, unit.unlabelled


def _order(key: _Key) -> tuple[int, int, float, float]:
    return list(DOMAINS).index(key[0]), [*ARMS, TUNED].index(key[1]), key[2], key[3]


def _points(scores: Scores, key: _Key, seeds: Iterable[int]) -> list[dict[str, Any]]:
    """The figures of a kind of unit in each game it plays, where any seed has one."""
    domain, arm, labelled, unlabelled = key
    points = []
    for game in DOMAINS[domain].tests:
        rows = {seed: row for seed in seeds if (row := scores.get((Unit(*key, seed).name, game))) is not None}
        if rows:
            facts = {"domain": domain, "arm": arm, "labelled": labelled, "unlabelled": unlabelled, "game": game}
            points.append(facts | {"figure": figure(rows, _scale(scores, game))})
    return points


def _scale(scores: Scores, game: str) -> dict[int, tuple[float, float]]:
    """By seed, the mean returns of random play and the expert on the episodes of that seed."""
    found: dict[str, dict[int, float]] = {"random": {}, "expert": {}}
    for (name, played), row in scores.items():
        player, _, seed = name.rpartition("-s")
        if played == game and player in found:
            found[player][int(seed)] = row["mean"]
    return {seed: (low, found["expert"][seed]) for seed, low in found["random"].items() if seed in found["expert"]}


def figure(rows: Mapping[int, Json], scale: Mapping[int, tuple[float, float]]) -> dict[str, Any]:
    """The figure of rows by training seed."""
    by_seed = {seed: float(row["mean"]) for seed, row in rows.items()}
    mean, sd = mean_sd(list(by_seed.values()))
    episodes = math.sqrt(math.fsum((row["sem"] or 0.0) ** 2 for row in rows.values())) / len(rows)
    sem = max(episodes, 0.0 if sd is None else sd / math.sqrt(len(rows)))
    places = {seed: at for seed, value in by_seed.items() if seed in scale and (at := normalized_return(value, *scale[seed])) is not None}
    at, at_sd = mean_sd(list(places.values())) if len(places) == len(by_seed) else (None, None)
    return {
        "mean": mean,
        "sd": sd,
        "sem": sem,
        "sem_by_seed": {str(seed): row["sem"] or 0.0 for seed, row in rows.items()},
        "n": sum(row["n"] for row in rows.values()),
        "by_seed": {str(seed): value for seed, value in by_seed.items()},
        "at": at,
        "at_sd": at_sd,
        "at_by_seed": {str(seed): value for seed, value in places.items()},
    }


def _players(scores: Scores, seeds: Iterable[int]) -> dict[str, dict[str, Any]]:
    """game: {player: figure}."""
    found: dict[str, dict[str, Any]] = {}
    for game in sorted({game for _, game in scores}):
        for player in ("random", "novice", "expert"):
            if rows := {seed: scores[f"{player}-s{seed}", game] for seed in seeds if (f"{player}-s{seed}", game) in scores}:
                found.setdefault(game, {})[player] = figure(rows, _scale(scores, game))
    return found


def _missing(out: Path, wanted: Mapping[str, list[Unit]]) -> dict[str, list[str]]:
    return {part: [unit.name for unit in units if not (out / "eval" / f"{unit.name}.json").exists()] for part, units in wanted.items()}


def table_text(results: Json) -> str:
    """Lines for a terminal: every point, targets, and how much is missing."""
    rows = []
    for point in results["points"]:
        one = point["figure"]
        sem, at = ("-" if one[key] is None else format(one[key], spec) for key, spec in (("sem", ".1f"), ("at", ".2f")))
        minutes = [f"{point[kind]:g}" for kind in ("labelled", "unlabelled")]
        rows.append([point["domain"], point["arm"], point["game"], *minutes, f"{one['mean']:.1f}", sem, str(len(one["by_seed"])), at])
    lines = [text_table(("agents of", "arm", "plays", "recorded", "unlabelled", "mean return", "± s.e.", "seeds", "0...1"), rows, left=3)]
    for game, players in results["players"].items():
        lines.append(f"{game}: " + ", ".join(f"{player} {figure_words(one)}" for player, one in players.items()))
    for one in results["targets"]:
        value = f"{one['mean']:+.1f} ± {one['sem']:.1f}" if "mean" in one else _ratio_text(one)
        lines.append(f"{one['game']}: {one['words']}: {value}, target {one['target']}: {one['verdict']}")
    lines += [f"not done yet: {len(names)} of {results['asked'][part]} units of {part}" for part, names in results["missing"].items()]
    return "\n".join(lines)


def _ratio_text(target: Json) -> str:
    """The number that the verdict goes by."""
    if target["raw"] is not None:
        return f"{target['raw']:.2f}"
    return "-" if target["scaled"] is None else f"{target['scaled']:.2f} (of the way from random to expert)"

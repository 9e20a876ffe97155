"""The tables of the pseudo-label study: reads its evaluation files and fills results.json: points, targets met or missed, a conclusion.

A figure is {"mean", "sd", "sem", "n", "by_seed", "at"}: the mean over training seeds of mean returns, their spread, the standard error of
that mean (the larger of that over seeds and that over episodes: three seeds can agree by chance), and its place between random play
(0) and the expert (1) on the same episodes. Comparisons are made seed by seed. What is not measured yet is named.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ghostpad.base.files import read_json
from ghostpad.base.lines import text_table
from ghostpad.cli.quality import number
from ghostpad.games.players import normalized_return
from ghostpad.lab.study.common import Json, mean_sd
from ghostpad.lab.study.pseudo_labels.conclusion import conclusion, figure_words, targets
from ghostpad.lab.study.pseudo_labels.plan import ARMS, DOMAINS, EVALUATION_SEED, PARTS, TUNED, Scale, Unit, units_of

Scores = Mapping[tuple[str, str], Mapping[str, Any]]
"""(name of the unit or player with its seed, game): its row of `ghostpad eval policy`."""


def collect(out: Path, scale: Scale, seeds: tuple[int, ...], seconds: Mapping[str, float]) -> dict[str, Any]:
    """The content of results.json from the evaluations that are there, with any training seed; `seeds` are those that should be there."""
    scores = read_scores(out)
    there = sorted({int(name.rpartition("-s")[2]) for name, _ in scores})
    wanted = {part: [unit.name for unit in units] for part, units in units_of(PARTS, scale, seeds).items()}
    missing = {part: [name for name in names if not (out / "eval" / f"{name}.json").exists()] for part, names in wanted.items()}
    kinds = {unit for part in units_of(PARTS, scale, (0,)).values() for unit in part}  # with whatever seed
    results: dict[str, Any] = {
        "settings": read_json(out / "study.json"),
        "scale": {"recorded": scale.recorded, "unlabelled": scale.unlabelled, "centre": scale.centre, "most": scale.most}
        | {"steps": scale.steps, "idm_steps": scale.idm_steps, "episodes": scale.episodes, "transfer": scale.transfer},
        "arms": ARMS,
        "domains": {name: domain.words for name, domain in DOMAINS.items()},
        "evaluation_seed": EVALUATION_SEED,
        "seeds": there,
        "players": _players(scores),
        "points": [point for unit in sorted(kinds, key=_order) for point in _points(scores, unit, there)],
        "missing": {part: names for part, names in missing.items() if names},
        "asked": {part: len(names) for part, names in wanted.items()},
        "seconds": dict(seconds),
    }
    results["targets"] = targets(results)
    results["conclusion"] = conclusion(results)
    return results


def read_scores(out: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Every agent's and player's row in every game, of the evaluations of a study that are there."""
    scores = {}
    for path in sorted((out / "eval").glob("*.json")):
        who, _, seed = path.stem.rpartition("-s")
        for game in read_json(path)["games"]:
            for row in game["rows"]:
                scores[f"{row['player'] if who == 'players' else who}-s{seed}", game["game"]] = row
    return scores


def _order(unit: Unit) -> tuple[int, int, float, float]:
    return list(DOMAINS).index(unit.domain), [*ARMS, TUNED].index(unit.arm), unit.recorded, unit.unlabelled


def _points(scores: Scores, unit: Unit, seeds: Iterable[int]) -> Iterator[dict[str, Any]]:
    """The figures of a unit over `seeds` in each game it plays, where any of them has one."""
    facts = {name: value for name, value in asdict(unit).items() if name != "seed"}
    for game in DOMAINS[unit.domain].tests:
        if rows := {seed: row for seed in seeds if (row := scores.get((replace(unit, seed=seed).name, game))) is not None}:
            yield facts | {"game": game, "figure": figure(rows, _scale(scores, game))}


def _scale(scores: Scores, game: str) -> dict[int, tuple[float, float]]:
    """By seed, the mean returns of random play and the expert on the episodes of that seed."""
    low, high = (_by_seed(scores, player, game) for player in ("random", "expert"))
    return {seed: (low[seed]["mean"], high[seed]["mean"]) for seed in low if seed in high}


def _by_seed(scores: Scores, player: str, game: str) -> dict[int, Json]:
    """The rows of a scripted player in a game."""
    named = [(*name.rpartition("-s"), row) for (name, played), row in scores.items() if played == game]
    return {int(seed): row for who, _, seed, row in named if who == player}


def figure(rows: Mapping[int, Json], scale: Mapping[int, tuple[float, float]]) -> dict[str, Any]:
    """The figure of rows by training seed."""
    by_seed = {seed: float(row["mean"]) for seed, row in rows.items()}
    mean, sd = mean_sd(by_seed.values())
    episodes = math.sqrt(math.fsum((row["sem"] or 0.0) ** 2 for row in rows.values())) / len(rows)
    sem = max(episodes, 0.0 if sd is None else sd / math.sqrt(len(rows)))
    places = {seed: at for seed, value in by_seed.items() if seed in scale and (at := normalized_return(value, *scale[seed])) is not None}
    at, at_sd = mean_sd(places.values()) if len(places) == len(by_seed) else (None, None)
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


def _players(scores: Scores) -> dict[str, dict[str, Any]]:
    """game: {player: figure}."""
    players: dict[str, dict[str, Any]] = {}
    for game in sorted({game for _, game in scores}):
        for player in ("random", "novice", "expert"):
            if rows := _by_seed(scores, player, game):
                players.setdefault(game, {})[player] = figure(rows, _scale(scores, game))
    return players


def table_text(results: Json) -> str:
    """Lines for a terminal: every point, targets, and how much is missing."""
    rows = []
    for point in results["points"]:
        one = point["figure"]
        minutes = [f"{point[kind]:g}" for kind in ("recorded", "unlabelled")]
        figures = [f"{one['mean']:.1f}", f"{one['sem']:.1f}", str(len(one["by_seed"])), number(one["at"], ".2f")]
        rows.append([point["domain"], point["arm"], point["game"], *minutes, *figures])
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
    by_scale = target["raw"] is None and target["scaled"] is not None
    return f"{target['scaled']:.2f} (of the way from random to expert)" if by_scale else number(target["raw"], ".2f")

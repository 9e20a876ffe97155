"""The page of an agent's evaluation: returns beside scripted players, a clip of a median episode, and offline measures.

Reads the content of what `ghostpad eval policy` writes; writes one self-contained HTML file. Half a second a game and clip.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from ghostpad.games.players import normalized_return
from ghostpad.games.spec import game_spec
from ghostpad.view.page import TEMPLATES, clip_inside, number, write_page
from ghostpad.view.plots import BLUE, GREY, INK, PLAYERS, readable, svg

Json = Mapping[str, Any]
"""A JSON object."""


def write_policy_page(report: Json, page: str | os.PathLike[str]) -> Path:
    """Write the page of a report of `ghostpad eval policy`; returns its path."""
    return write_page(
        TEMPLATES / "policy.html.jinja",
        page,
        title=f"{report['arm'] or 'scripted players'} at play",
        headline=headline(report),
        games=[_game(game) for game in report["games"]],
        offline=[_offline(one) for one in report["offline"] or ()],
        seeds=report["seeds"],
        run=report["run"],
    )


def headline(report: Json) -> str:
    """The agent's mean return in each game, and its place between random play and the expert."""
    sentences = []
    for game in report["games"]:
        rows = {row["arm"]: row for row in game["rows"]}
        if report["arm"] not in rows or not report["run"]:
            continue
        row = rows[report["arm"]]
        at = _at(row, game["rows"])
        place = "" if at is None else f", {at:.0%} of the way from random play to the expert"
        sentences.append(f"{game_spec(game['game']).title}: {returns(row)}{place}.")
    return " ".join(sentences) or "Scripted players alone."


def returns(row: Json) -> str:
    """A mean return with its standard error over episodes: `1,843 ± 90`."""
    return number(row["mean"], 1) + ("" if row["sem"] is None else f" ± {number(row['sem'], 1)}")


def _at(row: Json, rows: Sequence[Json]) -> float | None:
    scale = {one["player"]: one["mean"] for one in rows}
    return normalized_return(row["mean"], scale["random"], scale["expert"]) if {"random", "expert"} <= set(scale) else None


def _game(game: Json) -> dict[str, Any]:
    clip = game.get("clip")
    return {
        "title": game_spec(game["game"]).title,
        "rows": [{**row, "words": returns(row), "at": _at(row, game["rows"])} for row in game["rows"]],
        "plot": Markup(returns_plot(game["rows"])),
        "clip": clip_inside(Path(clip["path"])) if clip and Path(clip["path"]).exists() else None,
        "shown": clip,
    }


def _offline(one: Json) -> dict[str, Any]:
    """A game's offline measures as lines of a table: slot, chunk errors, measures of the played rows beside those of copying."""
    lines = []
    for kind, measures in (("sticks", ("r2", "rmse")), ("buttons", ("ap", "prevalence", "onset_f1_50ms"))):
        for name, score in one["rows"][kind].items():
            errors = [one["chunk_error"]["slots"].get(name), *(base["slots"].get(name) for base in one["baselines"].values())]
            copied = one["rows_baselines"]["copy_previous"][kind].get(name) or {}
            values = [(measure, score[measure], copied.get(measure)) for measure in measures]
            lines.append({"slot": readable(name), "errors": errors, "values": values})
    return {"title": game_spec(one["game"]).title if one["game"] else "footage", "videos": one["videos"], "minutes": one["minutes"]} | {
        "lines": lines, "mean": [one["chunk_error"]["mean"], *(base["mean"] for base in one["baselines"].values())]
    }  # fmt: skip


def returns_plot(rows: Sequence[Json]) -> str:
    """Every episode's return as a dot, the mean as a bar across them, one line for each who plays."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for place, row in enumerate(reversed(rows)):
            colour = GREY if row["arm"] in PLAYERS else BLUE
            spread = np.random.default_rng(0).uniform(-0.22, 0.22, len(row["returns"]))
            axes.plot(row["returns"], place + spread, "o", ms=4, color=colour, alpha=0.45, mec="none")
            axes.plot([row["mean"]] * 2, [place - 0.36, place + 0.36], color=INK, lw=2)
        axes.set_yticks(range(len(rows)), [row["arm"] for row in reversed(rows)])
        axes.set(xlabel="return of an episode; the bar is the mean", ylim=(-0.6, len(rows) - 0.4))
        axes.grid(axis="x", visible=True)

    return svg(draw, 0.8 + 0.42 * len(rows))

"""The page of the pseudo-label study: targets met or missed, curves over recorded and unlabelled minutes, comparisons, the conclusion.

Writes one self-contained HTML file, readable on a phone, in light and dark. Shows what is measured and names what is missing. About a
second.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ghostpad.games.spec import game_spec
from ghostpad.lab.study.common import Json, render_page
from ghostpad.lab.study.pseudo_labels.conclusion import JUDGED, find
from ghostpad.view.page import number
from ghostpad.view.plots import AMBER, BLUE, GREEN, GREY, INK, svg

_COLOURS = {"truth": "#8f9aad", "pseudo": BLUE, "shuffled": "#e06c75", "unfiltered": GREEN, "oracle": AMBER}
_MARKS = {"truth": "s", "pseudo": "o", "shuffled": "X", "unfiltered": "D", "oracle": "^"}


def write_page(results: Json, page: str | os.PathLike[str]) -> Path:
    """Write the page of the `results` of `ghostpad.lab.study.pseudo_labels.tables.collect`; returns its path."""
    return render_page(
        Path(__file__),
        page,
        title="what an IDM's pseudo-labels are worth",
        results=results,
        scale=results["scale"],
        curves=list(_curves(results)),
        beside={domain: beside(results, domain) for domain in ("all", "supreme")},
        points=[
            point | {"title": game_spec(point["game"]).title, "of": results["domains"][point["domain"]]} for point in results["points"]
        ],
        players=[(game_spec(game).title, player, one) for game, all in results["players"].items() for player, one in all.items()],
        titles={game: game_spec(game).title for _, game in JUDGED},
        done=sum(results["asked"].values()) - sum(len(names) for names in results["missing"].values()),
        asked=sum(results["asked"].values()),
        figure=figure_words,
    )


def figure_words(one: Json | None) -> str:
    """A mean return with its standard error: `1,843 ± 29`."""
    return "–" if one is None else f"{number(one['mean'], 1)} ± {number(one['sem'], 1)}"


def beside(results: Json, domain: str) -> list[dict[str, Any]]:
    """The agents of a domain beside the specialist of each game they play with the same recorded minutes: lines of a table."""
    lines = []
    for point in results["points"]:
        if point["domain"] == domain:
            owner = "racing" if point["game"].startswith("racing") else "doom"
            arm = "pseudo" if point["arm"] == "tuned" else point["arm"]
            specialist = find(results, owner, arm, point["recorded"], results["scale"]["most"], point["game"])
            lines.append({**point, "title": game_spec(point["game"]).title, "specialist": specialist})
    return lines


def _curves(results: Json) -> Iterator[dict[str, Any]]:
    """The plots of each game that has points for them."""
    scale = results["scale"]
    for domain, game in JUDGED:
        own = [point for point in results["points"] if (point["domain"], point["game"]) == (domain, game)]
        footage = [point for point in own if point["recorded"] == scale["centre"]]
        labels = [point for point in own if point["unlabelled"] in (0, scale["most"])]
        between = [point for point in own if point["recorded"] != scale["centre"] and 0 < point["unlabelled"] < scale["most"]]
        several, players = len({point["recorded"] for point in labels}) > 1, results["players"].get(game, {})
        if own:
            yield {
                "title": game_spec(game).title,
                "footage": Markup(curve_plot(footage, "unlabelled", players, scale["unlabelled"])),
                "labels": Markup(curve_plot(labels, "recorded", players, scale["recorded"])) if several else None,
                "pairs": Markup(pairs_plot(own, players, scale["unlabelled"])) if between else None,
            }


def curve_plot(points: Sequence[Json], along: str, players: Json, ticks: Sequence[float]) -> str:
    """Mean returns of every arm along "unlabelled" or "recorded" minutes with standard errors, a dot a training seed, players dashed.

    Along unlabelled minutes each arm's line begins at recorded pads alone; along recorded ones the axis is logarithmic.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        start = next((point for point in points if point["arm"] == "truth" and along == "unlabelled"), None)
        for arm, colour in _COLOURS.items():
            line = sorted((point for point in points if point["arm"] == arm), key=lambda point: float(point[along]))
            if line:
                whole = [start, *line] if start is not None and arm != "truth" else line
                axes.plot([one[along] for one in whole], [one["figure"]["mean"] for one in whole], "-", color=colour, lw=1.6, alpha=0.75)
                _dots(axes, line, along, arm, colour)
        if along == "recorded":
            axes.set_xscale("log")
        other = "recorded" if along == "unlabelled" else "unlabelled"
        fixed = " or ".join(f"{minutes:g}" for minutes in sorted({point[other] for point in points if point["arm"] != "truth"}))
        axes.set(xlabel=f"{along} minutes ({fixed or 'no'} {other})", ylabel="mean return")
        _finish(figure, axes, players, ticks)

    return svg(draw, 3.4)


def pairs_plot(points: Sequence[Json], players: Json, ticks: Sequence[float]) -> str:
    """Mean returns of recorded pads + pseudo-labels along unlabelled minutes, a line for each number of recorded ones, darker with more."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        amounts = sorted({point["recorded"] for point in points})
        for place, recorded in enumerate(amounts):
            own = [point for point in points if point["recorded"] == recorded and point["arm"] in ("truth", "pseudo")]
            line = sorted(own, key=lambda point: float(point["unlabelled"]))
            strength = (place + 1) / len(amounts)
            axes.errorbar(
                [one["unlabelled"] for one in line],
                [one["figure"]["mean"] for one in line],
                [one["figure"]["sem"] or 0.0 for one in line],
                fmt="o-", ms=5, color=BLUE, alpha=0.15 + 0.85 * strength, lw=0.8 + 1.2 * strength, capsize=3,
                label=f"{recorded:g} recorded",
            )  # fmt: skip
        _finish(figure, axes, players, ticks)
        axes.set(xlabel="unlabelled minutes", ylabel="mean return")

    return svg(draw, 3.4)


def _finish(figure: Figure, axes: Axes, players: Json, ticks: Sequence[float]) -> None:
    """Scripted players as dashed lines, ticks at the minutes that were trained, and a legend above."""
    for player, one in players.items():
        axes.axhline(one["mean"], color=GREY, ls=(0, (4, 3)), lw=1.1, zorder=0)
        axes.annotate(player, (1.0, one["mean"]), (3, -3), xycoords=("axes fraction", "data"), textcoords="offset points", color=GREY)
    axes.set_xticks(list(ticks), [f"{one:g}" for one in ticks])
    axes.set_xticks([], minor=True)
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=5, frameon=False, labelcolor=INK, fontsize=9, columnspacing=1.4)


def _dots(axes: Axes, line: Sequence[Json], along: str, arm: str, colour: str) -> None:
    """Means with their errors, and each training seed small beside them."""
    x, means = [one[along] for one in line], [one["figure"]["mean"] for one in line]
    errors = [one["figure"]["sem"] or 0.0 for one in line]
    axes.errorbar(x, means, errors, fmt=_MARKS[arm], ms=6, color=colour, capsize=3, lw=1.3, label=arm, zorder=3)
    for at, one in zip(x, line, strict=True):
        values = list(one["figure"]["by_seed"].values())
        if len(values) > 1:
            axes.plot([at] * len(values), values, ".", ms=4, color=colour, alpha=0.6)

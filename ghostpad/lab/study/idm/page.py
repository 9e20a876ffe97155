"""The page of the study of the IDM: targets met and missed, recorded minutes needed, one IDM for all games, ablations.

Writes one self-contained HTML file, readable on a phone, in light and dark. Shows what is measured and names what is missing. About a
second.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from ghostpad.lab.study.common import Json, difference_words, figure_words, render_page
from ghostpad.view.page import number
from ghostpad.view.plots import AMBER, BLUE, GREY, INK, readable, svg


def write_page(results: Json, page: str | os.PathLike[str]) -> Path:
    """Write the page of the `results` of `ghostpad.lab.study.idm.tables.collect`; returns its path."""
    generalists = [name for name in (results["generalist"][0] if results["generalist"] else {}) if name.startswith("all-")]
    curve = results["curve"]
    content = dict(results) | {
        "headline": headline(results),
        "targets": [row for row in results["table"] if row["target"] is not None],
        "more": [row for row in results["table"] if row["target"] is None and any(row["figures"].values())],
        "curve_plot": Markup(curve_plot(curve)) if any(point["turn"] for point in curve["points"]) else None,
        "generalists": generalists,
        "generalist": [row for row in results["generalist"] if any(row[name]["figure"] for name in generalists)],
        "ablation": ablation_groups(results["ablation"]),
        "missing_parts": results["missing"],
    }
    words = {"figure": figure_words, "difference": difference_words, "spread": spread_words, "readable": readable}
    return render_page(Path(__file__), page, title="study of the IDM", **content, **words)


def headline(results: Json) -> str:
    """How many targets are met, and which are not, in up to three sentences, of what is measured."""
    rows = [row for row in results["table"] if row["target"] is not None]
    verdicts = [row["verdict"] for row in rows if row["verdict"] is not None]
    if not verdicts:
        return "Nothing is measured yet."
    missed = [f"{row['words']} ({_number(row)})" for row in rows if row["verdict"] == "missed"]
    missed += [f"{row['words']} (no threshold keeps it)" for row in rows if row["verdict"] == "no threshold"]
    unmeasured = f" {len(rows) - len(verdicts)} more are not measured yet." if len(verdicts) < len(rows) else ""
    met = f"{verdicts.count('met')} of {len(verdicts)} targets are met."
    return f"{met}{' Not: ' + '; '.join(missed) + '.' if missed else ''}{unmeasured}"


def _number(row: Json) -> str:
    window = row["figures"]["window"]
    return f"{number(window['mean']) if window else 'never'} for {'≥' if row['at_least'] else '≤'} {row['target']:g}"


def spread_words(one: Json | None) -> str:
    """The interval over videos: `0.94 to 0.96`."""
    span = (one or {}).get("interval")
    return f"{number(span[0], 2)} to {number(span[1], 2)}" if span else ""


def ablation_groups(lines: Sequence[Json]) -> list[dict[str, Any]]:
    """The lines that are measured, by test, with the names of the measures that any of them has."""
    groups: dict[str, list[Json]] = {}
    for line in lines:
        if line["measures"]:
            groups.setdefault(line["test"], []).append(line)
    names = {test: list(dict.fromkeys(name for row in rows for name in row["measures"])) for test, rows in groups.items()}
    return [{"test": test, "lines": rows, "names": names[test]} for test, rows in groups.items()]


def curve_plot(curve: Json) -> str:
    """R² of both sticks over the minutes learned from on a log axis: lines through the means, a dot a training seed, the target dashed."""
    points = curve["points"]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        lowest = 0.0
        for name, colour in (("turn", BLUE), ("forward", AMBER)):
            there = [point for point in points if point[name] is not None]
            means = [point[name]["mean"] for point in there]
            axes.plot([point["minutes"] for point in there], means, "-", color=colour, lw=2, label=f"{name} stick")
            for point in there:
                values = list(point[name]["by_seed"].values())
                axes.plot([point["minutes"]] * len(values), values, "o", ms=5, color=colour, mec="white", mew=0.8)
                lowest = min(lowest, *values)
        axes.axhline(curve["r2"], color=GREY, ls=(0, (4, 3)), lw=1.2, zorder=0)
        axes.axvline(curve["target_minutes"], color=GREY, ls=(0, (4, 3)), lw=1.2, zorder=0)
        axes.set_xscale("log")
        minutes = [point["minutes"] for point in points]
        axes.set_xticks(minutes, [f"{one:.3g}" for one in minutes])
        axes.set_xticks([], minor=True)
        axes.set(
            xlabel="minutes of Doom learned from, without those held out",
            ylabel="R² on the expert's video",
            ylim=(max(-1.0, lowest - 0.05), 1.02),
        )
        axes.legend(frameon=False, labelcolor=INK, loc="lower right")

    return svg(draw, 3.2)

"""The plots of pages as SVG text, in colours that are readable on a light and a dark background.

Pure: numbers in, text out; None (undefined) is left out of a plot. Drawn on `Figure` objects, so pyplot and its global figures are
never touched. About 0.1 s a plot (measured).
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from ghostpad.base.pad import BUTTONS, PRESSED, READABLE, STICKS, is_stick, slot
from ghostpad.measure.match import Matched
from ghostpad.view.pad import PREDICTED, TRUTH

BLUE, AMBER = (f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in (PREDICTED, TRUTH))
"""Predictions and agents, and the truth, as in the clips."""
GREY = "#8792a6"
"""Baselines and references."""
GREEN = "#3fae7a"
"""What was kept."""

INK = "#010203"
"""Stands for the page's own text colour, which `svg` puts in its place."""
_BASELINES = {"always_released": "#b9c1cf", "copy_previous": "#8f9aad", "prior": "#66718a"}
_LINES = (BLUE, AMBER, GREEN, "#c678dd", "#e06c75", "#56b6c2")
_WIDTH_IN, _TRACE_SLOTS = 6.4, 6

STRETCH_S = 10.0
"""Length of the stretch of a video that plots and clips of an IDM show, seconds."""

_CALIBRATION_PANELS = (
    ("sticks", "spread", "rmse", "predicted spread", "actual error (rms)"),
    ("buttons", "p", "frequency", "predicted probability", "how often pressed"),
)

ARM_WORDS: Mapping[str, str] = {
    "recorded": "few true\npads",
    "pseudo": "+ pseudo-\nlabels",
    "shuffled": "+ shuffled\nlabels",
    "oracle": "all true\npads",
}
"""What the known arms of a comparison learned from."""
PLAYERS: tuple[str, ...] = ("random", "novice", "expert")
"""Scripted players, drawn as lines."""

ArmResult = Mapping[str, Any]
"""One arm of results.json: mean, sem, by_seed."""


def arms_plot(arms: Mapping[str, ArmResult]) -> str:
    """Mean return of every arm with its standard error, a dot per training seed, scripted players as lines."""
    return svg(lambda figure: draw_arms(figure.subplots(), arms, INK), 3.6)


def draw_arms(axes: Axes, arms: Mapping[str, ArmResult], ink: str) -> None:
    """Draw `arms_plot` on `axes`, text in the colour `ink`."""
    names = ordered_arms(arms)
    for x, name in enumerate(names):
        arm = arms[name]
        colour = {"pseudo": BLUE, "oracle": AMBER}.get(name, GREY)
        axes.bar(x, arm["mean"], 0.62, color=colour, yerr=arm.get("sem"), error_kw={"ecolor": ink, "capsize": 4, "lw": 1.4})
        seeds = list((arm.get("by_seed") or {}).values())
        if len(seeds) > 1:
            spots = x + np.linspace(-0.14, 0.14, len(seeds))
            axes.plot(spots, seeds, "o", ms=5, mfc="white", mec=ink, mew=1, ls="none", zorder=3)
        top = max([arm["mean"] + (arm.get("sem") or 0), *seeds])
        axes.annotate(f"{arm['mean']:,.0f}", (x, top), (0, 5), textcoords="offset points", ha="center", color=ink, weight="bold")
    right = len(names) - 0.45
    for player in (player for player in PLAYERS if player in arms):
        mean = arms[player]["mean"]
        axes.axhline(mean, color=GREY, ls=(0, (4, 3)), lw=1.2, zorder=0)
        axes.annotate(f"{player} {mean:,.0f}", (right, mean), (2, 3), textcoords="offset points", color=GREY)
    axes.set_xlim(-0.6, right + 0.9)
    axes.set_xticks(range(len(names)), [ARM_WORDS.get(name, name) for name in names])
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel("mean return")
    axes.margins(y=0.12)


def ordered_arms(arms: Mapping[str, Any]) -> list[str]:
    """The learned arms, those with the least information first and unknown ones last; without scripted players."""
    order = ["recorded", "shuffled", "pseudo", "oracle"]
    known = [name for name in order if name in arms]
    return known + sorted(name for name in arms if name not in order and name not in PLAYERS)


def quality_plot(score: Mapping[str, Any], baselines: Mapping[str, Any]) -> str:
    """R² of every stick and average precision of every button, the IDM's beside the trivial baselines'."""
    names = [name for name in (*score["sticks"], *score["buttons"]) if _quality(score, name) is not None]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        sources = {"IDM": score} | dict(baselines)
        width = 0.8 / len(sources)
        for place, (label, source) in enumerate(sources.items()):
            values = [_quality(source, name) for name in names]
            x = np.arange(len(names)) + (place - (len(sources) - 1) / 2) * width
            heights = [0.0 if value is None else max(value, -0.15) for value in values]
            bars = axes.bar(x, heights, width * 0.92, color=BLUE if label == "IDM" else _BASELINES.get(label, GREY), label=words(label))
            if len(names) * len(sources) <= 12:  # more do not fit on a phone, where the page enlarges them
                text = ["–" if value is None else f"{value:.2f}" for value in values]
                axes.bar_label(bars, text, fontsize=8, color=INK, padding=2)
        low = min((value for source in sources.values() for value in (_quality(source, name) for name in names) if value), default=0.0)
        axes.set_ylim(-0.2 if low < 0 else 0, 1.14)
        axes.axhline(0, color=INK, lw=0.8)
        axes.set_xticks(range(len(names)), [f"{words(name)}\n{'R²' if name in STICKS else 'AP'}" for name in names])
        axes.tick_params(axis="x", length=0, labelrotation=0 if len(names) <= 8 else 60)
        _legend(figure, axes, len(sources))

    return svg(draw, 3.3)


def calibration_plot(calibration: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> str:
    """Predicted certainty against the outcome: stick spread and error, button probability and frequency.

    With `before`, the same before calibration, as faint dotted lines.
    """
    panels = [panel for panel in _CALIBRATION_PANELS if calibration.get(panel[0])]

    def draw(figure: Figure) -> None:
        for axes, (kind, across, up, across_words, up_words) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            groups, high = calibration[kind], 0.02
            for place, (name, bins) in enumerate(groups.items()):
                colour = _LINES[place % len(_LINES)]
                raw = ((before or {}).get(kind) or {}).get(name) or []
                for one_bins, style, label in ((raw, ".:", None), (bins, "o-", words(name))):
                    points = [(one[across], one[up]) for one in one_bins if one[across] is not None and one[up] is not None]
                    if points:
                        axes.plot(*zip(*points, strict=True), style, ms=4, lw=1.6, color=colour, label=label, alpha=1 if label else 0.6)
                        high = max(high, *map(max, points))
            axes.plot([0, high], [0, high], color=GREY, ls=(0, (4, 3)), lw=1.2, zorder=0)
            axes.set(xlabel=across_words, ylabel=up_words)
            axes.legend(frameon=False, labelcolor=INK, fontsize=9, ncols=1 if len(groups) < 6 else 2)

    return svg(draw, 3.2) if panels else ""


def risk_coverage_plot(curve: Sequence[Mapping[str, float]]) -> str:
    """Mean error of the most confident share of the rows, over that share."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([one["coverage"] for one in curve], [one["error"] for one in curve], "o-", color=BLUE, ms=4, lw=2)
        axes.set(xlabel="share of rows kept, most confident first", ylabel="mean error", xlim=(0, 1.02))
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))

    return svg(draw, 2.7)


def losses_plot(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """The losses of every run over its steps: on held-out windows as a line, on learned ones dotted."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for place, (name, losses) in enumerate(runs.items()):
            colour, steps = _LINES[place % len(_LINES)], [one["step"] for one in losses]
            axes.plot(steps, [one["held_out"] for one in losses], "o-", color=colour, ms=4, lw=2, label=name)
            axes.plot(steps, [one["learned"] for one in losses], ":", color=colour, lw=2)
        axes.set(xlabel="training step", ylabel="loss")
        axes.set_ylim(bottom=0)
        _legend(figure, axes, len(runs))

    return svg(draw, 2.7)


def funnel_plot(minutes: Mapping[str, float]) -> str:
    """Minutes of footage, more than 0, that a filter kept and dropped, by reason ("kept" first), as one bar."""
    total = sum(minutes.values())

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        start = 0.0
        for place, (name, part) in enumerate(minutes.items()):
            colour = GREEN if name == "kept" else ("#e0806c", "#d9a15b", "#b07aa1", GREY)[(place - 1) % 4]
            axes.barh(0, part, left=start, color=colour, label=f"{name} {part / total:.0%}")
            start += part
        axes.set(xlabel="minutes of footage", xlim=(0, total), yticks=[])
        axes.spines["left"].set_visible(False)
        _legend(figure, axes, 4)

    return svg(draw, 1.5)


def known_slots(rows: Matched) -> list[str]:
    """The slots that both tables know in some row, sticks first."""
    return [name for name in (*STICKS, *BUTTONS) if rows.known[:, slot(name)].any()]


def stretch_start_s(rows: Matched) -> float:
    """Where the ten seconds of a video that pages show begin: a quarter into it, never chosen by how well it went."""
    return max(0.0, min(float(rows.clock_s[-1]) / 4, float(rows.clock_s[-1]) - STRETCH_S))


def stretch_plot(rows: Matched) -> Markup | None:
    """`trace_plot` of ten seconds of a video: sticks, and the buttons pressed in them, six in all; None where there are none."""
    part = (rows.clock_s >= stretch_start_s(rows)) & (rows.clock_s < stretch_start_s(rows) + STRETCH_S)
    truth, predicted = (np.where(rows.known, pads, np.nan).astype(np.float32)[part] for pads in (rows.truth, rows.predicted))
    pressed = np.any(np.fmax(truth, predicted) >= PRESSED, axis=0)
    shown = [name for name in known_slots(rows) if is_stick(name) or pressed[slot(name)]][:_TRACE_SLOTS]
    return Markup(trace_plot(rows.clock_s[part], truth, predicted, shown)) if shown else None


def trace_plot(pts_s: NDArray[np.float64], truth: NDArray[np.float32], predicted: NDArray[np.float32], slots: Sequence[str]) -> str:
    """Truth and prediction of `slots` over time, pads float32 [n, 25]; up is high."""

    def draw(figure: Figure) -> None:
        rows = figure.subplots(len(slots), 1, sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(rows, slots, strict=True):
            sign = -1 if name.endswith("_y") else 1
            axes.plot(pts_s, sign * truth[:, slot(name)], color=AMBER, lw=2, drawstyle="steps-post", label="true pad")
            axes.plot(pts_s, sign * predicted[:, slot(name)], color=BLUE, lw=1.5, label="read from the video")
            axes.set_ylim((-1.1, 1.1) if is_stick(name) else (-0.08, 1.08))
            axes.set_ylabel(words(name) + ("\n(up is +)" if name.endswith("_y") else ""))
        rows[-1].set_xlabel("seconds of the video")
        rows[-1].margins(x=0)
        _legend(figure, rows[0], 2)

    return svg(draw, 0.9 + 1.15 * len(slots))


def words(name: str) -> str:
    """A name without underscores: `left_y` -> `left y`."""
    return name.replace("_", " ")


def readable(name: str) -> str:
    """The long name of a slot, or `words` of another name."""
    return READABLE.get(name, words(name))


def _quality(score: Mapping[str, Any], name: str) -> float | None:
    value: float | None = (score["sticks"].get(name) or {}).get("r2") if name in STICKS else (score["buttons"].get(name) or {}).get("ap")
    return value


def _legend(figure: Figure, axes: Axes, columns: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, frameon=False, labelcolor=INK, fontsize=9, columnspacing=3.2)


def svg(draw: Callable[[Figure], None], height_in: float) -> str:
    """Run `draw` on a figure and return it as an `<svg>` element without declarations, whose text follows the page's colour."""
    style: dict[Any, Any] = {
        "svg.fonttype": "none", "svg.hashsalt": "ghostpad", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "axes.axisbelow": True, "grid.color": GREY, "grid.alpha": 0.25, "grid.linewidth": 0.7,
        "axes.edgecolor": GREY, "axes.labelcolor": INK, "xtick.color": GREY, "ytick.color": GREY, "text.color": INK,
        "xtick.labelcolor": INK, "ytick.labelcolor": INK, "axes.xmargin": 0.03, "axes.labelpad": 7, "text.parse_math": False,
    }  # fmt: skip
    with matplotlib.rc_context(style):
        figure = Figure((_WIDTH_IN, height_in), layout="constrained")
        draw(figure)
        for axes in figure.axes:
            axes.set_facecolor("none")
            axes.grid(axis="x", visible=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    head, _, body = text.getvalue().partition("<svg")[2].partition(">")
    head = re.sub(r' (xmlns(:\w+)?|width|height|version)="[^"]*"', "", head)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    return f'<svg role="img"{head}>{body}'.replace(INK, "currentColor")

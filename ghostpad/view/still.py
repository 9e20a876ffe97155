"""One still picture of a run: two moments with the true and the predicted pad, and the returns of the agents.

Reads what `ghostpad.view.findings` gathers; writes one PNG of 1280 x 480 pixels, as in the README. About a second.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ghostpad.base.errors import MissingError
from ghostpad.base.files import atomic_path
from ghostpad.base.pad import Pad, is_stick, slot
from ghostpad.video.decode import read_window
from ghostpad.view.findings import Example, Findings, gather
from ghostpad.view.pad import BACKGROUND, HEIGHT, PREDICTED, TRUTH, WIDTH, gamepad_image
from ghostpad.view.plots import GREY, draw_arms, known_slots, ordered_arms
from ghostpad.view.scene import font

WIDTH_PX, HEIGHT_PX = 1280, 480
"""Size of the picture."""

_INK = "#e8ecf3"
_MARGIN, _GAP, _MOMENTS = 24, 16, 2
_TOP_PX, _FRAME_PX, _CHART_PX = 64, 255, 520  # where frames begin, the tallest a frame may be, width of the chart
_CANDIDATES = 12  # pictures looked at for each moment


def write_picture(out: str | os.PathLike[str], target: str | os.PathLike[str]) -> Path:
    """Write the picture of an OUT folder to `target`, a PNG, and return its path.

    The moments come from the halves of the first video that has pseudo-labels and true pads (see `moments`). Without returns of agents
    they fill the picture. Raises `MissingError` where there is no video with true and predicted rows.
    """
    findings = gather(Path(out))
    if findings.example is None:
        raise MissingError(
            f"{out} has no pseudo-labelled video whose true pads are known, so there is nothing to draw: run `ghostpad label` on wild/"
        )
    image = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), BACKGROUND)
    with_arms = bool(ordered_arms(findings.arms))
    right = WIDTH_PX - _MARGIN - (_CHART_PX if with_arms else 0)
    _draw_moments(image, findings.example, right)
    if with_arms:
        image.paste(_chart(findings, (WIDTH_PX - right - 8, HEIGHT_PX - 36)), (right, 24))
    with atomic_path(target) as temporary:
        image.save(temporary, "PNG", optimize=True)
    return Path(target)


def moments(example: Example) -> list[tuple[int, NDArray[np.uint8]]]:
    """A row and its frame from each half of the video, chosen without looking at the predictions.

    Of the rows whose true pads are furthest from rest, it is the one whose frame has the most contrast.
    """
    push = np.abs(example.rows.truth).sum(axis=1)
    chosen = []
    with example.corpus.footage(example.corpus.video(example.video)) as path:
        for part in np.array_split(np.arange(len(push)), _MOMENTS):
            furthest = part[np.argsort(-push[part], kind="stable")][: max(_CANDIDATES, len(part) // 10)]
            rows = np.sort(furthest)[:: max(1, len(furthest) // _CANDIDATES)]
            frames = read_window(path, example.rows.clock_s[rows])
            best = int(frames.std(axis=(1, 2, 3)).argmax())
            chosen.append((int(rows[best]), frames[best]))
    return chosen


def _draw_moments(image: Image.Image, example: Example, right: int) -> None:
    """The frames in a row, below each its true and its predicted pad."""
    draw = ImageDraw.Draw(image)
    draw.text((_MARGIN, 24), "true pad", TRUTH, font(20))
    draw.text((_MARGIN + draw.textlength("true pad", font(20)) + 20, 24), "read from the video alone", PREDICTED, font(20))
    chosen, slots = moments(example), known_slots(example.rows)
    space = (right - _MARGIN - _GAP * len(chosen)) // len(chosen)
    height, width = chosen[0][1].shape[:2]
    scale = min(space / width, _FRAME_PX / height)
    size = (round(width * scale), round(height * scale))
    pad_px = min((space - 8) // 2, (HEIGHT_PX - _TOP_PX - size[1] - 50) * WIDTH // HEIGHT)
    below = _TOP_PX + size[1] + 14
    for place, (row, frame) in enumerate(chosen):
        x = _MARGIN + place * (space + _GAP)
        image.paste(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS), (x + (space - size[0]) // 2, _TOP_PX))
        for side, (pads, colour) in enumerate(((example.rows.truth, TRUTH), (example.rows.predicted, PREDICTED))):
            drawn = gamepad_image(pads[row], pad_px, slots=slots, colour=colour)
            image.paste(drawn, (x + side * (space - pad_px), below))
            at = (x + side * (space - pad_px) + pad_px / 2, below + drawn.height + 6)
            draw.text(at, _words(pads[row], slots), colour, font(14), anchor="ma")


def _words(pad: Pad, slots: Sequence[str]) -> str:
    """The first two stick axes in words, e.g. `L up 0.80   R right 0.31`."""
    texts = []
    for name in [name for name in slots if is_stick(name)][:2]:
        value, ways = pad[slot(name)], ("up", "down") if name.endswith("_y") else ("left", "right")
        texts.append(f"{name[0].upper()} {ways[int(value > 0)]} {abs(value):.2f}")
    return "   ".join(texts)


def _chart(findings: Findings, size: tuple[int, int]) -> Image.Image:
    """The bars of the arms in the picture's colours."""
    paper = "#" + "".join(f"{part:02x}" for part in BACKGROUND)
    style = {"font.size": 9.5, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": GREY, "text.parse_math": False}
    with matplotlib.rc_context(style):  # type: ignore[arg-type]
        figure = Figure((size[0] / 100, size[1] / 100), dpi=100, facecolor=paper, layout="constrained")
        axes = figure.subplots()
        axes.set_facecolor(paper)
        draw_arms(axes, findings.arms, _INK)
        axes.tick_params(colors=_INK)
        axes.tick_params(axis="x", labelsize=9)
        axes.set_ylabel("")
        axes.set_title("mean return of agents that learned from", color=_INK, fontsize=12, loc="left", pad=12)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())

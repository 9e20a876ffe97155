"""A gamepad drawn with its state: sticks where they are pushed, buttons lit by their value, slots that a game ignores faint.

Pure: one pad in, one picture out. About 1 ms for a pad 240 px wide (measured, one core). Positions are in units of a
pad 300 wide and 190 high, drawn at `_SMOOTH` times the size and averaged down; all sizes were chosen by eye.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ghostpad.base.errors import SettingsError
from ghostpad.base.pad import BUTTONS, SLOTS, STICKS, Pad, check_shape, slot

Colour = tuple[int, int, int]
"""Red, green and blue, 0...255."""

BACKGROUND: Colour = (15, 18, 25)
"""Behind the pad."""
TRUTH: Colour = (245, 166, 35)
"""The true pad, in pictures and plots."""
PREDICTED: Colour = (77, 163, 255)
"""A predicted pad, and the pad of an agent."""

WIDTH, HEIGHT = 300, 190  # of a pad, units
_SMOOTH = 3  # drawn this many times larger

_BODY, _EDGE, _WELL = (35, 41, 54), (62, 71, 90), (21, 25, 34)
_IDLE, _USED = (56, 64, 81), (150, 161, 182)  # outlines of what the game ignores and of what it reads

_OUTLINE = (
    (0, 54), (32, 54), (52, 46), (86, 45), (112, 58), (130, 96), (141, 142),
    (136, 172), (118, 182), (98, 170), (80, 148), (58, 138), (26, 137), (0, 137),
)  # fmt: skip
"""Right half of the body, x from the middle; the left half mirrors it."""

_ROUND = {
    "south": (224, 107, 9.5), "east": (243, 88, 9.5), "west": (205, 88, 9.5), "north": (224, 69, 9.5),
    "back": (136, 78, 5), "start": (164, 78, 5), "guide": (150, 64, 6),
    "right_up": (188, 92, 3), "right_bottom": (188, 144, 3), "right_left": (162, 118, 3), "right_right": (214, 118, 3),
}  # fmt: skip
"""Round buttons: x, y, radius. The last four are the right stick used as buttons: dots around it."""

_BARS = {
    "left_shoulder": (48, 31, 104, 42), "right_shoulder": (196, 31, 252, 42),
    "left_trigger": (58, 6, 98, 27), "right_trigger": (202, 6, 242, 27),
    "dpad_up": (106, 97, 118, 112), "dpad_down": (106, 124, 118, 139),
    "dpad_left": (91, 112, 106, 124), "dpad_right": (118, 112, 133, 124),
}  # fmt: skip
"""Square buttons: left, top, right, bottom."""

_KNOBS = {"left": (76, 88, 26.0), "right": (188, 118, 22.0)}
"""Sticks: x, y, radius of the well."""
_KNOB_PART, _TRAVEL_PART = 0.5, 0.62  # radius of the knob, and the way of its middle at full deflection, as parts of the well


def gamepad_image(pad: Pad, width_px: int, *, slots: Sequence[str] | None = None, colour: Colour = PREDICTED) -> Image.Image:
    """A picture RGB, `width_px` wide and 19/30 as high, of `pad` float32 [25].

    Buttons are lit in `colour` by their value 0...1, sticks show their deflection, y down. Slots other than `slots` (None: all), and
    values that are NaN, stay dark.
    Raises `FormatError` for another shape and `SettingsError` for an unknown slot or a width below 30.
    """
    check_shape(pad)
    if width_px < 30:
        raise SettingsError(f"a pad {width_px} px wide is too small to draw: give 30 or more")
    used = frozenset(SLOTS if slots is None else slots)
    for name in used:
        slot(name)
    image = _body(width_px, used).copy()
    brush = _Brush(image, width_px)
    for name in BUTTONS:
        value = _value(pad, name)
        if name in used and value > 0.01 and not name.endswith("_thumb"):
            _button(brush, name, value, colour)
    for side in _KNOBS:
        _knob(brush, side, pad, used, colour)
    return image.resize((width_px, round(width_px * HEIGHT / WIDTH)), Image.Resampling.BOX)


class _Brush:
    """Draws in units of the pad onto a picture `_SMOOTH` times the final size."""

    def __init__(self, image: Image.Image, width_px: int):
        self._draw = ImageDraw.Draw(image)
        self._scale = width_px * _SMOOTH / WIDTH

    def disc(self, x: float, y: float, radius: float, fill: Colour | None, line: Colour | None = None, width: float = 1.5) -> None:
        self._draw.ellipse(self._at(x - radius, y - radius, x + radius, y + radius), fill, line, self._line(width))

    def bar(self, box: tuple[float, float, float, float], fill: Colour | None, line: Colour | None = None, radius: float = 4) -> None:
        self._draw.rounded_rectangle(self._at(*box), radius * self._scale, fill, line, self._line(1.5))

    def line(self, points: Sequence[float], fill: Colour, width: float) -> None:
        self._draw.line(self._at(*points), fill, self._line(width))

    def shape(self, points: NDArray[np.float64], fill: Colour, line: Colour) -> None:
        flat = [(float(x), float(y)) for x, y in points * self._scale]
        self._draw.polygon(flat, fill)
        self._draw.line([*flat, flat[0]], line, self._line(2), joint="curve")

    def _at(self, *units: float) -> list[float]:
        return [unit * self._scale for unit in units]

    def _line(self, width: float) -> int:
        return max(1, round(width * self._scale))


@lru_cache(maxsize=16)
def _body(width_px: int, used: frozenset[str]) -> Image.Image:
    """The pad with nothing pressed, `_SMOOTH` times the final size; sticks lack their knobs."""
    image = Image.new("RGB", (width_px * _SMOOTH, round(width_px * HEIGHT / WIDTH) * _SMOOTH), BACKGROUND)
    brush = _Brush(image, width_px)
    for name in ("left_trigger", "right_trigger", "left_shoulder", "right_shoulder"):
        brush.bar(_BARS[name], _WELL, _outline(name, used))
    brush.shape(_smooth_outline(), _BODY, _EDGE)
    for name, box in _BARS.items():
        if name.startswith("dpad"):
            brush.bar(box, _WELL, _outline(name, used), radius=3)
    for name, (x, y, radius) in _ROUND.items():
        if name in used or not name.startswith("right_"):
            brush.disc(x, y, radius, _WELL, _outline(name, used))
    for side, (x, y, radius) in _KNOBS.items():
        reads = [axis for axis in (f"{side}_x", f"{side}_y") if axis in used]
        brush.disc(x, y, radius, _WELL, _USED if reads else _IDLE, 2 if reads else 1.5)
        for axis in reads:
            reach = radius * 0.86
            brush.line((x - reach, y, x + reach, y) if axis.endswith("x") else (x, y - reach, x, y + reach), _EDGE, 1.5)
    return image


def _smooth_outline() -> NDArray[np.float64]:
    """The closed curve (Catmull-Rom) through `_OUTLINE` and its mirror image, [n, 2]."""
    right = np.array(_OUTLINE, float)
    points = np.vstack([right, right[-2:0:-1] * (-1, 1)]) + (WIDTH / 2, 0)
    before, after, later = np.roll(points, 1, 0), np.roll(points, -1, 0), np.roll(points, -2, 0)
    square, cube = 2 * before - 5 * points + 4 * after - later, 3 * points - before - 3 * after + later
    parts = [0.5 * (2 * points + (after - before) * t + square * t**2 + cube * t**3) for t in np.arange(12) / 12]
    return np.stack(parts, 1).reshape(-1, 2)


def _button(brush: _Brush, name: str, value: float, colour: Colour) -> None:
    fill = _mix(_WELL, colour, value)
    if name in _ROUND:
        x, y, radius = _ROUND[name]
        brush.disc(x, y, radius, fill, _mix(_USED, colour, value), 2)
    else:
        brush.bar(_BARS[name], fill, _mix(_USED, colour, value), radius=3 if name.startswith("dpad") else 4)


def _knob(brush: _Brush, side: str, pad: Pad, used: frozenset[str], colour: Colour) -> None:
    """The stick's knob where it is pushed, with an arm from the middle; a click whitens it; a dot marks a stick that can click."""
    x, y, radius = _KNOBS[side]
    reads = [axis for axis in (f"{side}_x", f"{side}_y") if axis in used]
    across, down = (_value(pad, f"{side}_{axis}") if f"{side}_{axis}" in used else 0.0 for axis in "xy")
    at_x, at_y = x + across * radius * _TRAVEL_PART, y + down * radius * _TRAVEL_PART
    if reads:
        brush.line((x, y, at_x, at_y), colour, 4)
    click = _value(pad, f"{side}_thumb") if f"{side}_thumb" in used else 0.0
    size = min(1.0, float(np.hypot(across, down)))
    fill = _mix(_mix(_BODY, colour, 0.25 + 0.55 * size), (255, 255, 255), 0.6 * click) if reads or click > 0.01 else _BODY
    brush.disc(at_x, at_y, radius * _KNOB_PART, fill, colour if reads else _IDLE, 2)
    if f"{side}_thumb" in used:
        brush.disc(at_x, at_y, 2, _WELL)


def _value(pad: Pad, name: str) -> float:
    value = float(pad[slot(name)])
    return 0.0 if np.isnan(value) else min(max(value, -1.0 if name in STICKS else 0.0), 1.0)


def _outline(name: str, used: frozenset[str]) -> Colour:
    return _USED if name in used else _IDLE


def _mix(start: Colour, end: Colour, part: float) -> Colour:
    """The colour `part` of the way from `start` to `end`."""
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(start, end, strict=True))
    return red, green, blue

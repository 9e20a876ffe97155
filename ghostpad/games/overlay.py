"""A controller drawn into the picture, as streamers do: a fifth of the width, buttons light up, sticks move.

Pure: a frame and its pad in, the same frame with the controller out. About 1 ms a frame at 320 x 240 and 3 ms at 1280 x 720
(guess from the drawing's size). Positions are in units of a controller 100 wide and 66 high; the shapes are our own, by eye after the
overlays that people use. Lit buttons have their maker's colours.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ghostpad.base.errors import SettingsError, nearest
from ghostpad.base.pad import BUTTONS, PRESSED, Pad, slot
from ghostpad.games.spec import Frame, Region

STYLES = ("xbox", "ps5")
"""The controllers that can be drawn."""

CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")
"""Where it can be in the picture."""

WIDTH_SHARE = 0.2
"""Width of the controller as a share of the picture's (a guess at what streamers use; 360 of 1920 px in the dataset card's example)."""

_WIDTH, _HEIGHT, _SMOOTH = 100, 66, 2  # units; drawn this many times larger and averaged down
_MARGIN_SHARE = 0.02

Swaps = tuple[tuple[str, str], ...]
"""Pairs of buttons that are exchanged."""

_Colour = tuple[int, int, int]
_BODY: dict[str, _Colour] = {"xbox": (24, 26, 30), "ps5": (226, 228, 232)}
_IDLE: dict[str, _Colour] = {"xbox": (70, 74, 80), "ps5": (150, 154, 162)}
_LIT: dict[str, dict[str, _Colour]] = {
    "xbox": {"south": (90, 220, 70), "east": (235, 60, 50), "west": (60, 120, 245), "north": (250, 210, 50)},
    "ps5": {"south": (90, 150, 255), "east": (255, 90, 90), "west": (245, 120, 210), "north": (70, 220, 170)},
}
_PRESSED: _Colour = (255, 255, 255)

_ROUND = {
    "south": (80, 41, 4.6), "east": (87, 33, 4.6), "west": (73, 33, 4.6), "north": (80, 25, 4.6),
    "back": (42, 27, 2.6), "start": (58, 27, 2.6), "guide": (50, 20, 3.2),
}  # fmt: skip
"""x, y, radius."""
_BARS = {
    "left_trigger": (6, 0, 32, 7), "right_trigger": (68, 0, 94, 7), "left_shoulder": (4, 8, 34, 13), "right_shoulder": (66, 8, 96, 13),
    "dpad_up": (0, -9, 0, -3), "dpad_down": (0, 3, 0, 9), "dpad_left": (-9, 0, -3, 0), "dpad_right": (3, 0, 9, 0),
}  # fmt: skip
"""left, top, right, bottom; those of the d-pad count from its middle and are lines of the width of a key."""
_STICK = {"xbox": {"left": (15, 33), "right": (66, 53)}, "ps5": {"left": (35, 53), "right": (65, 53)}}
_DPAD = {"xbox": (34, 52), "ps5": (15, 33)}
_STICK_RADIUS, _KNOB_RADIUS, _TRAVEL, _KEY = 11, 6.5, 7, 5.5


@dataclass(frozen=True)
class Overlay:
    """How the controller is drawn. Raises `SettingsError`, naming every problem, for what cannot be drawn."""

    style: str = "xbox"
    corner: str = "bottom-right"
    opacity: float = 0.9
    swaps: Swaps = ()
    """Buttons that the player has swapped; the controller shows the buttons that the player presses."""

    def __post_init__(self) -> None:
        problems = []
        if self.style not in STYLES:
            problems.append(f"no controller '{self.style}' to draw: {nearest(self.style, STYLES)}")
        if self.corner not in CORNERS:
            problems.append(f"no corner '{self.corner}': {nearest(self.corner, CORNERS)}")
        if not 0 < self.opacity <= 1:
            problems.append(f"opacity is {self.opacity}: it must be above 0 and at most 1")
        problems += [f"'{name}' cannot be swapped: {nearest(name, BUTTONS)}" for pair in self.swaps for name in pair if name not in BUTTONS]
        if problems:
            raise SettingsError(problems)

    def box(self, width_px: int, height_px: int) -> Region:
        """Its bounding box in a picture of this size."""
        wide = max(20, round(width_px * WIDTH_SHARE))
        high, gap = round(wide * _HEIGHT / _WIDTH), round(width_px * _MARGIN_SHARE)
        vertical, horizontal = self.corner.split("-")
        return Region(
            gap if horizontal == "left" else width_px - gap - wide, gap if vertical == "top" else height_px - gap - high, wide, high
        )

    def draw(self, frame: Frame, pad: Pad) -> Frame:
        """A copy of `frame` with the controller in the state of `pad`, float32 [25]; triggers and buttons light up when pressed."""
        x, y, wide, high = self.box(frame.shape[1], frame.shape[0])
        image = _body(self.style, wide, high).copy()
        _state(ImageDraw.Draw(image), self.style, wide * _SMOOTH / _WIDTH, swapped(pad, self.swaps))
        drawn = np.asarray(image.reduce(_SMOOTH), np.float32)
        solid = drawn[..., 3:] * (self.opacity / 255)
        shown = frame.copy()
        part = shown[y : y + high, x : x + wide]
        part[:] = (part * (1 - solid) + drawn[..., :3] * solid + 0.5).astype(np.uint8)
        return shown


def swapped(pads: NDArray[Any], swaps: Swaps) -> NDArray[Any]:
    """Pads or masks [..., 25] with the buttons of each pair exchanged."""
    exchanged = pads.copy()
    for one, other in swaps:
        exchanged[..., [slot(one), slot(other)]] = exchanged[..., [slot(other), slot(one)]]
    return exchanged


@lru_cache(maxsize=16)
def _body(style: str, wide: int, high: int) -> Image.Image:
    """The controller with nothing pressed and no knobs, RGBA, `_SMOOTH` times the size."""
    scale = wide * _SMOOTH / _WIDTH
    image = Image.new("RGBA", (wide * _SMOOTH, high * _SMOOTH), (*_BODY[style], 0))
    brush, body = ImageDraw.Draw(image), (*_BODY[style], 255)
    brush.rounded_rectangle(_scaled(scale, 0, 10, 100, 65.5), 20 * scale, body)
    for name in (*_ROUND, *_BARS):
        _part(brush, style, scale, name, _IDLE[style])
    for x, y in _STICK[style].values():
        brush.ellipse(_disc(scale, x, y, _STICK_RADIUS), (*_IDLE[style], 255))
    return image


def _state(brush: ImageDraw.ImageDraw, style: str, scale: float, pad: Pad) -> None:
    for name in (*_ROUND, *_BARS):
        if pad[slot(name)] >= PRESSED:
            _part(brush, style, scale, name, _LIT[style].get(name, _LIT[style]["south"] if name in _BARS else _PRESSED))
    for side, (x, y) in _STICK[style].items():
        across, down = (float(pad[slot(f"{side}_{axis}")]) for axis in "xy")
        colour = _LIT[style]["south"] if pad[slot(f"{side}_thumb")] >= PRESSED else _PRESSED if style == "xbox" else (40, 44, 54)
        brush.ellipse(_disc(scale, x + across * _TRAVEL, y + down * _TRAVEL, _KNOB_RADIUS), (*colour, 255))


def _part(brush: ImageDraw.ImageDraw, style: str, scale: float, name: str, colour: _Colour) -> None:
    if name in _ROUND:
        brush.ellipse(_disc(scale, *_ROUND[name]), (*colour, 255))
    elif name.startswith("dpad"):
        x, y = _DPAD[style]
        left, top, right, bottom = _BARS[name]
        half = _KEY / 2
        wide, high = (half, 0) if left == right else (0, half)
        brush.rectangle(_scaled(scale, x + left - wide, y + top - high, x + right + wide, y + bottom + high), (*colour, 255))
    else:
        brush.rounded_rectangle(_scaled(scale, *_BARS[name]), 2 * scale, (*colour, 255))


def _disc(scale: float, x: float, y: float, radius: float) -> list[float]:
    return _scaled(scale, x - radius, y - radius, x + radius, y + radius)


def _scaled(scale: float, *units: float) -> list[float]:
    return [unit * scale for unit in units]

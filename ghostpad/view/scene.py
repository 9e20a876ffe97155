"""A game's frame beside its pads and the last seconds of their slots: the pictures of which clips are made.

Pure: a frame and rows of pads in, one picture out. About 8 ms a picture (measured, one core). All sizes were chosen by eye.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ghostpad.base.errors import FormatError, SettingsError
from ghostpad.base.pad import BUTTONS, READABLE, STICKS, check_shape, is_stick, slot
from ghostpad.view.pad import BACKGROUND, Colour, gamepad_image

HEIGHT_PX = 480
"""Height of the pictures; frames are enlarged to it."""
PANEL_PX = 500
"""Width of the part with the pads."""

_INK, _FAINT, _RULE, _LANE = (232, 236, 243), (150, 161, 182), (54, 62, 79), (22, 26, 36)
_MARGIN, _TOP = 18, 16
_LANES = 4  # more do not fit readably
_LANE_GAP_PX = 8
_GUTTER_PX = 58  # left of a lane, for the words of its top and bottom


@dataclass(frozen=True)
class Track:
    """One pad over time: `rows` float32 [n, 25], oldest first, the last one in force now; NaN leaves a gap."""

    label: str
    rows: NDArray[np.float32]
    colour: Colour


def draw_scene(
    frame: NDArray[np.uint8], tracks: Sequence[Track], *, slots: Sequence[str] | None = None, title: str = ""
) -> NDArray[np.uint8]:
    """`frame` uint8 [H, W, 3] beside the newest pad of one or two tracks: uint8 [480, width, 3], the width even.

    Only `slots` (None: all) count as read by the game; the others stay faint. Tracks of more than one row, equally many, add lines over
    time for up to four of `slots`. Raises `FormatError` for other shapes, `SettingsError` for an unknown slot or other tracks.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise FormatError(f"a frame must be uint8 [H, W, 3], this one is {frame.dtype} {list(frame.shape)}")
    if not 1 <= len(tracks) <= 2 or len({len(track.rows) for track in tracks}) > 1:
        raise SettingsError(f"{len(tracks)} pads of {[len(track.rows) for track in tracks]} rows: draw one or two, equally long")
    for track in tracks:
        check_shape(track.rows)
    height, width = frame.shape[:2]
    smooth = Image.Resampling.LANCZOS if HEIGHT_PX % height else Image.Resampling.NEAREST  # a whole factor keeps the pixels crisp
    shown = Image.fromarray(frame).resize((max(1, round(width * HEIGHT_PX / height)), HEIGHT_PX), smooth)
    image = Image.new("RGB", ((shown.width + PANEL_PX + 1) // 2 * 2, HEIGHT_PX), BACKGROUND)
    image.paste(shown, (0, 0))
    left, right = shown.width + _MARGIN, shown.width + PANEL_PX - _MARGIN
    top = _TOP
    if title:
        ImageDraw.Draw(image).text((left, top), title, _INK, font(17))
        top += 30
    top = _draw_pads(image, tracks, slots, (left, right), top)
    lanes = [name for name in (*STICKS, *BUTTONS) if slots is None or name in slots][:_LANES] if len(tracks[0].rows) > 1 else []
    for index, name in enumerate(lanes):
        height = min(150, (HEIGHT_PX - _TOP + _LANE_GAP_PX - top) // len(lanes))
        _draw_lane(image, name, tracks, (left, top + index * height, right, top + (index + 1) * height - _LANE_GAP_PX))
    return np.asarray(image)


@lru_cache(maxsize=8)
def font(size_px: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """The font that comes with Pillow, so pictures look alike on every machine."""
    return ImageFont.load_default(size_px)


def _draw_pads(image: Image.Image, tracks: Sequence[Track], slots: Sequence[str] | None, span: tuple[int, int], top: int) -> int:
    """The newest pad of every track next to each other, its label above; returns where free space begins."""
    gap = 20
    width = min(300, (span[1] - span[0] - gap * (len(tracks) - 1)) // len(tracks))
    left = (span[0] + span[1] - width * len(tracks) - gap * (len(tracks) - 1)) // 2
    height = 0
    for index, track in enumerate(tracks):
        x = left + index * (width + gap)
        pad = gamepad_image(track.rows[-1], width, slots=slots, colour=track.colour)
        ImageDraw.Draw(image).text((x + width / 2, top), track.label, track.colour, font(16), anchor="ma")
        image.paste(pad, (x, top + 24))
        height = pad.height
    return top + height + 24 + 14


def _draw_lane(image: Image.Image, name: str, tracks: Sequence[Track], box: tuple[int, int, int, int]) -> None:
    """One slot over time, newest at the right edge; a stick pushed up or right is high."""
    left, top, right, bottom = box
    title, high, low = READABLE[name], "pressed", "up"
    if is_stick(name):
        title, (high, low) = f"{name.split('_')[0].capitalize()} stick", ("up", "down") if name.endswith("_y") else ("right", "left")
    draw = ImageDraw.Draw(image)
    draw.text((left, top), title, _FAINT, font(14))
    top += 21
    draw.text((left + _GUTTER_PX - 8, top + 4), high, _FAINT, font(12), anchor="rt")
    draw.text((left + _GUTTER_PX - 8, bottom - 4), low, _FAINT, font(12), anchor="rb")
    flip = -1 if name.endswith("_y") else 1
    values = [(flip * track.rows[:, slot(name)], track.colour) for track in tracks]
    image.paste(_lines(values, right - left - _GUTTER_PX, bottom - top, -1.0 if is_stick(name) else 0.0), (left + _GUTTER_PX, top))


def _lines(values: Sequence[tuple[NDArray[np.float32], Colour]], width: int, height: int, low: float) -> Image.Image:
    """Lines of values between `low` and 1, drawn twice as large and averaged; NaN is a gap."""
    image = Image.new("RGB", (2 * width, 2 * height), _LANE)
    draw = ImageDraw.Draw(image)
    edge, radius = 14, 8
    to_y = (2 * height - 2 * edge) / (1 - low)
    draw.line((0, 2 * height - edge + low * to_y, 2 * width, 2 * height - edge + low * to_y), _RULE, 2)
    for line, colour in values:
        x = np.linspace(0, 2 * width - edge, len(line))
        y = edge + (1 - np.clip(line, low, 1)) * to_y
        for run in np.split(np.arange(len(line)), np.flatnonzero(np.isnan(line)) + 1):
            run = run[~np.isnan(line[run])]
            if len(run) > 1:
                draw.line([(float(x[i]), float(y[i])) for i in run], colour, 5, joint="curve")
        if not np.isnan(line[-1]):
            draw.ellipse((x[-1] - radius, y[-1] - radius, x[-1] + radius, y[-1] + radius), colour)
    return image.resize((width, height), Image.Resampling.BOX)

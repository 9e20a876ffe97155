"""The gamepad as one vector of 25 numbers: 21 buttons in NitroGen's model order, then two sticks.

    slots 0-20   buttons: 0 released ... 1 pressed (labels hold probabilities)
    slots 21-24  left_x, left_y, right_x, right_y: -1 ... 1, x positive is right, **y positive is down**

Order and sign are NitroGen's (arXiv:2601.02427, slot table of its released model; y origin from its dataset card), so its
rows and weights need no reordering here. Its network scales sticks to (v+1)/2, which `from_unit` undoes.
The NitroGen dataset has columns for 17 of the 21 buttons; the other four are *unknown* there, as the mask says: unknown is
neither released nor pressed and carries no loss.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ghostpad.base.errors import FormatError, SettingsError, nearest

BUTTONS: tuple[str, ...] = (
    "back", "dpad_down", "dpad_left", "dpad_right", "dpad_up", "east", "guide", "left_shoulder", "left_thumb",
    "left_trigger", "north", "right_bottom", "right_left", "right_right", "right_shoulder", "right_thumb",
    "right_trigger", "right_up", "south", "start", "west",
)  # fmt: skip
"""The 21 buttons in slot order."""

STICKS: tuple[str, ...] = ("left_x", "left_y", "right_x", "right_y")
"""The four stick axes in slot order (slots 21-24)."""

SLOTS: tuple[str, ...] = BUTTONS + STICKS
"""Every slot name in order."""

PAD_DIM = len(SLOTS)
"""25: the length of a pad vector."""

LAYOUT = "nitrogen-25/1"
"""Name and version of this slot order. Tables and checkpoints carry it, and readers refuse any other."""

DATASET_BUTTONS: tuple[str, ...] = tuple(name for name in BUTTONS if name not in {"right_bottom", "right_left", "right_right", "right_up"})
"""The 17 buttons for which the NitroGen dataset has a column."""

READABLE: Mapping[str, str] = {
    "back": "Back / Select", "dpad_down": "D-pad down", "dpad_left": "D-pad left", "dpad_right": "D-pad right",
    "dpad_up": "D-pad up", "east": "B / circle", "guide": "Guide", "left_shoulder": "Left bumper",
    "left_thumb": "Left stick click", "left_trigger": "Left trigger", "north": "Y / triangle",
    "right_bottom": "Right stick as button: down", "right_left": "Right stick as button: left",
    "right_right": "Right stick as button: right", "right_shoulder": "Right bumper", "right_thumb": "Right stick click",
    "right_trigger": "Right trigger", "right_up": "Right stick as button: up", "south": "A / cross", "start": "Start",
    "west": "X / square", "left_x": "Left stick, right is +", "left_y": "Left stick, down is +",
    "right_x": "Right stick, right is +", "right_y": "Right stick, down is +",
}  # fmt: skip
"""Every slot's name for people."""

PRESSED = 0.5
"""The probability from which a button counts as pressed; pseudo-labels on disk are not thresholded."""

DEAD_ZONE = 0.1
"""A stick at most this far from its centre is at rest (a guess; drivers use 0.1...0.25)."""

_INDEX = {name: slot for slot, name in enumerate(SLOTS)}

Pad = NDArray[np.float32]
"""float32 [25], one pad."""

Mask = NDArray[np.bool_]
"""bool [25], True where the number is known."""


def slot(name: str) -> int:
    """The slot number of a button or axis. Raises `SettingsError` naming the nearest slot."""
    if name not in _INDEX:
        raise SettingsError(f"no pad slot called '{name}': {nearest(name, SLOTS)}")
    return _INDEX[name]


def is_stick(name: str) -> bool:
    """Whether a slot is a stick axis (-1...1) rather than a button (0...1)."""
    return slot(name) >= len(BUTTONS)


def moved(axis: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether stick values lie outside the dead zone, compared in float32 as tables hold them: there 0.1 is a little more than 0.1."""
    return np.asarray(np.abs(axis) > np.float32(DEAD_ZONE))


def in_use(pads: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which slots of pads [..., 25] are pressed or away from rest; a row with none of them is idle."""
    buttons, sticks = np.split(pads, [len(BUTTONS)], axis=-1)
    return np.concatenate([buttons >= PRESSED, moved(sticks)], axis=-1)


def neutral() -> Pad:
    """A pad with nothing pressed and both sticks centred, float32 [25]."""
    return np.zeros(PAD_DIM, np.float32)


def pack(values: Mapping[str, float | bool | None]) -> tuple[Pad, Mask]:
    """A pad vector and its mask from named values.

    A slot that is absent or None is unknown: 0 in the vector, False in the mask. Raises `SettingsError`, listing every
    problem, for an unknown name or a value out of its range (buttons 0...1, sticks -1...1) or not finite.
    """
    pad, mask, problems = neutral(), np.zeros(PAD_DIM, np.bool_), []
    for name, value in values.items():
        if name not in _INDEX:
            problems.append(f"no pad slot called '{name}': {nearest(name, SLOTS)}")
        elif value is not None:
            low = -1.0 if is_stick(name) else 0.0
            if not low <= float(value) <= 1.0:
                problems.append(f"{name} is {value}: it must lie in {low:g}...1")
            pad[_INDEX[name]], mask[_INDEX[name]] = float(value), True
    if problems:
        raise SettingsError(problems)
    return pad, mask


def unpack(pad: Pad, mask: Mask | None = None, threshold: float = PRESSED) -> dict[str, float | bool | None]:
    """Named values of a pad vector: bool for buttons (`>= threshold`), float for sticks, None where the mask is False."""
    check_shape(pad)
    named: dict[str, float | bool | None] = {}
    for index, name in enumerate(SLOTS):
        if mask is not None and not mask[index]:
            named[name] = None
        else:
            named[name] = float(pad[index]) if is_stick(name) else bool(pad[index] >= threshold)
    return named


def from_unit(values: ArrayLike) -> Pad:
    """Pads float32 [..., 25] from the space of NitroGen's network [..., 25], where sticks are 0...1 and nothing is clipped.

    Sticks are 2 v - 1, clipped to -1...1; buttons are 1 where v > 0.5, else 0, as the reference decodes them. Takes tensors on the CPU too.
    """
    pads = np.array(values, np.float32)
    check_shape(pads)
    pads[..., : len(BUTTONS)] = pads[..., : len(BUTTONS)] > 0.5
    pads[..., len(BUTTONS) :] = np.clip(2 * pads[..., len(BUTTONS) :] - 1, -1, 1)
    return pads


def check_shape(pad: NDArray[np.generic]) -> None:
    """Raise `FormatError` unless the last axis holds one pad of this layout."""
    if pad.shape[-1:] != (PAD_DIM,):
        raise FormatError(f"a pad has {PAD_DIM} numbers (layout {LAYOUT}), this array has shape {pad.shape}")


def check_layout(layout: str | None, where: str) -> None:
    """Raise `FormatError` unless `layout` (read from the file `where`) is the layout of this code."""
    if layout != LAYOUT:
        raise FormatError(f"{where} uses pad layout '{layout}', this version reads '{LAYOUT}': make it again with this version")


def mirror_slots() -> tuple[list[int], NDArray[np.float32]]:
    """A pad in a mirror: for each slot the slot that it takes its value from, and the sign of that value, float32 [25].

    Left and right swap on the d-pad and the x axes change sign. Bumpers, triggers and stick clicks stay: they are different actions, not
    different directions.
    """
    swap = {"dpad_left": "dpad_right", "dpad_right": "dpad_left", "right_left": "right_right", "right_right": "right_left"}
    sign = np.array([-1.0 if name in {"left_x", "right_x"} else 1.0 for name in SLOTS], np.float32)
    return [_INDEX[swap.get(name, name)] for name in SLOTS], sign

"""Which presses of a button are visible at all: the game is replayed with the button changed and the pictures are compared.

No reader of pixels can beat this oracle: where two pads give the same pictures, a label is a guess. A game is a pure function of seed and
pads, so an episode is replayed from its start for every row or press: for doom-defend about 1 ms a frame on a loaded core (measured),
n replays for n rows. Reads a running game, writes nothing.
"""

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.pad import PRESSED, slot
from ghostpad.games.spec import Game

WITHIN_FRAMES = 12
"""How soon a change must show; later ones have other causes (guess: 0.7 s at 17.5 fps, above doom-defend's 10)."""


class Presses(NamedTuple):
    """The presses of one button in an episode, in order of time."""

    start: NDArray[np.int64]
    """First row of each."""
    end: NDArray[np.int64]
    """The row after the last of each."""


def presses(held: NDArray[np.bool_]) -> Presses:
    """The runs of True in `held`, bool [n]."""
    edges = np.diff(np.concatenate([[False], held, [False]]).astype(np.int8))
    return Presses(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0))


def row_is_visible(
    game: Game, seed: int, pads: NDArray[np.float32], button: str, within_frames: int = WITHIN_FRAMES, rows: Sequence[int] | None = None
) -> NDArray[np.bool_]:
    """For each row of `pads`, float32 [n, 25], or each of `rows`: whether the pictures show if `button` is down in it, all other rows
    unchanged."""
    spans = [(row, row + 1) for row in (range(len(pads)) if rows is None else rows)]
    return _visible(game, seed, pads, button, spans, within_frames)


def press_is_visible(
    game: Game, seed: int, pads: NDArray[np.float32], button: str, within_frames: int = WITHIN_FRAMES
) -> NDArray[np.bool_]:
    """For each press of `button` in `pads`, float32 [n, 25], in the order of `presses`: whether the pictures show it."""
    runs = presses(pads[:, slot(button)] >= PRESSED)
    return _visible(game, seed, pads, button, list(zip(runs.start.tolist(), runs.end.tolist(), strict=True)), within_frames)


def _visible(
    game: Game, seed: int, pads: NDArray[np.float32], button: str, spans: list[tuple[int, int]], within_frames: int
) -> NDArray[np.bool_]:
    """For each span of rows: whether changing the button in all of it changes a picture up to `within_frames` after its last row."""
    shown = _pictures(game, seed, pads)
    visible = np.zeros(len(spans), np.bool_)
    for index, (start, end) in enumerate(spans):
        changed = pads[: end + within_frames - 1].copy()
        changed[start:end, slot(button)] = changed[start:end, slot(button)] < PRESSED
        visible[index] = _pictures(game, seed, changed) != shown[: len(changed) + 1]
    return visible


def _pictures(game: Game, seed: int, pads: NDArray[np.float32]) -> list[int | None]:
    """A checksum for each picture of an episode; None where the game is over."""
    pictures: list[int | None] = [zlib.crc32(game.reset(seed).tobytes())]
    for pad in pads:
        step = game.step(pad)
        pictures.append(None if step.frame is None else zlib.crc32(step.frame.tobytes()))
        if step.done:
            break
    return pictures + [None] * (len(pads) + 1 - len(pictures))

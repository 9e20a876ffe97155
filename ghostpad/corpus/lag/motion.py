"""The motion in a video as a few numbers a frame, to find out when the picture follows the pad.

For every frame the shift of each block of the small gray picture since the frame before (block matching over whole pixels, with a softmin
between them), of its rows of blocks, of its columns and of the whole, and how much the picture changed and how much lighter it became. The
larger parts make up for blocks without texture: with them a Doom novice's turns are read at a correlation of 0.65 instead of 0.57
(measured, changes of the stick). Numpy only, because the corpus is read without torch; `ghostpad.nn.motion` is the same idea for a model.
About 0.6 ms of CPU a frame at 64x48 (measured).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

WIDTH_PX, HEIGHT_PX = 64, 48
"""The picture that motion is read from."""
SEARCH_X_PX, SEARCH_Y_PX = 8, 4
"""Largest shift searched (a full turn in Doom is 5 px a frame)."""
BLOCK_PX = 16
"""Side of a block; the picture has 3 x 4 of them."""
SHARPNESS = 0.5
"""Inverse temperature of the softmin over shifts, a level of gray (a guess)."""
SHARPNESS_WIDE = 2.0
"""The same for rows of blocks, columns and the whole picture, whose mean costs differ less (1 and 4 read about as well, measured)."""

_DOWN, _ACROSS = HEIGHT_PX // BLOCK_PX, WIDTH_PX // BLOCK_PX

SIGNALS = 2 * (_DOWN * _ACROSS + 1 + _DOWN + _ACROSS) + 2
"""Numbers a frame."""

_STRETCH = 256
"""Pairs matched at once: 3 MB a shift, whatever the video's length."""


def motion(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Signals float32 [N-1, `SIGNALS`] between neighbours of frames uint8 [N, 48, 64]: shifts x and y in pixels of every block, of the
    whole, of its three rows of blocks and of its four columns; then mean absolute change and mean change of
    brightness in levels of gray."""
    if frames.shape[1:] != (HEIGHT_PX, WIDTH_PX):
        raise ValueError(f"frames are {frames.shape[1:]}, not {(HEIGHT_PX, WIDTH_PX)}")
    parts = [_stretch(frames[start : start + _STRETCH + 1]) for start in range(0, len(frames) - 1, _STRETCH)]
    return np.concatenate(parts) if parts else np.zeros((0, SIGNALS), np.float32)


def _stretch(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    pictures = frames.astype(np.float32)
    before, after = pictures[:-1], pictures[1:]
    change = after - before
    padded = np.pad(after, ((0, 0), (SEARCH_Y_PX, SEARCH_Y_PX), (SEARCH_X_PX, SEARCH_X_PX)), mode="edge")
    ys, xs = np.mgrid[-SEARCH_Y_PX : SEARCH_Y_PX + 1, -SEARCH_X_PX : SEARCH_X_PX + 1].reshape(2, -1)
    costs = np.stack([_blocks(np.abs(_moved(padded, y, x) - before)) for y, x in zip(ys, xs, strict=True)], -1)
    grid = costs.reshape(len(before), _DOWN, _ACROSS, -1)
    wide = np.concatenate([grid.mean((1, 2))[:, None], grid.mean(2), grid.mean(1)], 1)
    shifts = []
    for part, sharpness in ((costs, SHARPNESS), (wide, SHARPNESS_WIDE)):
        weights = softmax(-sharpness * part, -1)
        shifts.append(np.stack([weights @ xs, weights @ ys], -1).reshape(len(before), -1))
    changes = np.stack([np.abs(change).mean((1, 2)), change.mean((1, 2))], -1)
    return np.concatenate([*shifts, changes], 1).astype(np.float32)


def _moved(padded: NDArray[np.float32], y: int, x: int) -> NDArray[np.float32]:
    return padded[:, SEARCH_Y_PX + y :, SEARCH_X_PX + x :][:, :HEIGHT_PX, :WIDTH_PX]


def _blocks(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of [n, 48, 64] over blocks, [n, blocks]; rows first, which is three times as fast as both sides of a block at once."""
    rows = picture.reshape(-1, _DOWN, BLOCK_PX, WIDTH_PX).sum(2)
    return rows.reshape(-1, _DOWN, _ACROSS, BLOCK_PX).sum(-1).reshape(-1, _DOWN * _ACROSS) / BLOCK_PX**2

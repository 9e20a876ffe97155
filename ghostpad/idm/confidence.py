"""One number a row for how far an IDM's belief can be trusted, from the belief alone.

A stick that is spread evenly over -1...1 has a spread of 0.58: that is no knowledge and counts 0; a sharp one counts 1. A button
counts |2p - 1|. The row's confidence is the mean over the slots that the IDM predicts. It is only as honest as the
calibration behind the spreads and probabilities (`ghostpad.idm.calibrate`).
"""

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.pad import BUTTONS

EVEN_SPREAD = 1 / np.sqrt(3)
"""Standard deviation of a stick spread evenly over -1...1."""


def row_confidence(pads: NDArray[np.float32], spreads: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Confidence float32 [n] in 0...1 of beliefs [n, 25] with stick spreads [n, 4]; `known` [25] are the IDM's slots."""
    buttons, sticks = known[: len(BUTTONS)], known[len(BUTTONS) :]
    sure_buttons = np.abs(2 * pads[:, : len(BUTTONS)][:, buttons] - 1)
    sure_sticks = 1 - np.minimum(1, spreads[:, sticks] / EVEN_SPREAD)
    return np.concatenate([sure_buttons, sure_sticks], axis=1).mean(axis=1).astype(np.float32)

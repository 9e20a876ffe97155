"""One number a row for how far a prediction of an IDM can be trusted, from the prediction alone.

A stick whose values are spread evenly over -1...1 has a spread of 0.58, which is no knowledge and counts 0; one without spread counts 1.
A button counts |2p - 1|. A row's confidence is the mean over the slots that the IDM predicts, and as good as the calibration of spreads
and probabilities (`ghostpad.idm.calibrate`).
"""

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.pad import BUTTONS

EVEN_SPREAD = 1 / np.sqrt(3)
"""Standard deviation of a stick spread evenly over -1...1."""


def row_confidence(pads: NDArray[np.float32], spreads: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Confidence float32 [n] in 0...1 of pads [n, 25] with stick spreads [n, 4]; `known` bool [25] are the slots that the IDM predicts."""
    buttons, sticks = known[: len(BUTTONS)], known[len(BUTTONS) :]
    sure_buttons = np.abs(2 * pads[:, : len(BUTTONS)][:, buttons] - 1)
    sure_sticks = 1 - np.minimum(1, spreads[:, sticks] / EVEN_SPREAD)
    return np.concatenate([sure_buttons, sure_sticks], axis=1).mean(axis=1).astype(np.float32)

"""Made-up fingerprints of videos, and the same as another encoding would give them, for tests and benchmarks of the search.

Writes nothing. About 0.1 ms a second of video (measured). The same seed gives the same fingerprints.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import idctn

from ghostpad.corpus.add.fingerprint import PRINT, Prints, least_agreement

_FALL = 1.2
"""Power of the spatial frequency by which amplitudes fall: then two made-up seconds agree by 0 +- 0.17, as those of two episodes of doom,
doom-defend and racing do (measured)."""


def made_up_prints(rng: np.random.Generator, seconds: int) -> Prints:
    """The fingerprint of a video of so many compared seconds, one a second: smooth changes of 2 to 16 levels, the middle one 6."""
    prints = np.zeros(seconds, PRINT)
    prints["second"] = np.arange(seconds)
    prints["change"] = 6 * np.exp((0.6 * rng.standard_normal(seconds)).clip(-1, 1))
    prints["blocks"] = _scaled(_changes(rng, seconds))
    return prints


def encoded_anew(rng: np.random.Generator, prints: Prints, margin: float) -> Prints:
    """The same pictures: every second agrees by `margin` more than the least agreement of the same, and by 0.98 at most.

    What differs is as smooth as what is shown, which is the hardest case: no projection averages it out.
    """
    made = prints.copy()
    agreement = np.minimum(least_agreement(prints["change"]) + margin, 0.98)[:, None]
    shown, other = _unit(prints["blocks"].astype(np.float64)), _changes(rng, len(prints))
    other = _unit(other - (other * shown).sum(1, keepdims=True) * shown)
    made["blocks"] = _scaled(agreement * shown + np.sqrt(1 - agreement**2) * other)
    return made


def _changes(rng: np.random.Generator, seconds: int) -> NDArray[np.float64]:
    """How 12 x 16 blocks change in four quarters of a second, without the mean, [seconds, 768]."""
    y, x = np.mgrid[:12, :16]
    amplitudes = np.divide(1, np.hypot(y / 12, x / 16) ** _FALL, where=(y + x) > 0, out=np.zeros((12, 16)))
    return idctn(rng.standard_normal((seconds, 4, 12, 16)) * amplitudes, axes=(2, 3), norm="ortho").reshape(seconds, -1)


def _unit(changes: NDArray[np.float64]) -> NDArray[np.float64]:
    return changes / np.linalg.norm(changes, axis=1, keepdims=True)


def _scaled(changes: NDArray[np.float64]) -> NDArray[np.int8]:
    return np.rint(changes * (127 / np.abs(changes).max(1, keepdims=True))).astype(np.int8)

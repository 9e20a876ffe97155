"""The measure of a policy: its mean return, to be read beside those of random and expert play on the same seeds."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from ghostpad.base.errors import SettingsError
from ghostpad.policy.play import EpisodeResult


class Score(TypedDict):
    """Returns of some episodes in the order of their seeds, their mean and its standard error (None for a single episode)."""

    mean: float
    sem: float | None
    n: int
    returns: list[float]


def summarise(results: Sequence[EpisodeResult]) -> Score:
    """The score of played episodes. Raises `SettingsError` for none."""
    if not results:
        raise SettingsError("no episode was played: there is no mean return")
    returns = [result.return_ for result in results]
    return Score(mean=float(np.mean(returns)), sem=_standard_error(returns), n=len(returns), returns=returns)


def _standard_error(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None

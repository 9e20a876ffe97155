"""Drops rows around which the IDM's confidence is low. Reads the column `confidence`; cost: microseconds a row."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from ghostpad.base.records import Video
from ghostpad.base.settings import Settings
from ghostpad.filters.contract import Filter, row_ends_s

HALF_S = 0.25
"""Confidence is a mean over the rows that begin within 0.25 s of a row (a guess: a menu or a cut lasts longer, a blink does not)."""


class ConfidenceSettings(Settings):
    """The cut of the confidence filter."""

    cut: float = Field(default=0.25, ge=0, le=1, description="drop rows whose mean confidence over 0.5 s is below this (0.25: a guess)")


@dataclass(frozen=True)
class Confidence(Filter):
    """Keeps rows whose smoothed confidence, 0...1, is at least `cut`.

    The default is mild because rows are weighted by confidence in training anyway, and dropping them hard is not free
    (on Celeste it lost average precision: 0.2693 against 0.2723, od0/madeleine).
    """

    name: ClassVar[str] = "confidence"
    version: ClassVar[int] = 1
    settings: ConfidenceSettings = ConfidenceSettings()

    def score(self, labels: pa.Table, video: Video) -> NDArray[np.float32]:
        """float32 [n], the mean confidence of the rows within 0.25 s."""
        row_ends_s(labels, video)  # refuses time stamps that do not ascend
        pts_s = labels.column("pts_s").to_numpy()
        total = np.concatenate([[0.0], np.cumsum(labels.column("confidence").to_numpy(), dtype=np.float64)])
        first = np.searchsorted(pts_s, pts_s - HALF_S - 1e-6, side="left")
        beyond = np.searchsorted(pts_s, pts_s + HALF_S + 1e-6, side="right")
        return ((total[beyond] - total[first]) / (beyond - first)).astype(np.float32)

    def keep(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """bool [n], True from the cut on."""
        return scores >= np.float32(self.settings.cut)


FILTER = Confidence  # what the folder is searched for

"""Drops long stretches in which nothing is pressed or moved, but for their first second. Reads slots and time stamps.

35 % of frames are idle in VPT's contractor data and in a probe of NitroGen's labels, and an agent that copies them stands still. Without
any it never learns to wait, so the first second stays. Cost: microseconds a row.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from ghostpad.base.pad import in_use
from ghostpad.base.records import Video, pads_of
from ghostpad.base.settings import Settings
from ghostpad.filters.contract import Filter, row_ends_s

LEAD_S = 1.0
"""The first second of every idle stretch stays (a guess)."""


class IdleSettings(Settings):
    """The cut of the idle filter."""

    seconds: float = Field(
        default=5.0, ge=0, description="drop idle stretches longer than this, but for their first second (5: D2E's gap in input)"
    )


@dataclass(frozen=True)
class Idle(Filter):
    """Keeps rows unless they are in an idle stretch longer than `seconds`, after its first second.

    In an idle row no known slot is in use (`ghostpad.base.pad.in_use`). A row of which nothing is known is not idle.
    """

    name: ClassVar[str] = "idle"
    version: ClassVar[int] = 1
    settings: IdleSettings = IdleSettings()

    def score(self, labels: pa.Table, video: Video) -> NDArray[np.float32]:
        """float32 [n], seconds of the idle stretch that a row is in; 0 in its first second and in rows that are not idle."""
        if not labels.num_rows:
            return np.zeros(0, np.float32)
        pads, known = pads_of(labels)
        idle = np.asarray(known.any(axis=1) & ~in_use(pads).any(axis=1))
        pts_s, ends_s = labels.column("pts_s").to_numpy(), row_ends_s(labels, video)
        edges = np.flatnonzero(np.diff(idle, prepend=~idle[:1])).tolist() + [len(idle)]
        scores = np.zeros(len(idle), np.float32)
        for first, beyond in zip(edges[:-1], edges[1:], strict=True):
            if idle[first]:
                late = pts_s[first:beyond] - pts_s[first] >= LEAD_S - 1e-6
                scores[first:beyond] = late * (ends_s[beyond - 1] - pts_s[first])
        return scores

    def keep(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """bool [n], True up to the cut."""
        return scores <= self.settings.seconds


FILTER = Idle  # what the folder is searched for

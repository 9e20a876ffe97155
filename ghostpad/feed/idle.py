"""Idle windows, in which nobody does anything, and how many of them a batch may hold.

A third of NitroGen's rows are idle, and its paper learns only where half of the rows are not; what a policy copies from too many of
them is standing still. Here none is thrown away: they are walked in a sequence of their own, at the share that is asked for.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import TrainingError
from ghostpad.base.pad import in_use
from ghostpad.feed.dataset import WindowDataset
from ghostpad.feed.footage import Footage


def idle_rows(clip: Footage) -> NDArray[np.bool_]:
    """Rows bool [n] in which no known button is down and no known stick away from its middle."""
    return np.asarray(~(in_use(clip.pads) & (clip.weight > 0)).any(axis=1))


def idle_windows(dataset: WindowDataset, group: int) -> NDArray[np.bool_]:
    """Windows bool [n] of a group all of whose rows are idle."""
    places, clips, offsets = dataset.places[group], dataset.groups[group], np.asarray(dataset.spec.row_offsets)
    found = np.zeros(len(places), np.bool_)
    ends = np.searchsorted(places[:, 0], np.arange(len(clips) + 1))  # places stand clip by clip
    for clip, first, last in zip(clips, ends[:-1], ends[1:], strict=True):
        idle = idle_rows(clip)
        rows = places[first:last, 1][:, None] + offsets
        outside = (rows < 0) | (rows >= len(idle))
        found[first:last] = (idle[rows.clip(0, len(idle) - 1)] | outside).all(axis=1)
    return found


def with_idle_share(dataset: WindowDataset, shares: Sequence[float], largest: float) -> tuple[WindowDataset, list[float]]:
    """The dataset and the shares of its groups with at most `largest` (0...1) of each group's windows idle.

    A group with more of them becomes two, active and idle windows. Raises `TrainingError` for a group that has only idle ones.
    """
    groups: list[Sequence[Footage]] = []
    places: list[NDArray[np.int64]] = []
    parts: list[float] = []
    for group, share in enumerate(shares):
        idle, found = idle_windows(dataset, group), dataset.places[group]
        if len(idle) and idle.mean() > largest:
            if idle.all():
                raise TrainingError(
                    f"every window of a group of footage is idle, and data.idle_share is {largest}: record play, or raise it"
                )
            groups += [dataset.groups[group]] * 2
            places += [found[~idle], found[idle]]
            parts += [share * (1 - largest), share * largest]
        else:
            groups, places, parts = [*groups, dataset.groups[group]], [*places, found], [*parts, share]
    return WindowDataset(groups, dataset.spec, places), parts

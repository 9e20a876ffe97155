"""Idle windows, in which nothing is pressed or moved, and how many of them a batch may hold.

A third of NitroGen's rows are idle, and its paper learns only from windows in which at least half of the rows are not; a policy that sees
too many learns to stand still. Here none is thrown away: idle windows are walked in a sequence of their own, at the share asked for.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import TrainingError
from ghostpad.base.pad import in_use
from ghostpad.feed.dataset import WindowDataset
from ghostpad.feed.footage import Footage


def idle_rows(clip: Footage) -> NDArray[np.bool_]:
    """bool [n]: rows in which no known button is pressed and no known stick is away from rest."""
    return np.asarray(~(in_use(clip.pads) & (clip.weight > 0)).any(axis=1))


def idle_windows(dataset: WindowDataset, group: int) -> NDArray[np.bool_]:
    """bool [n]: windows of a group all of whose rows inside the video are idle."""
    places, clips, offsets = dataset.places[group], dataset.groups[group], np.asarray(dataset.spec.row_offsets)
    windows = np.zeros(len(places), np.bool_)
    ends = np.searchsorted(places[:, 0], np.arange(len(clips) + 1))  # places are in the order of the clips
    for clip, first, last in zip(clips, ends[:-1], ends[1:], strict=True):
        idle = idle_rows(clip)
        rows = places[first:last, 1][:, None] + offsets
        outside = (rows < 0) | (rows >= len(idle))
        windows[first:last] = (idle[rows.clip(0, len(idle) - 1)] | outside).all(axis=1)
    return windows


def with_idle_share(dataset: WindowDataset, shares: Sequence[float], largest: float) -> tuple[WindowDataset, list[float]]:
    """The dataset and the shares of its groups with at most `largest` (0...1) of each group's windows idle.

    A group with more becomes two, of active and of idle windows. Raises `TrainingError` for a group that has idle ones alone.
    """
    divided = []
    for group, share in enumerate(shares):
        clips, places, idle = dataset.groups[group], dataset.places[group], idle_windows(dataset, group)
        if len(idle) and idle.mean() > largest:
            if idle.all():
                raise TrainingError(
                    f"every window of a group of footage is idle, and data.idle_share is {largest}: record play, or raise it"
                )
            divided += [(clips, places[~idle], share * (1 - largest)), (clips, places[idle], share * largest)]
        else:
            divided.append((clips, places, share))
    groups, windows, parts = zip(*divided, strict=True)
    return WindowDataset(groups, dataset.spec, windows), list(parts)

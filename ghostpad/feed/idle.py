"""Idle rows and windows, in which nothing is pressed or moved, and how many of them a batch may hold.

A third of NitroGen's rows are idle, and its paper learns only from windows in which at least half of the rows are not; a policy that sees
too many learns to stand still. Here none is thrown away: idle windows are walked in a sequence of their own, at the share asked for. A row
is idle by `ghostpad.feed.footage.idle_rows`, a window if all its rows inside the video are.
"""

from collections.abc import Sequence

from ghostpad.base.errors import TrainingError
from ghostpad.feed.dataset import Group, WindowDataset


def with_idle_share(dataset: WindowDataset, shares: Sequence[float], largest: float) -> tuple[WindowDataset, list[float]]:
    """The dataset and the shares of its groups with at most `largest` (0...1) of each group's windows idle.

    A group with more becomes two, of active and of idle windows. Raises `TrainingError` for a group that has idle ones alone.
    """
    divided: list[tuple[Group, float]] = []
    for group, share in zip(dataset.groups, shares, strict=True):
        active, idle = (Group.of(group.clips, dataset.spec, kind) for kind in ("active", "idle"))
        if idle.size > largest * group.size:
            if not active.size:
                raise TrainingError(
                    f"every window of a group of footage is idle, and data.idle_share is {largest}: record play, or raise it"
                )
            divided += [(active, share * (1 - largest)), (idle, share * largest)]
        else:
            divided.append((group, share))
    groups, parts = zip(*divided, strict=True)
    return WindowDataset(groups, dataset.spec), list(parts)

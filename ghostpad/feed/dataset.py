"""Windows of footage as batches: a map-style dataset on torch's DataLoader, walked in the `Order` of (seed, step)."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ghostpad.base.errors import TrainingError
from ghostpad.feed.batch import Batch, WindowRef, collate
from ghostpad.feed.footage import Footage
from ghostpad.feed.order import Order
from ghostpad.feed.window import WindowSpec

Sample = tuple[Tensor, Tensor, Tensor, WindowRef]
"""frames uint8 [T, H, W, C], pads float32 [K, 25], weight float32 [K, 25], ref."""


class WindowDataset(Dataset[Sample]):
    """The windows of groups of footage, addressed by (group, index).

    There is one at every row at which the first row it learns has a weight; with `spec.inside`, wherever all its rows are inside the
    video (a shorter video gives one window) and any of them has a weight.

    places  the (clip, row) int64 [n, 2] of the windows of each group, clip by clip; by default all
    """

    def __init__(self, groups: Sequence[Sequence[Footage]], spec: WindowSpec, places: Sequence[NDArray[np.int64]] | None = None):
        self.groups, self.spec = [list(group) for group in groups], spec
        none = np.zeros((0, 2), np.int64)
        self.places = list(
            places or [np.concatenate([none, *(_places(n, clip, spec) for n, clip in enumerate(group))]) for group in groups]
        )

    @property
    def sizes(self) -> list[int]:
        """Number of windows in each group."""
        return [len(places) for places in self.places]

    def __getitem__(self, key: tuple[int, int]) -> Sample:  # type: ignore[override]
        group, index = key
        clip_index, row = self.places[group][index]
        clip = self.groups[group][clip_index]
        rows, inside = self.spec.rows_at(row, len(clip.pads))
        frames = clip.frames[self.spec.frames_at(row, len(clip.frames))]
        weight = clip.weight[rows] * inside[:, None]
        ref = WindowRef(clip.video, int(row), clip.game, bool(clip.masks))
        return torch.from_numpy(frames), torch.from_numpy(clip.pads[rows]), torch.from_numpy(weight), ref


def _places(clip_index: int, clip: Footage, spec: WindowSpec) -> NDArray[np.int64]:
    """(clip, row) int64 [n, 2] of all windows of a clip."""
    weighs = np.asarray(clip.weight.any(axis=1))
    if spec.inside:
        rows = np.arange(max(1, len(weighs) - max(spec.row_offsets)))
        before = np.concatenate([[0], np.cumsum(weighs)])  # rows with a weight before row 0, 1, ...
        last = np.minimum(rows + max(spec.row_offsets) + 1, len(weighs))
        rows = rows[before[last] > before[rows + min(spec.row_offsets)]]
    else:
        rows = np.flatnonzero(weighs) - min(spec.row_offsets)
        rows = rows[(rows >= 0) & (rows < len(weighs))]
    return np.stack([np.full(len(rows), clip_index), rows], axis=1)


def batches(
    dataset: WindowDataset, order: Order, first: int, last: int, *, workers: int = 0, rank: int = 0, ranks: int = 1
) -> Iterator[Batch]:
    """The batches of steps `first` ... `last - 1`; process `rank` of `ranks` gets every `ranks`-th window of each."""
    if order.batch_size % ranks:
        raise TrainingError(f"a batch of {order.batch_size} windows cannot be shared by {ranks} processes: choose a multiple of {ranks}")
    keys = (order.at(step)[rank::ranks] for step in range(first, last))
    return iter(DataLoader(dataset, batch_sampler=keys, num_workers=workers, collate_fn=collate))  # type: ignore[arg-type]

"""Windows of footage as batches: a map-style dataset on torch's DataLoader, walked in the `Order` of (seed, step).

The windows of a batch that lie in one segment are read together, so that its pictures are decoded once. Memory: 2 KB a video in each
process, and 28 bytes a segment, which the processes of a training share through files.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ghostpad.base.errors import TrainingError
from ghostpad.base.files import atomic_path
from ghostpad.feed.batch import Batch, WindowRef, collate
from ghostpad.feed.footage import Footage, idle_rows
from ghostpad.feed.order import Layout, Order
from ghostpad.feed.window import WindowSpec

Sample = tuple[Tensor, Tensor, Tensor, WindowRef]
"""frames uint8 [T, H, W, C], pads float32 [K, 25], weight float32 [K, 25], ref."""

Kind = Literal["all", "active", "idle"]
"""Which windows of some footage: all, those in which anything is pressed or moved, or the others."""


@dataclass(frozen=True, eq=False)
class Group:
    """Windows of some clips of a kind, from segment to segment.

    segments   int32 [n, 3]: the clip of each segment that has windows, its first row, and the first row of the next
    windows    int64 [n], how many windows it has
    """

    clips: Sequence[Footage]
    kind: Kind
    segments: NDArray[np.int32]
    windows: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, clips: Sequence[Footage], spec: WindowSpec, kind: Kind = "all") -> "Group":
        """The windows of a kind of clips, game by game."""
        parts = [(np.zeros((0, 3), np.int32), np.zeros(0, np.int64))]
        for number in sorted(range(len(clips)), key=lambda number: clips[number].game):
            facts, rows = clips[number].facts_for(spec), len(clips[number].pads)
            windows = {"all": facts.windows, "active": facts.windows - facts.idle, "idle": facts.idle}[kind].astype(np.int64)
            segments = np.stack([np.full(len(windows), number), facts.starts, [*facts.starts[1:], rows]], axis=1).astype(np.int32)
            parts.append((segments[windows > 0], windows[windows > 0]))
        segments, windows = (np.concatenate(each) for each in zip(*parts, strict=True))
        return cls(clips, kind, segments, windows, np.cumsum(windows))

    def in_files(self, folder: Path) -> "Group":
        """The same with its arrays in files of a folder, named by content, which other processes map too."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {}
        for name in ("segments", "windows", "ends"):
            array = np.ascontiguousarray(getattr(self, name))
            path = folder / f"{hashlib.sha256(array.data).hexdigest()[:24] if array.size else 'empty'}-{name}.npy"
            if not path.exists():
                with atomic_path(path, derived=True) as temporary, open(temporary, "wb") as file:
                    np.save(file, array)
            arrays[name] = np.load(path, mmap_mode="r")
        return replace(self, **arrays)

    @property
    def size(self) -> int:
        """Number of windows."""
        return int(self.windows.sum())

    def layout(self, evenly: Sequence[Literal["game", "video"]] = ()) -> Layout:
        """How its windows lie, for an order in which games, or videos, or both come evenly."""
        games = np.array([self.clips[clip].game for clip in self.segments[:, 0]])
        changes = {"game": games[1:] != games[:-1], "video": self.segments[1:, 0] != self.segments[:-1, 0]}
        cells = [np.concatenate([[0], 1 + np.flatnonzero(changes[name]), [len(games)]]) for name in ("game", "video") if name in evenly]
        return Layout(self.windows, tuple(cells))


class WindowDataset(Dataset[Sample]):
    """The windows of groups of footage, addressed by (group, index); see `ghostpad.feed.window.WindowSpec.windows_at`."""

    def __init__(self, groups: Sequence[Group | Sequence[Footage]], spec: WindowSpec):
        self.groups = [group if isinstance(group, Group) else Group.of(group, spec) for group in groups]
        self.spec = spec

    def in_files(self, folder: Path) -> "WindowDataset":
        """The same with the index of segments in files of a folder, which all processes of a training map."""
        return WindowDataset([group.in_files(folder) for group in self.groups], self.spec)

    @property
    def sizes(self) -> list[int]:
        """Number of windows in each group."""
        return [group.size for group in self.groups]

    def __getitem__(self, key: tuple[int, int]) -> Sample:  # type: ignore[override]
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> list[Sample]:
        """Several windows; torch's DataLoader asks for a whole batch. Those of one segment are read at once."""
        together: dict[tuple[int, int], list[int]] = {}
        for place, (group, index) in enumerate(keys):
            together.setdefault((group, int(np.searchsorted(self.groups[group].ends, index, side="right"))), []).append(place)
        samples: dict[int, Sample] = {}
        for (group, segment), places in together.items():
            before = self.groups[group].ends[segment] - self.groups[group].windows[segment]
            numbers = [keys[place][1] - int(before) for place in places]
            samples.update(zip(places, self._windows(self.groups[group], segment, numbers), strict=True))
        return [samples[place] for place in range(len(keys))]

    def _windows(self, group: Group, segment: int, numbers: Sequence[int]) -> list[Sample]:
        """Windows of one segment by their numbers in it."""
        number, first, last = group.segments[segment].tolist()
        clip, spec = group.clips[number], self.spec
        total = len(clip.pads)
        low, high = spec.rows_around(first, last, total)
        pads, weight = clip.pads[low:high], clip.weight[low:high]
        at = spec.windows_at(weight.any(axis=1), first, last, total)
        if group.kind != "all":
            idle = spec.all_true(idle_rows(pads, weight), at, low, total)
            at = at[idle == (group.kind == "idle")]
        rows = [int(at[number]) for number in numbers]
        shown = [spec.frames_at(row, total + 1) for row in rows]
        wanted, places = np.unique(np.concatenate(shown), return_inverse=True)
        frames = torch.from_numpy(clip.frames[wanted])
        samples = []
        for row, seen in zip(rows, np.split(places, len(rows)), strict=True):
            learned, inside = spec.rows_at(row, total)
            known = weight[learned - low] * inside[:, None]
            ref = WindowRef(clip.video, row, clip.game, bool(clip.masks))
            near = frames[int(seen[0]) : int(seen[-1]) + 1]  # most windows are one piece of it, which is not copied
            shown_frames = near if len(near) == len(seen) else frames[torch.from_numpy(seen)]
            samples.append((shown_frames, torch.from_numpy(pads[learned - low]), torch.from_numpy(known), ref))
        return samples


def batches(
    dataset: WindowDataset, order: Order, first: int, last: int, *, workers: int = 0, rank: int = 0, ranks: int = 1
) -> Iterator[Batch]:
    """The batches of steps `first` ... `last - 1`; process `rank` of `ranks` gets every `ranks`-th window of each."""
    if order.batch_size % ranks:
        raise TrainingError(f"a batch of {order.batch_size} windows cannot be shared by {ranks} processes: choose a multiple of {ranks}")
    keys = (order.at(step)[rank::ranks] for step in range(first, last))
    far = any(clip.far for group in dataset.groups for clip in group.clips)
    loader = DataLoader(
        dataset,
        batch_sampler=keys,
        num_workers=workers,
        multiprocessing_context="spawn" if workers and far else None,  # fsspec's connections do not outlive a fork
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),  # type: ignore[arg-type]
    )
    return iter(loader)

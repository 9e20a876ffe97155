"""Which window comes when: a pure function of (seed, step), so a run resumes from one integer, in memory that does not grow with footage.

Windows come in groups (recorded, pseudo-labels) that are mixed by share. A group is walked in *visits*: a visit takes a few windows from
one segment of a video, spread evenly over it, so that a segment is decoded once for all of them. Each group has its own endless sequence
of epochs, each a permutation of its visits; where games or videos are to come evenly, each of these has a sequence of its own, and they
take turns in an order drawn anew for every round. An epoch holds every window once; where the windows of a segment are no multiple of
those of a visit, a few twice.

Permutations are computed, not stored: a Feistel network over the numbers below the next power of four, walked until it lands inside
(Black and Rogaway 2002). A window costs about 10 microseconds (guess).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import TrainingError

_ROUNDS = 6
_WORD = (1 << 64) - 1


@dataclass(frozen=True, eq=False)
class Layout:
    """How the windows of a group lie: numbered from segment to segment, none of which is empty.

    windows  int64 [segments], how many windows each segment has
    cells    what comes evenly, from the outer to the inner: the first segment of each game, or video, and the number of segments at last
    """

    windows: NDArray[np.int64]
    cells: tuple[NDArray[np.int64], ...] = ()

    @property
    def size(self) -> int:
        """Number of windows."""
        return int(self.windows.sum())


class Order:
    """The windows of every step: `at(step)` lists (group, index) pairs.

    groups    the layout of each group
    shares    fraction of every batch drawn from each group (sums to 1); a group with a share must not be empty
    together  windows of a visit
    """

    def __init__(self, groups: Sequence[Layout], shares: Sequence[float], batch_size: int, seed: int, together: int = 1):
        if abs(sum(shares) - 1) > 1e-9 or any(share < 0 for share in shares):
            raise TrainingError(f"the shares {list(shares)} of a batch must be 0 or more and sum to 1")
        if any(share > 0 and not len(group.windows) for group, share in zip(groups, shares, strict=True)):
            raise TrainingError("part of every batch is to come from a group without windows: record or label footage first")
        self.shares, self.batch_size, self.seed, self.together = list(shares), batch_size, seed, together
        self._walks = [_Walk(group, (seed, number), together) for number, group in enumerate(groups)]

    def _taken(self, step: int) -> list[int]:
        """How many windows of each group the steps before `step` have used."""
        # Each group takes its part of what the groups before it left, so that no count ever falls; the last takes all that is left.
        left, share_left, taken = step * self.batch_size, 1.0, []
        for share in self.shares[:-1]:
            taken.append(math.floor(left * min(1.0, share / share_left) + 1e-6) if share > 0 else 0)
            left, share_left = left - taken[-1], share_left - share
        return [*taken, left]

    def at(self, step: int) -> list[tuple[int, int]]:
        """The (group, index) pairs of batch `step` (0, 1, ...), `batch_size` of them.

        The windows of a visit are dealt out so that one of R processes, which has every R-th pair, has them all where R divides the
        number of visits in a batch.
        """
        picked = []
        for group, (start, stop) in enumerate(zip(self._taken(step), self._taken(step + 1), strict=True)):
            picked += [(group, self._walks[group].window(position)) for position in range(start, stop)]
        return [pair for first in range(self.together) for pair in picked[first :: self.together]]


class _Walk:
    """The endless sequence of a group's windows."""

    def __init__(self, layout: Layout, key: tuple[int, ...], together: int):
        self._key, self._together, self._windows = key, together, layout.windows
        self._visits = -(-layout.windows // together)
        self._window_ends, self._visit_ends = (np.concatenate([[0], np.cumsum(each)]) for each in (layout.windows, self._visits))
        self._cells = layout.cells
        self._visit = lru_cache(2)(self._find)  # the windows of a visit are asked for one after the other

    def window(self, position: int) -> int:
        """The number of the window at a position of the sequence."""
        visit, turn = divmod(position, self._together)
        segment, begin = self._visit(visit)
        windows = int(self._windows[segment])
        return int(self._window_ends[segment]) + (begin + turn * int(self._visits[segment])) % windows

    def _find(self, visit: int) -> tuple[int, int]:
        """The segment of a visit of the sequence, and the first of its windows there."""
        first, last, at, key = 0, len(self._windows), visit, self._key
        for bounds in self._cells:
            low, high = (int(place) for place in np.searchsorted(bounds, (first, last)))
            round_, place = divmod(at, high - low)
            cell = low + permuted(place, high - low, mixed(*key, round_))
            first, last, at, key = int(bounds[cell]), int(bounds[cell + 1]), round_, (*key, cell)
        begin, end = int(self._visit_ends[first]), int(self._visit_ends[last])
        epoch, place = divmod(at, end - begin)
        number = begin + permuted(place, end - begin, mixed(*key, epoch))
        segment = int(np.searchsorted(self._visit_ends, number, side="right")) - 1
        shift = mixed(*key, epoch, segment) % int(self._windows[segment])  # so that other windows come together in every epoch
        return segment, shift + number - int(self._visit_ends[segment])


def permuted(place: int, count: int, key: int) -> int:
    """Where `place` (0...count - 1) goes in the permutation of `count` numbers that `key` (64 bits) names."""
    bits = max(1, ((count - 1).bit_length() + 1) // 2)
    mask = (1 << bits) - 1
    while True:
        left, right = place >> bits, place & mask
        for round_ in range(_ROUNDS):
            left, right = right, left ^ (_scrambled(key + (round_ << 56) + right * 0x9E3779B97F4A7C15) & mask)
        place = left << bits | right
        if place < count:
            return place


def mixed(*numbers: int) -> int:
    """64 bits that follow from whole numbers; nearby inputs give unrelated ones."""
    value = 0
    for number in numbers:
        value = _scrambled(value + number + 0x9E3779B97F4A7C15)
    return value


def _scrambled(value: int) -> int:
    """The finaliser of splitmix64 (Steele et al. 2014)."""
    value &= _WORD
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & _WORD
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & _WORD
    return value ^ value >> 31

"""Which window comes when: a pure function of (seed, step), so a run resumes from one integer.

Windows come in groups (recorded, pseudo-labels) that are mixed by share. Each group is walked in its own endless sequence of
permutations; the place of a step in that sequence follows from the shares alone. Measured: it resumes exactly, with shuffling, where
streaming shuffle buffers lost or repeated rows (docs/design.md).
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ghostpad.base.errors import TrainingError


class Order:
    """The windows of every step: `at(step)` lists (group, index) pairs.

    sizes   number of windows in each group
    shares  fraction of every batch drawn from each group (sums to 1); a group with a share must not be empty
    """

    def __init__(self, sizes: Sequence[int], shares: Sequence[float], batch_size: int, seed: int):
        if abs(sum(shares) - 1) > 1e-9 or any(share < 0 for share in shares):
            raise TrainingError(f"the shares {list(shares)} of a batch must be 0 or more and sum to 1")
        if any(share > 0 and size == 0 for size, share in zip(sizes, shares, strict=True)):
            raise TrainingError("part of every batch is to come from a group without windows: record or label footage first")
        self.sizes, self.shares, self.batch_size, self.seed = list(sizes), list(shares), batch_size, seed
        self._permutation = lru_cache(2 * len(self.sizes))(self._draw)  # a batch holds the end of an epoch and the start of the next

    def _taken(self, step: int) -> list[int]:
        """How many windows of each group the steps before `step` have used."""
        # Each group takes its part of what the groups before it left, so that no count ever falls; the last takes all that is left.
        left, share_left, taken = step * self.batch_size, 1.0, []
        for share in self.shares[:-1]:
            taken.append(math.floor(left * min(1.0, share / share_left) + 1e-6) if share > 0 else 0)
            left, share_left = left - taken[-1], share_left - share
        return [*taken, left]

    def at(self, step: int) -> list[tuple[int, int]]:
        """The (group, index) pairs of batch `step` (0, 1, ...), `batch_size` of them."""
        picked = []
        for group, (start, stop) in enumerate(zip(self._taken(step), self._taken(step + 1), strict=True)):
            for position in range(start, stop):
                epoch, place = divmod(position, self.sizes[group])
                picked.append((group, int(self._permutation(group, epoch)[place])))
        return picked

    def _draw(self, group: int, epoch: int) -> np.ndarray:
        """The order int64 [size] in which an epoch of a group is walked."""
        return np.random.default_rng([self.seed, group, epoch]).permutation(self.sizes[group])

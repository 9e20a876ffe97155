"""Which window comes when: a pure function of (seed, step), so a run resumes from one integer.

Windows lie in groups (truth, pseudo-labels) that are mixed by share. Each group is walked in its own endless sequence of
permutations; where a step stands in that sequence follows from the shares alone. This is the loader that resumed
exactly *with* shuffling where streaming shuffle buffers lost or repeated rows (measured; docs/design.md).
"""

import math
from collections.abc import Sequence

import numpy as np

from ghostpad.base.errors import TrainingError


def permutation(size: int, seed: int, group: int, epoch: int) -> np.ndarray:
    """The order int64 [size] in which epoch `epoch` of a group of `size` windows is walked."""
    return np.random.default_rng([seed, group, epoch]).permutation(size)


class Order:
    """The windows of every step: `at(step)` lists (group, index) pairs.

    sizes   number of windows in each group
    shares  fraction of every batch drawn from each group (sums to 1); a group with a share must not be empty
    """

    def __init__(self, sizes: Sequence[int], shares: Sequence[float], batch_size: int, seed: int):
        if abs(sum(shares) - 1) > 1e-9 or any(share < 0 for share in shares):
            raise TrainingError(f"the shares {list(shares)} of a batch must be 0 or more and sum to 1")
        if any(share > 0 and size == 0 for size, share in zip(sizes, shares, strict=True)):
            raise TrainingError("a share of the batch is asked of a group without windows: record or label footage first")
        self.sizes, self.shares, self.batch_size, self.seed = list(sizes), list(shares), batch_size, seed
        self._permutations: dict[tuple[int, int], np.ndarray] = {}

    def _taken(self, step: int) -> list[int]:
        """How many windows of each group the steps before `step` have used."""
        # Each group takes its part of what the groups before it left: so no count ever falls, and the last takes the rest.
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
                picked.append((group, int(self._epoch(group, epoch)[place])))
        return picked

    def _epoch(self, group: int, epoch: int) -> np.ndarray:
        if (group, epoch) not in self._permutations:
            self._permutations = {key: value for key, value in self._permutations.items() if key[0] != group or key[1] == epoch - 1}
            self._permutations[group, epoch] = permutation(self.sizes[group], self.seed, group, epoch)
        return self._permutations[group, epoch]

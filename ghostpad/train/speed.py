"""How fast a training goes, and which share of its time it waits for data: the first thing to know before buying a larger GPU."""

import time
from collections.abc import Iterator

import numpy as np

from ghostpad.feed.batch import Batch


class Speed:
    """Iterates over batches of `samples` samples (over all processes) and measures the time: waiting for the next batch, and in all.

    The first step of a process does not count: worker processes start and kernels are chosen in it.
    """

    def __init__(self, feed: Iterator[Batch], samples: int):
        self.feed, self.samples = feed, samples
        self._total = self._last = np.zeros(3)  # steps, seconds waited for data, seconds in all

    def __iter__(self) -> Iterator[Batch]:
        began = None
        while True:
            asked = time.perf_counter()
            if (batch := next(self.feed, None)) is None:
                return
            waited = time.perf_counter() - asked
            yield batch
            now = time.perf_counter()
            if began is None:
                began = now
            else:
                self._total = np.array([self._total[0] + 1, self._total[1] + waited, now - began])

    def since_last(self) -> dict[str, float]:
        """`samples_per_s` and `data_stall` (0...1) since the last call; nothing before the second step is over."""
        passed, self._last = self._total - self._last, self._total
        return self._rates(*passed.tolist())

    def facts(self) -> dict[str, float]:
        """The same over all steps, and `steps`, how many those are; JSON-able."""
        return {"steps": int(self._total[0])} | self._rates(*self._total.tolist())

    def __str__(self) -> str:
        facts = self.facts()
        if not facts["steps"]:
            return "too few steps to measure the speed"
        return f"{facts['samples_per_s']:.4g} samples/s, {facts['data_stall']:.1%} of the time waiting for data"

    def _rates(self, steps: float, waited_s: float, took_s: float) -> dict[str, float]:
        return {"samples_per_s": steps * self.samples / took_s, "data_stall": waited_s / took_s} if steps else {}

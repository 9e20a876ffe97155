"""How fast a training goes, and which share of its time waits for data: the first thing to know before buying a larger GPU."""

import time
from collections.abc import Iterator

from ghostpad.feed.batch import Batch


class Speed:
    """Walks over batches of `samples` samples (over all processes) and keeps the time: waiting for the next batch, and all of it.

    The first step of a process is left out: worker processes start and kernels are chosen in it.
    """

    def __init__(self, feed: Iterator[Batch], samples: int):
        self.feed, self.samples = feed, samples
        self.steps, self.waited_s, self.took_s = 0, 0.0, 0.0
        self._last = (0, 0.0, 0.0)

    def __iter__(self) -> Iterator[Batch]:
        began = None
        while True:
            asked = time.perf_counter()
            batch = next(self.feed, None)
            got = time.perf_counter()
            if batch is None:
                return
            yield batch
            if began is not None:
                self.steps, self.waited_s, self.took_s = self.steps + 1, self.waited_s + got - asked, time.perf_counter() - began
            else:
                began = time.perf_counter()

    def since_last(self) -> dict[str, float]:
        """`samples_per_s` and `data_stall` (0...1) since the last call; nothing before the second step is over."""
        now = (self.steps, self.waited_s, self.took_s)
        steps, waited_s, took_s = (new - old for new, old in zip(now, self._last, strict=True))
        self._last = now
        return {"samples_per_s": steps * self.samples / took_s, "data_stall": waited_s / took_s} if steps else {}

    def facts(self) -> dict[str, float]:
        """The same over all steps, and how many steps those are; JSON-able."""
        self._last = (0, 0.0, 0.0)
        return {"steps": self.steps, **self.since_last()}

    def __str__(self) -> str:
        facts = self.facts()
        if not self.steps:
            return "too few steps to tell how fast it went"
        return f"{facts['samples_per_s']:.4g} samples/s, {facts['data_stall']:.1%} of the time waiting for data"

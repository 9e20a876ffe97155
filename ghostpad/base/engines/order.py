"""Results in the order of the items, whichever engine works on them."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ghostpad.base.engines.results import results
from ghostpad.base.engines.settings import EngineSettings

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    settings: EngineSettings, start: Callable[..., Callable[[T], R]], words: tuple[Any, ...], items: Iterator[T]
) -> Iterator[tuple[T, R | Exception]]:
    """As `ghostpad.base.engines.results.results`, in the order of the items, which must be distinct objects.

    Memory: the results that came while an earlier item was under way, so they should be small.
    """
    taken, done = deque[T](), dict[int, R | Exception]()

    def noted() -> Iterator[T]:
        for item in items:
            taken.append(item)
            yield item

    for item, result in results(settings, start, words, noted()):
        done[id(item)] = result
        while taken and id(taken[0]) in done:
            first = taken.popleft()
            yield first, done.pop(id(first))

"""The one door to the engines: `results` of a function on many items, wherever it runs."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ghostpad.base.engines.crew import placed
from ghostpad.base.engines.settings import EngineSettings, usable_cores

T = TypeVar("T")
R = TypeVar("R")


def results(
    settings: EngineSettings, start: Callable[..., Callable[[T], R]], words: tuple[Any, ...], items: Iterator[T]
) -> Iterator[tuple[T, R | Exception]]:
    """Each item with what the worker's function gives for it, or the error that it raised, as they come: in order only 'here'.

    `start(*words)` makes the function once in each worker, such as a loaded model; its `close()`, if it has one, is called here at the end,
    and elsewhere the worker's process ends. Items are taken one a worker, so there may be a million. An item whose worker dies is given to
    another, `settings.tries` times in all, and then its result is `ghostpad.base.engines.crew.Died`. Close the iterator to stop early.

    Raises what `start` raises, `Died` if workers only die over it, and what the engine `ray` raises (`ghostpad.base.engines.cluster`).
    """
    if settings.placed == "here":
        yield from _here(start, words, items)
    elif settings.placed == "pool":
        from ghostpad.base.engines.pool import Pool

        yield from placed(Pool(settings.workers or usable_cores(), start, words), items, settings.tries)
    else:
        from ghostpad.base.engines.cluster import Cluster

        yield from placed(Cluster(settings.workers, settings.ray_address, settings.gpus, start, words), items, settings.tries)


def _here(start: Callable[..., Callable[[T], R]], words: tuple[Any, ...], items: Iterator[T]) -> Iterator[tuple[T, R | Exception]]:
    work = start(*words)
    try:
        for item in items:
            try:
                outcome: R | Exception = work(item)
            except Exception as error:  # noqa: BLE001  (whatever it is, it is the item's)
                outcome = error
            yield item, outcome
    finally:
        if close := getattr(work, "close", None):
            close()

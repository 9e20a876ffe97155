"""Work on many items in processes of their own; one that dies costs the item it was at, and another takes its place.

Workers end with their parent, however that ends: Linux kills them, elsewhere they end when their pipe does.
"""

from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, NamedTuple, TypeVar

from ghostpad.base.errors import GhostpadError
from ghostpad.base.processes import end_with_parent

T = TypeVar("T")
R = TypeVar("R")


class Died(GhostpadError):
    """A worker ended in the middle of its item."""


class _Worker(NamedTuple):
    process: BaseProcess
    pipe: Connection


class Workers(Generic[T, R]):
    """`count` processes, each with a function of its own that `start(*words)` makes there once, such as a loaded model."""

    def __init__(self, count: int, start: Callable[..., Callable[[T], R]], *words: Any):
        self._count, self._start, self._words = count, start, words

    def results(self, items: Iterator[T]) -> Iterator[tuple[T, R | Exception]]:
        """Each item with its result or the error that it raised, as they come. Items are taken as workers get free."""
        busy: dict[Connection, tuple[_Worker, T]] = {}
        idle: list[_Worker] = []
        try:
            while True:
                while len(busy) < self._count and (item := next(items, None)) is not None:
                    worker = self._send(item, idle)
                    busy[worker.pipe] = worker, item
                if not busy:
                    return
                for pipe in [pipe for pipe in wait(list(busy)) if isinstance(pipe, Connection)]:
                    worker, item = busy.pop(pipe)
                    try:
                        result = worker.pipe.recv()
                        idle.append(worker)
                    except (EOFError, ConnectionResetError):
                        result = _death(worker)
                    yield item, result
        finally:
            for worker in [*idle, *(worker for worker, _ in busy.values())]:
                worker.process.kill()
                worker.process.join()
                worker.pipe.close()

    def _send(self, item: T, idle: list[_Worker]) -> _Worker:
        """The worker that has the item now: an idle one that still lives, or a new one."""
        while idle:
            worker = idle.pop()
            try:
                worker.pipe.send(item)
                return worker
            except OSError:
                _death(worker)
        worker = self._begin()
        worker.pipe.send(item)
        return worker

    def _begin(self) -> _Worker:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._start, self._words), daemon=False)
        process.start()
        theirs.close()
        return _Worker(process, ours)


def _death(worker: _Worker) -> Died:
    worker.process.join()
    worker.pipe.close()
    code = worker.process.exitcode or 0
    how = f"was killed (signal {-code})" if code < 0 else f"ended (exit status {code})"
    return Died(f"the worker {how} at this video: if memory is short, use fewer --workers")


def _work(pipe: Connection, start: Callable[..., Callable[[Any], Any]], words: tuple[Any, ...]) -> None:
    """A worker's life."""
    end_with_parent()
    work = start(*words)
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        try:
            result = work(item)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is the item's)
            result = error
        pipe.send(result)

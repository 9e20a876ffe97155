"""A pool of processes on this machine. They end with their parent, however that ends: Linux kills them, elsewhere they end when their pipe
does. A worker starts in about 0.1 s, and what it makes comes on top; an item costs 0.1 ms (measured)."""

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess, parent_process
from typing import Any

from ghostpad.base.engines.crew import Death, attempt
from ghostpad.base.processes import end_with_parent

_END_S = 5.0
"""Seconds in which a worker without work must have ended by itself (a guess)."""


@dataclass(frozen=True, eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection


class Pool:
    """A `ghostpad.base.engines.crew.Crew` of at most `size` processes, each with a function of its own that `start(*words)` makes there."""

    def __init__(self, size: int, start: Callable[..., Callable[[Any], Any]], words: tuple[Any, ...]):
        self._size, self._start, self._words = size, start, words
        self._killed = list[BaseProcess]()

    def size(self) -> int:
        """The same at all times."""
        return self._size

    def hire(self) -> _Worker:
        """A new process."""
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_live, args=(theirs, self._start, self._words), daemon=False)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def give(self, worker: _Worker, item: Any) -> None:
        """Send it; a broken pipe shows when the answer is read."""
        try:
            worker.pipe.send(item)
        except OSError:
            worker.process.kill()

    def answers(self, workers: Sequence[_Worker]) -> list[tuple[_Worker, Any]]:
        """What has come through the pipes."""
        ready = set(wait([worker.pipe for worker in workers]))
        return [(worker, _answer(worker)) for worker in workers if worker.pipe in ready]

    def dismiss(self, worker: _Worker) -> None:
        """Kill it, without waiting for its end."""
        worker.process.kill()
        worker.pipe.close()
        self._killed.append(worker.process)

    def close(self) -> None:
        """Wait until all that were killed have ended."""
        for process in self._killed:
            process.join()


def _answer(worker: _Worker) -> Any:
    try:
        return worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(_END_S)  # the pipe breaks a moment before the process has ended
        code = worker.process.exitcode or 0
        return Death(f"was killed (signal {-code})" if code < 0 else f"ended (exit status {code})")


def _live(pipe: Connection, start: Callable[..., Callable[[Any], Any]], words: tuple[Any, ...]) -> None:
    """A worker's life."""
    parent = parent_process()
    end_with_parent(parent.pid if parent else None)  # it may have been killed while this process was starting
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group, and the parent ends its workers
    work = attempt(start, *words)
    pipe.send(work if isinstance(work, Exception) else None)
    while not isinstance(work, Exception):
        try:
            item = pipe.recv()
        except EOFError:
            return
        pipe.send(attempt(work, item))

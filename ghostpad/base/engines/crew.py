"""Work on many items by workers that may die: who gets which item, and what comes of it. Pools and clusters differ in their `Crew` alone.

An item whose worker dies goes to another; nothing else is done twice. Memory: as many items as there are workers.
"""

import pickle
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from ghostpad.base.errors import GhostpadError

T = TypeVar("T")
R = TypeVar("R")
W = TypeVar("W")

STARTS = 10
"""Workers that may die one after the other before any could begin (a guess): then all would."""


class Died(GhostpadError):
    """Workers ended in the middle of an item, or before they could begin, `attempts` times."""

    def __init__(self, text: str, attempts: int = 1):
        super().__init__(text, attempts)
        self.attempts = attempts

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Death:
    """A worker is gone: how, in words that follow "the worker"."""

    how: str


class Crew(Protocol[W]):
    """Workers of one kind. A new one first makes its function, and its first answer is the error of that, or None."""

    def size(self) -> int:
        """How many workers there may be now, 1 or more."""

    def hire(self) -> W:
        """A new worker, which begins to make its function."""

    def give(self, worker: W, item: Any) -> None:
        """Let a worker that has nothing to do work on an item. If it is gone, `answers` says so."""

    def answers(self, workers: Sequence[W]) -> list[tuple[W, Any]]:
        """Wait for an answer of these workers: those that have one with it, or with their `Death`. None, when the size may be another."""

    def dismiss(self, worker: W) -> None:
        """End a worker at once; it may be dead."""

    def close(self) -> None:
        """End what the workers needed."""


@dataclass
class _Task(Generic[T]):
    item: T
    attempts: int = 0


class _Work(Generic[W, T]):
    """Who does what now."""

    def __init__(self, crew: Crew[W], items: Iterator[T], tries: int):
        self._crew, self._items, self._tries = crew, items, tries
        self._waiting: deque[_Task[T]] = deque()
        self._starting: set[W] = set()
        self._idle: list[W] = []
        self._busy: dict[W, _Task[T]] = {}
        self._lost = 0  # workers, one after the other, before they could begin

    def hand_out(self) -> bool:
        """Give every worker something to do, and hire more if there is more; False if all is done."""
        size = self._crew.size()
        while len(self._waiting) + len(self._busy) < size:
            try:
                self._waiting.append(_Task(next(self._items)))
            except StopIteration:
                break
        while self._waiting and self._idle:
            worker, task = self._idle.pop(), self._waiting.popleft()
            self._crew.give(worker, task.item)
            self._busy[worker] = task
        while len(self._starting) < len(self._waiting) and len(self._starting) + len(self._busy) < size:
            self._starting.add(self._crew.hire())
        return bool(self._waiting or self._busy)

    def collect(self) -> list[tuple[T, Any]]:
        """Wait until a worker has an answer; the items that are done, each with its result or error."""
        done = []
        for worker, answer in self._crew.answers([*self._starting, *self._busy]):
            if worker in self._starting:
                self._starting.remove(worker)
                self._begun(worker, answer)
                continue
            task = self._busy.pop(worker)
            if not isinstance(answer, Death):
                self._idle.append(worker)
                done.append((task.item, answer))
                continue
            self._crew.dismiss(worker)
            task.attempts += 1
            if task.attempts < self._tries:
                self._waiting.append(task)
            else:
                before = f"the workers died at this item {task.attempts} times, and the last " if task.attempts > 1 else "the worker "
                done.append((task.item, Died(f"{before}{answer.how}: if memory is short, use fewer --workers", task.attempts)))
        return done

    def _begun(self, worker: W, answer: Any) -> None:
        if isinstance(answer, Death):
            self._crew.dismiss(worker)
            self._lost += 1
            if self._lost == STARTS:
                raise Died(f"{STARTS} workers ended before they could begin; the last {answer.how}: look at the memory they need", STARTS)
            return
        self._idle.append(worker)
        if isinstance(answer, Exception):
            raise answer
        self._lost = 0

    def end(self) -> None:
        """End all workers."""
        for worker in [*self._idle, *self._starting, *self._busy]:
            self._crew.dismiss(worker)


def placed(crew: Crew[W], items: Iterator[T], tries: int) -> Iterator[tuple[T, Any]]:
    """Each item with its result or the error that it raised, as they come; `Died` for one at which `tries` workers died.

    Items are taken as workers get free, and workers go on while the caller looks at results. Raises the error of a worker that cannot make
    its function, and `Died` if `STARTS` of them die over it. At the end, however it comes, all workers end.
    """
    with closing(crew):
        work = _Work(crew, items, tries)
        try:
            done: list[tuple[T, Any]] = []
            more = True
            while more:
                more = work.hand_out()
                yield from done
                done = work.collect() if more else []
        finally:
            work.end()


def attempt(work: Callable[..., R], *words: Any) -> R | Exception:
    """What a worker's function gives, or its error: one that can be sent, with the traceback as a note if no user can mend it."""
    try:
        return work(*words)
    except Exception as error:  # noqa: BLE001  (whatever it is, it is the item's)
        if not isinstance(error, GhostpadError):
            error.add_note("in a worker: " + "".join(traceback.format_exception(error)))
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # noqa: BLE001  (classes of errors fail at this in any way)
            return RuntimeError("\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())]))
        return error

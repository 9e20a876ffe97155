"""Prefetch from slow sources: bounded queues, each filled by one thread."""

from collections import deque
from collections.abc import Generator, Hashable, Iterable
from queue import SimpleQueue
from threading import Condition, Event, Semaphore, Thread
from typing import Generic, NamedTuple, TypeVar, cast

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


def read_ahead(items: Iterable[T], depth: int) -> Generator[T]:
    """The same items in the same order, taken from `items` by one thread that runs at most `depth` of them ahead.

    An error of `items` is raised here, after the items before it. The thread starts with the first item asked for and has
    ended when this iterator ends, is closed, or is dropped; it waits without using the processor. Worth it where `items`
    releases the GIL, as decoding does; costs about 10 us an item (measured).
    """
    ready: SimpleQueue[tuple[str, T | BaseException | None]] = SimpleQueue()
    room, stop = Semaphore(depth), Event()

    def work() -> None:
        source = iter(items)
        try:
            for item in source:
                ready.put(("item", item))
                room.acquire()
                if stop.is_set():
                    break
            ready.put(("end", None))
        except BaseException as error:  # noqa: BLE001  (it is raised in the reader's thread, whatever it is)
            ready.put(("error", error))
        finally:
            if close := getattr(source, "close", None):
                close()

    thread = Thread(target=work, name="read ahead", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "error":
                raise cast(BaseException, value)
            if kind == "end":
                return
            room.release()
            yield cast(T, value)
    finally:
        stop.set()
        room.release()
        thread.join()


class Taken(NamedTuple, Generic[K, T]):
    """What came from the source `key`: an item, or why it failed, or, with neither, its end."""

    key: K
    item: T | None = None
    error: BaseException | None = None

    @property
    def last(self) -> bool:
        """Whether the source has ended or failed."""
        return self.item is None


class ReadTogether(Generic[K, T]):
    """Several sources read side by side, each by a thread of its own that runs at most `depth` items (1 or more) ahead.

    Use it as a context manager: at its end every thread has ended and every source is closed. No item may be None.
    """

    def __init__(self, depth: int):
        self._depth, self._ready, self._stop = depth, Condition(), False
        self._sources: dict[K, tuple[Thread, deque[Taken[K, T]]]] = {}

    def __enter__(self) -> "ReadTogether[K, T]":
        return self

    def __exit__(self, *error: object) -> None:
        with self._ready:
            self._stop = True
            self._ready.notify_all()
        for thread, _ in self._sources.values():
            thread.join()

    def __len__(self) -> int:
        """How many sources have not ended."""
        return len(self._sources)

    def add(self, key: K, items: Iterable[T]) -> None:
        """Begin to read a source under a name that none of the others has."""
        queue = deque[Taken[K, T]]()
        thread = Thread(target=self._work, args=(key, items, queue), name="read ahead", daemon=True)
        self._sources[key] = thread, queue
        thread.start()

    def take(self) -> list[Taken[K, T]]:
        """One item of every source that has one; waits until there is one. A source that has ended is left."""
        with self._ready:
            self._ready.wait_for(lambda: any(queue for _, queue in self._sources.values()))
            taken = [queue.popleft() for _, queue in self._sources.values() if queue]
            self._ready.notify_all()
        for thread in [self._sources.pop(one.key)[0] for one in taken if one.last]:
            thread.join()
        return taken

    def _work(self, key: K, items: Iterable[T], queue: deque[Taken[K, T]]) -> None:
        source = iter(items)

        def put(taken: Taken[K, T]) -> bool:
            with self._ready:
                self._ready.wait_for(lambda: len(queue) < self._depth or self._stop)
                queue.append(taken)
                self._ready.notify_all()
                return not self._stop

        try:
            if all(put(Taken(key, item)) for item in source):
                put(Taken(key))
        except BaseException as error:  # noqa: BLE001  (it is the reader's, whatever it is)
            put(Taken(key, error=error))
        finally:
            if close := getattr(source, "close", None):
                close()

"""Reading ahead: the same items, at most so many ahead, errors reach the reader, and no thread stays behind."""

import gc
import threading
from collections.abc import Iterator
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostpad.base.ahead import ReadTogether, read_ahead


def alive() -> int:
    return sum(thread.name == "read ahead" for thread in threading.enumerate())


@given(st.integers(0, 50), st.integers(1, 60))
def test_the_items_are_the_same_in_the_same_order(count: int, depth: int) -> None:
    assert list(read_ahead(range(count), depth)) == list(range(count)) and alive() == 0


def test_it_runs_no_further_ahead_than_told() -> None:
    taken, third = [], Event()

    def source() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            if item == 3:
                third.set()
            yield item

    items = read_ahead(source(), 3)
    assert next(items) == 0
    assert third.wait(10) and len(taken) <= 1 + 3 + 1  # the one handed over, three ahead, and one in the hand
    items.close()
    assert alive() == 0 and len(taken) <= 6


def test_an_error_comes_after_the_items_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("broke off")

    got = []
    with pytest.raises(OSError, match="broke off"):
        for item in read_ahead(source(), 5):
            got.append(item)
    assert got == [1, 2] and alive() == 0


def test_a_reader_that_gives_up_ends_the_thread_and_closes_the_source() -> None:
    closed = Event()

    def source() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    items = read_ahead(source(), 2)
    assert next(items) == 0 and alive() == 1
    del items
    gc.collect()
    assert alive() == 0 and closed.is_set()
    read_ahead(source(), 2)
    assert alive() == 0, "an iterator nobody reads starts no thread"


# ---- several side by side ---------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 30), min_size=1, max_size=5), st.integers(1, 4))
def test_every_source_keeps_its_order_and_ends_once(counts: list[int], depth: int) -> None:
    found: dict[int, list[int]] = {key: [] for key in range(len(counts))}
    with ReadTogether[int, int](depth) as reader:
        for key, count in enumerate(counts):
            reader.add(key, range(count))
        while reader:
            taken = reader.take()
            assert 1 <= len(taken) == len({one.key for one in taken}), "one item of a source at a time"
            for one in taken:
                assert one.error is None
                found[one.key] += [] if one.item is None else [one.item]
    assert list(found.values()) == [list(range(count)) for count in counts] and alive() == 0


def test_the_error_of_one_source_is_its_last_and_stops_no_other() -> None:
    def breaks() -> Iterator[int]:
        yield 1
        raise OSError("broke off")

    ended = {}
    with ReadTogether[str, int](2) as reader:
        reader.add("good", range(5))
        reader.add("bad", breaks())
        while reader:
            ended |= {one.key: one.error for one in reader.take() if one.last}
    assert ended["good"] is None and isinstance(ended["bad"], OSError)


def test_leaving_early_ends_every_thread_and_closes_every_source() -> None:
    closed, taken = [], []

    def endless(key: int) -> Iterator[int]:
        try:
            while True:
                taken.append(key)
                yield key
        finally:
            closed.append(key)

    with ReadTogether[int, int](3) as reader:
        for key in range(4):
            reader.add(key, endless(key))
        reader.take()
    assert sorted(closed) == [0, 1, 2, 3] and alive() == 0
    assert all(taken.count(key) <= 3 + 1 + 1 for key in range(4)), "three ahead, one taken, and one in the hand"

"""The order of windows: a pure function of (seed, step), every window once an epoch, shares that hold."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostpad.base.errors import TrainingError
from ghostpad.feed.order import Layout, Order, mixed, permuted

sizes = st.integers(1, 30)
batch_sizes = st.integers(1, 12)
seeds = st.integers(0, 1000)


def one(size: int) -> Layout:
    """A group of `size` windows in one segment, or of none."""
    return Layout(np.array([size] if size else [], np.int64))


@given(sizes, sizes, st.floats(0, 1), batch_sizes, seeds, st.integers(0, 40))
def test_any_resume_point_gives_the_same_batches(a: int, b: int, share: float, batch: int, seed: int, first: int) -> None:
    straight = Order([one(a), one(b)], [share, 1 - share], batch, seed)
    whole = [straight.at(step) for step in range(first + 5)]
    resumed = Order([one(a), one(b)], [share, 1 - share], batch, seed)
    assert [resumed.at(step) for step in range(first, first + 5)] == whole[first:]
    assert [resumed.at(step) for step in reversed(range(first + 5))] == whole[::-1]


@given(sizes, batch_sizes, seeds)
def test_every_window_comes_once_an_epoch(size: int, batch: int, seed: int) -> None:
    order = Order([one(size)], [1.0], batch, seed)
    walked = [index for step in range(3 * size) for _, index in order.at(step)]
    for epoch in range(3):
        assert sorted(walked[epoch * size : (epoch + 1) * size]) == list(range(size))


@given(st.lists(sizes, min_size=1, max_size=4), batch_sizes, seeds, st.data())
def test_every_group_is_walked_epoch_by_epoch_at_its_share(groups: list[int], batch: int, seed: int, data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.integers(0, 10), min_size=len(groups), max_size=len(groups)).filter(any))
    shares = [part / sum(parts) for part in parts]
    order, steps = Order([one(size) for size in groups], shares, batch, seed), 25
    seen: list[list[int]] = [[] for _ in groups]
    for step in range(steps):
        picked = order.at(step)
        assert len(picked) == batch
        for group, index in picked:
            seen[group].append(index)
        for share, indices in zip(shares, seen, strict=True):
            assert abs(len(indices) - share * batch * (step + 1)) < max(1.001, len(groups) - 1), (
                "the share holds at every step, not only on average"
            )
    for size, indices in zip(groups, seen, strict=True):
        epochs = iter(indices)
        while len(epoch := list(islice(epochs, size))) == size:
            assert sorted(epoch) == list(range(size))


def test_another_seed_is_another_order() -> None:
    first, second = (Order([one(50)], [1.0], 50, seed).at(0) for seed in (0, 1))
    assert first != second and sorted(first) == sorted(second)


@pytest.mark.parametrize("shares", [[0.5, 0.4], [1.5, -0.5]])
def test_shares_that_are_no_shares_are_refused(shares: list[float]) -> None:
    with pytest.raises(TrainingError, match="sum to 1"):
        Order([one(1), one(1)], shares, 4, 0)


def test_a_share_of_an_empty_group_is_refused() -> None:
    with pytest.raises(TrainingError, match="without windows"):
        Order([one(0), one(1)], [0.5, 0.5], 4, 0)
    assert Order([one(0), one(1)], [0.0, 1.0], 4, 0).at(0) == [(1, 0)] * 4


layouts = st.lists(st.integers(1, 9), min_size=1, max_size=12)


@given(st.integers(1, 300), st.integers(0, 10**9))
def test_a_permutation_holds_every_number_once(count: int, key: int) -> None:
    assert sorted(permuted(place, count, mixed(key)) for place in range(count)) == list(range(count))


def test_permutations_of_a_few_numbers_come_equally_often() -> None:
    drawn = [tuple(permuted(place, 4, mixed(7, key)) for place in range(4)) for key in range(6000)]
    counts = [drawn.count(one) for one in set(drawn)]
    assert len(counts) == 24 and min(counts) > 150 and max(counts) < 350  # 250 on average, of which the deviation is 16
    places = np.array([[permuted(place, 11, mixed(key)) for place in range(11)] for key in range(3000)])
    assert np.abs(np.corrcoef(places.T) - (1.1 * np.eye(11) - 0.1)).max() < 0.1, "as of permutations drawn at random"


@given(layouts, st.integers(1, 5), seeds)
def test_a_visit_takes_windows_spread_over_one_segment_and_an_epoch_takes_all(windows: list[int], together: int, seed: int) -> None:
    layout = Layout(np.array(windows))
    visits = sum(-(-count // together) for count in windows)
    order = Order([layout], [1.0], together, seed, together)
    ends = np.cumsum(windows)
    for epoch in range(2):
        seen = []
        for step in range(epoch * visits, (epoch + 1) * visits):
            numbers = [number for _, number in order.at(step)]
            segment = {int(np.searchsorted(ends, number, side="right")) for number in numbers}
            assert len(segment) == 1
            count = windows[segment.pop()]
            apart = -(-count // together)
            assert all((b - a) % count == apart % count for a, b in zip(numbers, numbers[1:], strict=False))
            seen += numbers
        assert set(seen) == set(range(layout.size))
        assert len(seen) - len(set(seen)) == visits * together - layout.size


@given(layouts, st.integers(1, 4), seeds, st.data())
def test_cells_come_equally_often_and_each_is_walked_through(windows: list[int], together: int, seed: int, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(windows)), max_size=4)) | {0, len(windows)})
    finer = sorted(set(cuts) | data.draw(st.sets(st.integers(1, len(windows)), max_size=4)))
    layout = Layout(np.array(windows), (np.array(cuts), np.array(finer)))
    order = Order([layout], [1.0], together, seed, together)
    games, segments = len(cuts) - 1, []
    for step in range(12 * games):
        segments.append(int(np.searchsorted(np.cumsum(windows), order.at(step)[0][1], side="right")))
        assert order.at(step) == Order([layout], [1.0], together, seed, together).at(step)
    for at in range(0, len(segments), games):
        assert sorted(int(np.searchsorted(cuts, segment, side="right")) for segment in segments[at : at + games]) == list(
            range(1, games + 1)
        )
    for game in range(games):
        inner = [cut for cut in finer if cuts[game] <= cut < cuts[game + 1]]
        mine = [segment for segment in segments if cuts[game] <= segment < cuts[game + 1]][: len(inner)]
        assert sorted(int(np.searchsorted(inner, segment, side="right")) for segment in mine) == list(range(1, len(inner) + 1))


def test_a_process_that_takes_every_rth_window_has_the_windows_of_whole_visits() -> None:
    order = Order([Layout(np.full(40, 30))], [1.0], 32, 5, together=4)
    for rank in range(4):
        segments = [number // 30 for _, number in order.at(3)[rank::4]]
        assert [segments.count(segment) % 4 for segment in set(segments)] == [0] * len(set(segments))


def test_ten_million_segments_cost_their_layout_and_nothing_else() -> None:
    order = Order([Layout(np.full(10_000_000, 600))], [1.0], 8, 0, 4)
    first, far = order.at(0), order.at(10**12)
    assert len({number for _, number in first}) == 8 and far == order.at(10**12) != first

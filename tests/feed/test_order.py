"""The order of windows: a pure function of (seed, step), every window once an epoch, shares that hold."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostpad.base.errors import TrainingError
from ghostpad.feed.order import Order

sizes = st.integers(1, 30)
batch_sizes = st.integers(1, 12)
seeds = st.integers(0, 1000)


@given(sizes, sizes, st.floats(0, 1), batch_sizes, seeds, st.integers(0, 40))
def test_any_resume_point_gives_the_same_batches(a: int, b: int, share: float, batch: int, seed: int, first: int) -> None:
    straight = Order([a, b], [share, 1 - share], batch, seed)
    whole = [straight.at(step) for step in range(first + 5)]
    resumed = Order([a, b], [share, 1 - share], batch, seed)
    assert [resumed.at(step) for step in range(first, first + 5)] == whole[first:]
    assert [resumed.at(step) for step in reversed(range(first + 5))] == whole[::-1]


@given(sizes, batch_sizes, seeds)
def test_every_window_comes_once_an_epoch(size: int, batch: int, seed: int) -> None:
    order = Order([size], [1.0], batch, seed)
    walked = [index for step in range(3 * size) for _, index in order.at(step)]
    for epoch in range(3):
        assert sorted(walked[epoch * size : (epoch + 1) * size]) == list(range(size))


@given(st.lists(sizes, min_size=1, max_size=4), batch_sizes, seeds, st.data())
def test_every_group_is_walked_epoch_by_epoch_at_its_share(groups: list[int], batch: int, seed: int, data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.integers(0, 10), min_size=len(groups), max_size=len(groups)).filter(any))
    shares = [part / sum(parts) for part in parts]
    order, steps = Order(groups, shares, batch, seed), 25
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
    first, second = (Order([50], [1.0], 50, seed).at(0) for seed in (0, 1))
    assert first != second and sorted(first) == sorted(second)


@pytest.mark.parametrize("shares", [[0.5, 0.4], [1.5, -0.5]])
def test_shares_that_are_no_shares_are_refused(shares: list[float]) -> None:
    with pytest.raises(TrainingError, match="sum to 1"):
        Order([1, 1], shares, 4, 0)


def test_a_share_of_an_empty_group_is_refused() -> None:
    with pytest.raises(TrainingError, match="without windows"):
        Order([0, 1], [0.5, 0.5], 4, 0)
    assert Order([0, 1], [0.0, 1.0], 4, 0).at(0) == [(1, 0)] * 4

"""Idle windows: which they are, how many a batch holds, and that nothing is lost or taken from elsewhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostpad.base.errors import SettingsError, TrainingError
from ghostpad.base.pad import PAD_DIM, slot
from ghostpad.base.settings import build_settings
from ghostpad.feed.dataset import WindowDataset
from ghostpad.feed.footage import Footage
from ghostpad.feed.idle import idle_rows, idle_windows, with_idle_share
from ghostpad.feed.order import Order
from ghostpad.feed.window import WindowSpec
from ghostpad.policy.settings import PolicyRun

SPEC = WindowSpec((0,), (0, 1, 2), 8, 8, True)


def clip_of(pressed: list[bool], video: str = "a") -> Footage:
    pads = np.zeros((len(pressed), PAD_DIM), np.float32)
    pads[:, slot("south")] = pressed
    frames = np.zeros((len(pressed) + 1, 8, 8, 1), np.uint8)
    return Footage(video, np.arange(len(frames)) / 10, frames, pads, np.ones_like(pads))


def test_a_row_is_idle_when_no_known_number_moves() -> None:
    clip = clip_of([False] * 7)
    for row, name, value in (
        (1, "south", 0.6),
        (2, "left_x", 0.1),
        (3, "left_x", -0.11),
        (4, "right_y", 0.2),
        (5, "west", 0.49),
        (6, "east", 1),
    ):
        clip.pads[row, slot(name)] = value
    clip.weight[6, slot("east")] = 0  # unknown: whatever stands there says nothing
    assert idle_rows(clip).tolist() == [True, False, True, False, False, True, True]


def test_a_window_is_idle_when_all_its_rows_inside_the_video_are() -> None:
    dataset = WindowDataset([[clip_of([False] * 4), clip_of([False, False, False, True, False, False])]], SPEC)
    assert idle_windows(dataset, 0).tolist() == [True] * 4 + [True, False, False, False, True, True]
    later = WindowDataset([[clip_of([False, False, False, True, False, False])]], WindowSpec((0,), (2, 3), 8, 8, True))
    assert [int(row) for row in later.places[0][:, 1]] == [0, 1, 2, 3]
    assert idle_windows(later, 0).tolist() == [False, False, True, True]


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.lists(st.booleans(), max_size=30), st.floats(0.05, 0.95), st.floats(0, 1))
def test_no_window_is_lost_and_idle_ones_hold_their_share(first: list[bool], second: list[bool], largest: float, truth: float) -> None:
    dataset = WindowDataset([[clip_of(first)], [clip_of(second or [True], "b")]], SPEC)
    if any(idle_windows(dataset, group).all() for group in (0, 1)):
        return
    divided, shares = with_idle_share(dataset, [truth, 1 - truth], largest)
    assert sum(shares) == pytest.approx(1) and sum(divided.sizes) == sum(dataset.sizes)
    for video, share in (("a", truth), ("b", 1 - truth)):
        mine = [group for group, clips in enumerate(divided.groups) if clips[0].video == video]
        assert sum(shares[group] for group in mine) == pytest.approx(share)
    order = Order(divided.sizes, shares, 40, 0)
    idle = [idle_windows(divided, group) for group in range(len(divided.groups))]
    seen = [idle[group][index] for step in range(25) for group, index in order.at(step)]
    assert np.mean(seen) <= max(largest, 0) + 0.1


def test_footage_with_few_idle_windows_stays_as_it_comes() -> None:
    dataset = WindowDataset([[clip_of([True, False, True, True])]], SPEC)
    divided, shares = with_idle_share(dataset, [1.0], 0.3)
    assert shares == [1.0] and np.array_equal(divided.places[0], dataset.places[0])


def test_nothing_but_idle_windows_is_said_and_so_is_a_share_that_is_none() -> None:
    with pytest.raises(TrainingError, match="every window .* is idle, and data.idle_share is 0.2"):
        with_idle_share(WindowDataset([[clip_of([False] * 5)]], SPEC), [1.0], 0.2)
    with pytest.raises(SettingsError, match="data.idle_share"):
        build_settings(PolicyRun, {"data": {"idle_share": 1.2}}, "test")

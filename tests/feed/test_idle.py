"""Idle windows: which they are, how many a batch holds, and that nothing is lost or taken from elsewhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostpad.base.errors import SettingsError, TrainingError
from ghostpad.base.pad import PAD_DIM, slot
from ghostpad.base.settings import build_settings
from ghostpad.feed.dataset import Group, WindowDataset
from ghostpad.feed.footage import Footage, idle_rows
from ghostpad.feed.idle import with_idle_share
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
    assert idle_rows(clip.pads, clip.weight).tolist() == [True, False, True, False, False, True, True]


def idle_windows(clips: list[Footage], spec: WindowSpec = SPEC) -> list[tuple[str, int]]:
    """The video and row of every idle window."""
    dataset = WindowDataset([Group.of(clips, spec, "idle")], spec)
    return [(ref.video, ref.row) for *_, ref in (dataset[0, index] for index in range(dataset.sizes[0]))]


def test_a_window_is_idle_when_all_its_rows_inside_the_video_are() -> None:
    still, pressing = clip_of([False] * 4), clip_of([False, False, False, True, False, False], "b")
    assert idle_windows([still, pressing]) == [("a", row) for row in range(4)] + [("b", 0), ("b", 4), ("b", 5)]
    assert idle_windows([pressing], WindowSpec((0,), (2, 3), 8, 8, True)) == [("b", 2), ("b", 3)]
    active = WindowDataset([Group.of([still, pressing], SPEC, "active")], SPEC)
    assert [active[0, index][3].row for index in range(active.sizes[0])] == [1, 2, 3]


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.lists(st.booleans(), max_size=30), st.floats(0.05, 0.95), st.floats(0, 1))
def test_no_window_is_lost_and_idle_ones_hold_their_share(first: list[bool], second: list[bool], largest: float, truth: float) -> None:
    clips = [[clip_of(first)], [clip_of(second or [True], "b")]]
    dataset = WindowDataset(clips, SPEC)
    if any(len(idle_windows(one)) == size for one, size in zip(clips, dataset.sizes, strict=True)):
        return
    divided, shares = with_idle_share(dataset, [truth, 1 - truth], largest)
    assert sum(shares) == pytest.approx(1) and sum(divided.sizes) == sum(dataset.sizes)
    for video, share in (("a", truth), ("b", 1 - truth)):
        mine = [number for number, group in enumerate(divided.groups) if group.clips[0].video == video]
        assert sum(shares[number] for number in mine) == pytest.approx(share)
    order = Order([group.layout() for group in divided.groups], shares, 40, 0)
    still = {ref for one in clips for ref in idle_windows(one)}
    seen = [divided[key][3] for step in range(25) for key in order.at(step)]
    assert np.mean([(ref.video, ref.row) in still for ref in seen]) <= max(largest, 0) + 0.1


def test_footage_with_few_idle_windows_stays_as_it_comes() -> None:
    dataset = WindowDataset([[clip_of([True, False, True, True])]], SPEC)
    divided, shares = with_idle_share(dataset, [1.0], 0.3)
    assert shares == [1.0] and divided.groups == dataset.groups


def test_nothing_but_idle_windows_is_said_and_so_is_a_share_that_is_none() -> None:
    with pytest.raises(TrainingError, match="every window .* is idle, and data.idle_share is 0.2"):
        with_idle_share(WindowDataset([[clip_of([False] * 5)]], SPEC), [1.0], 0.2)
    with pytest.raises(SettingsError, match="data.idle_share"):
        build_settings(PolicyRun, {"data": {"idle_share": 1.2}}, "test")

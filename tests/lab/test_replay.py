"""The oracle of visible presses, against what the pistol's cycle says."""

import numpy as np
import pytest

from ghostpad.base.pad import PAD_DIM, slot
from ghostpad.games.spec import make_game
from ghostpad.lab.study.visible.replay import press_is_visible, presses, row_is_visible


def pads_of_trigger(rows: int, *held: int) -> np.ndarray:
    pads = np.zeros((rows, PAD_DIM), np.float32)
    pads[list(held), slot("right_trigger")] = 1
    return pads


def test_presses_are_the_runs_of_a_held_button() -> None:
    runs = presses(np.array([1, 1, 0, 0, 1, 0, 1], bool))
    assert runs.start.tolist() == [0, 4, 6] and runs.end.tolist() == [2, 5, 7]
    assert presses(np.zeros(3, bool)).start.tolist() == presses(np.zeros(0, bool)).end.tolist() == []


def test_after_a_shot_the_pistol_looks_at_the_trigger_once_and_then_when_it_is_ready() -> None:
    with make_game("doom-defend") as game:
        seen = row_is_visible(game, 5, pads_of_trigger(18, 0), "right_trigger")
        assert np.flatnonzero(seen[:15]).tolist() == [0, 7, 9, 10, 11, 12, 13, 14]
        assert not seen[16:].any()  # a press needs three frames to show, and the recording ends
        held = row_is_visible(game, 5, pads_of_trigger(20, *range(16)), "right_trigger")
        assert np.flatnonzero(held[:16]).tolist() == [0, 7, 14]


def test_a_tap_within_a_shot_is_invisible_and_a_press_that_outlasts_it_is_not() -> None:
    with make_game("doom-defend") as game:
        assert press_is_visible(game, 5, pads_of_trigger(30, 0, 3, 4, 12), "right_trigger").tolist() == [True, False, True]
        assert press_is_visible(game, 5, pads_of_trigger(30, 0, 3, 4, 5, 6, 7), "right_trigger").tolist() == [True, True]


@pytest.mark.parametrize("button", ["left_trigger", "south"])
def test_a_button_that_the_game_cannot_read_is_never_visible(button: str) -> None:
    pads = pads_of_trigger(10, 0)
    pads[2:4, slot(button)] = 1
    with make_game("doom-defend") as game:
        assert not row_is_visible(game, 5, pads, button).any()
        assert press_is_visible(game, 5, pads, button).tolist() == [False]

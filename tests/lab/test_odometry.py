"""The rule of motion against Doom itself."""

from collections.abc import Iterator

import numpy as np
import pytest

from ghostpad.base.pad import Pad, pack
from ghostpad.games.doom import Doom
from ghostpad.games.spec import Game, Player, make_game, make_player
from ghostpad.lab.study.visible.odometry import FREE_WITHIN, WALLS, free_sticks, inputs, steps, watch


class Scripted(Player):
    """Holds the pads it is given, one after the other."""

    def __init__(self, *sticks: tuple[float, float]):
        self._sticks = sticks

    def reset(self, seed: int) -> None:
        self._next = iter(self._sticks)

    def act(self, game: Game) -> Pad:
        forward, turn = next(self._next)
        return pack({"left_y": forward, "right_x": turn})[0]


@pytest.fixture(scope="module")
def doom() -> Iterator[Doom]:
    with make_game("doom") as game:
        assert isinstance(game, Doom)
        yield game


def test_a_full_turn_is_fourteen_degrees_in_two_frames_and_to_the_right_is_negative(doom: Doom) -> None:
    moved = steps(watch(doom, Scripted((0, 1), (0, -1), (0, 0.5), (0, 0)), 3, 4))
    assert moved[:, 2] == pytest.approx(np.radians([-7, 7, -3.5, 0]), abs=2e-3)
    assert moved[:, :2] == pytest.approx(0, abs=1e-6)


def test_pushing_ahead_goes_ahead_by_what_the_rule_says(doom: Doom) -> None:
    moved = steps(watch(doom, Scripted((-1, 0), (-1, 0), (0, 0)), 3, 3))
    keep, speed, ways = 0.90625, 0.0, []
    for push in (1, 1, 0):
        ways.append(0.0)
        for _ in range(2):
            speed += 1.25 * push
            ways[-1] += speed
            speed *= keep
    assert moved[:, 0] == pytest.approx(ways, abs=FREE_WITHIN) and moved[:, 1] == pytest.approx(0, abs=FREE_WITHIN)


def test_the_rule_of_motion_reads_both_sticks_where_nothing_is_in_the_way(doom: Doom) -> None:
    track = watch(doom, make_player("doom", "novice"), 1, 150)
    told = free_sticks(track)
    assert track.poses.shape == (151, 5) and track.walls.shape == (150, WALLS) and 0 <= track.walls.min() <= track.walls.max() <= 255
    assert 0.5 < told.free.mean() < 1
    assert np.abs(told.sticks - track.sticks)[told.free].max(0) == pytest.approx([0, 0], abs=0.1)


def test_who_slides_along_a_wall_is_not_free_and_who_stands_at_it_reads_as_not_pushing(doom: Doom) -> None:
    slanted = free_sticks(watch(doom, Scripted(*[(-1.0, 0.0)] * 3, *[(0.0, 1.0)] * 4, *[(-1.0, 0.0)] * 100), 1, 107))
    assert slanted.free[:3].all() and not slanted.free[-20:].any()
    head_on = free_sticks(watch(doom, Scripted(*[(-1.0, 0.0)] * 60), 1, 60))
    assert head_on.sticks[:3, 0] == pytest.approx(-1, abs=0.01) and head_on.sticks[-20:, 0] == pytest.approx(0, abs=1e-6)


def test_an_oracle_sees_the_rows_around_each_row_and_the_ends_again(doom: Doom) -> None:
    track = watch(doom, make_player("doom", "novice"), 2, 10)
    moved, seen = steps(track), inputs(track, 2, walls=False).reshape(10, 5, 3)
    assert np.array_equal(seen[4], moved[2:7])
    assert np.array_equal(seen[0], moved[[0, 0, 0, 1, 2]]) and np.array_equal(seen[9], moved[[7, 8, 9, 9, 9]])
    with_walls = inputs(track, 2, walls=True)
    assert np.array_equal(with_walls[:, 15:31], track.walls) and with_walls.shape == (10, 15 + 2 * WALLS)

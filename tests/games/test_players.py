"""Scripted players: novices cover what the pad can do, experts are better at the game."""

import numpy as np
import pytest

from ghostpad.base.errors import SettingsError
from ghostpad.base.pad import PAD_DIM, is_stick, slot
from ghostpad.games.spec import Game, Player, game_names, make_game, make_player, player_names


def play(game: Game, player: Player, seed: int, frames: int) -> tuple[np.ndarray, float]:
    """Pads [n, 25] and the return of an episode of at most `frames` steps."""
    game.reset(seed)
    player.reset(seed)
    pads, return_ = [], 0.0
    for _ in range(frames):
        pads.append(player.act(game))
        step = game.step(pads[-1])
        return_ += step.reward
        if step.done:
            break
    return np.array(pads), return_


@pytest.mark.parametrize("name", game_names())
def test_every_game_has_the_three_players_and_they_repeat_themselves(name: str) -> None:
    assert {"expert", "novice", "random"} <= set(player_names(name))
    with make_game(name) as game:
        for player in player_names(name):
            first, _ = play(game, make_player(name, player), 1, 30)
            again, _ = play(game, make_player(name, player), 1, 30)
            other, _ = play(game, make_player(name, player), 2, 30)
            assert first.dtype == np.float32 and first.shape == (30, PAD_DIM)
            assert np.array_equal(first, again) and not np.array_equal(first, other)
            assert not first[:, ~game.spec.known].any(), "a slot that the game cannot read stays released"


@pytest.mark.parametrize("player", ["novice", "random"])
@pytest.mark.parametrize("name", ["doom", "doom-defend", "racing-pedals"])
def test_novices_cover_the_whole_of_every_control(name: str, player: str) -> None:
    with make_game(name) as game:
        pads = np.concatenate([play(game, make_player(name, player), seed, 400)[0] for seed in range(4)])
        for control in game.spec.slots:
            values = pads[:, slot(control)]
            if is_stick(control):
                assert values.min() == -1 and values.max() == 1, control
                assert np.diff(np.unique(values)).max() < 0.35, (control, "leaves a part of the stick out")
            else:
                assert set(np.unique(values)) == {0.0, 1.0}


def test_the_two_sticks_of_the_doom_novice_move_independently() -> None:
    game, novice = make_game("doom"), make_player("doom", "novice")
    novice.reset(0)
    pads = np.array([novice.act(game) for _ in range(8000)])
    walk, turn = pads[:, slot("left_y")], pads[:, slot("right_x")]
    assert abs(np.corrcoef(walk, turn)[0, 1]) < 0.1
    assert all(abs(stick.mean()) < 0.1 and 0.3 < (stick > 0).mean() < 0.6 for stick in (walk, turn))  # as often one way as the other
    changed = (np.diff(walk) != 0) & (np.diff(turn) != 0)
    assert changed.sum() < 0.3 * (np.diff(walk) != 0).sum()


def presses(pads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First row and length, frames, of every press of the right trigger."""
    held = np.concatenate([[0], pads[:, slot("right_trigger")], [0]])
    starts, ends = np.flatnonzero(np.diff(held) > 0), np.flatnonzero(np.diff(held) < 0)
    return starts, ends - starts


def test_the_novice_taps_and_holds_the_trigger_whatever_the_stick_does() -> None:
    game, novice = make_game("doom-defend"), make_player("doom-defend", "novice")
    novice.reset(0)
    pads = np.array([novice.act(game) for _ in range(8000)])
    starts, lengths = presses(pads)
    assert set(lengths[1:-1]) == set(range(2, 11)) and 0.4 < (lengths <= 3).mean() < 0.6
    pauses = starts[1:] - (starts + lengths)[:-1]
    assert (pauses.min(), pauses.max()) == (2, 20)
    assert abs(np.corrcoef(pads[:, slot("right_trigger")], pads[:, slot("right_x")])[0, 1]) < 0.1


def test_the_doom_expert_shoots_once_a_press_and_never_into_a_running_shot() -> None:
    with make_game("doom-defend") as game:
        pads, return_ = play(game, make_player("doom-defend", "expert"), 1, 500)
    starts, lengths = presses(pads)
    assert return_ > 15 and len(starts) > 15
    assert set(lengths) == {2, 3, 4}
    assert np.diff(starts).min() >= 10  # the pistol is ready again 19 tics after a press


@pytest.mark.parametrize(
    ("name", "frames", "more"), [("doom-supreme", 350, 50), ("doom-defend", 500, 10), ("racing", 150, 50), ("racing-pedals", 150, 50)]
)
def test_the_expert_beats_the_novice(name: str, frames: int, more: float) -> None:
    with make_game(name) as game:
        for seed in (11, 12):
            returns = {player: play(game, make_player(name, player), seed, frames)[1] for player in ("expert", "novice")}
            assert returns["expert"] > returns["novice"] + more, (seed, returns)


def test_a_player_of_another_game_says_so() -> None:
    with make_game("racing") as game, pytest.raises(SettingsError, match="not racing"):
        make_player("doom", "expert").act(game)
    with make_game("doom") as game, pytest.raises(SettingsError, match="not doom"):
        make_player("doom-defend", "expert").act(game)
    with make_game("doom") as game, pytest.raises(SettingsError, match="not doom"):
        make_player("racing", "expert").act(game)

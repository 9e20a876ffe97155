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
    assert player_names(name) == ["expert", "novice", "random"]
    with make_game(name) as game:
        for player in player_names(name):
            first, _ = play(game, make_player(name, player), 1, 30)
            again, _ = play(game, make_player(name, player), 1, 30)
            other, _ = play(game, make_player(name, player), 2, 30)
            assert first.dtype == np.float32 and first.shape == (30, PAD_DIM)
            assert np.array_equal(first, again) and not np.array_equal(first, other)
            assert not first[:, ~game.spec.known].any(), "a slot that the game cannot read stays released"


@pytest.mark.parametrize("player", ["novice", "random"])
@pytest.mark.parametrize("name", ["doom", "racing-pedals"])
def test_novices_cover_the_whole_of_every_control(name: str, player: str) -> None:
    with make_game(name) as game:
        pads = np.concatenate([play(game, make_player(name, player), seed, 400)[0] for seed in range(2)])
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


@pytest.mark.parametrize(("name", "frames"), [("doom-supreme", 350), ("racing", 150), ("racing-pedals", 150)])
def test_the_expert_beats_the_novice(name: str, frames: int) -> None:
    with make_game(name) as game:
        for seed in (11, 12):
            returns = {player: play(game, make_player(name, player), seed, frames)[1] for player in ("expert", "novice")}
            assert returns["expert"] > returns["novice"] + 50, (seed, returns)


def test_a_player_of_another_game_says_so() -> None:
    with make_game("racing") as game, pytest.raises(SettingsError, match="not racing"):
        make_player("doom", "expert").act(game)
    with make_game("doom") as game, pytest.raises(SettingsError, match="not doom"):
        make_player("racing", "expert").act(game)

"""What a game and a player are: one file a game, in this folder or in another package (`ghostpad.base.plugins`).

A game file defines `GAMES` (name -> builder of a game) and `PLAYERS` (name -> builder of a player of these games). Building
either is cheap and imports no engine, so that names and specs can be listed without the games extra; the engine starts at
the first `reset`. A game is a pure function of the seed and the pads since `reset`: earlier episodes have no influence.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import MissingError, SettingsError, unknown
from ghostpad.base.pad import PAD_DIM, Mask, Pad, slot
from ghostpad.base.plugins import modules_of

Frame = NDArray[np.uint8]
"""uint8 [height, width, 3], RGB."""


class Region(NamedTuple):
    """A rectangle of a frame, pixels from the top left corner."""

    x_px: int
    y_px: int
    width_px: int
    height_px: int


@dataclass(frozen=True)
class GameSpec:
    """What holds for every episode of a game."""

    name: str
    title: str
    fps: Fraction
    """Frames a second: one pad is in force between two frames."""
    width_px: int
    height_px: int
    slots: tuple[str, ...]
    """The pad slots the game can read; it ignores the others."""
    hide: tuple[Region, ...]
    """Parts of the picture that show the controls. The game paints them black in every frame."""
    licence: str
    """Licence of the art and maps."""
    source_max_s: float
    """The longest an episode can last, seconds."""

    @property
    def known(self) -> Mask:
        """bool [25], True for the slots the game can read."""
        mask = np.zeros(PAD_DIM, np.bool_)
        mask[[slot(name) for name in self.slots]] = True
        return mask

    def hide_controls(self, frame: Frame) -> Frame:
        """`frame` with every region of `hide` painted black, in place."""
        for x, y, width, height in self.hide:
            frame[y : y + height, x : x + width] = 0
        return frame


class Step(NamedTuple):
    """The outcome of holding a pad for a frame. `frame` is None if the game is over and does not show its last picture."""

    frame: Frame | None
    reward: float
    done: bool


class Game(ABC):
    """A running game. Use it as a context manager, or `close` it."""

    spec: GameSpec

    @abstractmethod
    def reset(self, seed: int) -> Frame:
        """Start the episode of `seed` and show its first frame. Raises `MissingError` without the games extra."""

    @abstractmethod
    def step(self, pad: Pad) -> Step:
        """Hold `pad`, float32 [25], until the next frame. Only between `reset` and the first `done`."""

    @abstractmethod
    def close(self) -> None:
        """Stop the engine. A closed game may be reset again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()


class Player(ABC):
    """Plays a game. A scripted expert may read the game's own state, which no learner sees."""

    @abstractmethod
    def reset(self, seed: int) -> None:
        """Start a new episode; all randomness from here on comes from `seed`."""

    @abstractmethod
    def act(self, game: Game) -> Pad:
        """The pad to hold from the frame now shown to the next one, float32 [25]."""


def game_names() -> list[str]:
    """The names of all games, sorted."""
    return sorted(_games())


def make_game(name: str) -> Game:
    """A game by name, engine not started yet. Raises `SettingsError` naming the nearest for an unknown name."""
    games, _ = _file_of(name)
    return games[name]()


def game_spec(name: str) -> GameSpec:
    """The spec of a game by name, without starting it."""
    return make_game(name).spec


def player_names(game: str) -> list[str]:
    """The names of the scripted players of a game, sorted."""
    return sorted(_file_of(game)[1])


def make_player(game: str, player: str) -> Player:
    """A scripted player of a game, by names. Raises `SettingsError` naming the nearest for an unknown name."""
    _, players = _file_of(game)
    if player not in players:
        raise unknown(f"player of {game}", player, players)
    return players[player]()


@contextmanager
def games_extra(game: str) -> Iterator[None]:
    """Wrap the import of an engine: its absence becomes a `MissingError` that says what to install."""
    try:
        yield
    except ImportError as error:
        raise MissingError(f'{game} needs its engine ({error}): pip install -e ".[games]"') from None


_Builders = tuple[Mapping[str, Callable[[], Game]], Mapping[str, Callable[[], Player]]]


def _games() -> dict[str, _Builders]:
    games: dict[str, _Builders] = {}
    for module in modules_of("ghostpad.games"):
        for name in getattr(module, "GAMES", ()):
            if name in games:
                raise SettingsError(f"two games are called '{name}', the second in {module.__file__}: rename it")
            games[name] = module.GAMES, module.PLAYERS
    return games


def _file_of(game: str) -> _Builders:
    games = _games()
    if game not in games:
        raise unknown("game", game, games)
    return games[game]

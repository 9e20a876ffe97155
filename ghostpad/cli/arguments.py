"""Arguments that several commands share, so that they look and read the same everywhere."""

from pathlib import Path
from typing import Annotated

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from ghostpad.base.errors import SettingsError
from ghostpad.base.places import Place, place
from ghostpad.games.spec import game_names, player_names

_PLACE = PrimitiveConstructorSpec[Place](
    nargs=1,
    metavar="PATH",
    instance_from_str=lambda words: place(words[0]),
    is_instance=lambda value: True,
    str_from_instance=lambda value: [str(value)],
)

PlacePath = Annotated[Place, _PLACE]
"""A folder, or an address such as s3://bucket/c."""

CorpusPath = Annotated[PlacePath, tyro.conf.Positional, tyro.conf.arg(metavar="CORPUS", help="The corpus: a folder or an address.")]
"""An existing corpus."""

GameName = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="GAME", help=f"One of: {', '.join(game_names())}.")]
"""A game by name."""

_PLAYERS = sorted({player for game in game_names() for player in player_names(game)})
PlayerName = Annotated[str, tyro.conf.arg(metavar="PLAYER", help=f"The scripted player: {', '.join(_PLAYERS)}.")]
"""A scripted player by name."""

Html = Annotated[tuple[Path, ...] | None, tyro.conf.arg(metavar="[PATH]")]
"""A page to write, with or without its path."""

RunPath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="The run folder of a trained model.")]
"""A finished run."""


def page_path(html: tuple[Path, ...] | None, default: Path) -> Path | None:
    """The page that --html asks for, None without the flag. Raises `SettingsError` for several files."""
    if html is not None and len(html) > 1:
        raise SettingsError(f"--html takes one file, not {len(html)}")
    return None if html is None else html[0] if html else default


def below_one(**numbers: int) -> list[str]:
    """A sentence for every number that is not 1 or more."""
    return [f"{name} is {value}: it must be 1 or more" for name, value in numbers.items() if value < 1]


def seed_numbers(text: str) -> tuple[int, ...]:
    """The seeds that --seeds lists. Raises `SettingsError` unless they are different whole numbers, 0 or more."""
    try:
        seeds = tuple(int(word) for word in text.split(","))
    except ValueError:
        raise SettingsError(f"--seeds is '{text}': write whole numbers with commas, for example 0,1,2") from None
    if len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise SettingsError(f"--seeds is '{text}': give different numbers, each 0 or more")
    return seeds

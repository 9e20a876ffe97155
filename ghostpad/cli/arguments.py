"""Arguments that several commands share, so that they look and read the same everywhere."""

from pathlib import Path
from typing import Annotated

import tyro

from ghostpad.games.spec import game_names, player_names

CorpusPath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CORPUS", help="The corpus folder.")]
"""A corpus that must be there."""

GameName = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="GAME", help=f"One of: {', '.join(game_names())}.")]
"""A game by name."""

_PLAYERS = sorted({player for game in game_names() for player in player_names(game)})
PlayerName = Annotated[str, tyro.conf.arg(metavar="PLAYER", help=f"Who holds the pad, one of: {', '.join(_PLAYERS)}.")]
"""A scripted player by name."""

RunPath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help="The run folder of a trained model.")]
"""A finished run."""

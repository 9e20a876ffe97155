"""What an importer gives: recordings in another program's format, one file or subfolder of this folder a format.

A format has a settings class of its own and one function, `recordings(inputs, settings)`, which lists what there is without reading it all:
one `Recording` for each video that the corpus is to have, a broken one too. `ghostpad.corpus.replays.bring_in` makes the corpus of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True)
class Recording(ABC):
    """One piece of play with known inputs; pickled, it goes to a worker.

    id       its name in the corpus, the same whenever the same input is imported
    facts    columns of `ghostpad.base.records.Video`: game, level, player, source, url, licence, ...
    problem  why it cannot be read, as far as the listing saw; None where nothing is known against it
    """

    id: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None

    @abstractmethod
    def made_of(self) -> str:
        """A text that is another when input files or settings are others that change footage or rows; reads no footage."""

    @abstractmethod
    def footage(self, target: Path) -> Path:
        """Its video file: one that is there already, or `target` (suffix .mp4), written now.

        Raises `FormatError` or `MediaError`, saying what is wrong with which file, and `MissingError` for a program or file that is absent.
        """

    @abstractmethod
    def rows(self, pts_s: NDArray[np.float64]) -> pa.Table:
        """Its rows (schema `ghostpad.base.records.ACTIONS`) under frames at these stamps, in seconds of the footage's own clock: row i is
        the pad in force from `pts_s[i]` to `pts_s[i + 1]`, so there are at most `len(pts_s) - 1`.

        Raises `FormatError`, saying which line or event of which file is wrong.
        """


class Events(NamedTuple):
    """What keyboards, mice and gamepads did, in order of time; several may have the same time.

    time_s  float64 [n], seconds of the footage's clock; before the first frame too
    device  str [n]: "keyboard", "mouse" or "gamepad"
    code    str [n]: a key ("w", "space", "left_shift"), a mouse button ("left"), a mouse motion ("x", "y", "wheel", right and down
            positive), or a slot of the pad
    value   float64 [n]: 1 pressed and 0 released; counts moved since the event before; a slot's value
    """

    time_s: NDArray[np.float64]
    device: NDArray[np.str_]
    code: NDArray[np.str_]
    value: NDArray[np.float64]

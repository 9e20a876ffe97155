"""`ghostpad label` whose workers note which units they begin to read, in the file `begun` beside the folder of the IDM's run."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from ghostpad.cli.main import main
from ghostpad.corpus.folder import Corpus
from ghostpad.idm.model import Idm
from ghostpad.label import label
from ghostpad.label.labeller import Labeller
from ghostpad.label.settings import LabelSettings
from ghostpad.label.units import Unit
from ghostpad.video.damage import Gap


class Begun(NamedTuple):
    """A process began to read a unit."""

    pid: int
    unit: str


def notes_of(run: Path) -> Path:
    """The file of notes that belongs to a run."""
    return run.with_name("begun")


def read_notes(run: Path) -> list[Begun]:
    """What was begun, in order; nothing, if nothing was."""
    path = notes_of(run)
    lines = path.read_text().splitlines() if path.exists() else []
    return [Begun(int(pid), unit) for pid, _, unit in (line.partition(" ") for line in lines)]


class Noted(Labeller):
    """A worker that notes what it begins to read; what is done by then, it does not read."""

    def __init__(self, corpus: Corpus, run: Path, settings: LabelSettings, idm: Idm | None = None):
        super().__init__(corpus, run, settings, idm)
        self._notes = notes_of(run)

    def label(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, pa.Table | Exception, list[Gap]]]:
        """As `Labeller.label`."""
        if units:
            with open(self._notes, "a", encoding="utf-8") as file:  # one short write, which others' do not mix with
                file.write("".join(f"{os.getpid()} {unit.name}\n" for unit in units))
        return super().label(units)


def noted_main() -> None:
    """Run a command of ghostpad by the words of this process."""
    label.Labeller = Noted  # type: ignore[attr-defined, misc]  # the workers are told this class by name
    sys.exit(main(sys.argv[1:]))

"""The rows of a long video's stretches, until all are there and become the video's one file.

    actions/idm-<fp>/.parts/<video>/<mark>-<number>-of-<count>.parquet     table kind "labels"

The mark stands for the footage, its mask and where it is cut. Whoever writes the last part joins them, so it does not matter who does what.
Nothing is written over: a part or file that is there by then is the same. Memory: 130 bytes a row.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import astuple

import pyarrow as pa

from ghostpad.base.errors import FormatError, MissingError, NoRowsError
from ghostpad.base.files import clear_linked
from ghostpad.base.places import Place
from ghostpad.base.records import read_table, table_facts, write_table
from ghostpad.base.settings import fingerprint
from ghostpad.corpus.folder import Corpus, names_in
from ghostpad.label.units import Unit
from ghostpad.video.damage import Gap

_FOLDER = ".parts"


class Parts:
    """The parts of a video's rows, of which one is a unit's own."""

    def __init__(self, corpus: Corpus, source: str, unit: Unit):
        video = unit.video
        self._corpus, self._source, self._unit = corpus, source, unit
        self._folder = corpus.actions_path(source, video.id).parent / _FOLDER / video.id
        self._mark = fingerprint(video.sha256, video.game, video.overlay_px, video.overlay_of_px, unit.stretch_s)

    def has_own(self) -> bool:
        """Whether the rows of the unit are there."""
        return self._path(self._unit.number).exists()

    def write_own(self, rows: pa.Table, gaps: list[Gap]) -> None:
        """Keep the rows of the unit, unless they are there, or somebody has joined all and removed the folder meanwhile."""
        try:
            write_table(self._path(self._unit.number), rows, "labels", gap_facts(gaps), new=True)
        except FileExistsError:
            return
        except FileNotFoundError:
            if not self._corpus.actions_path(self._source, self._unit.video.id).exists():
                raise

    def join(self, facts: Mapping[str, str]) -> list[Gap] | None:
        """If all parts are there, write the video's file and remove them: the stretches that have no rows; None if not, or if it is there.

        Raises `NoRowsError` if no part has a row, and `FormatError`, and removes it, for a part that is broken.
        """
        paths = [self._path(number) for number in range(self._unit.count)]
        if not {path.name for path in paths} <= set(names_in(self._folder)):
            return None
        try:
            tables = [_read(path) for path in paths]
        except MissingError:  # somebody else has joined them
            return None
        gaps = merged(Gap(*gap) for table in tables for gap in json.loads(table_facts(table).get("gaps", "[]")))
        rows = pa.concat_tables(table.replace_schema_metadata() for table in tables).combine_chunks()
        written = rows.num_rows > 0 and write_rows(self._corpus, self._source, self._unit, rows, facts, gaps)
        remove_parts(self._folder)
        if not rows.num_rows:
            raise NoRowsError(f"{self._unit.video.path} shows no two frames after each other: they are needed to see a pad between them")
        return gaps if written else None

    def _path(self, number: int) -> Place:
        return self._folder / f"{self._mark}-{number + 1}-of-{self._unit.count}.parquet"


def write_rows(corpus: Corpus, source: str, unit: Unit, rows: pa.Table, facts: Mapping[str, str], gaps: list[Gap]) -> bool:
    """Write a video's file; False if somebody else has."""
    try:
        corpus.write_actions(source, unit.video.id, rows, {**facts, **gap_facts(gaps)}, new=not unit.replace)
    except FileExistsError:
        return False
    return True


def gap_facts(gaps: list[Gap]) -> dict[str, str]:
    """The fact that says which stretches have no rows, none if all have."""
    return {"gaps": json.dumps([list(astuple(gap)) for gap in gaps])} if gaps else {}


def merged(gaps: Iterable[Gap]) -> list[Gap]:
    """Gaps in order, those that overlap as one: a gap across a cut is seen from both sides, and from each only as far as was read."""
    found: list[Gap] = []
    for gap in sorted(gaps, key=lambda gap: (gap.start_s, -gap.end_s)):
        if found and gap.start_s < found[-1].end_s:
            found[-1] = Gap(found[-1].start_s, max(found[-1].end_s, gap.end_s), found[-1].reason)
        else:
            found.append(gap)
    return found


def clear_left(corpus: Corpus, source: str, done: pa.ChunkedArray) -> None:
    """Remove what a killed run left of videos that are done: their parts, and second names of their files."""
    rows = corpus.actions_path(source, "any").parent
    clear_linked(rows)
    folder = rows / _FOLDER
    if left := set(names_in(folder)):
        for id in left & set(done.to_pylist()):
            remove_parts(folder / id)


def remove_parts(folder: Place) -> None:
    """Remove a folder of parts."""
    for name in list(names_in(folder)):
        with suppress(FileNotFoundError):
            (folder / name).unlink()
    with suppress(OSError):  # a part of another run has come; a store has no folders
        folder.rmdir()
        folder.parent.rmdir()


def _read(path: Place) -> pa.Table:
    try:
        return read_table(path, "labels")
    except FormatError:
        with suppress(FileNotFoundError):
            path.unlink()
        raise

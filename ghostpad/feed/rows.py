"""Which rows of a video a model may learn from, and how sure they are: recorded pads, an IDM's pseudo-labels, or withheld truth.

Reads tables of rows and verdicts; writes nothing.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ghostpad.base.errors import FormatError, MissingError
from ghostpad.base.places import file_mark, newest_s
from ghostpad.base.records import VERDICTS
from ghostpad.corpus.folder import RECORDED, Corpus, truth_table
from ghostpad.feed.settings import DataSettings


@dataclass(frozen=True)
class Rows:
    """A video's table of rows.

    confidence  float32 [n], 0...1, None where every row is sure
    kept        bool [n], which rows to learn from, None for all
    recorded    whether the time stamps are the recording's own, to which the video's lag must be added; those of pseudo-labels and of
                withheld truth are the picture's
    """

    table: pa.Table
    confidence: NDArray[np.float32] | None = None
    kept: NDArray[np.bool_] | None = None
    recorded: bool = False


class RowSource(Protocol):
    """Where rows come from."""

    @property
    def name(self) -> str:
        """A name for what it gives, for folders."""

    def mark(self, corpus: Corpus, video: str) -> str | None:
        """A text that is another when the rows of a video are other ones, None where it has none; reads no rows."""

    def read(self, corpus: Corpus, video: str) -> Rows | None:
        """The rows of a video, None where it has none. Raises `FormatError` for a file that holds none."""


def _mark_of(path: object) -> str | None:
    try:
        return file_mark(path)  # type: ignore[arg-type]
    except MissingError:
        return None


class RecordedRows:
    """The recorded rows; every known number weighs 1."""

    name = RECORDED

    def mark(self, corpus: Corpus, video: str) -> str | None:
        """See `RowSource`."""
        return _mark_of(corpus.actions_path(RECORDED, video))

    def read(self, corpus: Corpus, video: str) -> Rows | None:
        """See `RowSource`."""
        table = corpus.actions(RECORDED, video)
        return None if table is None else Rows(table, recorded=True)


class WithheldRows:
    """Rows from a folder of withheld truth: for evaluation, and for the oracle that bounds what pseudo-labels can give.

    Raises `MissingError` for no folder.
    """

    def __init__(self, folder: Path):
        if not folder.is_dir():
            raise MissingError(f"there is no folder of true rows at {folder}")
        self._folder = folder
        self.name = f"withheld-{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:8]}"

    def mark(self, corpus: Corpus, video: str) -> str | None:
        """See `RowSource`."""
        return _mark_of(self._folder / f"{video}.parquet")

    def read(self, corpus: Corpus, video: str) -> Rows | None:
        """See `RowSource`."""
        table = truth_table(self._folder, video)
        return None if table is None else Rows(table)


class PseudoLabelRows:
    """Rows an IDM wrote (`source`), with their confidence, without those that the verdicts drop.

    Raises `FormatError` for verdicts on other rows, `MissingError` for unknown ones.
    """

    def __init__(self, corpus: Corpus, source: str, settings: DataSettings):
        self._source, self._shuffle_seed = source, settings.shuffle_seed
        self._dropped = {} if settings.verdicts == "none" else _dropped(corpus, settings.verdicts, source)
        judged = "" if settings.verdicts == "none" else f"-{settings.verdicts}"
        moved = "" if settings.shuffle_seed is None else f"-shuffled{settings.shuffle_seed}"
        self.name = f"{source}{judged}{moved}"

    def mark(self, corpus: Corpus, video: str) -> str | None:
        """See `RowSource`."""
        mark = _mark_of(corpus.actions_path(self._source, video))
        dropped = self._dropped.get(video)
        return mark if mark is None or dropped is None else f"{mark} {hashlib.sha256(dropped.tobytes()).hexdigest()[:16]}"

    def read(self, corpus: Corpus, video: str) -> Rows | None:
        """See `RowSource`."""
        table = corpus.actions(self._source, video)
        if table is None:
            return None
        kept = np.ones(table.num_rows, np.bool_)
        for first, last in self._dropped.get(video, ()):
            kept[first : last + 1] = False
        if self._shuffle_seed is not None:
            table = shuffled(table, np.flatnonzero(kept), self._shuffle_seed, video)
        return Rows(table, table.column("confidence").to_numpy().astype(np.float32), kept)


def _dropped(corpus: Corpus, name: str, source: str) -> dict[str, NDArray[np.int64]]:
    """The first and last rows, int64 [n, 2], of the stretches that verdicts drop, by video. Raises `FormatError` as above."""
    parts = [VERDICTS.empty_table().select(["video", "first_row", "last_row"])]
    if (judged := corpus.verdict_facts(name).get("source")) != source:
        raise FormatError(
            f"the verdicts '{name}' of {corpus.root} judge {judged}, not {source}: run 'ghostpad filter {corpus.root} --labels {source}'"
        )
    for table in corpus.scan_verdicts(name, ["video", "first_row", "last_row", "keep"]):
        parts.append(table.filter(pc.invert(table.column("keep"))).drop_columns("keep"))
    table = pa.concat_tables(parts).sort_by("video")
    counts = table.group_by("video", use_threads=False).aggregate([([], "count_all")])
    stretches = np.stack([table.column(name).to_numpy() for name in ("first_row", "last_row")], axis=1)
    ends = np.cumsum(counts.column("count_all").to_numpy())[:-1]
    return dict(zip(counts.column("video").to_pylist(), np.split(stretches, ends), strict=True)) if table.num_rows else {}


def shuffled(table: pa.Table, rows: NDArray[np.intp], seed: int, video: str) -> pa.Table:
    """Pseudo-labels at other moments of their video: a control, as all that a policy cannot learn from them is when things were done.

    The pads of `rows` (those that are learned from) are rolled by a quarter to three quarters of their number, drawn from `seed` and the
    id of the video. So each is used once, presses keep their number and length, and frames keep their weights.
    """
    chance = np.random.default_rng([seed, int(hashlib.sha256(video.encode()).hexdigest()[:16], 16)])
    shift = int(chance.integers(max(1, len(rows) // 4), max(2, 3 * len(rows) // 4 + 1)))
    order = np.arange(table.num_rows)
    order[rows] = np.roll(rows, shift)
    return _replaced(table.take(order), {name: table.column(name) for name in ("pts_s", "confidence")})


def _replaced(table: pa.Table, columns: Mapping[str, pa.ChunkedArray]) -> pa.Table:
    """The table with other values in some columns, cast to the type that they have in it."""
    for name, column in columns.items():
        field = table.schema.field(name)
        table = table.set_column(table.column_names.index(name), field, column.cast(field.type))
    return table


def label_source(corpus: Corpus, wanted: str) -> str | None:
    """The source of pseudo-labels that a setting names; None for 'none' or if there is no source.

    'latest' is the source one of whose files was written last: copying a corpus without its times of change may change it.
    """
    sources = [source for source in corpus.sources() if source != RECORDED]
    if wanted == "none" or (wanted == "latest" and not sources):
        return None
    if wanted == "latest":
        return sources[0] if len(sources) == 1 else max(sources, key=lambda source: newest_s(corpus.root / "actions" / source))
    if wanted not in sources:
        raise MissingError(f"{corpus.root} has no labels '{wanted}': run 'ghostpad label {corpus.root} --idm RUN'")
    return wanted

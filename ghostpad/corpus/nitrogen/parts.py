"""The ledger of `ghostpad corpus index`: the chunks of every finished shard, as nitrogen/<shard>-<hash of the games>.parquet in the corpus.

A part appears whole, after the rows of its shard; the table of all chunks is made from the parts and from nothing else. Two processes that
read one shard write the same bytes.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ghostpad.base.errors import FormatError
from ghostpad.base.places import Place
from ghostpad.base.records import CHUNKS, read_table, table_facts, write_table
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.nitrogen.reader import ShardReader
from ghostpad.corpus.nitrogen.source import Source

_ROWS_AT_ONCE = 2000  # of the table of chunks as Python objects, 2 KB each


def part_sizes(corpus: Corpus) -> dict[str, int]:
    """The parts by name with their sizes in bytes: two listings that are equal hold the same chunks."""
    return {path.name: path.stat().st_size for path in _paths(corpus)}


def labels_of_parts(corpus: Corpus) -> set[str]:
    """The kinds of labels that the finished shards were read for. Raises `FormatError` for a damaged part."""
    return {_facts(path)["labels"] for path in _paths(corpus)}


def finished(corpus: Corpus, source: Source, labels: str, games: Collection[str] | None) -> Counter[str | None] | None:
    """How many chunks of each game a finished shard has, or None if it has to be read: it is new, has another size, or was damaged.

    Raises `FormatError` for a damaged part.
    """
    path = _path(corpus, source, games)
    facts = _facts(path) if path.exists() else {}
    same = (facts.get("size"), facts.get("labels"), facts.get("damaged")) == (str(source.size), labels, "no")
    return Counter(json.loads(facts["seen"])) if same else None


def write_part(corpus: Corpus, source: Source, labels: str, games: Collection[str] | None, table: pa.Table, reader: ShardReader) -> None:
    """Say that a shard is finished: its chunks (schema `CHUNKS`), and what its reader saw."""
    facts = {"shard": source.name, "size": str(source.size), "labels": labels, "damaged": "yes" if reader.damaged else "no"}
    facts["seen"] = json.dumps({name: count for name, count in reader.seen.items() if name}, sort_keys=True)
    write_table(_path(corpus, source, games), table, "chunks", facts)


def chunk_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows of the table of chunks as a table. Arrow's own way from rows takes ten times the memory of columns, so a column at a time."""
    columns = {name: pa.array([row[name] for row in rows], CHUNKS.field(name).type) for name in CHUNKS.names}
    return pa.table(columns, schema=CHUNKS)


def all_chunks(corpus: Corpus) -> pa.Table:
    """The chunks of all parts by video and number, each once: a good one rather than a broken one, then the first."""
    parts = [read_table(path, "chunks").replace_schema_metadata(None) for path in _paths(corpus)]
    table = pa.concat_tables([CHUNKS.empty_table(), *parts])
    keys = table.select(["video", "chunk", "status"]).append_column("order", pa.array(np.arange(table.num_rows)))
    keys = keys.sort_by([("video", "ascending"), ("chunk", "ascending"), ("status", "descending"), ("order", "ascending")])
    again = np.zeros(len(keys), np.bool_)
    again[1:] = _same_as_before(keys.column("video")) & _same_as_before(keys.column("chunk"))
    return table.take(keys.column("order").filter(pa.array(~again))).combine_chunks()


def by_video(table: pa.Table) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The rows of each video in a table that is sorted by video; those without a video are left out. Holds one video's as objects."""
    rows = (row for start in range(0, table.num_rows, _ROWS_AT_ONCE) for row in table.slice(start, _ROWS_AT_ONCE).to_pylist())
    for video, group in groupby(rows, itemgetter("video")):
        if video is not None:
            yield video, list(group)


def _same_as_before(column: pa.ChunkedArray) -> Any:
    """Where a value equals the one before it, bool [rows - 1]; a null equals nothing."""
    return pc.fill_null(pc.equal(column.slice(1), column.slice(0, max(len(column) - 1, 0))), False).to_numpy()


def _paths(corpus: Corpus) -> list[Place]:
    return sorted((corpus.root / "nitrogen").glob("[!.]*.parquet"))


def _path(corpus: Corpus, source: Source, games: Collection[str] | None) -> Place:
    key = json.dumps(None if games is None else sorted(games))
    return corpus.root / "nitrogen" / f"{source.name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}.parquet"


def _facts(path: Place) -> dict[str, str]:
    with path.open("rb") as file:
        try:
            return table_facts(pq.read_schema(file).empty_table())
        except pa.ArrowException as error:
            raise FormatError(f"{path} is not a readable parquet file ({error}): remove it and index its shard again") from None

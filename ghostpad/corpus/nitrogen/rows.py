"""The parquet files of chunks of the NitroGen dataset, as rows of actions.

Buttons are bool or int, sticks are lists [x, y] of float or int, y is down. Row i of a chunk is shown at start_time + i / rate, where the
rate is rows / duration. What cannot be read makes its chunk "broken" with a reason. A missing column or a null is unknown and the chunk
stays good.

Files are read one by one, but chunks whose columns are alike become rows together: a call of Arrow or numpy costs as much for 30 chunks as
for one. A chunk of 1200 rows costs 0.35 ms for reading 21 columns, nearly all of it inside Arrow, and 0.05 ms besides (measured here).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate, groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ghostpad.base.pad import BUTTONS, DATASET_BUTTONS, STICKS
from ghostpad.base.records import ACTIONS, CHUNKS
from ghostpad.corpus.nitrogen.chunk import BrokenChunkError, Chunk, broken

MOST_ROWS = 200_000  # 1200 in the dataset
MOST_HZ = 10_000  # 60 in the dataset; rows closer than a stamp's precision would not ascend
MOST_S = 1e6  # where a chunk may begin, and its length: 12 days, a guess
STICK_SLACK = 1e-3  # beyond -1...1 that is cut off as rounding: a guess

_STICK_COLUMNS = {"j_left": STICKS[:2], "j_right": STICKS[2:]}
_COLUMNS = [*DATASET_BUTTONS, *_STICK_COLUMNS]


@dataclass(frozen=True)
class UnreadChunk:
    """A chunk's described metadata, with its video, number and shard, and the bytes of its parquet file."""

    about: dict[str, Any]
    body: bytes


def read_chunks(chunks: Iterable[UnreadChunk | Chunk]) -> list[Chunk]:
    """The chunks in the same order; broken, with the reason, where the file is unreadable, and as they are where nothing is to be read."""
    opened = [_open(chunk) if isinstance(chunk, UnreadChunk) else (chunk, None) for chunk in chunks]
    read: list[Chunk] = []
    for schema, group in groupby(opened, lambda pair: None if pair[1] is None else pair[1].schema):  # equal whatever their metadata
        alike, tables = zip(*group, strict=True)
        read += alike if schema is None else _translate([chunk.row for chunk in alike], list(map(len, tables)), pa.concat_tables(tables))
    return read


def _open(unread: UnreadChunk) -> tuple[Chunk, pa.Table | None]:
    """A chunk that is not broken so far, with its table as the dataset has it; or a broken one."""
    about = unread.about
    row = dict.fromkeys(CHUNKS.names) | about | {"status": "ok"}
    try:
        if about["start_s"] is None or not 0 <= about["start_s"] < MOST_S:
            raise BrokenChunkError("metadata.json gives no start_time")
        if about["duration_s"] is None or not 0 < about["duration_s"] < MOST_S:
            raise BrokenChunkError("metadata.json gives no duration")
        table = _read_parquet(unread.body)
        if about["rows"] is not None and about["rows"] != table.num_rows:
            raise BrokenChunkError("the table's rows are not as many as chunk_size says")
        if table.num_rows / about["duration_s"] > MOST_HZ:
            raise BrokenChunkError("the table has more rows a second than any video has frames")
    except BrokenChunkError as error:
        return broken(row, str(error)), None
    return Chunk(row), table


def _read_parquet(body: bytes) -> pa.Table:
    try:
        file = pq.ParquetFile(pa.BufferReader(body), memory_map=False)
        rows = file.metadata.num_rows  # no more of the metadata: asking a damaged one for its columns ends the process (pyarrow 26)
        if rows == 0:
            raise BrokenChunkError("the table has no rows")
        if rows > MOST_ROWS:
            raise BrokenChunkError("the table is larger than a chunk can be")
        names = file.schema_arrow.names
        wanted = [name for name in _COLUMNS if names.count(name) == 1]
        if not wanted:
            raise BrokenChunkError("the table has none of the columns of a pad")
        table = file.read(columns=wanted, use_threads=False)
        table.validate(full=True)
        return table
    except (pa.ArrowException, OSError, ValueError, KeyError, IndexError, MemoryError, OverflowError):
        raise BrokenChunkError("the table is not a readable parquet file") from None


def _translate(rows: Sequence[dict[str, Any]], counts: Sequence[int], table: pa.Table) -> list[Chunk]:
    """The chunks with these rows in the table of chunks and so many rows of actions each, which follow each other in `table`."""
    starts = [0, *accumulate(counts)]
    try:
        table = table.combine_chunks()
        columns = _buttons(table) | _sticks(table)
    except (BrokenChunkError, pa.ArrowException) as error:
        if len(rows) == 1:
            return [broken(rows[0], str(error) if isinstance(error, BrokenChunkError) else "the table holds values of another kind")]
        alone = [_translate([row], [count], table.slice(start, count)) for row, count, start in zip(rows, counts, starts, strict=False)]
        return [chunk for (chunk,) in alone]
    rates = [_rate(count, row["duration_s"]) for row, count in zip(rows, counts, strict=True)]
    times = [row["start_s"] + np.arange(count) / float(rate) for row, count, rate in zip(rows, counts, rates, strict=True)]
    columns["pts_s"] = pa.array(np.concatenate(times))
    columns["chunk"] = pa.array(np.repeat(np.array([row["chunk"] for row in rows], np.int64), counts))
    actions = pa.table([columns[name] for name in ACTIONS.names], schema=ACTIONS)
    facts = [{"rows": count, "rate": str(rate), "note": _note(row, count)} for row, count, rate in zip(rows, counts, rates, strict=True)]
    return [Chunk(row | fact, actions.slice(start, fact["rows"])) for row, fact, start in zip(rows, facts, starts, strict=False)]


def _buttons(table: pa.Table) -> dict[str, pa.Array]:
    columns: dict[str, pa.Array] = {}
    for name in BUTTONS:
        column = table.column(name).chunk(0) if name in table.column_names else pa.nulls(table.num_rows, pa.bool_())
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            column = pc.greater(column, pa.scalar(0, column.type))
        elif not pa.types.is_boolean(column.type):
            raise BrokenChunkError(f"the column {name} holds no buttons")
        columns[name] = column
    return columns


def _sticks(table: pa.Table) -> dict[str, pa.Array]:
    columns: dict[str, pa.Array] = {}
    for name, axes in _STICK_COLUMNS.items():
        if name not in table.column_names:
            columns |= dict.fromkeys(axes, pa.nulls(table.num_rows, pa.float32()))
            continue
        column = table.column(name).chunk(0)
        kind = column.type
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
            raise BrokenChunkError(f"the column {name} holds no lists")
        inner = kind.value_type
        if not (pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_null(inner)):
            raise BrokenChunkError(f"the lists of {name} hold no numbers")
        if not (pc.list_value_length(column).drop_null().to_numpy() == 2).all():
            raise BrokenChunkError(f"a list of {name} is not two numbers")
        flat = column.flatten().cast(pa.float64(), safe=False)  # of the lists that are not null
        pairs, unknown = flat.fill_null(0.0).to_numpy().reshape(-1, 2), None
        if len(pairs) and not (pairs.min() >= -1 - STICK_SLACK and pairs.max() <= 1 + STICK_SLACK):  # also where one is not a number
            raise BrokenChunkError(f"a value of {name} lies outside -1...1")
        if column.null_count or flat.null_count:
            there, told = column.is_valid().to_numpy(zero_copy_only=False), pairs
            pairs, unknown = np.zeros((table.num_rows, 2)), np.ones((table.num_rows, 2), np.bool_)
            pairs[there], unknown[there] = told, flat.is_null().to_numpy(zero_copy_only=False).reshape(-1, 2)
        for index, axis in enumerate(axes):
            values = np.clip(pairs[:, index], -1, 1).astype(np.float32)
            columns[axis] = pa.array(values, mask=None if unknown is None else unknown[:, index])
    return columns


@lru_cache(4096)
def _rate(rows: int, duration_s: float) -> Fraction:
    return Fraction(rows) / Fraction(str(duration_s))


def _note(row: dict[str, Any], rows: int) -> str | None:
    """What is inconsistent in the metadata of a usable chunk, whose frames are found by time, not by number."""
    first, last = row["start_frame"], row["end_frame"]
    if first is not None and last is not None and last - first + 1 != rows:  # the last frame is part of the chunk
        return "start_frame to end_frame are not as many frames as rows"
    return None

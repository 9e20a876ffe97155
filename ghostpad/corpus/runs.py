"""The files of rows that a table is made of: each by key, never changed, checked by checksums when it is read.

Reads and writes `merged-<hex>.parquet` in the folder of a `ghostpad.corpus.table.Table`; few rows lie in the table's commits and come here
as Arrow tables. Memory: one group of rows of each file.
"""

import secrets
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ghostpad.base.errors import FormatError
from ghostpad.base.files import atomic_path
from ghostpad.base.places import Place

GROUP_ROWS, GROUP_BYTES = 2048, 1 << 24
"""Rows of a group, which is the least that is read of a file. With 8192, finding a row among a million takes 16 ms instead of 9, and
reading four columns of all of them 1.0 s instead of 1.3 (measured on a busy machine)."""

_TAIL_BYTES = 8  # of a parquet file: the length of its footer, and its mark


@dataclass(frozen=True)
class Run:
    """A file of rows: how many; for parquet its size in bytes and the checksum of its footer, which in turn holds those of its pages."""

    name: str
    rows: int
    size: int = 0
    footer_crc: int = 0


@dataclass(frozen=True)
class Opened:
    """An open parquet file of rows, with the first key of each group."""

    file: pq.ParquetFile
    first_keys: list[str]


def write_run(folder: Place, tables: Iterable[pa.Table], schema: pa.Schema) -> Run:
    """Write rows by key, each key once, to a new file of the folder."""
    path, rows = folder / f"merged-{secrets.token_hex(8)}.parquet", 0
    with atomic_path(path) as temporary:
        with pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as writer:
            for table in _grouped(tables):
                writer.write_table(table.cast(schema), row_group_size=GROUP_ROWS)
                rows += table.num_rows
        with open(temporary, "rb") as file:
            size = file.seek(0, 2)
            footer_crc = zlib.crc32(_footer(file, size))
    return Run(path.name, rows, size, footer_crc)


def open_run(folder: Place, run: Run) -> Opened:
    """Open a file of rows. Raises `FormatError` for one that is gone or damaged."""
    path = folder / run.name
    try:
        source = pa.OSFile(str(path)) if isinstance(path, Path) else path.open("rb")
        size = source.seek(0, 2)
        if size != run.size or zlib.crc32(_footer(source, size)) != run.footer_crc:
            raise ValueError("it is not what was written")
        file = pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=not isinstance(path, Path))
    except (FileNotFoundError, ValueError, pa.ArrowException) as error:
        raise damaged(path, error) from None
    groups = file.metadata
    return Opened(file, [groups.row_group(at).column(0).statistics.min for at in range(groups.num_row_groups)])


def damaged(path: Place, error: Exception) -> FormatError:
    """The error for a file of a table that cannot be read."""
    return FormatError(f"{path} is damaged or gone ({error}): restore it from a copy; else remove its folder and make the corpus again")


def groups_of(path: Place, opened: Opened, names: Sequence[str], at: Iterable[int] | None = None) -> Iterator[pa.Table]:
    """The groups of an open file (`at`: only these) with these columns. Raises `FormatError` for damage."""
    for number in range(len(opened.first_keys)) if at is None else at:
        try:
            yield opened.file.read_row_group(number, columns=list(names), use_threads=False).select(names)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise damaged(path, error) from None


def rows_in(path: Place, opened: Opened, key: str, keys: Sequence[str]) -> Iterator[pa.Table]:
    """The rows of an open file with these keys: of the groups that may hold one the keys are read, of those that do all columns."""
    for at in sorted({at for one in keys if (at := bisect_right(opened.first_keys, one) - 1) >= 0}):
        if any(with_keys(group, key, keys).num_rows for group in groups_of(path, opened, [key], [at])):
            yield from (with_keys(group, key, keys) for group in groups_of(path, opened, opened.file.schema_arrow.names, [at]))


def with_keys(table: pa.Table, key: str, keys: Sequence[str]) -> pa.Table:
    """The rows of a table whose key is one of `keys`."""
    return table.filter(pc.is_in(table.column(key), pa.array(keys, pa.string())))


def joined(runs: Sequence[Iterator[pa.Table]], key: str) -> Iterator[pa.Table]:
    """The rows of files, oldest file first, by key, of two with one key the newer: tables of rows up to the end of some file's group."""
    heads: list[tuple[int, Iterator[pa.Table], pa.Table]] = []
    for order, tables in enumerate(runs):
        if (table := _next(tables)) is not None:
            heads.append((order, tables, table))
    while heads:
        limit = min(table.column(key)[-1].as_py() for _, _, table in heads)
        pieces, rest = list[pa.Table](), []
        for order, tables, table in heads:
            count = _rows_up_to(table.column(key), limit)
            if count:
                pieces.append(table.slice(0, count).append_column("order", pa.array(np.full(count, order))))
            left = table.slice(count) if count < table.num_rows else _next(tables)
            if left is not None:
                rest.append((order, tables, left))
        heads = rest
        yield newest(pa.concat_tables(pieces), key) if len(pieces) > 1 else pieces[0].drop_columns("order")


def newest(table: pa.Table, key: str) -> pa.Table:
    """The rows by key, of those with one key the one of the highest "order", without that column."""
    table = table.take(pc.sort_indices(table, [(key, "ascending"), ("order", "descending")]))
    keys = table.column(key).combine_chunks()
    first = np.ones(len(keys), np.bool_)
    first[1:] = pc.not_equal(keys[1:], keys[:-1]).to_numpy(zero_copy_only=False)
    return table.filter(pa.array(first)).drop_columns("order")


def _next(tables: Iterator[pa.Table]) -> pa.Table | None:
    return next((table for table in tables if table.num_rows), None)


def _rows_up_to(keys: pa.ChunkedArray, limit: str) -> int:
    return bisect_right(range(len(keys)), limit, key=lambda at: keys[at].as_py())


def _grouped(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Tables joined until they are as large as a group."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(one.num_rows for one in waiting) >= GROUP_ROWS or sum(one.nbytes for one in waiting) >= GROUP_BYTES:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _footer(file: BinaryIO, size: int) -> bytes:
    """The footer of a parquet file, with its length and mark."""
    file.seek(max(0, size - _TAIL_BYTES))
    length = int.from_bytes(file.read(4), "little")
    file.seek(max(0, size - _TAIL_BYTES - length))
    return file.read()

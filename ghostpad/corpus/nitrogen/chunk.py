"""One chunk of the NitroGen dataset: its metadata.json and one of its parquet files, as one row about it and its rows of actions.

Layout and quirks are those of the dataset card (nvidia/NitroGen), and where it is silent were measured by others: `resolution` is
[height, width], `end_frame` is inclusive, the overlay box is x, y, w, h in pixels at that resolution while the game area is relative
corners, buttons are bool or int, sticks are lists of float or int, y is down. There is no frame rate: it is rows / duration, chunk
by chunk, and row i is shown at start_time + i / rate. Nothing is unpickled, and sizes are bounded before anything is read.

What cannot be read becomes status "broken" with a reason. A missing column or a null is unknown and the chunk stays good.
Costs about 10 us for the metadata and 1 ms for 1200 rows (measured here).
"""

import json
import math
import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ghostpad.base.pad import BUTTONS, DATASET_BUTTONS, STICKS
from ghostpad.base.records import ACTIONS, CHUNKS

MOST_METADATA_BYTES = 1 << 20  # 1-2 KB in the dataset (measured by others)
MOST_TABLE_BYTES = 1 << 26  # tens of KB in the dataset
MOST_ROWS = 200_000  # 1200 in the dataset
STICK_SLACK = 1e-3  # beyond -1...1 that is cut off as rounding: a guess
MOST_TEXT = 500  # letters of a text in the metadata that are kept

NO_GAME = frozenset({"", "other"})
"""Spellings that name no game."""

_STICK_COLUMNS = {"j_left": STICKS[:2], "j_right": STICKS[2:]}
_COLUMNS = [*DATASET_BUTTONS, *_STICK_COLUMNS]


class BrokenChunkError(Exception):
    """A chunk that cannot be read, and why. Not for users: it becomes a row with a reason."""


@dataclass(frozen=True)
class Chunk:
    """One chunk: `row` has the columns of `CHUNKS`; `actions` its rows (schema `ACTIONS`), None unless `row["status"]` is "ok"."""

    row: dict[str, Any]
    actions: pa.Table | None = None


@lru_cache(4096)
def game_name(label: str) -> str | None:
    """A game's name in lower snake case, so that spellings meet: `_Baldur's Gate 3 ` is `baldurs_gate_3`. None for "other" and "" ."""
    plain = re.sub(r"['’`]", "", unicodedata.normalize("NFKC", label).casefold())
    name = re.sub(r"[\W_]+", "_", plain).strip("_")
    return None if name in NO_GAME else name


def parse_metadata(body: bytes) -> dict[str, Any]:
    """What a metadata.json holds. Raises `BrokenChunkError` if it is no JSON object."""
    try:
        metadata = json.loads(body)
    except (ValueError, RecursionError):
        raise BrokenChunkError("metadata.json is not JSON") from None
    if not isinstance(metadata, dict):
        raise BrokenChunkError("metadata.json is not an object")
    return metadata


def game_of(metadata: dict[str, Any]) -> str | None:
    """The name of the game of a chunk, None if its metadata names none."""
    label = _text(metadata.get("game"))
    return game_name(label) if label else None


def describe(metadata: dict[str, Any]) -> dict[str, Any]:
    """The columns of `CHUNKS` that a parsed metadata.json gives.

    A field that is absent or of the wrong type is null; `read_chunk` refuses a chunk without what it needs.
    """
    video = metadata.get("original_video")
    video = video if isinstance(video, dict) else {}
    start_s, end_s, duration_s = (_number(video.get(key)) for key in ("start_time", "end_time", "duration"))
    if duration_s is None and start_s is not None and end_s is not None:
        duration_s = end_s - start_s
    height_px, width_px = _size(video.get("resolution"))
    return {
        "chunk": _number_of(metadata.get("chunk_id")),
        "game": game_of(metadata),
        "game_label": _text(metadata.get("game")),
        "controller": _text(metadata.get("controller_type")),
        "source": _text(video.get("source")),
        "url": _text(video.get("url")),
        "start_s": start_s,
        "duration_s": duration_s,
        "rows": _whole(metadata.get("chunk_size")),
        "start_frame": _whole(video.get("start_frame")),
        "end_frame": _whole(video.get("end_frame")),
        "width_px": width_px,
        "height_px": height_px,
        "overlay_px": box_px(metadata.get("bbox_controller_overlay"), width_px, height_px),
        "game_area_px": box_px(metadata.get("bbox_game_area"), width_px, height_px),
    }


def read_chunk(about: dict[str, Any], body: bytes) -> Chunk:
    """A chunk from its described metadata, with its number, and the bytes of its parquet file; broken, with the reason, if unreadable."""
    row = dict.fromkeys(CHUNKS.names) | about | {"status": "ok"}
    try:
        start_s, duration_s = about["start_s"], about["duration_s"]
        if start_s is None or start_s < 0:
            raise BrokenChunkError("metadata.json gives no start_time")
        if duration_s is None or not 0 < duration_s < 1e6:
            raise BrokenChunkError("metadata.json gives no duration")
        table = _read_parquet(body)
        if about["rows"] is not None and about["rows"] != table.num_rows:
            raise BrokenChunkError("the table's rows are not as many as chunk_size says")
        columns = _buttons(table) | _sticks(table)
    except BrokenChunkError as error:
        return broken(row, str(error))
    rows = table.num_rows
    rate = Fraction(rows) / Fraction(str(duration_s))
    row |= {"rows": rows, "rate": str(rate), "note": _note(row, rows)}
    columns["pts_s"] = pa.array(start_s + np.arange(rows) / float(rate), pa.float64())
    columns["chunk"] = pa.array(np.full(rows, about["chunk"], np.int64))
    return Chunk(row, pa.table({name: columns[name] for name in ACTIONS.names}, schema=ACTIONS))


def broken(row: dict[str, Any], reason: str) -> Chunk:
    """A chunk that cannot be read, with the reason."""
    return Chunk(dict.fromkeys(CHUNKS.names) | row | {"status": "broken", "reason": reason})


def box_px(box: Any, width_px: int | None, height_px: int | None) -> list[float] | None:
    """A box as x, y, width, height in pixels, cut to the picture; None for no box, an empty one, or no resolution.

    Both conventions are read: a list of four is x, y, w, h in pixels, an object with `xtl, ytl, xbr, ybr` is relative corners.
    """
    if width_px is None or height_px is None:
        return None
    match box:
        case {"xtl": left, "ytl": top, "xbr": right, "ybr": bottom}:
            numbers = [_number(left), _number(top), _number(right), _number(bottom)]
        case [_, _, _, _]:
            numbers = [_number(value) for value in box]
        case _:
            return None
    known = [value for value in numbers if value is not None]
    if len(known) < 4:
        return None
    x, y, z, w = known
    left, top, right, bottom = (x * width_px, y * height_px, z * width_px, w * height_px) if isinstance(box, dict) else (x, y, x + z, y + w)
    left, top, right, bottom = max(left, 0.0), max(top, 0.0), min(right, float(width_px)), min(bottom, float(height_px))
    return [left, top, right - left, bottom - top] if right > left and bottom > top else None


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


def _buttons(table: pa.Table) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name in BUTTONS:
        if name not in table.column_names:
            columns[name] = pa.nulls(table.num_rows, pa.bool_())
            continue
        column = _one_piece(table.column(name))
        kind = column.type
        if pa.types.is_integer(kind) and not column.null_count:
            column = pa.array(column.to_numpy() > 0)  # half the time of Arrow's own way
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
            column = pc.greater(column, pa.scalar(0, kind))
        elif not pa.types.is_boolean(kind):
            raise BrokenChunkError(f"the column {name} holds no buttons")
        columns[name] = column
    return columns


def _sticks(table: pa.Table) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name, axes in _STICK_COLUMNS.items():
        if name not in table.column_names:
            columns |= dict.fromkeys(axes, pa.nulls(table.num_rows, pa.float32()))
            continue
        column = _one_piece(table.column(name))
        kind = column.type
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
            raise BrokenChunkError(f"the column {name} holds no lists")
        inner = kind.value_type
        if not (pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_null(inner)):
            raise BrokenChunkError(f"the lists of {name} hold no numbers")
        if not (pc.list_value_length(column).drop_null().to_numpy() == 2).all():
            raise BrokenChunkError(f"a list of {name} is not two numbers")
        for index, axis in enumerate(axes):
            values = pc.list_element(column, index).cast(pa.float64())
            numbers = values.fill_null(0.0).to_numpy()
            if not (np.abs(numbers) <= 1 + STICK_SLACK).all():  # also where one is not a number
                raise BrokenChunkError(f"a value of {name} lies outside -1...1")
            columns[axis] = pa.array(np.clip(numbers, -1, 1).astype(np.float32), mask=values.is_null().to_numpy(zero_copy_only=False))
    return columns


def _one_piece(column: Any) -> Any:
    """A column as one array."""
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _note(row: dict[str, Any], rows: int) -> str | None:
    """What is inconsistent in the metadata of a usable chunk, whose frames are found by time, not by number."""
    first, last = row["start_frame"], row["end_frame"]
    if first is not None and last is not None and last - first + 1 != rows:  # the last frame is part of the chunk
        return "start_frame to end_frame are not as many frames as rows"
    return None


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "replace").decode()[:MOST_TEXT].strip() or None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number == int(number) and abs(number) < 2**53 else None


def _number_of(value: Any) -> int | None:
    """A chunk's number, which the dataset writes as text with leading zeros."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10 else _whole(value)


def _size(value: Any) -> tuple[int | None, int | None]:
    """Height and width, both positive, or neither."""
    if not isinstance(value, list) or len(value) != 2:
        return None, None
    height, width = map(_whole, value)
    return (height, width) if height and width and min(height, width) > 0 and max(height, width) < 100_000 else (None, None)

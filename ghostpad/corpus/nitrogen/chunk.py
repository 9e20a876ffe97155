"""One chunk of the NitroGen dataset: what its metadata.json says, as a row of the table of chunks.

Layout and quirks are those of the dataset card (nvidia/NitroGen), and where it is silent were measured by others: `resolution` is
[height, width], `end_frame` is inclusive, the overlay box is x, y, w, h in pixels at that resolution while the game area is relative
corners. There is no frame rate: it is rows / duration, chunk by chunk (`rows.py`). Nothing is unpickled, and sizes are bounded before
anything is read. What cannot be read becomes status "broken" with a reason. Costs about 30 us a chunk (measured here).
"""

import json
import math
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa

from ghostpad.base.records import CHUNKS

MOST_METADATA_BYTES = 1 << 20  # 1-2 KB in the dataset (measured by others)
MOST_TABLE_BYTES = 1 << 26  # tens of KB in the dataset
MOST_TEXT = 500  # letters of a text in the metadata that are kept

NO_GAME = frozenset({"", "other"})
"""Spellings that name no game."""


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

    A field that is absent or of the wrong type is null; `read_chunks` refuses a chunk without what it needs.
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

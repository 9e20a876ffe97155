"""The chunks of a video in one timeline: sorted by time; where they overlap, the one that starts first keeps its rows."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

_SLACK_S = 1e-6  # of a chunk that starts where another ends: less than any frame, more than rounding


class Stretch(NamedTuple):
    """A chunk's place in its video, and its number of rows before any was dropped."""

    start_s: float
    duration_s: float
    rows: int


def stretches_of(rows: Iterable[Mapping[str, Any]]) -> dict[int, Stretch]:
    """The stretches of good chunks by their numbers, from rows of the table of chunks."""
    return {row["chunk"]: Stretch(row["start_s"], row["duration_s"], row["rows"]) for row in rows if row["status"] == "ok"}


def free_from_s(stretches: Mapping[int, Stretch]) -> dict[int, float]:
    """The second from which a chunk's rows count: where all that start before it (or with it, by number) have ended."""
    free, end_s = {}, -np.inf
    for number in sorted(stretches, key=lambda number: (stretches[number].start_s, number)):
        free[number] = end_s
        end_s = max(end_s, stretches[number].start_s + stretches[number].duration_s)
    return free


def keep_first(table: pa.Table, stretches: Mapping[int, Stretch]) -> pa.Table:
    """The rows (schema `ACTIONS`) of all chunks in order of time, without those that an earlier chunk covers."""
    free = free_from_s(stretches)
    numbers = np.array(sorted(free), np.int64)
    limits = np.array([free[number] for number in numbers.tolist()])
    keep = table.column("pts_s").to_numpy() >= limits[np.searchsorted(numbers, table.column("chunk").to_numpy())] - _SLACK_S
    kept = table if keep.all() else table.filter(pa.array(keep))
    in_order = (np.diff(kept.column("pts_s").to_numpy()) > 0).all()  # mostly, and sorting costs as much as reading
    return kept if in_order else kept.sort_by([("pts_s", "ascending"), ("chunk", "ascending")])


def kept_rows(stretches: Mapping[int, Stretch]) -> dict[int, int]:
    """How many rows of each chunk `keep_first` keeps."""
    free = free_from_s(stretches)
    kept = {}
    for number, (start_s, duration_s, rows) in stretches.items():
        late = (free[number] - _SLACK_S - start_s) * rows / duration_s
        kept[number] = rows if late <= 0 else max(0, rows - int(np.ceil(late)))
    return kept

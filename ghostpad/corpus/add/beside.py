"""The rows beside a video: anybody's <stem>.csv or <stem>.parquet as a table of actions, or why it cannot be one.

    pts_s                    seconds of the video's own clock, ascending; row i is the pad in force from its stamp to the next row's
    south, left_x, ...       any slots of the pad: buttons 0 or 1, true or false, or a probability; sticks -1...1; empty is unknown

A parquet file that ghostpad wrote (table kind "actions") goes through the same checks. Reads the file; writes nothing. About 2 s for an
hour of text at 60 Hz (a guess).
"""

import csv
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ghostpad.base.errors import FormatError, nearest
from ghostpad.base.pad import BUTTONS, PAD_DIM, SLOTS
from ghostpad.base.records import actions_table, read_table, table_facts

SLACK_S = 1.0
"""How far rows may reach beyond the frames: recordings of pad and picture rarely start and stop together (a guess)."""


def rows_beside(video: Path) -> pa.Table | None:
    """The table of actions beside a video file, None where there is none. Raises `FormatError`, with every problem of the table."""
    paths = [path for suffix in (".csv", ".parquet") if (path := video.with_suffix(suffix)).exists()]
    if len(paths) > 1:
        raise FormatError(f"both {paths[0].name} and {paths[1].name} are beside it: remove one")
    if not paths:
        return None
    (path,) = paths
    table = _read(path)
    problems = list(_column_problems(table))
    columns = {name: _numbers(table, name, problems) for name in ("pts_s", *SLOTS) if table.column_names.count(name) == 1}
    pads, known = np.zeros((table.num_rows, PAD_DIM), np.float32), np.zeros((table.num_rows, PAD_DIM), np.bool_)
    for index, name in enumerate(SLOTS):
        if name in columns:
            values, known[:, index] = columns[name]
            low = 0 if name in BUTTONS else -1
            inside = (values >= low) & (values <= 1)
            wrong = np.flatnonzero(known[:, index] & ~inside)
            problems += [f"{name} is {values[wrong[0]]:g} in row {wrong[0] + 1}: it must lie in {low}...1"] if len(wrong) else []
            pads[:, index] = np.where(inside, values, 0)
    problems += _stamp_problems(*columns["pts_s"]) if "pts_s" in columns else []
    if problems:
        raise FormatError(f"{path.name}: {'; '.join(problems)}")
    return table if "table" in table_facts(table) else actions_table(columns["pts_s"][0], pads, known)


def check_within(rows: pa.Table, stamps: Sequence[Fraction]) -> None:
    """Raise `FormatError` for rows with stamps outside those of a video's frames, in seconds, by more than `SLACK_S`."""
    pts_s = rows.column("pts_s").to_numpy()
    first_s, last_s = float(stamps[0]), float(stamps[-1])
    if pts_s[0] < first_s - SLACK_S or pts_s[-1] > last_s + SLACK_S:
        raise FormatError(
            f"its rows run from {pts_s[0]:.3f} to {pts_s[-1]:.3f} s, the video from {first_s:.3f} to {last_s:.3f} s: "
            "pts_s counts seconds of the video's own clock"
        )


def _read(path: Path) -> pa.Table:
    """A CSV file as text, a parquet file as it is."""
    try:
        if path.suffix == ".csv":
            with open(path, encoding="utf-8-sig", newline="") as file:
                names = next(csv.reader(file), [])
            as_text = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""])
            return pa.csv.read_csv(path, convert_options=as_text)
        table = pq.read_table(path)
    except UnicodeDecodeError:
        raise FormatError(f"{path.name} is not UTF-8 text") from None
    except (pa.ArrowException, OSError, ValueError, csv.Error) as error:
        raise FormatError(f"{path.name} is not a readable {path.suffix[1:]} file ({error})") from None
    return read_table(path, "actions") if "table" in table_facts(table) else table


def _column_problems(table: pa.Table) -> Iterator[str]:
    names, ours = table.column_names, "table" in table_facts(table)
    if "pts_s" not in names:
        yield "it has no column pts_s, the second of the video at which each row begins"
    for name in sorted(set(names)):
        if names.count(name) > 1:
            yield f"it has the column {name} {names.count(name)} times"
        if name not in ("pts_s", *SLOTS) and not ours:
            yield f"no slot of the pad is called '{name}': {nearest(name, SLOTS)}"
    if not set(names) & set(SLOTS):
        yield f"it has no column of the pad, such as {SLOTS[18]} or {SLOTS[21]}"
    if not table.num_rows:
        yield "it has no rows"


def _numbers(table: pa.Table, name: str, problems: list[str]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A column as numbers float64 [n], NaN where unknown, and where it is known [n]; adds to `problems` what is no number."""
    column = table.column(name).combine_chunks()
    if pa.types.is_boolean(column.type) or pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), column.is_valid().to_numpy(zero_copy_only=False)
    values = np.full(len(column), np.nan)
    known = np.zeros(len(column), np.bool_)
    for at, cell in enumerate(column.to_pylist()):
        try:
            number = _number(cell)
        except (TypeError, ValueError):
            problems.append(f"{name} is '{cell}' in row {at + 1}: it must be a number")
            break
        if number is not None:
            values[at], known[at] = number, True
    return values, known


def _number(cell: Any) -> float | None:
    text = cell.strip().lower() if isinstance(cell, str) else cell
    return None if text in (None, "") else float({"true": 1, "false": 0}.get(text, text))


def _stamp_problems(pts_s: NDArray[np.float64], known: NDArray[np.bool_]) -> Iterator[str]:
    if len(wrong := np.flatnonzero(~np.isfinite(pts_s))):
        yield f"pts_s is {pts_s[wrong[0]] if known[wrong[0]] else 'empty'} in row {wrong[0] + 1}: every row needs a time stamp"
    elif len(wrong := np.flatnonzero(np.diff(pts_s) <= 0)):
        before, after = pts_s[wrong[0] : wrong[0] + 2]
        what = (
            "the same stamp as the row before" if before == after else f"earlier than the row before, {before:g} s: sort the rows by pts_s"
        )
        yield f"pts_s is {after:g} s in row {wrong[0] + 2}, {what}"

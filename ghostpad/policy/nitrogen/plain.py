"""What a checkpoint of NitroGen holds beside its weights, as JSON and back without loss: tuples and dicts with keys that are not text are
marked, everything else stays as it is.
"""

import math
from typing import Any

from ghostpad.base.errors import FormatError

TUPLE, ITEMS = "__tuple__", "__items__"
"""Marks: a tuple's values, and a dict's pairs of key and value."""


def to_plain(value: Any, where: str) -> Any:
    """`value` as JSON can hold it. Raises `FormatError`, naming its place `where`, for a type that JSON lacks."""
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, list):
        return [to_plain(each, f"{where}[{place}]") for place, each in enumerate(value)]
    if isinstance(value, tuple):
        return {TUPLE: to_plain(list(value), where)}
    if isinstance(value, dict):
        if all(isinstance(name, str) and name not in (TUPLE, ITEMS) for name in value):
            return {name: to_plain(each, f"{where}.{name}") for name, each in value.items()}
        return {ITEMS: [to_plain([name, each], f"{where}.{name}") for name, each in value.items()]}
    raise FormatError(f"{where} is {type(value).__name__}, which a run's JSON cannot hold, so that it could not be exported again")


def from_plain(value: Any) -> Any:
    """The inverse of `to_plain`."""
    if isinstance(value, list):
        return [from_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    if TUPLE in value:
        return tuple(from_plain(value[TUPLE]))
    if ITEMS in value:
        return dict(map(from_plain, value[ITEMS]))
    return {name: from_plain(each) for name, each in value.items()}

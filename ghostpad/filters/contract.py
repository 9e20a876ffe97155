"""What a filter must define, and how filters are found: a filter is one file that defines `FILTER`, here or in an installed package.

A filter gives every row of a video a score that does not depend on its settings, and a cut that turns scores into keep or drop. Filters
read pseudo-labels and never change them, so another cut costs one pass over scores. The commands find a new file of this folder, or of a
package (`ghostpad.base.plugins`), by themselves and give its settings flags (`--<name>.<setting>`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, create_model

from ghostpad.base.errors import FormatError, SettingsError, nearest
from ghostpad.base.plugins import modules_of
from ghostpad.base.records import Video
from ghostpad.base.settings import Settings

KEPT, BROKEN = "kept", "broken"
"""Reasons in verdicts that are not the name of a filter; `broken` drops a video that a filter could not score."""


class Filter(ABC):
    """A filter: a frozen dataclass with a `settings` field whose default is the default cut, in a file with `FILTER = <class>`."""

    name: ClassVar[str]
    """The reason that verdicts give for what it drops: the name of its file."""
    version: ClassVar[int]
    """Increased whenever `score` changes; it is part of the facts of verdicts."""
    settings: Settings

    @abstractmethod
    def score(self, labels: pa.Table, video: Video) -> NDArray[np.float32]:
        """float32 [n], finite, one score a row of `labels` (schema `LABELS`); `video` is its row of the table of videos.

        Raises a `GhostpadError` where it cannot: that video becomes `broken` with the message as the reason.
        """

    @abstractmethod
    def keep(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """bool [n], True for the rows whose scores pass the cut."""

    def checked_score(self, labels: pa.Table, video: Video) -> NDArray[np.float32]:
        """`score`, with `FormatError` for a result that is not one finite number a row."""
        scores = self.score(labels, video)
        if scores.shape != (labels.num_rows,) or not np.isfinite(scores).all():
            raise FormatError(f"filter {self.name} did not give every one of {labels.num_rows} rows a finite score: look at the labels")
        return scores


def cuts_class() -> type[Settings]:
    """A settings class with one field for each filter: that filter's settings, by default its default cut."""
    defaults = {name: one().settings for name, one in _filters().items()}
    # The class has a description; an empty one here keeps the help of commands from printing it above each flag.
    fields: dict[str, Any] = {name: (type(default), Field(default=default, description="")) for name, default in defaults.items()}
    return create_model("Cuts", __base__=Settings, __doc__="The cut of every filter.", **fields)


def make_filters(cuts: Settings | None = None, skip: Iterable[str] = ()) -> list[Filter]:
    """Every filter but those to `skip`, by name, which is the order in which they drop rows; `cuts` as in `cuts_class` (None: defaults).

    Raises `SettingsError` naming the nearest for each unknown name in `skip`.
    """
    filters, skip, cuts = _filters(), set(skip), cuts or cuts_class()()
    if wrong := sorted(skip - set(filters)):
        raise SettingsError([f"no filter called '{name}': {nearest(name, filters)}" for name in wrong])
    return [one(settings=getattr(cuts, name)) for name, one in filters.items() if name not in skip]  # type: ignore[call-arg]


def row_ends_s(labels: pa.Table, video: Video) -> NDArray[np.float64]:
    """float64 [n], when each row ends, seconds: where the next begins; the last lasts as long as the median row (or one frame).

    Raises `FormatError` unless time stamps are finite and ascending.
    """
    pts_s = labels.column("pts_s").to_numpy()
    steps_s = np.diff(pts_s)
    if not np.isfinite(pts_s).all() or not (steps_s > 0).all():
        raise FormatError(f"the time stamps of the labels of '{video.id}' do not ascend: label the video again")
    last_s = float(np.median(steps_s)) if len(steps_s) else float(1 / Fraction(video.fps)) if video.fps else 0.0
    return np.concatenate([pts_s[1:], pts_s[-1:] + last_s])


def _filters() -> dict[str, type[Filter]]:
    filters: dict[str, type[Filter]] = {}
    for module in modules_of("ghostpad.filters"):
        if (one := getattr(module, "FILTER", None)) and filters.setdefault(one.name, one) is not one:
            raise SettingsError(f"two filters are called '{one.name}', the second in {module.__file__}: rename it")
    return dict(sorted(filters.items()))

"""Filters a corpus: reads an IDM's pseudo-labels, writes verdicts/<name>.parquet, counts hours kept and dropped.

Verdicts cover every row of every video with pseudo-labels once, in stretches of one reason: the first filter, by name, that drops a row;
`broken` where a filter failed or the video is broken; else `kept`. The file appears whole, with the source of the pseudo-labels, the
filters' versions and their cuts as facts; the same pseudo-labels and cuts give the same bytes.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ghostpad.base.engines.crew import Died
from ghostpad.base.engines.order import in_order
from ghostpad.base.engines.settings import EngineSettings
from ghostpad.base.errors import GhostpadError, SettingsError
from ghostpad.base.lines import MOST_NAMES, few_lines, few_names, text_table
from ghostpad.base.progress import progress
from ghostpad.base.records import VERDICTS, Video
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.summary import reasons
from ghostpad.filters.contract import BROKEN, KEPT, Filter, row_ends_s

_BLOCK = 1 << 16  # stretches of rows that are Python objects at a time


@dataclass(frozen=True)
class Funnel:
    """Hours of footage with pseudo-labels: all, kept, and dropped by reason."""

    source: str
    hours_in: float
    hours_kept: float
    dropped: dict[str, float]
    """Reason -> hours: every filter that was used, in their order, and `broken`."""
    broken: dict[str, int] = field(default_factory=dict)
    """Why videos could not be judged -> how many. One whose pseudo-labels cannot be read counts no hours."""
    broken_videos: dict[str, list[str]] = field(default_factory=dict)
    """Reason -> the ids of the first of them, at most `MOST_NAMES`."""

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, JSON-able."""
        return asdict(self)

    def table(self) -> str:
        """Lines for people: hours and their share, from all to kept, then what is broken and why."""
        steps = {f"labelled ({self.source})": self.hours_in}
        steps |= {f"dropped: {reason}": hours for reason, hours in self.dropped.items() if hours or reason != BROKEN}
        steps[KEPT] = self.hours_kept
        lines = text_table(
            ("", "hours", "share"), [(name, f"{hours:.3f}", _percent(hours, self.hours_in)) for name, hours in steps.items()]
        )
        broken = [f"broken: {reason}: {few_names(self.broken_videos[reason], count)}" for reason, count in self.broken.items()]
        return "\n".join([lines, *few_lines(broken, "reasons")])


_HERE = EngineSettings()


def filter_corpus(corpus: Corpus, source: str, filters: Sequence[Filter], name: str = "default", engine: EngineSettings = _HERE) -> Funnel:
    """Judge every row that `source` ("idm-<fingerprint>") wrote and write verdicts called `name`; shows progress in videos.

    Raises `SettingsError` for recorded rows, and whatever reading the table of videos and writing raise; a video that cannot be judged is
    counted in the funnel, and its rows are dropped as `broken`.
    """
    if source == RECORDED:
        raise SettingsError(f"'{RECORDED}' rows are the truth and are not filtered: name an IDM's, idm-<fingerprint>")
    counts = _Counts(dict.fromkeys([KEPT, *(each.name for each in filters), BROKEN], 0.0))
    for table in corpus.scan(["id", "path", "status", "reason"]):
        refused = table.filter(pc.not_equal(table.column("status"), "ok"))
        for id, reason in zip(refused.column("id").to_pylist(), reasons(corpus, refused), strict=True):
            counts.note_broken(id, reason)
    used = [{"name": each.name, "version": each.version, "cut": each.settings.model_dump()} for each in filters]
    corpus.write_verdicts(
        name, _judge_all(corpus, source, filters, counts, engine), {"source": source, "filters": json.dumps(used, sort_keys=True)}
    )
    hours = counts.hours
    return Funnel(source, sum(hours.values()), hours.pop(KEPT), hours, dict(sorted(counts.broken.items())), counts.broken_videos)


@dataclass
class _Counts:
    """What a run counts: hours by reason, videos that it could not judge by reason, and the first of these."""

    hours: dict[str, float]
    broken: Counter[str] = field(default_factory=Counter)
    broken_videos: dict[str, list[str]] = field(default_factory=dict)

    def note_broken(self, id: str, reason: str) -> None:
        self.broken[reason] += 1
        if self.broken[reason] <= MOST_NAMES:
            self.broken_videos.setdefault(reason, []).append(id)


def _judge_all(corpus: Corpus, source: str, filters: Sequence[Filter], counts: _Counts, engine: EngineSettings) -> Iterator[pa.Table]:
    """The verdicts on every video by id, some thousand at a time, which are counted."""
    ids, stretches = corpus.with_rows(source), list[dict[str, Any]]()
    with progress(f"filter {source}", len(ids), "videos") as advance:
        for (id, video), outcome in in_order(engine, _judge_videos, (corpus, source, filters), corpus.each_of(map(str, ids))):
            if isinstance(outcome, Exception) and not isinstance(outcome, Died):
                raise outcome
            judged, problem = ([], str(outcome)) if isinstance(outcome, Died) else outcome
            for stretch in judged:
                counts.hours[stretch["reason"]] += stretch["duration_s"] / 3600
            if problem and (video is None or video.status == "ok"):  # others were counted by their rows
                counts.note_broken(id, problem.replace(str(corpus.actions_path(source, id)), "it"))
            stretches += judged
            if len(stretches) >= _BLOCK:
                yield pa.Table.from_pylist(stretches, schema=VERDICTS)
                stretches = []
            advance(1)
    yield pa.Table.from_pylist(stretches, schema=VERDICTS)


def judge(labels: pa.Table, video: Video, filters: Sequence[Filter]) -> list[dict[str, Any]]:
    """The verdicts (rows of `VERDICTS`) on one video's labels, in order, each row covered once.

    Raises a `GhostpadError` if a filter cannot score them or time stamps do not ascend.
    """
    reasons = np.array([KEPT, *(each.name for each in filters)], dtype=object)
    reason = np.zeros(labels.num_rows, np.intp)
    for number, each in enumerate(filters, start=1):
        dropped = ~each.keep(each.checked_score(labels, video))
        reason[dropped & (reason == 0)] = number
    return _stretches(video.id, labels.column("pts_s").to_numpy(), row_ends_s(labels, video), reasons[reason])


_Judged = tuple[list[dict[str, Any]], str | None]
"""Verdicts on a video, and why it could not be judged, if so."""


def _judge_videos(corpus: Corpus, source: str, filters: Sequence[Filter]) -> Callable[[tuple[str, Video | None]], _Judged]:
    """What an engine does for a video."""
    return lambda named: _judge_video(corpus, source, *named, filters)


def _judge_video(corpus: Corpus, source: str, id: str, video: Video | None, filters: Sequence[Filter]) -> _Judged:
    try:
        labels = corpus.actions(source, id)
    except GhostpadError as error:
        return [], str(error)
    if labels is None:
        return [], None
    if video is None:
        return _all_broken(id, labels), "has labels but no row in the table of videos: add the video again"
    if video.status != "ok":
        return _all_broken(id, labels), video.reason
    try:
        return judge(labels, video, filters), None
    except GhostpadError as error:
        return _all_broken(id, labels), str(error)


def _all_broken(id: str, labels: pa.Table) -> list[dict[str, Any]]:
    """One stretch that drops every row."""
    pts_s = labels.column("pts_s").to_numpy()
    return _stretches(id, pts_s, row_ends_s(labels, Video(id)), np.full(len(pts_s), BROKEN, dtype=object))


def _stretches(id: str, pts_s: NDArray[np.float64], ends_s: NDArray[np.float64], reasons: NDArray[np.object_]) -> list[dict[str, Any]]:
    if not len(reasons):
        return []
    first = np.concatenate([[0], np.flatnonzero(reasons[1:] != reasons[:-1]) + 1])
    last = np.append(first[1:], len(reasons)) - 1
    return [
        {
            "video": id,
            "first_row": begin,
            "last_row": end,
            "duration_s": float(ends_s[end] - pts_s[begin]),
            "keep": reasons[begin] == KEPT,
            "reason": reasons[begin],
        }
        for begin, end in zip(first.tolist(), last.tolist(), strict=True)
    ]


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"

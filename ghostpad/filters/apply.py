"""Filters a corpus: reads an IDM's labels, writes verdicts/<name>.parquet, counts the funnel.

Labels are only read. Verdicts cover every row of every labelled video once, in stretches of one reason: the first filter, by
name, that drops a row; `broken` where a filter failed or the video is broken; `kept` otherwise. The file appears whole, with
the labels' source, the filters' versions and their cuts as facts; the same labels and cuts give the same bytes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ghostpad.base.errors import FormatError, GhostpadError, SettingsError
from ghostpad.base.progress import progress
from ghostpad.base.records import VERDICTS, Video
from ghostpad.base.table import text_table
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.filters.contract import BROKEN, KEPT, Filter, row_ends_s


@dataclass(frozen=True)
class Funnel:
    """What became of an IDM's rows. Hours are of labelled footage; `hours_in` is what is kept and what is dropped."""

    source: str
    hours_in: float
    hours_kept: float
    dropped: dict[str, float]
    """Reason -> hours: every filter that was asked, in their order, and `broken`."""
    broken: dict[str, list[str]] = field(default_factory=dict)
    """Why a video has no verdict of its own -> ids of the videos, in order. One whose labels cannot be read has no hours."""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, the fields by their names."""
        return asdict(self)

    def table(self) -> str:
        """Lines for people: hours and their share, from labelled to kept, then what is broken and why."""
        steps = {f"labelled ({self.source})": self.hours_in}
        steps |= {f"dropped: {reason}": hours for reason, hours in self.dropped.items() if hours or reason != BROKEN}
        steps[KEPT] = self.hours_kept
        lines = text_table(
            ("", "hours", "share"), [(name, f"{hours:.3f}", _percent(hours, self.hours_in)) for name, hours in steps.items()]
        )
        return "\n".join([lines, *(f"broken: {reason}: {', '.join(ids)}" for reason, ids in self.broken.items())])


def filter_corpus(corpus: Corpus, source: str, filters: Sequence[Filter], name: str = "default") -> Funnel:
    """Judge every row that `source` ("idm-<fingerprint>") wrote and write verdicts called `name`; shows progress in videos.

    Raises `SettingsError` for rows that are no IDM's, and whatever reading the table of videos and writing raise; a video
    that cannot be judged is counted in the funnel and its rows are dropped as `broken`.
    """
    if source == RECORDED:
        raise SettingsError(f"'{RECORDED}' rows are the truth and are not filtered: name an IDM's, idm-<fingerprint>")
    videos = {video.id: video for video in corpus.list_videos()}
    broken: dict[str, list[str]] = {}
    for id, video in videos.items():
        if video.status != "ok":
            broken.setdefault(video.reason or "no reason given", []).append(id)
    stretches: list[dict[str, Any]] = []
    ids = corpus.ids_with_rows(source)
    with progress(f"filter {source}", len(ids), "videos") as advance:
        for id in ids:
            found, problem = _judge_video(corpus, source, id, videos.get(id), filters)
            stretches += found
            if problem:
                broken.setdefault(problem, []).append(id)
            advance(1)
    asked = [{"name": each.name, "version": each.version, "cut": each.settings.model_dump()} for each in filters]
    table = pa.Table.from_pylist(stretches, schema=VERDICTS)
    corpus.write_verdicts(name, table, {"source": source, "filters": json.dumps(asked, sort_keys=True)})
    return _funnel(source, stretches, [each.name for each in filters], broken)


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


def _judge_video(
    corpus: Corpus, source: str, id: str, video: Video | None, filters: Sequence[Filter]
) -> tuple[list[dict[str, Any]], str | None]:
    """Verdicts on a video and, if it is not yet known to be broken, the reason why it could not be judged."""
    known_broken = video is not None and video.status != "ok"
    try:
        labels = corpus.actions(source, id)
    except GhostpadError as error:
        return [], None if known_broken else str(error)
    if labels is None:
        return [], None
    if video is None or known_broken:
        return _all_broken(id, labels), None if known_broken else "has labels but no row in videos.parquet: add the video again"
    try:
        return judge(labels, video, filters), None
    except GhostpadError as error:
        return _all_broken(id, labels), str(error)


def _all_broken(id: str, labels: pa.Table) -> list[dict[str, Any]]:
    """One stretch that drops every row. Its length is 0 where it is the time stamps that are broken."""
    pts_s = labels.column("pts_s").to_numpy()
    try:
        ends_s = row_ends_s(labels, Video(id))
    except FormatError:
        pts_s = ends_s = np.zeros(len(pts_s))
    return _stretches(id, pts_s, ends_s, np.full(len(pts_s), BROKEN, dtype=object))


def _stretches(id: str, pts_s: NDArray[np.float64], ends_s: NDArray[np.float64], reasons: NDArray[np.object_]) -> list[dict[str, Any]]:
    if not len(reasons):
        return []
    first = np.concatenate([[0], np.flatnonzero(reasons[1:] != reasons[:-1]) + 1])
    last = np.append(first[1:], len(reasons)) - 1
    return [
        {
            "video": id,
            "first_row": int(begin),
            "last_row": int(end),
            "duration_s": float(ends_s[end] - pts_s[begin]),
            "keep": reasons[begin] == KEPT,
            "reason": reasons[begin],
        }
        for begin, end in zip(first, last, strict=True)
    ]


def _funnel(source: str, stretches: Sequence[Mapping[str, Any]], names: Sequence[str], broken: dict[str, list[str]]) -> Funnel:
    hours = dict.fromkeys([KEPT, *names, BROKEN], 0.0)
    for stretch in stretches:
        hours[stretch["reason"]] += stretch["duration_s"] / 3600
    return Funnel(source, sum(hours.values()), hours.pop(KEPT), hours, {reason: sorted(ids) for reason, ids in sorted(broken.items())})


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"

"""Filters a corpus: reads an IDM's pseudo-labels, writes verdicts/<name>.parquet, counts hours kept and dropped.

Verdicts cover every row of every video with pseudo-labels once, in stretches of one reason: the first filter, by name, that drops a row;
`broken` where a filter failed or the video is broken; else `kept`. The file appears whole, with the source of the pseudo-labels, the
filters' versions and their cuts as facts; the same pseudo-labels and cuts give the same bytes.
"""

import json
from collections.abc import Sequence
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
    """Hours of footage with pseudo-labels: all, kept, and dropped by reason."""

    source: str
    hours_in: float
    hours_kept: float
    dropped: dict[str, float]
    """Reason -> hours: every filter that was used, in their order, and `broken`."""
    broken: dict[str, list[str]] = field(default_factory=dict)
    """Why videos could not be judged -> their ids, in order. One whose pseudo-labels cannot be read counts no hours."""

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
        return "\n".join([lines, *(f"broken: {reason}: {', '.join(ids)}" for reason, ids in self.broken.items())])


def filter_corpus(corpus: Corpus, source: str, filters: Sequence[Filter], name: str = "default") -> Funnel:
    """Judge every row that `source` ("idm-<fingerprint>") wrote and write verdicts called `name`; shows progress in videos.

    Raises `SettingsError` for recorded rows, and whatever reading the table of videos and writing raise; a video that cannot be judged is
    counted in the funnel, and its rows are dropped as `broken`.
    """
    if source == RECORDED:
        raise SettingsError(f"'{RECORDED}' rows are the truth and are not filtered: name an IDM's, idm-<fingerprint>")
    videos = {video.id: video for video in corpus.list_videos()}
    broken = {id: video.reason or "no reason given" for id, video in videos.items() if video.status != "ok"}
    stretches: list[dict[str, Any]] = []
    ids = corpus.ids_with_rows(source)
    with progress(f"filter {source}", len(ids), "videos") as advance:
        for id in ids:
            judged, problem = _judge_video(corpus, source, id, videos.get(id), filters)
            stretches += judged
            if problem:
                broken.setdefault(id, problem)
            advance(1)
    used = [{"name": each.name, "version": each.version, "cut": each.settings.model_dump()} for each in filters]
    table = pa.Table.from_pylist(stretches, schema=VERDICTS)
    corpus.write_verdicts(name, table, {"source": source, "filters": json.dumps(used, sort_keys=True)})
    hours = dict.fromkeys([KEPT, *(each.name for each in filters), BROKEN], 0.0)
    for stretch in stretches:
        hours[stretch["reason"]] += stretch["duration_s"] / 3600
    by_reason = {reason: sorted(id for id, why in broken.items() if why == reason) for reason in sorted(set(broken.values()))}
    return Funnel(source, sum(hours.values()), hours.pop(KEPT), hours, by_reason)


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
    """Verdicts on a video, and why it could not be judged, if so."""
    try:
        labels = corpus.actions(source, id)
    except GhostpadError as error:
        return [], str(error)
    if labels is None:
        return [], None
    if video is None:
        return _all_broken(id, labels), "has labels but no row in videos.parquet: add the video again"
    if video.status != "ok":
        return _all_broken(id, labels), video.reason
    try:
        return judge(labels, video, filters), None
    except GhostpadError as error:
        return _all_broken(id, labels), str(error)


def _all_broken(id: str, labels: pa.Table) -> list[dict[str, Any]]:
    """One stretch that drops every row, of length 0 where the time stamps are broken."""
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

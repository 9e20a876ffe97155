"""What a corpus holds, counted: videos and hours by game, site, player and state, chunks of labels, what is broken and why.

Reads the tables of videos and chunks, the verdicts and names of files; opens no video and no row. Writes nothing. Costs seconds and
some hundred MB of memory at a million videos; rows stream through as Arrow tables, and of each video its id, its hours and two bits stay.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Literal, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ghostpad.corpus.folder import RECORDED, Corpus, name_array, names_in, stems
from ghostpad.corpus.nitrogen.videos import NO_GOOD_CHUNK


class Amount(TypedDict):
    """How many videos and how long: hours of footage, or of what the recorded rows cover where the footage is missing."""

    videos: int
    hours: float


class Group(Amount):
    """The videos of one game, source, player and status."""

    game: str | None
    source: str | None
    player: str | None
    status: str


class Undone(TypedDict):
    """Of the videos whose footage is here, how many wait for a command."""

    align: int  # their labels come from elsewhere and their lag was not measured
    copy: int  # without segments of the commonest pictures
    label: int  # without rows of any source
    learn: int  # with recorded rows


class Summary(TypedDict):
    """What `ghostpad corpus status --json` prints. Every list is in a fixed order."""

    videos: int
    chunks: int  # pieces that a dataset's labels came in, good and broken
    hours: float
    by_game: dict[str, Amount]  # "" where no game is named
    by_state: dict[str, Amount]  # by status
    broken: dict[str, int]  # reason -> videos, chunks and shards; a video whose chunks are all broken counts by their reasons
    missing: dict[str, int]  # reason -> videos
    groups: list[Group]  # most hours first
    broken_videos: dict[str, list[str]]  # reason -> ids
    sources: dict[str, Amount]  # source of rows -> the videos that have them
    verdicts: dict[str, dict[str, float]]  # name -> hours by reason: "kept", the filter that dropped them, or "broken"
    proxies: dict[str, int]  # the pictures of a model, such as 128x96-gray -> videos that have segments of them
    undone: Undone
    attempts: dict[str, int]  # how often a command has failed to bring its footage in -> videos, without those of no failure
    size_bytes: int  # of the videos whose size is known


_GROUP = ["game", "source", "player", "status"]
_READ = ["id", "path", *_GROUP, "reason", "duration_s", "frames", "fps", "labels", "lag_confidence", "attempts", "size_bytes"]
_VIDEOS = pa.schema({"id": pa.string(), "hours": pa.float64(), "ok": pa.bool_(), "unaligned": pa.bool_()})


def summarise(corpus: Corpus) -> Summary:
    """Count a corpus. Raises what reading its tables raises."""
    tally = _Tally(corpus)
    videos, groups = tally.videos(), tally.groups()
    chunks, broken = _chunks(corpus)
    broken.update({reason: len(ids) for reason, ids in tally.broken.items() if reason != NO_GOOD_CHUNK})
    sizes = sorted(names_in(corpus.root / "segments"))
    copied = {picture: _among(videos, stems(corpus.root / "segments" / picture, ".index")) for picture in sizes}
    with_rows = {source: _among(videos, corpus.each_with_rows(source)) for source in corpus.sources()}
    return {
        "videos": videos.num_rows,
        "chunks": chunks,
        "hours": float(videos.column("hours").to_numpy().sum()),
        "by_game": _by(groups, "game"),
        "by_state": _by(groups, "status"),
        "broken": dict(broken.most_common()),
        "missing": dict(tally.missing.most_common()),
        "groups": groups,
        "broken_videos": tally.broken,
        "sources": {source: _amount(videos, which) for source, which in with_rows.items()},
        "verdicts": {name: _verdict_hours(corpus, name) for name in sorted(stems(corpus.root / "verdicts"))},
        "proxies": {picture: int(which.sum()) for picture, which in copied.items()},
        "undone": _undone(videos, with_rows, list(copied.values())),
        "attempts": {str(attempts): count for attempts, count in sorted(tally.attempts.items())},
        "size_bytes": tally.size_bytes,
    }


class _Tally:
    """The table of videos, read once: of each video what names of files are compared with, and the rest counted."""

    def __init__(self, corpus: Corpus):
        self.broken, self.missing = dict[str, list[str]](), Counter[str]()
        self.attempts, self.size_bytes = Counter[int](), 0
        self._videos, self._sums = [_VIDEOS.empty_table()], list[pa.Table]()
        for table in corpus.scan(_READ):
            self._add(corpus, table.append_column("hours", pa.array(_hours(table))))

    def _add(self, corpus: Corpus, table: pa.Table) -> None:
        ok = pc.equal(table.column("status"), "ok")
        unaligned = pc.and_(pc.is_valid(table.column("labels")), pc.is_null(table.column("lag_confidence")))
        self._videos.append(pa.table([table.column("id"), table.column("hours"), ok, unaligned], schema=_VIDEOS))
        self._sums.append(table.group_by(_GROUP).aggregate([("id", "count"), ("hours", "sum")]))
        self.missing.update(reasons(corpus, table.filter(pc.equal(table.column("status"), "missing"))))
        broken = table.filter(pc.equal(table.column("status"), "broken"))
        for id, reason in zip(broken.column("id").to_pylist(), reasons(corpus, broken), strict=True):
            self.broken.setdefault(reason, []).append(id)
        self.attempts.update(table.column("attempts").filter(pc.greater(table.column("attempts"), 0)).to_pylist())
        self.size_bytes += pc.sum(table.column("size_bytes")).as_py() or 0

    def videos(self) -> pa.Table:
        """The columns `_VIDEOS` of all videos, by id."""
        return pa.concat_tables(self._videos)

    def groups(self) -> list[Group]:
        """Videos and hours by game, source, player and status."""
        if not self._sums:
            return []
        table = pa.concat_tables(self._sums).group_by(_GROUP).aggregate([("id_count", "sum"), ("hours_sum", "sum")])
        groups: list[Group] = [
            {**{key: row[key] or None for key in _GROUP}, "videos": row["id_count_sum"], "hours": row["hours_sum_sum"]}  # type: ignore[typeddict-item]
            for row in table.to_pylist()
        ]
        return sorted(groups, key=lambda group: (-group["hours"], *(group[key] or "" for key in _GROUP)))  # type: ignore[literal-required]


def _hours(table: pa.Table) -> NDArray[np.float64]:
    """Hours of footage; the holes between the stretches of a file do not count."""
    rates = table.column("fps").combine_chunks().dictionary_encode()
    known = np.array([*(float(Fraction(fps)) for fps in rates.dictionary.to_pylist()), np.nan])
    frames = pc.fill_null(table.column("frames"), 0).to_numpy()
    fps = known[pc.fill_null(rates.indices, len(known) - 1).to_numpy()]
    with np.errstate(divide="ignore"):
        filmed_s = np.where(frames > 0, frames / fps, np.nan)
    return np.fmin(pc.fill_null(table.column("duration_s"), 0.0).to_numpy(), filmed_s) / 3600  # NaN counts as not known


def reasons(corpus: Corpus, table: pa.Table) -> list[str]:
    """Why videos are not ok, without their own paths, so that those of one reason are counted together."""
    pairs = zip(table.column("reason").to_pylist(), table.column("path").to_pylist(), strict=True)
    return [
        reason.replace(str(corpus.root / path), "it") if reason and path in reason else reason or "no reason given"
        for reason, path in pairs
    ]


def _chunks(corpus: Corpus) -> tuple[int, Counter[str]]:
    """How many pieces a dataset's labels came in, and why pieces and shards are broken."""
    count, broken = 0, Counter[str]()
    for table in corpus.scan_chunks(["video", "reason"]):
        count += table.num_rows - table.column("video").null_count
        broken.update(reason for reason in table.column("reason").drop_null().to_pylist() if reason)
    return count, broken


def _among(videos: pa.Table, names: Iterator[str]) -> NDArray[np.bool_]:
    """bool [n]: which videos are among the names."""
    which: NDArray[np.bool_] = pc.is_in(videos.column("id"), value_set=name_array(names)).to_numpy()
    return which


def _undone(videos: pa.Table, with_rows: Mapping[str, NDArray[np.bool_]], copied: Sequence[NDArray[np.bool_]]) -> Undone:
    ok, unaligned, none = videos.column("ok").to_numpy(), videos.column("unaligned").to_numpy(), np.zeros(videos.num_rows, np.bool_)
    recorded = with_rows.get(RECORDED, none)
    return {
        "align": int((ok & recorded & unaligned).sum()),
        "copy": int((ok & ~max(copied, key=np.sum, default=none)).sum()),
        "label": int((ok & ~np.any([none, *with_rows.values()], axis=0)).sum()),
        "learn": int((ok & recorded).sum()),
    }


def _amount(videos: pa.Table, which: NDArray[np.bool_]) -> Amount:
    return {"videos": int(which.sum()), "hours": float(videos.column("hours").to_numpy()[which].sum())}


def _by(groups: Iterable[Group], key: Literal["game", "status"]) -> dict[str, Amount]:
    amounts: dict[str, Amount] = {}
    for group in sorted(groups, key=lambda group: group[key] or ""):
        amount = amounts.setdefault(group[key] or "", {"videos": 0, "hours": 0.0})
        amount["videos"] += group["videos"]
        amount["hours"] += group["hours"]
    return amounts


def _verdict_hours(corpus: Corpus, name: str) -> dict[str, float]:
    seconds = Counter[str]()
    for table in corpus.scan_verdicts(name, ["reason", "duration_s"]):
        for row in table.group_by("reason").aggregate([("duration_s", "sum")]).to_pylist():
            seconds[row["reason"]] += row["duration_s_sum"]
    return {reason: length_s / 3600 for reason, length_s in sorted(seconds.items())}

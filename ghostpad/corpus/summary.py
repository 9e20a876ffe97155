"""What a corpus holds, counted: videos and hours by game, site, player and state, chunks of labels, what is broken and why.

Reads the tables of videos and chunks, the verdicts and names of files; opens no video and no row. Writes nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any, TypedDict

from ghostpad.base.records import Video
from ghostpad.corpus.folder import RECORDED, Corpus, stems
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
    copy: int  # without a small copy of the commonest size
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
    proxies: dict[str, int]  # short side in pixels -> videos that have a copy
    undone: Undone


def summarise(corpus: Corpus) -> Summary:
    """Count a corpus. Raises what reading its tables raises."""
    videos = corpus.list_videos()
    hours = {video.id: _length_s(video) / 3600 for video in videos}
    chunks = corpus.chunks().select(["video", "status", "reason"])
    broken = Counter(reason for reason in chunks.column("reason").to_pylist() if reason)
    broken.update(_reason(video, corpus) for video in videos if video.status == "broken" and video.reason != NO_GOOD_CHUNK)
    copies = {folder.name: stems(folder, ".mp4") for folder in sorted(corpus.root.glob("proxy/*")) if folder.is_dir()}
    with_rows = {source: corpus.ids_with_rows(source) for source in corpus.sources()}

    def amounts(key: Callable[[Video], str]) -> dict[str, Amount]:
        return {name: _amount(ids, hours) for name, ids in sorted(_ids_by(videos, key).items())}

    return {
        "videos": len(videos),
        "chunks": chunks.num_rows - chunks.column("video").null_count,
        "hours": sum(hours.values()),
        "by_game": amounts(lambda video: video.game or ""),
        "by_state": amounts(lambda video: video.status),
        "broken": dict(broken.most_common()),
        "missing": dict(Counter(_reason(video, corpus) for video in videos if video.status == "missing").most_common()),
        "groups": _groups(videos, hours),
        "broken_videos": _ids_by((video for video in videos if video.status == "broken"), lambda video: _reason(video, corpus)),
        "sources": {source: _amount(ids, hours) for source, ids in with_rows.items()},
        "verdicts": {name: _verdict_hours(corpus, name) for name in stems(corpus.root / "verdicts")},
        "proxies": {px: len(ids) for px, ids in copies.items()},
        "undone": _undone(videos, with_rows, max(copies.values(), key=len, default=[])),
    }


def _undone(videos: Iterable[Video], with_rows: Mapping[str, list[str]], copied: list[str]) -> Undone:
    ok = {video.id: video for video in videos if video.status == "ok"}
    recorded = set(with_rows.get(RECORDED, ()))
    return {
        "align": sum(id in recorded and video.labels is not None and video.lag_confidence is None for id, video in ok.items()),
        "copy": len(ok.keys() - set(copied)),
        "label": len(ok.keys() - set().union(*with_rows.values())),
        "learn": len(ok.keys() & recorded),
    }


def _ids_by(videos: Iterable[Video], key: Callable[[Video], Any]) -> dict[Any, list[str]]:
    groups: dict[Any, list[str]] = {}
    for video in videos:
        groups.setdefault(key(video), []).append(video.id)
    return groups


def _groups(videos: Iterable[Video], hours: Mapping[str, float]) -> list[Group]:
    ids_by = _ids_by(videos, lambda video: (video.game or "", video.source or "", video.player or "", video.status))
    groups: list[Group] = [
        {"game": game or None, "source": source or None, "player": player or None, "status": status, **_amount(ids, hours)}
        for (game, source, player, status), ids in sorted(ids_by.items())
    ]
    return sorted(groups, key=lambda group: -group["hours"])


def _length_s(video: Video) -> float:
    """Seconds of footage; the holes between the stretches of a file do not count."""
    length_s = video.duration_s or 0.0
    return min(length_s, video.frames / float(Fraction(video.fps))) if video.frames and video.fps else length_s


def _reason(video: Video, corpus: Corpus) -> str:
    """Why a video is not ok, without its own path, so that those of one reason are counted together."""
    return (video.reason or "no reason given").replace(str(corpus.root / video.path), "it")


def _amount(ids: Iterable[str], hours: Mapping[str, float]) -> Amount:
    known = [id for id in ids if id in hours]
    return {"videos": len(known), "hours": sum(hours[id] for id in known)}


def _verdict_hours(corpus: Corpus, name: str) -> dict[str, float]:
    table = corpus.verdicts(name).group_by("reason").aggregate([("duration_s", "sum")]).sort_by("reason")
    return {row["reason"]: row["duration_s_sum"] / 3600 for row in table.to_pylist()}

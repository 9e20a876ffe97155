"""What a corpus holds, counted: videos and hours by game, site, player and state, chunks of labels, what is broken and why.

Reads the tables of videos and chunks, the verdicts and names of files; opens no video and no row. Writes nothing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import TypedDict

from ghostpad.base.records import Video
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.nitrogen.videos import NO_GOOD_CHUNK


class Amount(TypedDict):
    """How many videos and how long; hours are footage, or for a video whose footage is missing what its labels cover."""

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
    copies = {
        folder.name: _stems(corpus, f"proxy/{folder.name}/*.mp4") for folder in sorted(corpus.root.glob("proxy/*")) if folder.is_dir()
    }
    labelled = {source: corpus.ids_with_rows(source) for source in corpus.sources()}
    return {
        "videos": len(videos),
        "chunks": chunks.num_rows - chunks.column("video").null_count,
        "hours": sum(hours.values()),
        "by_game": _by(videos, hours, "game"),
        "by_state": _by(videos, hours, "status"),
        "broken": dict(broken.most_common()),
        "missing": dict(Counter(_reason(video, corpus) for video in videos if video.status == "missing").most_common()),
        "groups": _groups(videos, hours),
        "broken_videos": _ids_by_reason(videos, corpus),
        "sources": {source: _amount(ids, hours) for source, ids in labelled.items()},
        "verdicts": {name: _verdict_hours(corpus, name) for name in _stems(corpus, "verdicts/*.parquet")},
        "proxies": {px: len(ids) for px, ids in copies.items()},
        "undone": _undone(videos, labelled, max(copies.values(), key=len, default=[])),
    }


def _undone(videos: Iterable[Video], labelled: Mapping[str, list[str]], copied: list[str]) -> Undone:
    ok = {video.id: video for video in videos if video.status == "ok"}
    recorded, with_rows = ({id for ids in group for id in ids} for group in ([labelled.get(RECORDED, ())], labelled.values()))
    return {
        "align": sum(id in recorded and video.labels is not None and video.lag_confidence is None for id, video in ok.items()),
        "copy": len(ok.keys() - set(copied)),
        "label": len(ok.keys() - with_rows),
        "learn": len(ok.keys() & recorded),
    }


def _by(videos: Iterable[Video], hours: Mapping[str, float], column: str) -> dict[str, Amount]:
    groups: dict[str, list[str]] = {}
    for video in videos:
        groups.setdefault(getattr(video, column) or "", []).append(video.id)
    return {name: _amount(ids, hours) for name, ids in sorted(groups.items())}


def _groups(videos: Iterable[Video], hours: Mapping[str, float]) -> list[Group]:
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for video in videos:
        groups.setdefault((video.game or "", video.source or "", video.player or "", video.status), []).append(video.id)
    found: list[Group] = [
        {"game": game or None, "source": source or None, "player": player or None, "status": status, **_amount(ids, hours)}
        for (game, source, player, status), ids in sorted(groups.items())
    ]
    return sorted(found, key=lambda group: -group["hours"])


def _ids_by_reason(videos: Iterable[Video], corpus: Corpus) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for video in videos:
        if video.status == "broken":
            found.setdefault(_reason(video, corpus), []).append(video.id)
    return found


def _length_s(video: Video) -> float:
    """Seconds of footage: of a file of stretches without the holes between them."""
    length_s = video.duration_s or 0.0
    return min(length_s, video.frames / float(Fraction(video.fps))) if video.frames and video.fps else length_s


def _reason(video: Video, corpus: Corpus) -> str:
    """Why a video is not there, without its own path, so that those of one reason are counted together."""
    return (video.reason or "no reason given").replace(str(corpus.root / video.path), "it")


def _amount(ids: Iterable[str], hours: Mapping[str, float]) -> Amount:
    known = [id for id in ids if id in hours]
    return {"videos": len(known), "hours": sum(hours[id] for id in known)}


def _verdict_hours(corpus: Corpus, name: str) -> dict[str, float]:
    table = corpus.verdicts(name).group_by("reason").aggregate([("duration_s", "sum")]).sort_by("reason")
    return {row["reason"]: row["duration_s_sum"] / 3600 for row in table.to_pylist()}


def _stems(corpus: Corpus, pattern: str) -> list[str]:
    return sorted(path.stem for path in corpus.root.glob(pattern) if not path.name.startswith("."))

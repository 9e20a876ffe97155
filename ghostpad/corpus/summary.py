"""What a corpus holds, counted: videos and hours by game, site, player and state, chunks of labels, what is broken and why.

Reads the tables of videos and chunks, the verdicts and names of files; opens no video and no row. Writes nothing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.nitrogen.videos import NO_GOOD_CHUNK

Summary = dict[str, Any]
"""JSON-able; hours are footage, or for a video whose footage is missing what its labels cover, 3600 s each."""


def summarise(corpus: Corpus) -> Summary:
    """Count a corpus. Every list is in a fixed order; raises what reading its tables raises.

    videos, hours  how many and how long
    chunks     pieces that a dataset's labels came in, good and broken
    by_game    per game ("" where none is named): videos and hours
    by_state   per status "ok", "missing", "broken": videos and hours
    broken     per reason: how many videos, chunks and shards. A video whose chunks are all broken is counted by their reasons
    missing    per reason: how many videos
    groups     per (game, source, player, status): videos and hours, most hours first
    broken_videos  per reason: their ids
    sources    per source of rows: number of videos and hours that have them
    verdicts   per set of verdicts: hours by reason ("kept", the filter that dropped them, or "broken")
    proxies    per short side in pixels: number of videos that have a copy
    undone     of the videos whose footage is here: "align" whose labels come from elsewhere and whose lag was not measured, "copy" without
               a small copy of the commonest size, "label" without rows of any source, and "learn" with recorded rows
    """
    rows = corpus.rows()
    hours = {row["id"]: _length_s(row) / 3600 for row in rows}
    chunks = corpus.chunks().select(["video", "status", "reason"])
    broken = Counter(reason for reason in chunks.column("reason").to_pylist() if reason)
    broken.update(_reason(row, corpus) for row in rows if row["status"] == "broken" and row["reason"] != NO_GOOD_CHUNK)
    copies = {
        folder.name: _stems(corpus, f"proxy/{folder.name}/*.mp4") for folder in sorted(corpus.root.glob("proxy/*")) if folder.is_dir()
    }
    labelled = {source: corpus.labelled_ids(source) for source in corpus.sources()}
    return {
        "videos": len(rows),
        "chunks": chunks.num_rows - chunks.column("video").null_count,
        "hours": sum(hours.values()),
        "by_game": _by(rows, hours, "game"),
        "by_state": _by(rows, hours, "status"),
        "broken": dict(broken.most_common()),
        "missing": dict(Counter(_reason(row, corpus) for row in rows if row["status"] == "missing").most_common()),
        "groups": _groups(rows, hours),
        "broken_videos": _ids_by_reason(rows, corpus),
        "sources": {source: _amount(ids, hours) for source, ids in labelled.items()},
        "verdicts": {name: _verdict_hours(corpus, name) for name in _stems(corpus, "verdicts/*.parquet")},
        "proxies": {px: len(ids) for px, ids in copies.items()},
        "undone": _undone(rows, labelled, max(copies.values(), key=len, default=[])),
    }


def _undone(rows: Iterable[Mapping[str, Any]], labelled: Mapping[str, list[str]], copied: list[str]) -> dict[str, int]:
    ok = {row["id"]: row for row in rows if row["status"] == "ok"}
    recorded, with_rows = ({id for ids in group for id in ids} for group in ([labelled.get(RECORDED, ())], labelled.values()))
    return {
        "align": sum(id in recorded and row["labels"] is not None and row["lag_confidence"] is None for id, row in ok.items()),
        "copy": len(ok.keys() - set(copied)),
        "label": len(ok.keys() - with_rows),
        "learn": len(ok.keys() & recorded),
    }


def _by(rows: Iterable[Mapping[str, Any]], hours: Mapping[str, float], column: str) -> dict[str, dict[str, float]]:
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(row[column] or "", []).append(row["id"])
    return {name: _amount(ids, hours) for name, ids in sorted(groups.items())}


def _groups(rows: Iterable[Mapping[str, Any]], hours: Mapping[str, float]) -> list[dict[str, Any]]:
    names = ("game", "source", "player", "status")
    groups: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] or "" for name in names), []).append(row["id"])
    found = [
        {name: value or None for name, value in zip(names, key, strict=True)} | _amount(ids, hours) for key, ids in sorted(groups.items())
    ]
    return sorted(found, key=lambda group: -group["hours"])


def _ids_by_reason(rows: Iterable[Mapping[str, Any]], corpus: Corpus) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["status"] == "broken":
            found.setdefault(_reason(row, corpus), []).append(row["id"])
    return found


def _length_s(row: Mapping[str, Any]) -> float:
    """Seconds of footage: of a file of stretches without the holes between them."""
    length_s: float = row["duration_s"] or 0.0
    return min(length_s, row["frames"] / float(Fraction(row["fps"]))) if row["frames"] and row["fps"] else length_s


def _reason(row: Mapping[str, Any], corpus: Corpus) -> str:
    """Why a video is not there, without its own path, so that those of one reason are counted together."""
    return (row["reason"] or "no reason given").replace(str(corpus.root / row["path"]), "it")


def _amount(ids: Iterable[str], hours: Mapping[str, float]) -> dict[str, float]:
    known = [id for id in ids if id in hours]
    return {"videos": len(known), "hours": sum(hours[id] for id in known)}


def _verdict_hours(corpus: Corpus, name: str) -> dict[str, float]:
    table = corpus.verdicts(name).group_by("reason").aggregate([("duration_s", "sum")]).sort_by("reason")
    return {row["reason"]: row["duration_s_sum"] / 3600 for row in table.to_pylist()}


def _stems(corpus: Corpus, pattern: str) -> list[str]:
    return sorted(path.stem for path in corpus.root.glob(pattern) if not path.name.startswith("."))

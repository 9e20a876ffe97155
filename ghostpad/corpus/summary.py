"""What a corpus holds, counted: videos and hours by game, player and status, label sources, verdicts, small copies.

Reads videos.parquet, the verdicts and names of files; opens no video and no row. Writes nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ghostpad.corpus.folder import Corpus

Summary = dict[str, Any]
"""JSON-able: keys `videos`, `sources`, `verdicts`, `proxies`, `broken`; hours are footage, 3600 s each."""


def summarise(corpus: Corpus) -> Summary:
    """Count a corpus. Every list is in a fixed order; raises what reading its tables raises.

    videos    per (game, player, status): number and hours
    sources   per source of rows: number of videos and hours that have them
    verdicts  per set of verdicts: hours by reason ("kept", the filter that dropped them, or "broken")
    proxies   per short side in pixels: number of videos that have a copy
    broken    per reason: the ids of the videos
    """
    rows = corpus.rows()
    hours = {row["id"]: (row["duration_s"] or 0.0) / 3600 for row in rows}
    groups: dict[tuple[str, str, str], list[str]] = {}
    broken: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault((row["game"] or "", row["player"] or "", row["status"]), []).append(row["id"])
        if row["status"] != "ok":
            broken.setdefault(row["reason"] or "no reason given", []).append(row["id"])
    return {
        "videos": [
            {"game": game or None, "player": player or None, "status": status} | _amount(ids, hours)
            for (game, player, status), ids in sorted(groups.items())
        ],
        "sources": {source: _amount(corpus.labelled_ids(source), hours) for source in corpus.sources()},
        "verdicts": {name: _verdict_hours(corpus, name) for name in _stems(corpus, "verdicts/*.parquet")},
        "proxies": {
            folder.name: len(_stems(corpus, f"proxy/{folder.name}/*.mp4"))
            for folder in sorted(corpus.root.glob("proxy/*"))
            if folder.is_dir()
        },
        "broken": broken,
    }


def _amount(ids: Iterable[str], hours: Mapping[str, float]) -> dict[str, float]:
    known = [id for id in ids if id in hours]
    return {"videos": len(known), "hours": sum(hours[id] for id in known)}


def _verdict_hours(corpus: Corpus, name: str) -> dict[str, float]:
    table = corpus.verdicts(name).group_by("reason").aggregate([("duration_s", "sum")]).sort_by("reason")
    return {row["reason"]: row["duration_s_sum"] / 3600 for row in table.to_pylist()}


def _stems(corpus: Corpus, pattern: str) -> list[str]:
    return sorted(path.stem for path in corpus.root.glob(pattern) if not path.name.startswith("."))

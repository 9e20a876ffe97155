"""The ledger of downloads, `fetch/ledger.jsonl` of a corpus: one line a try, appended; a kill loses at most the line being written.

`compact` keeps the last line of each video, with the number of tries and the date of the first. Sites lose footage (of Celeste's videos in
NitroGen 166 of 397 on Twitch were dead in July 2026, none of 14 on YouTube; measured by others), which `link_rot` counts.
"""

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ghostpad.base.files import append_json, atomic_path, locked, read_json_lines

OK = "ok"
"""The outcome of a download that succeeded; all others are `ghostpad.corpus.fetch.errors.KINDS`."""

Entry = dict[str, Any]
"""video, site, url, first and date (ISO, UTC), outcome, words (the site's), tries, part ("whole", "stretches", or None for a failure),
bytes."""


def ledger_path(root: Path) -> Path:
    """The path of a corpus's ledger."""
    return root / "fetch" / "ledger.jsonl"


def site_of(url: str) -> str:
    """The site of an address, "youtube" or "twitch" for those two, the host otherwise, and "unknown" for what is no address."""
    try:
        host = (urlsplit(url).hostname or "unknown").removeprefix("www.").removeprefix("m.")
    except ValueError:
        return "unknown"
    return {"youtube.com": "youtube", "youtu.be": "youtube", "twitch.tv": "twitch"}.get(host, host)


def note(root: Path, video: str, url: str, outcome: str, words: str = "", part: str | None = None, size: int | None = None) -> None:
    """Append one try."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    entry: Entry = {"video": video, "site": site_of(url), "url": url, "first": date, "date": date, "outcome": outcome, "words": words}
    entry |= {"tries": 1, "part": part, "bytes": size}
    path = ledger_path(root)
    with locked(path.with_name(".lock")):
        append_json(path, entry)


def read_ledger(root: Path) -> dict[str, Entry]:
    """The last try of every video by id, with the number of its tries and the date of the first. Incomplete lines are left out."""
    last: dict[str, Entry] = {}
    for entry in read_json_lines(ledger_path(root)):
        if {"video", "tries"} <= entry.keys():
            if before := last.get(entry["video"]):
                entry |= {"tries": before["tries"] + entry["tries"], "first": before["first"]}
            last[entry["video"]] = entry
    return last


def compact(root: Path) -> None:
    """Rewrite the ledger with one line a video, atomically."""
    path = ledger_path(root)
    if path.exists():
        with locked(path.with_name(".lock")):
            lines = [json.dumps(entry) for _, entry in sorted(read_ledger(root).items())]
            with atomic_path(path) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def link_rot(root: Path) -> dict[str, dict[str, int]]:
    """Per site the number of videos by the outcome of the last try: {"twitch": {"ok": 3, "dead": 5}}."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in read_ledger(root).values():
        counts[entry["site"]][entry["outcome"]] += 1
    return {site: dict(sorted(outcomes.items())) for site, outcomes in sorted(counts.items())}

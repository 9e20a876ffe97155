"""What became of every download: a table of kind "downloads", `fetch/` of a corpus, one row a video, written after each try.

Sites lose footage (of Celeste's videos in NitroGen 166 of 397 on Twitch were dead in July 2026, none of 14 on YouTube; measured by others),
which `link_rot` counts. Corpora of an earlier version have a line a try in `fetch/ledger.jsonl`, and unfinished downloads beside it.
"""

from collections import Counter, defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from ghostpad.base.files import read_json_lines
from ghostpad.base.records import DOWNLOADS
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.table import Table

OK = "ok"
"""The outcome of a download that succeeded; all others are `ghostpad.corpus.fetch.errors.KINDS`."""


class Downloads:
    """The downloads of a corpus."""

    def __init__(self, corpus: Corpus):
        self.table = Table(corpus.root / "fetch", "downloads")
        self._ledger = corpus.root / "fetch" / "ledger.jsonl"

    def find(self, ids: list[str]) -> dict[str, dict[str, Any]]:
        """The rows of these videos as columns by name, by id; videos that were never asked for are left out."""
        return {row["video"]: row for row in self.table.find(ids)}

    def note(self, video: str, url: str, outcome: str, words: str = "", part: str | None = None, size_bytes: int | None = None) -> None:
        """A video was tried."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        row: dict[str, Any] = {
            "video": video,
            "site": site_of(url),
            "url": url,
            "first": now,
            "date": now,
            "outcome": outcome,
            "words": words,
        }
        row |= {"tries": 1, "part": part, "size_bytes": size_bytes}
        self.table.change(lambda: _rows([_joined(before, row) for before in self.table.find([video]) or [{}]]))

    def link_rot(self) -> dict[str, dict[str, int]]:
        """Per site the number of videos by the outcome of the last try: {"twitch": {"ok": 3, "dead": 5}}."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        tables = self.table.scan(["site", "outcome"]) if self.table.exists() else [_rows(self._older().values())]
        for table in tables:
            for row in table.group_by(["site", "outcome"]).aggregate([([], "count_all")]).to_pylist():
                counts[row["site"]][row["outcome"]] += row["count_all"]
        return {site: dict(sorted(outcomes.items())) for site, outcomes in sorted(counts.items())}

    def take_over(self, unfinished: Path) -> None:
        """Take over, once, what an earlier version left: its ledger, and unfinished downloads, which move to the folder `unfinished`."""
        if not isinstance(self._ledger, Path) or not self._ledger.exists():
            return
        older = self._older()
        self.table.change(lambda: _rows(row for id, row in older.items() if not self.find([id])))
        unfinished.mkdir(parents=True, exist_ok=True)
        for folder in (path for path in self._ledger.parent.iterdir() if path.is_dir()):
            with suppress(OSError):  # one that cannot move is begun anew
                folder.rename(unfinished / folder.name)
        self._ledger.rename(self._ledger.with_suffix(".until-table.jsonl"))

    def _older(self) -> dict[str, dict[str, Any]]:
        """The rows of an earlier version's ledger, by id. Incomplete lines are left out."""
        rows: dict[str, dict[str, Any]] = {}
        for entry in read_json_lines(self._ledger) if isinstance(self._ledger, Path) else ():
            if {"video", "site", "url", "first", "date", "outcome", "tries"} <= entry.keys():
                row = dict[str, Any](words="", part=None, size_bytes=entry.get("bytes")) | entry
                rows[row["video"]] = _joined(rows.get(row["video"], {}), row)
        return rows


def site_of(url: str) -> str:
    """The site of an address, "youtube" or "twitch" for those two, the host otherwise, and "unknown" for what is no address."""
    try:
        host = (urlsplit(url).hostname or "unknown").removeprefix("www.").removeprefix("m.")
    except ValueError:
        return "unknown"
    return {"youtube.com": "youtube", "youtu.be": "youtube", "twitch.tv": "twitch"}.get(host, host)


def _joined(before: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    return row | {"tries": before["tries"] + row["tries"], "first": before["first"]} if before else row


def _rows(rows: Any) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=DOWNLOADS)

"""The ledger of added files, `add/ledger.jsonl` of a corpus: one line a file that was looked at, appended and flushed to disk.

It tells files that need not be read again, and holds the rows of videos until they are written to the table of videos, which happens in
batches: the table is rewritten eight times for 10,000 files, not 10,000 times. A kill loses at most the line in flight. Lines
are JSON: key (see `Given.key`), path, sha256, outcome, id, row; a line {"written": true} says that all rows before it are in the table.
"""

from typing import Any

from ghostpad.base.files import append_json, read_json_lines
from ghostpad.corpus.folder import Corpus

LEAST_ROWS = 100
"""Rows that are written together at least, but for the last (a guess)."""

ADDED, PRESENT, SAME, BROKEN = "added", "present", "same", "broken"
"""Outcomes: added or joined to its labels; the same bytes are there; the same pictures are there; it cannot be read."""

Row = dict[str, Any]
"""A row of the table of videos, or a line of the ledger."""


class AddLedger:
    """The ledger of one corpus, in the hands of one process (callers hold a lock)."""

    def __init__(self, corpus: Corpus):
        self.seen: dict[str, Row] = {}
        """The last line about each file, by its key."""
        self.rows = {row["id"]: row for row in corpus.rows()}
        """The table of videos with the rows that wait to be written."""
        self._corpus, self._waiting = corpus, dict[str, Row]()
        self._path = corpus.root / "add" / "ledger.jsonl"
        for entry in read_json_lines(self._path):
            if entry.get("written"):
                self._waiting.clear()
            elif entry.get("key"):
                self.seen[entry["key"]] = entry
            if row := entry.get("row"):
                self._waiting[row["id"]] = row
        self.rows |= self._waiting

    def note(self, key: str | None, path: str, sha256: str | None, outcome: str, id: str | None, row: Row | None = None) -> None:
        """Append what came of a file; the table follows when enough rows wait."""
        entry = {"key": key, "path": path, "sha256": sha256, "outcome": outcome, "id": id, "row": row}
        append_json(self._path, entry)
        if key:
            self.seen[key] = entry
        if row:
            self.rows[row["id"]] = self._waiting[row["id"]] = row
            if len(self._waiting) >= max(LEAST_ROWS, len(self.rows) // 2):
                self.write()

    def write(self) -> None:
        """Write the rows that wait to the table of videos."""
        if self._waiting:
            self._corpus.put_videos(self._waiting.values(), _join)
            append_json(self._path, {"written": True})
            self._waiting.clear()


def _join(old: Row, new: Row) -> Row:
    """What another process wrote about labels in between stays, and all of it where this video was written before."""
    if old["status"] == "ok" and old["sha256"] == new["sha256"]:
        return old
    return new | {name: old[name] for name in ("game", "labels", "overlay_px", "overlay_of_px") if old[name] is not None}

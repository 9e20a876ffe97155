"""The table of files that were read to be added, `add/files` of a corpus (kind "files"): one row a place.

It knows the files that need not be read again while their size and time stay, and why those are broken that are. Corpora of an earlier
version have `add/ledger.jsonl` instead, with rows of videos that were not yet in the catalogue: it is taken over once.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from ghostpad.base.errors import GhostpadError
from ghostpad.base.records import FILES, Video
from ghostpad.corpus.add.find import place_key
from ghostpad.corpus.folder import Corpus, names_in
from ghostpad.corpus.nitrogen.videos import with_labels_of
from ghostpad.corpus.table import Table

ADDED, PRESENT, SAME, BROKEN = "added", "present", "same", "broken"
"""Outcomes: added or joined to its labels; the corpus has the same bytes; it has the same pictures; the file cannot be read."""

_LINES = 10_000


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row of the table: its columns are these fields, in this order."""

    key: str
    state: str | None
    path: str
    sha256: str | None
    outcome: str
    id: str
    reason: str | None
    attempts: int
    read_at: str


class Files:
    """The table of one corpus."""

    def __init__(self, corpus: Corpus):
        self._table = Table(corpus.root / "add" / "files", "files")

    def find(self, keys: Iterable[str]) -> dict[str, FileRow]:
        """The rows with these keys."""
        return {row["key"]: FileRow(**row) for row in self._table.find(keys)}

    def put(self, rows: Iterable[FileRow]) -> None:
        """Write rows, over those with their keys."""
        columns = [{name: getattr(row, name) for name in FILES.names} for row in rows]
        if columns:
            self._table.put(pa.Table.from_pylist(columns, schema=FILES))

    def reasons(self) -> set[str]:
        """Why files are broken."""
        return {reason for table in self._broken() for reason in table.column("reason").unique().to_pylist() if reason}

    def added_ids(self) -> pa.Array:
        """The ids of the videos that files became."""
        tables = [table.filter(pc.equal(table.column("outcome"), ADDED)) for table in self._table.scan(["id", "outcome"])]
        return pa.chunked_array([chunk for table in tables for chunk in table.column("id").chunks], pa.string()).combine_chunks()

    def _broken(self) -> Iterator[pa.Table]:
        return (table.filter(pc.equal(table.column("outcome"), BROKEN)) for table in self._table.scan(["outcome", "reason"]))


@dataclass
class _Old:
    """What lines of an earlier version's ledger say."""

    files: dict[str, FileRow] = field(default_factory=dict)
    videos: dict[str, Video] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)  # id -> why it cannot be a video


def take_over_ledger(corpus: Corpus, files: Files) -> dict[str, str]:
    """Take over the ledger of an earlier version, if there is one: id -> why it was skipped, of rows that cannot be videos."""
    path = corpus.root / "add" / "ledger.jsonl"
    if not path.exists():
        return {}
    old = _Old()
    with path.open("rb") as lines:
        while some := list(islice(lines, _LINES)):
            for line in some:
                _read_line(line, old)
            files.put(old.files.values())
            old.files.clear()
    for id, video in old.videos.items():
        try:
            corpus.put_videos([video], _newer)
        except GhostpadError as error:
            old.skipped[id] = str(error).replace("\n", "; ")
    for name in names_in(corpus.root / "videos"):
        if name.startswith(".add."):  # what an earlier version was writing when it was killed
            (corpus.root / "videos" / name).unlink(missing_ok=True)
    path.rename(str(path.with_name("ledger.until-files.jsonl")))
    return old.skipped


def _read_line(line: bytes, old: _Old) -> None:
    try:
        entry = json.loads(line)
    except ValueError:
        return  # cut short by a kill
    if not isinstance(entry, Mapping):
        return
    if entry.get("written"):
        old.videos.clear()
        return
    row, path, id = entry.get("row"), entry.get("path"), entry.get("id")
    if row:
        try:
            old.videos[row["id"]] = Video.of(row)
        except (GhostpadError, KeyError, TypeError) as error:
            old.skipped[str(id)] = str(error).replace("\n", "; ")
    if entry.get("key") and entry.get("outcome") and isinstance(path, str) and isinstance(id, str):
        key, broken = place_key(path), entry["outcome"] == BROKEN
        reason = str((row or {}).get("reason") or "it cannot be read") if broken else None
        text, name = (word.encode("utf-8", "replace").decode() for word in (path, id))
        old.files[key] = FileRow(key, entry["key"], text, entry.get("sha256"), entry["outcome"], name, reason, int(broken), "")


def _newer(held: Video, waiting: Video) -> Video:
    """The row that was not yet in the catalogue, unless its video has been brought in since."""
    return held if held.status == "ok" else with_labels_of(waiting, held)

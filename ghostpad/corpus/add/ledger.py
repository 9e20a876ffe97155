"""The ledger of added files, `add/ledger.jsonl` of a corpus: one line a file that was read, appended and flushed to disk.

It knows the files that need not be read again, and holds the rows of videos until they are written to the table of videos in batches: the
table is rewritten eight times for 10,000 files, not 10,000 times. A kill loses at most the line being written. Lines are JSON: key (see
`InputVideo.key`), path, sha256, outcome, id, row; {"written": true} says that all rows before it are in the table.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ghostpad.base.errors import MediaError, MissingError
from ghostpad.base.files import append_json, read_json_lines
from ghostpad.base.records import Video
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.nitrogen.videos import with_labels_of
from ghostpad.video.probe import probe_video

LEAST_ROWS = 100
"""The fewest rows in a batch, the last one apart (a guess)."""

ADDED, PRESENT, SAME, BROKEN = "added", "present", "same", "broken"
"""Outcomes: added or joined to its labels; the corpus has the same bytes; it has the same pictures; the file cannot be read."""

GONE = "its file is gone: bring it back and run 'ghostpad corpus add' again"
"""Why a video that was added is missing."""


class AddLedger:
    """The ledger of one corpus; callers hold its lock."""

    def __init__(self, corpus: Corpus):
        self.seen: dict[str, dict[str, Any]] = {}
        """The last line about each file, by its key."""
        self.added: set[str] = set()
        """The ids of the videos that were added or joined to their labels."""
        self.videos = {video.id: video for video in corpus.list_videos()}
        """The table of videos with the rows not yet written."""
        self._corpus, self._waiting = corpus, dict[str, Video]()
        self._path = corpus.root / "add" / "ledger.jsonl"
        for entry in read_json_lines(self._path):
            if entry.get("written"):
                self._waiting.clear()
            elif entry.get("key"):
                self.seen[entry["key"]] = entry
            if entry.get("outcome") == ADDED:
                self.added.add(entry["id"])
            if row := entry.get("row"):
                self._waiting[row["id"]] = Video.of(row)
        self.videos |= self._waiting

    def note(self, key: str | None, path: str, sha256: str | None, outcome: str, id: str, video: Video | None = None) -> None:
        """Append the outcome of a file and its video's new row; enough rows are written to the table."""
        row = video and video.columns()
        entry = {"key": key, "path": path, "sha256": sha256, "outcome": outcome, "id": id, "row": row}
        append_json(self._path, entry)
        if key:
            self.seen[key] = entry
        if video:
            self.videos[id] = self._waiting[id] = video
            if len(self._waiting) >= max(LEAST_ROWS, len(self.videos) // 2):
                self.write()

    def check(self) -> tuple[list[str], list[str]]:
        """Check the file of every added video, and note what has changed: ids that are back, and ids that are gone."""
        back, gone = [], []
        for id in sorted(self.added & self.videos.keys()):
            video = self.videos[id]
            path = self._corpus.path_of(video)
            if video.status == "ok" and not path.exists():
                gone.append(id)
                self.note(None, video.path, video.sha256, PRESENT, id, replace(video, status="missing", reason=GONE))
            elif video.status != "ok" and _readable(path):
                back.append(id)
                self.note(None, video.path, video.sha256, PRESENT, id, replace(video, status="ok", reason=None))
        return back, gone

    def write(self) -> None:
        """Write the rows not yet written to the table of videos."""
        if self._waiting:
            self._corpus.put_videos(self._waiting.values(), _join)
            append_json(self._path, {"written": True})
            self._waiting.clear()


def _readable(path: Path) -> bool:
    try:
        return bool(probe_video(path).frames)
    except (MediaError, MissingError):
        return False


def _join(old: Video, new: Video) -> Video:
    """The new row, with what the old one says about labels; only the status is new where the file is the same."""
    if old.sha256 == new.sha256 and "ok" in (old.status, new.status):
        return replace(old, status=new.status, reason=new.reason)
    return with_labels_of(new, old)

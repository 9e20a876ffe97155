"""The rows of videos and files that wait to be written, every few seconds together, beside what other processes write meanwhile.

Of several runs that add one content, the first to commit has it; the others' copies go, and their files count as present. An id that
another run has given to other bytes gets a part of the hash. What is killed before a commit has its files in videos/, which the same
command takes as they are.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pyarrow as pa

from ghostpad.base.records import Video, videos_table
from ghostpad.corpus.add.files import PRESENT, FileRow, Files
from ghostpad.corpus.add.find import InputVideo
from ghostpad.corpus.add.known import KnownBytes
from ghostpad.corpus.folder import RECORDED, Corpus, names_in
from ghostpad.corpus.nitrogen.videos import with_labels_of

MOST_ROWS, MOST_BYTES, EVERY_S = 1000, 1 << 26, 2.0
"""What waits at most: files, bytes of recorded rows, seconds. A kill loses what waits (guesses)."""


@dataclass
class Entry:
    """A file that was read, and what it means for the corpus."""

    source: InputVideo
    file: FileRow
    video: Video | None = None  # its new row; None where only the file's row is new
    before: Video | None = None  # the row that this one replaces on purpose
    is_new: bool = False  # whether the video's file in videos/ was made for it
    rows: pa.Table | None = None  # the recorded rows beside it
    codes: pa.Table | None = None  # its row of the table of prints


@dataclass
class Done:
    """What was committed of an entry: its video as it is now, and why it is not the entry's."""

    entry: Entry
    video: Video | None
    twin: bool = False  # the corpus had the bytes already
    reason: str | None = None  # why it was not taken


@dataclass
class Batch:
    """What waits. `videos` and `ids` (by sha256) show it as if it were written."""

    corpus: Corpus
    known: KnownBytes
    files: Files
    videos: dict[str, Video] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    _entries: list[Entry] = field(default_factory=list)
    _bytes: int = 0
    _since_s: float = 0.0

    def add(self, entry: Entry) -> None:
        """Let an entry wait."""
        self._since_s = self._since_s if self._entries else time.monotonic()
        self._entries.append(entry)
        self._bytes += entry.rows.nbytes if entry.rows is not None else 0
        if entry.video is not None:
            self.videos[entry.video.id] = entry.video
            self.ids |= {entry.video.sha256: entry.video.id} if entry.video.sha256 else {}

    def is_due(self) -> bool:
        """Whether it should be committed now."""
        waited_s = time.monotonic() - self._since_s
        return bool(self._entries) and (len(self._entries) >= MOST_ROWS or self._bytes >= MOST_BYTES or waited_s >= EVERY_S)

    def commit(self) -> list[Done]:
        """Write what waits: the videos, then what belongs to them, then the files' rows."""
        done = list[Done]()

        def rows() -> pa.Table:
            done[:] = self._decided()
            return videos_table(one.video for one in done if one.video and not one.twin)

        if self.videos:
            self.corpus.catalogue.change(rows)
        done += [Done(entry, None) for entry in self._entries if entry.video is None]
        for one in done:
            self._settle(one)
        self.files.put(_file_row(one) for one in done if one.reason is None)
        self._entries, self._bytes = [], 0
        self.videos.clear()
        self.ids.clear()
        return done

    def _decided(self) -> list[Done]:
        """What becomes of each new row, by what the catalogue holds now; the same for two runs in whatever order they come."""
        entries = [(entry, entry.video) for entry in self._entries if entry.video is not None]
        self.known.refresh()
        twins = {entry.file.key: self.known.id_of(video.sha256) for entry, video in entries if video.sha256}
        ids = [id for _, video in entries for id in _ids(video)]
        held = self.corpus.find([*ids, *(id for id in twins.values() if id)])
        done = {}
        for entry, video in entries:
            twin = held.get(twins.get(entry.file.key) or "")
            one = _decide(entry, video, held, twin if twin and twin.sha256 == video.sha256 else None)
            if one.video is not None:
                held[one.video.id] = one.video  # of two rows with one id in this batch the later one counts
                done[one.video.id] = one
            else:
                done[f"{entry.file.key} "] = one
        return list(done.values())

    def _settle(self, one: Done) -> None:
        """Bring the files of the corpus in line with what was committed."""
        entry, video = one.entry, one.video
        if entry.video is None:
            return
        mine = self.corpus.path_of(entry.video)
        if entry.is_new and (video is None or video.path != entry.video.path):
            with suppress(FileNotFoundError):
                mine.unlink()
        if video is None or one.twin:
            return
        if entry.before is not None and entry.before.path != video.path and entry.before.status == "missing":
            with suppress(FileNotFoundError):
                self.corpus.path_of(entry.before).unlink()  # what was left of its file
        if entry.before is not None and entry.before.status == "broken" and video.status == "ok":
            _remove_derived(self.corpus, video.id)
        if entry.rows is not None and self.corpus.actions(RECORDED, video.id) is None:
            self.corpus.write_actions(RECORDED, video.id, entry.rows)


def _decide(entry: Entry, video: Video, held: Mapping[str, Video], twin: Video | None) -> Done:
    old = held.get(video.id)
    joins = entry.before is not None and not is_replaceable(entry.before)  # one's footage may be wanted under two ids
    if twin is not None and twin.id != video.id and not joins and (twin.status == "ok" or video.status != "ok"):
        return Done(entry, twin, twin=True)
    if old is None or old == entry.before:
        return Done(entry, video)
    if old.sha256 == video.sha256 and old.sha256 is not None:
        if old.status == "ok":
            return Done(entry, old, twin=entry.before is None)
        facts = {name: getattr(video, name) for name in ("path", "size_bytes", "status", "reason", "attempts")}
        return Done(entry, replace(old, **facts))
    if entry.before is not None and old.status != "ok":
        return Done(entry, with_labels_of(video, old))
    if entry.before is not None and entry.before.status == "missing":
        return Done(entry, None, reason=f"another run has brought in another '{video.id}': give it another id")
    return Done(entry, replace(video, id=next(id for id in _ids(video) if id not in held)))


def is_replaceable(video: Video) -> bool:
    """Whether a video was never readable: nothing but a reason is known of it."""
    return video.source == "added" and video.status == "broken" and video.frames is None


def _ids(video: Video) -> Iterator[str]:
    """The ids that a video may get."""
    yield video.id
    if video.sha256:
        yield f"{video.id[:100]}-{video.sha256[:8]}"
        yield f"{video.id[:100]}-{video.sha256}"


def _file_row(one: Done) -> FileRow:
    row = one.entry.file
    return row if one.video is None else replace(row, id=one.video.id, outcome=PRESENT if one.twin else row.outcome)


def _remove_derived(corpus: Corpus, id: str) -> None:
    """Remove what was made of a broken video that a better copy replaces: its labels."""
    for source in names_in(corpus.root / "actions"):
        if source != RECORDED:
            with suppress(FileNotFoundError, NotADirectoryError):
                (corpus.root / "actions" / source / f"{id}.parquet").unlink()

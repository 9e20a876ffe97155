"""Add footage from elsewhere to a corpus, each content once; footage of indexed labels joins them.

    videos/<id>.<ext>                  a copy, or a link with `link`, which appears whole and is never written over
    actions/recorded/<id>.parquet      the rows beside the video, if there are any, see ghostpad.corpus.add.beside
    catalogue/                         one row a video, in batches; what cannot be read becomes a row with the reason
    add/files, add/prints              every file that was read, and what its pictures are found by

A file becomes the footage of a video that labels were indexed for and whose footage is missing, if its manifest gives that id or its name
is the id, alone or in brackets at the end as yt-dlp names files. Any other file is not added if the corpus has its bytes (sha256) or its
pictures. A file that was read is not read again while its size and time stay: re-run to resume. Every run first checks the files of all
videos. Several runs, on several machines too, may add to one corpus. With an engine,
workers look at files first (`ghostpad.corpus.add.look`). Cost: reading each file once, and decoding parts of it.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from ghostpad.base.engines.crew import Died
from ghostpad.base.engines.settings import EngineSettings
from ghostpad.base.errors import FormatError, MediaError, MissingError, NoMemoryError, SettingsError
from ghostpad.base.places import is_remote
from ghostpad.base.progress import progress
from ghostpad.base.records import Video
from ghostpad.corpus.add.batch import Batch, Done, Entry, is_replaceable
from ghostpad.corpus.add.beside import check_within, rows_beside
from ghostpad.corpus.add.check import Listing, check_files
from ghostpad.corpus.add.copy import Staged, give_name, staged, suffix_of
from ghostpad.corpus.add.files import ADDED, BROKEN, PRESENT, SAME, FileRow, Files, take_over_ledger
from ghostpad.corpus.add.find import About, InputVideo
from ghostpad.corpus.add.fingerprint import fingerprint_video
from ghostpad.corpus.add.known import KnownBytes
from ghostpad.corpus.add.look import Look, looks
from ghostpad.corpus.add.names import OWN_FOLDERS, ids_of, in_brackets, path_inside, slug
from ghostpad.corpus.add.pictures import Pictures
from ghostpad.corpus.failures import retried
from ghostpad.corpus.fetch.stretches import Span, label_spans
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.nitrogen.videos import SLACK_S
from ghostpad.video.child import VideoChild
from ghostpad.video.probe import VideoInfo

_BLOCK = 2048
"""Files that are looked up together: fewer read the tables more often (a guess)."""


@dataclass
class AddCounts:
    """The results of a run."""

    added: int = 0
    joined: int = 0  # added as the footage of indexed labels
    present: int = 0  # the corpus has the same bytes, or the file was read before
    back: list[str] = field(default_factory=list)  # ids of videos that were not ok and whose files are back
    gone: dict[str, str] = field(default_factory=dict)  # id of an added video whose file is gone or cut -> which
    same: dict[str, str] = field(default_factory=dict)  # file -> id of the video that shows the same pictures
    broken: dict[str, str] = field(default_factory=dict)  # file -> why it cannot be read
    unfit: dict[str, str] = field(default_factory=dict)
    """File -> why it cannot be the footage of the labels that its name or manifest names, or that its id is taken."""
    unread: dict[str, str] = field(default_factory=dict)  # id of a video -> why the rows beside its file were not added
    skipped: dict[str, str] = field(default_factory=dict)  # id that an earlier version noted -> why it cannot be a video's

    @property
    def is_whole(self) -> bool:
        """Whether all files are in the corpus, with the rows beside them, and none was lost."""
        return not (self.gone or self.broken or self.unfit or self.unread or self.skipped)


_HERE = EngineSettings()


def add_videos(
    corpus: Corpus, inputs: Sequence[InputVideo], link: bool = False, retry: str | None = None, engine: EngineSettings = _HERE
) -> AddCounts:
    """Add videos to a corpus one by one; files that were broken before are read again if `retry` is in their reason or "all".

    Raises `SettingsError` for links from or to what is not on this machine, and for a `retry` that is in no reason.
    """
    if link and is_remote(corpus.root):
        raise SettingsError(f"--link needs a corpus on this machine: leave it out for {corpus.root}")
    if link and any(not one.is_local for one in inputs):
        raise SettingsError("--link needs files on this machine: leave it out for addresses")
    files = Files(corpus)
    skipped = take_over_ledger(corpus, files)
    again = retried(retry, files.reasons() if retry is not None else ())
    with VideoChild() as child, progress("add", len(inputs), "videos") as advance:
        run = _Run(corpus, files, child, link, again)
        run.counts.skipped = skipped
        try:
            run.check()
            for first in range(0, len(inputs), _BLOCK):
                block = inputs[first : first + _BLOCK]
                run.look_up(block)
                for one, look in looks(engine, block, run.is_new):
                    run.add(one, look)
                    advance(1)
        finally:
            run.commit()
    return run.counts


class _Run:
    """One run: the corpus as it is, and what was added."""

    def __init__(self, corpus: Corpus, files: Files, child: VideoChild, link: bool, again: Callable[[str], bool]):
        self.counts, self._child = AddCounts(), child
        self._corpus, self._files, self._link, self._again = corpus, files, link, again
        self._known = KnownBytes(corpus)
        self._batch = Batch(corpus, self._known, files)
        self._videos, self._rows = dict[str, Video](), dict[str, FileRow]()
        self._broken_now = set[str]()

    @cached_property
    def _pictures(self) -> Pictures:
        return Pictures(self._corpus, self._child)

    @cached_property
    def _spans(self) -> dict[str, list[Span]]:
        return label_spans(self._corpus.chunks())

    def check(self) -> None:
        """Check the files of all videos."""
        self._listing = Listing(self._corpus)
        back, self.counts.gone = check_files(self._corpus, self._listing, self._files.added_ids(), self._child.probe)
        self.counts.back = list(back)

    def look_up(self, block: Sequence[InputVideo]) -> None:
        """Read what the tables say about some files."""
        self._rows = self._files.find(source.key() for source in block)
        ids = {id for source in block for id in ids_of(source)} | {row.id for row in self._rows.values()}
        self._videos = self._corpus.find(ids)
        self._there = self._listing.named(f"{slug(source)}{suffix_of(source)}" for source in block)

    def is_new(self, source: InputVideo) -> bool:
        """Whether a file was not read before, or has changed since."""
        row = self._rows.get(source.key())
        return row is None or row.state is None or row.outcome == BROKEN or row.state != source.state(source.about())

    def add(self, source: InputVideo, look: Look | Died | None = None) -> None:
        """Add one file, or count why not; `look`: what a worker saw in it."""
        if self._own(source):
            return
        about = source.about()
        if not self._is_known(source, about):
            self._take(source, about, look)
        if self._batch.is_due():
            self.commit()

    def commit(self) -> None:
        """Write what waits, and count it."""
        codes = []
        for one in self._batch.commit():
            self._count(one)
            if one.video is not None:
                self._videos[one.video.id] = one.video
            if (kept := one.entry.video) is not None and one.entry.codes is not None:
                if one.video is not None and one.video.id == kept.id and not one.twin:
                    codes.append(one.entry.codes)
                else:
                    self._pictures.leave_out(kept.id)
        if codes:
            self._pictures.put(codes)

    def _count(self, one: Done) -> None:
        entry, counts = one.entry, self.counts
        if one.reason is not None:
            counts.unfit[entry.source.name] = one.reason
        elif one.twin:
            counts.present += entry.file.outcome == ADDED
        elif one.video is not None and entry.file.outcome == ADDED:
            if entry.before is not None and entry.before.sha256 == one.video.sha256 and not is_replaceable(entry.before):
                counts.back.append(one.video.id)
                counts.gone.pop(one.video.id, None)
            else:
                counts.added += 1
                counts.joined += entry.before is not None and not is_replaceable(entry.before)

    def _own(self, source: InputVideo) -> bool:
        """Whether the file is the corpus's own: a video of its catalogue, segments, an unfinished download and the like."""
        inside = path_inside(self._corpus, source)
        if inside is None:
            return False
        if not inside.startswith("videos/"):
            return inside.startswith(OWN_FOLDERS)
        for id in ids_of(source):
            if (video := self._video(id)) is not None and video.path == inside:
                self.counts.present += video.status == "ok"
                return True
        return False

    def _is_known(self, source: InputVideo, about: About) -> bool:
        """Whether the file was read before and nothing has changed; counts it then."""
        row = self._rows.get(source.key())
        if row is None or row.state is None or row.state != source.state(about):
            return False
        if row.outcome == BROKEN:
            if not self._again(str(row.reason)):
                self.counts.broken[source.name] = str(row.reason)
                return True
            return False
        video = self._video(row.id)
        if video is None or video.status != "ok" or self._wanted(source) not in (None, video.id):
            return False
        if row.outcome == SAME:
            self.counts.same[source.name] = video.id
        elif row.sha256 != video.sha256:
            return False
        else:
            self.counts.present += 1
            self._take_rows(source, video)
        return True

    def _take(self, source: InputVideo, about: About, look: Look | Died | None) -> None:
        """Read a file, and let what it is wait to be written."""
        if about.problem is not None:
            self._failed(source, about, about.problem)
            return
        if isinstance(look, Died):
            self._failed(source, about, str(look))
            return
        name = f"{slug(source)}{suffix_of(source)}"
        there = name if self._there.get(name) == about.size and self._video(slug(source)) is None and source.id is None else None
        try:
            with staged(self._corpus, source, about.size, self._link, there) as one:
                self._bring_in(source, about, one, look if look is not None and look.sha256 == one.sha256 else None)
        except MediaError as error:
            self._failed(source, about, str(error))

    def _bring_in(self, source: InputVideo, about: About, one: Staged, look: Look | None) -> None:
        wanted, same = self._wanted(source), self._owner(one.sha256)
        if same is not None and wanted in (None, same.id):
            if same.status == "ok":
                self.counts.present += 1
                self._note(source, about, PRESENT, same.id, one.sha256)
                self._take_rows(source, same)
                return
            if is_replaceable(same) and not self._again(str(same.reason)):
                self.counts.broken[source.name] = str(same.reason)
                self._note(source, about, BROKEN, same.id, one.sha256, same.reason, same.attempts)
                return
            wanted = same.id  # its file was lost, and these are its bytes
        try:
            info = look.info if look else self._child.probe(one.path)
            held = self._video(wanted or "")
            if held is not None and not is_replaceable(held):
                self._join(source, about, one, held, info)
            else:
                self._add_new(source, about, one, info, look)
        except (MediaError, MissingError) as error:
            about = About() if isinstance(error, NoMemoryError) else about  # another time there may be more
            self._failed(source, about, str(error).replace(str(one.path), "it"), one)

    def _join(self, source: InputVideo, about: About, one: Staged, video: Video, info: VideoInfo) -> None:
        """Make a file the footage of a video whose labels are there, or whose own file was lost."""
        end_s = max((span.end_s for span in self._spans.get(video.id, ())), default=0.0)
        if video.status == "ok":
            self.counts.unfit[source.name] = f"the corpus has another '{video.id}': give it another id"
        elif info.duration_s < end_s - SLACK_S:
            self.counts.unfit[source.name] = f"it is {info.duration_s:.1f} s long, the labels of '{video.id}' end at {end_s:.1f} s"
        else:
            path, is_new = give_name(self._corpus, one, video.id, suffix_of(source))
            facts = {name: value for name, value in source.facts.items() if getattr(video, name) is None}
            facts |= {"path": path, "sha256": one.sha256, "size_bytes": one.size, "status": "ok", "reason": None, "attempts": 0}
            joined = replace(video, **facts, **info.columns())
            entry = Entry(source, self._row(source, about, ADDED, video.id, one.sha256), joined, video, is_new)
            entry.rows = self._rows_beside(source, joined, one.path)
            self._batch.add(entry)

    def _add_new(self, source: InputVideo, about: About, one: Staged, info: VideoInfo, look: Look | None) -> None:
        prints = look.prints if look else fingerprint_video(one.path, self._child)
        if (same := self._pictures.same(prints, info.duration_s)) is not None:
            self.counts.same[source.name] = same
            self._note(source, about, SAME, same, one.sha256)
            return
        id = self._free_id(source, one.sha256, self._is_free)
        path, is_new = give_name(self._corpus, one, id, suffix_of(source))
        video = Video(id, path, source="added", sha256=one.sha256, size_bytes=one.size, **source.facts, **info.columns())
        entry = Entry(source, self._row(source, about, ADDED, id, one.sha256), video, self._video(id), is_new)
        entry.rows = self._rows_beside(source, video, one.path)
        entry.codes = self._pictures.add(id, one.sha256, info.duration_s, prints)
        self._batch.add(entry)

    def _failed(self, source: InputVideo, about: About, reason: str, one: Staged | None = None) -> None:
        """A file cannot be read, or with `one` no decoder can."""
        wanted = self._video(self._wanted(source) or "")
        if wanted is not None and not is_replaceable(wanted):
            self.counts.unfit[source.name] = reason
            return
        row, sha256 = self._rows.get(source.key()), one.sha256 if one else None
        before = self._owner(sha256) if sha256 else self._video(row.id) if row is not None and row.outcome == BROKEN else None
        before = before if before is not None and is_replaceable(before) else None
        id = before.id if before is not None else self._free_id(source, sha256 or source.key(), lambda id: self._video(id) is None)
        attempts = before.attempts + 1 if before is not None else 1
        facts = source.facts | {
            "sha256": sha256,
            "size_bytes": one.size if one else None,
            "status": "broken",
            "reason": reason,
            "attempts": attempts,
        }
        file = self._row(source, about if one else About(), BROKEN, id, sha256, reason, attempts)
        self.counts.broken[source.name] = reason
        self._broken_now.add(id)
        self._batch.add(Entry(source, file, Video(id, f"videos/{id}{suffix_of(source)}", source="added", **facts), before))

    def _owner(self, sha256: str) -> Video | None:
        """The video that has these bytes."""
        id = self._batch.ids.get(sha256) or self._known.id_of(sha256)
        if id is None:
            return None
        video = self._video(id) or self._corpus.find([id]).get(id)
        return video if video is not None and video.sha256 == sha256 else None

    def _video(self, id: str) -> Video | None:
        return self._batch.videos.get(id) or self._videos.get(id)

    def _wanted(self, source: InputVideo) -> str | None:
        """The id that a file must get: its manifest's, or that of the missing video that its name gives."""
        if source.id is not None:
            return source.id
        for id in (source.stem, in_brackets(source)):
            video = self._video(id or "")
            if video is not None and video.status != "ok" and video.source != "added":
                return id
        return None

    def _free_id(self, source: InputVideo, hash: str, is_free: Callable[[str], bool]) -> str:
        """A new video's id, of letters, digits, '-', '_' and '.'; ends in a part of the hash where another video has the plain one."""
        id = source.id or slug(source) or f"video-{hash[:8]}"
        return id if is_free(id) else f"{id}-{hash[:8]}"

    def _is_free(self, id: str) -> bool:
        """Whether a video that can be read may have an id: a better copy replaces what an earlier run found broken."""
        other = self._video(id)
        if other is None:
            return True
        return is_replaceable(other) and id not in self._broken_now and not self._corpus.actions_path(RECORDED, id).exists()

    def _row(
        self, source: InputVideo, about: About, outcome: str, id: str, sha256: str | None, reason: str | None = None, attempts: int = 0
    ) -> FileRow:
        read_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return FileRow(source.key(), source.state(about), source.name, sha256, outcome, id, reason, attempts, read_at)

    def _note(
        self, source: InputVideo, about: About, outcome: str, id: str, sha256: str, reason: str | None = None, attempts: int = 0
    ) -> None:
        self._batch.add(Entry(source, self._row(source, about, outcome, id, sha256, reason, attempts)))

    def _take_rows(self, source: InputVideo, video: Video) -> None:
        """Write the rows beside a file whose video the corpus has already, unless it has others."""
        if (rows := self._rows_beside(source, video, None)) is not None:
            self._corpus.write_actions(RECORDED, video.id, rows)

    def _rows_beside(self, source: InputVideo, video: Video, path: Path | None) -> pa.Table | None:
        """The rows beside a local video, where it has none yet; `path`: its footage, before it is in the corpus.

        Rows that cannot be used leave a video without rows, which an IDM can label; the same command adds them once they are corrected.
        """
        if not source.is_local:
            return None
        try:
            rows = rows_beside(Path(source.path))
            old = None if rows is None else self._corpus.actions(RECORDED, video.id)
            if rows is not None and old is None:
                with nullcontext(path) if path is not None else self._corpus.footage(video) as footage:
                    check_within(rows, self._child.stamps(footage))
                return rows
            if rows is not None and not rows.equals(old):
                where = self._corpus.actions_path(RECORDED, video.id)
                self.counts.unread[video.id] = f"it has other rows than those beside {source.name}: remove {where} to take those"
        except (FormatError, MediaError, MissingError) as error:
            self.counts.unread[video.id] = str(error)
        return None

"""Add footage from elsewhere to a corpus, each content once; footage of indexed labels joins them.

    videos/<id>.<ext>                  a copy, or a link with `link`, renamed to this once it is whole
    actions/recorded/<id>.parquet      the rows beside the video, if there are any, see ghostpad.corpus.add.beside
    cache/fingerprints/<id>.npy        recognises a video that was encoded again, see ghostpad.corpus.add.fingerprint
    add/ledger.jsonl                   every file that was read, see ghostpad.corpus.add.ledger
    videos.parquet                     one row a video, last and in batches; what cannot be read becomes a row with the reason

A file becomes the footage of a video that labels were indexed for and whose footage is missing, if its manifest gives that id or its name
is the id, alone or in brackets at the end as yt-dlp names files. Any other file is not added if the corpus has its bytes (sha256) or its
pictures. A file that was read is not read again while its size and time stay: re-run to resume. Every run first checks the files of all
added videos: one that is gone becomes missing, one that is back ok. Cost: reading each file once, and decoding parts of it.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from ghostpad.base.errors import FormatError, MediaError, MissingError, SettingsError
from ghostpad.base.files import file_sha256, locked
from ghostpad.base.places import is_local, place_errors
from ghostpad.base.progress import progress
from ghostpad.base.records import Video
from ghostpad.corpus.add.beside import check_within, rows_beside
from ghostpad.corpus.add.find import InputVideo
from ghostpad.corpus.add.fingerprint import Fingerprints, fingerprint_video
from ghostpad.corpus.add.ledger import ADDED, BROKEN, PRESENT, SAME, AddLedger
from ghostpad.corpus.fetch.stretches import Span, label_spans
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.nitrogen.videos import SLACK_S
from ghostpad.video.probe import VideoInfo, probe_video


@dataclass
class AddCounts:
    """The results of a run."""

    added: int = 0
    joined: int = 0  # added as the footage of indexed labels
    present: int = 0  # the corpus has the same bytes, or the file was read before
    back: list[str] = field(default_factory=list)  # ids of videos that were not ok and whose files are back
    gone: list[str] = field(default_factory=list)  # ids of added videos whose files are gone
    same: dict[str, str] = field(default_factory=dict)  # file -> id of the video that shows the same pictures
    broken: dict[str, str] = field(default_factory=dict)  # file -> why it cannot be read
    unfit: dict[str, str] = field(default_factory=dict)
    """File -> why it cannot be the footage of the labels that its name or manifest names, or that its id is taken."""
    unread: dict[str, str] = field(default_factory=dict)  # id of a video -> why the rows beside its file were not added


def add_videos(corpus: Corpus, inputs: Sequence[InputVideo], link: bool = False) -> AddCounts:
    """Add videos to a corpus one by one. Raises `SettingsError` for a link to what is not on this machine."""
    if link and any(not is_local(one.files) for one in inputs):
        raise SettingsError("--link needs files on this machine: leave it out for addresses")
    with locked(corpus.root / "add" / ".lock"), progress("add", len(inputs), "videos") as advance:
        run = _Run(corpus, link)
        try:
            run.counts.back, run.counts.gone = run.ledger.check()
            for one in inputs:
                run.add(one)
                advance(1)
        finally:
            run.ledger.write()
    return run.counts


class _Run:
    """One run: the corpus as it is, and what was added."""

    def __init__(self, corpus: Corpus, link: bool):
        self.ledger, self.counts = AddLedger(corpus), AddCounts()
        self._corpus, self._link, self._videos = corpus, link, self.ledger.videos
        self._prints = Fingerprints(corpus)
        self._ids = {video.sha256: id for id, video in self._videos.items() if video.sha256}
        (corpus.root / "videos").mkdir(exist_ok=True)
        for stale in (corpus.root / "videos").glob(".add.*"):
            stale.unlink()
        self._files = {path.stem: path for path in (corpus.root / "videos").iterdir()}

    def add(self, source: InputVideo) -> None:
        """Add one file, or count why not."""
        if self._own(source):
            return
        key = source.key()
        if self._known(source, key):
            return
        incoming = self._corpus.root / "videos" / f".add{re.sub(r'[^.a-z0-9]', '_', PurePosixPath(source.path).suffix.lower())}"
        try:
            self._take(source, key, incoming)
        finally:
            incoming.unlink(missing_ok=True)

    def _own(self, source: InputVideo) -> bool:
        """Whether the file is the corpus's own: a video of its table, a small copy or an unfinished download."""
        path, root = Path(source.path), self._corpus.root.resolve()
        if not is_local(source.files) or not path.parent.resolve().is_relative_to(root):
            return False
        inside = (path.parent.resolve() / path.name).relative_to(root).as_posix()
        listed = any(video.path == inside for video in self._videos.values())
        self.counts.present += listed and path.exists()
        return listed or inside.startswith(("proxy/", "fetch/"))

    def _known(self, source: InputVideo, key: str | None) -> bool:
        """Whether the file was read before and nothing has changed."""
        entry = self.ledger.seen.get(key or "")
        video = self._videos.get(entry["id"] or "") if entry else None
        if not entry or not video or (self._wanted(source) not in (None, video.id)):
            return False
        if entry["outcome"] == SAME and video.status == "ok":
            self.counts.same[source.path] = video.id
            return True
        if entry["outcome"] == SAME or entry["sha256"] != video.sha256 or (video.status != "ok" and entry["outcome"] != BROKEN):
            return False
        self.counts.present += 1
        if video.status == "ok":
            self._take_rows(source, video)
        return True

    def _take(self, source: InputVideo, key: str | None, incoming: Path) -> None:
        wanted, reason, info = self._wanted(source), None, None
        try:
            sha256 = _copy(source, incoming, self._link)
        except MediaError as error:
            key, reason, sha256 = None, str(error), hashlib.sha256(source.path.encode()).hexdigest()
        same = self._ids.get(sha256)
        if same is not None and wanted in (None, same):
            if (video := self._videos[same]).status == "ok":
                self.counts.present += 1
                self.ledger.note(key, source.path, sha256, PRESENT, same)
                self._take_rows(source, video)
                return
            wanted = same if video.status == "missing" else wanted  # its file was lost, and these are its bytes
        try:
            info = None if reason else probe_video(incoming)
        except (MediaError, MissingError) as error:
            reason = _without_path(error, incoming)
        if wanted in self._videos:
            self._join(source, key, incoming, sha256, self._videos[wanted], info, reason)
        elif info is None:
            self._add_broken(source, key, incoming, sha256, str(reason))
        else:
            self._add_new(source, key, incoming, sha256, info)

    def _join(
        self, source: InputVideo, key: str | None, incoming: Path, sha256: str, video: Video, info: VideoInfo | None, reason: str | None
    ) -> None:
        """Make a file the footage of a video whose labels are there, or whose own file was lost."""
        end_s = max((span.end_s for span in self._spans.get(video.id, ())), default=0.0)
        if video.status == "ok":
            reason = f"the corpus has another '{video.id}': give it another id"
        elif info and info.duration_s < end_s - SLACK_S:
            reason = f"it is {info.duration_s:.1f} s long, the labels of '{video.id}' end at {end_s:.1f} s"
        if reason or info is None:
            self.counts.unfit[source.path] = str(reason)
            return
        facts = {name: value for name, value in source.facts.items() if getattr(video, name) is None}
        lost = video.sha256 == sha256
        path = video.path if lost else f"videos/{video.id}{incoming.suffix}"
        joined = replace(video, **facts, **info.columns(), path=path, sha256=sha256, status="ok", reason=None)
        os.replace(incoming, self._corpus.path_of(joined))
        self._note(source, key, ADDED, joined)
        if lost:
            self.counts.back.append(video.id)
            self.counts.gone = [id for id in self.counts.gone if id != video.id]
        else:
            self.counts.added += 1
            self.counts.joined += 1
        self._take_rows(source, joined)

    def _add_new(self, source: InputVideo, key: str | None, incoming: Path, sha256: str, info: VideoInfo) -> None:
        try:
            prints = fingerprint_video(incoming)
        except MediaError as error:
            self._add_broken(source, key, incoming, sha256, _without_path(error, incoming))
            return
        if (same := self._prints.same(prints, info.duration_s, self._videos.values())) is not None:
            self.counts.same[source.path] = same
            self.ledger.note(key, source.path, sha256, SAME, same)
            return
        video = replace(self._new(source, incoming, sha256), **info.columns())
        os.replace(incoming, self._corpus.path_of(video))
        self._prints.keep(video.id, prints)
        self._take_rows(source, video)
        self._note(source, key, ADDED, video)
        self.counts.added += 1

    def _add_broken(self, source: InputVideo, key: str | None, incoming: Path, sha256: str, reason: str) -> None:
        self.counts.broken[source.path] = reason
        self._note(source, key, BROKEN, replace(self._new(source, incoming, sha256), status="broken", reason=reason))

    def _new(self, source: InputVideo, incoming: Path, sha256: str) -> Video:
        id = self._free_id(source, sha256)
        return Video(id, f"videos/{id}{incoming.suffix}", source="added", sha256=sha256, **source.facts)

    @cached_property
    def _spans(self) -> dict[str, list[Span]]:
        return label_spans(self._corpus.chunks())

    def _note(self, source: InputVideo, key: str | None, outcome: str, video: Video) -> None:
        self.ledger.note(key, source.path, video.sha256, outcome, video.id, video)
        self._ids[video.sha256 or ""] = video.id

    def _wanted(self, source: InputVideo) -> str | None:
        """The id that a file must get: its manifest's, or that of the missing video that its name gives."""
        if source.id is not None:
            return source.id
        in_brackets = re.search(r"\[([^\[\]]+)\]$", source.stem)
        for id in (source.stem, in_brackets and in_brackets[1]):
            if id in self._videos and self._videos[id].status != "ok" and self._videos[id].source != "added":
                return id
        return None

    def _free_id(self, source: InputVideo, sha256: str) -> str:
        """A new video's id, of letters, digits, '-', '_' and '.'; ends in a part of the hash where another video has the plain one."""
        id = source.id or re.sub(r"[^\w.-]+", "_", source.stem, flags=re.ASCII).strip("._")[:100] or f"video-{sha256[:8]}"
        other = self._videos.get(id)
        taken = other is not None and (other.source, other.status) != ("added", "broken")  # a better copy replaces a broken one
        if other is None and source.id is None and id in self._files:  # a killed run may have left the same bytes
            taken = file_sha256(self._files[id]) != sha256
        return f"{id}-{sha256[:8]}" if taken else id

    def _take_rows(self, source: InputVideo, video: Video) -> None:
        """Write the rows beside a local video, unless it has others. Rows that cannot be used leave a video without rows, which an IDM can
        label; the same command adds them once they are corrected."""
        if not is_local(source.files):
            return
        try:
            rows, old = rows_beside(Path(source.path)), self._corpus.actions(RECORDED, video.id)
            if rows is not None and old is None:
                check_within(rows, self._corpus.path_of(video))
                self._corpus.write_actions(RECORDED, video.id, rows)
            elif rows is not None and not rows.equals(old):
                path = self._corpus.actions_path(RECORDED, video.id)
                self.counts.unread[video.id] = f"it has other rows than those beside {source.path}: remove {path} to take those"
        except (FormatError, MediaError, MissingError) as error:
            self.counts.unread[video.id] = str(error)


def _copy(source: InputVideo, incoming: Path, link: bool) -> str:
    """Put the file's bytes, or a link to it, at `incoming`: their sha256. Raises `MediaError` for a file that cannot be read, but not for a
    full disk."""
    digest = hashlib.sha256()
    if link:
        incoming.symlink_to(os.path.abspath(source.path))
    with open(os.devnull if link else incoming, "wb") as out:
        for block in _blocks(source):
            digest.update(block)
            out.write(block)
        out.flush()
        if not link:
            os.fsync(out.fileno())
    return digest.hexdigest()


def _blocks(source: InputVideo) -> Iterator[bytes]:
    try:
        with source.files.open(source.path, "rb") as file:
            while block := file.read(1 << 20):
                yield block
    except place_errors() as error:
        raise MediaError(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from None  # strerror names no path


def _without_path(error: Exception, incoming: Path) -> str:
    """A reason that many files can share."""
    return str(error).replace(str(incoming), "it")

"""Fetch the footage of videos that a corpus knows but does not have, with yt-dlp as a library (the extra `fetch`).

    cache/fetch/<machine>/<id>/   unfinished downloads (`Corpus.cache`), see ghostpad.corpus.fetch.site: re-run to resume
    fetch/                        what became of every download, see ghostpad.corpus.fetch.downloads
    videos/<id>.<ext>             the footage, probed and of the right length; its first frame is at 0 s

Pictures are the site's own, never encoded again. Of a video whose recorded rows cover little, only those stretches are fetched where the
site allows: the file then has holes, and its frames keep the original's time stamps (see `ghostpad.corpus.fetch.copy.part_of_s`). A frame
rate of at least that of the rows comes before height: small renditions are often 30 fps, which loses half the rows (measured by others).

Several processes and machines may fetch for one corpus. A folder of an unfinished download has one owner at a time, a file appears in
videos/ whole and only where no other video lies, and what became ok in between stays as it is. Memory: the ids of the videos to fetch, and
the stretches of their labels as columns.
"""

import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Lock
from typing import Any

import numpy as np
import pyarrow.compute as pc

from ghostpad.base.errors import MediaError, MissingError, unknown
from ghostpad.base.files import atomic_path, file_sha256, keep_new, kept_folder, machine, safe_name
from ghostpad.base.progress import progress
from ghostpad.base.records import Video
from ghostpad.corpus.failures import retried
from ghostpad.corpus.fetch.copy import part_of_s, rate_within
from ghostpad.corpus.fetch.downloads import OK, Downloads
from ghostpad.corpus.fetch.errors import RETRIED_LATER, TRANSIENT, Failure
from ghostpad.corpus.fetch.queue import FetchQueue
from ghostpad.corpus.fetch.settings import FetchSettings
from ghostpad.corpus.fetch.site import DownloadFailed, download, yt_dlp_module
from ghostpad.corpus.fetch.stretches import LabelSpans
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.nitrogen.videos import SLACK_S
from ghostpad.video.child import VideoChild

_LONGEST_WAIT_S = 600.0
_BLOCK = 1000  # rows of videos read at once while others come
_LOOKS = 16  # files looked for at once, which takes a round trip each at an address
_ELSEWHERE = Failure("elsewhere", "another process has fetched it or is fetching it")


@dataclass
class FetchCounts:
    """The results of a run; `failed` is video id -> failure."""

    fetched: int = 0
    failed: dict[str, Failure] = field(default_factory=dict)
    skipped: int = 0  # failed for good before and not tried again
    elsewhere: int = 0  # another process has fetched them in between, or is fetching them


def fetch_corpus(corpus: Corpus, settings: FetchSettings, ids: Sequence[str] | None = None) -> FetchCounts:
    """Fetch the missing videos that have an address (`ids`: only these). Safe to interrupt: call again to resume.

    Raises `SettingsError` for unknown ids or a `retry` that no failure matches, and `MissingError` without yt-dlp.
    """
    yt_dlp_module()
    unfinished, downloads, counts = corpus.cache / "fetch" / machine(), Downloads(corpus), FetchCounts()
    downloads.take_over(unfinished)
    wanted = _wanted(corpus, downloads, settings, ids, counts)
    at = zlib.crc32(machine().encode()) % max(len(wanted), 1)  # machines begin at different videos
    queue = FetchQueue(_in_blocks(corpus, wanted[at:] + wanted[:at]), settings.per_site)
    run = _Run(corpus, settings, unfinished, downloads, queue, counts, LabelSpans(corpus.chunks()))
    with progress("fetch", len(wanted), "videos") as advance, ThreadPoolExecutor(settings.workers) as pool:
        working = [pool.submit(run.work, advance) for _ in range(min(settings.workers, len(wanted)))]
        try:
            for worker in working:
                worker.result()
        finally:
            run.stop.set()
            queue.stop()
    return counts


@dataclass
class _Run:
    """What the threads of one run share."""

    corpus: Corpus
    settings: FetchSettings
    unfinished: Path
    downloads: Downloads
    queue: FetchQueue
    counts: FetchCounts
    spans: LabelSpans
    stop: Event = field(default_factory=Event)
    tries: Counter[str] = field(default_factory=Counter)
    lock: Lock = field(default_factory=Lock)

    def work(self, advance: Any) -> None:
        """Download until nothing is left."""
        rng = np.random.default_rng()  # it only spreads requests over time
        try:
            while video := self.queue.take():
                failure = self._once(video)
                self.tries[video.id] += 1
                tries = self.tries[video.id]
                if failure and failure.kind in TRANSIENT and tries < self.settings.tries and not self.stop.is_set():
                    wait_s = failure.wait_s or self.settings.wait_s * 2 ** (tries - 1) * rng.uniform(0.5, 1.5)
                    self.queue.again(video, min(wait_s, _LONGEST_WAIT_S), failure.kind != "network")
                    continue
                with self.lock:
                    self.tries.pop(video.id)
                    self._count(video.id, failure)
                    advance(1)
                self.queue.done(video)
        except BaseException:  # a full disk, say: the other threads end too
            self.stop.set()
            self.queue.stop()
            raise

    def _count(self, id: str, failure: Failure | None) -> None:
        if failure is _ELSEWHERE:
            self.counts.elsewhere += 1
        elif failure:
            self.counts.failed[id] = failure
        else:
            self.counts.fetched += 1

    def _once(self, video: Video) -> Failure | None:
        """One try; its outcome goes into the tables of videos and of downloads."""
        with kept_folder(self.unfinished / safe_name(video.id)) as folder:
            if folder is None:
                return _ELSEWHERE
            try:
                failure = self._fetched(video.id, folder)
            except DownloadFailed as error:
                return self._failed(video, folder, error)
            shutil.rmtree(folder, ignore_errors=True)
            return failure

    def _fetched(self, id: str, folder: Path) -> Failure | None:
        """Bring a video in; `_ELSEWHERE` where somebody else has. Raises `DownloadFailed`."""
        video = self.corpus.find([id]).get(id)
        if video is None or _done(self.corpus, video):
            return _ELSEWHERE
        spans = self.spans.of(id)
        labels_end_s = max((span.end_s for span in spans), default=0.0)
        if self._adopted(video, labels_end_s):
            return None
        path, stated_s, resumed = download(video.url or "", folder, self.settings, video.fps, self.stop, spans)
        try:
            facts = _facts(path, stated_s, labels_end_s)
        except DownloadFailed as error:
            raise DownloadFailed(error.failure, resumed) from None
        return self._publish(video, path, facts)

    def _adopted(self, video: Video, labels_end_s: float) -> bool:
        """Whether the footage was there, without a row that says so: a kill came between the two, or an outage has passed."""
        if self.corpus.has_footage(video):
            with suppress(DownloadFailed, MissingError), self.corpus.footage(video) as path:
                self._say_ok(video, _facts(path, None, labels_end_s))
                return True
        return False

    def _publish(self, video: Video, path: Path, facts: dict[str, Any]) -> Failure | None:
        """Put a finished file in its place and say so, unless the video came from elsewhere in between."""
        target = self.corpus.root / "videos" / f"{video.id}{path.suffix}"
        if isinstance(target, Path):
            target.parent.mkdir(exist_ok=True)
        if self._came(video.id):
            return _ELSEWHERE
        try:
            keep_new(path, target)
        except FileExistsError:
            if self._came(video.id):
                return _ELSEWHERE
            with atomic_path(target) as temporary:  # what lies there is no footage of a row
                shutil.copyfile(path, temporary)
        self._say_ok(video, facts | {"path": f"videos/{target.name}"})
        return None

    def _came(self, id: str) -> bool:
        newest = self.corpus.find([id]).get(id)
        return newest is None or _done(self.corpus, newest)

    def _say_ok(self, video: Video, facts: dict[str, Any]) -> None:
        part = facts.pop("part")
        self.downloads.note(video.id, video.url or "", OK, part="stretches" if part else "whole", size_bytes=facts["size_bytes"])
        good = facts | {"status": "ok", "reason": None, "attempts": 0}
        self.corpus.change([video.id], lambda old: old if _done(self.corpus, old) else replace(old, **good))

    def _failed(self, video: Video, folder: Path, error: DownloadFailed) -> Failure:
        """Note a failure, and remove unfinished files that would spoil another try."""
        failure = error.failure
        broken = failure.kind in ("not a video", "wrong length")
        if broken and error.resumed:
            # A kill between yt-dlp's two writes for a segment doubles it, and a site may have changed the file since.
            failure, broken = Failure("network", f"resuming the partial download failed ({failure.words})"), False
            shutil.rmtree(folder, ignore_errors=True)
        if failure.kind not in TRANSIENT:
            shutil.rmtree(folder, ignore_errors=True)
        if not self.stop.is_set():  # else it was stopped and did not fail
            self.downloads.note(video.id, video.url or "", failure.kind, failure.words)
            bad: dict[str, Any] = {"status": "broken" if broken else "missing", "reason": f"{failure.kind}: {failure.words}"}

            def failed(old: Video) -> Video:
                return old if _done(self.corpus, old) else replace(old, **bad, attempts=old.attempts + 1)

            self.corpus.change([video.id], failed)
        return failure


def _done(corpus: Corpus, video: Video) -> bool:
    """Whether nothing is left to do for a video: another process may have fetched or added it."""
    return video.status == "ok" and corpus.has_footage(video)


def _wanted(corpus: Corpus, downloads: Downloads, settings: FetchSettings, ids: Sequence[str] | None, counts: FetchCounts) -> list[str]:
    """The ids of the videos to fetch, by id; those that failed for good before are counted."""
    wanted, again = list[str](), _asked_again(downloads, settings.retry)
    with ThreadPoolExecutor(_LOOKS) as pool:
        for videos in _with_address(corpus, ids):
            last = downloads.find([video.id for video in videos])
            ours = [video for video in videos if video.status == "ok" and last.get(video.id, {}).get("outcome") == OK]
            gone = {video.id for video, here in zip(ours, pool.map(corpus.has_footage, ours), strict=True) if not here}
            for video in videos:
                before = last.get(video.id)
                if (video.status == "ok" and video.id not in gone) or (video.status == "broken" and before is None):
                    continue
                if before is None or before["outcome"] in (OK, *RETRIED_LATER) or again(f"{before['outcome']}: {before['words']}"):
                    wanted.append(video.id)
                else:
                    counts.skipped += 1
    return wanted


def _asked_again(downloads: Downloads, retry: str | None) -> Callable[[str], bool]:
    """Which reasons `retry` asks for. Raises `SettingsError`, with the kinds of failures that there are, for one that it does not find."""
    reasons = set[str]()
    if retry is not None:
        for table in downloads.table.scan(["outcome", "words"]):
            failed = table.filter(pc.not_equal(table.column("outcome"), OK))
            reasons |= set(failed.column("outcome").unique().to_pylist())
            words = pc.binary_join_element_wise(failed.column("outcome"), failed.column("words"), ": ")
            if pc.any(pc.match_substring(words, retry, ignore_case=True)).as_py():
                reasons.add(retry)
    return retried(retry, reasons)


def _with_address(corpus: Corpus, ids: Sequence[str] | None) -> Iterator[list[Video]]:
    """The videos that have an address (of `ids` only), in blocks, with what tells whether they are to be fetched."""
    if ids is None:
        for table in corpus.scan(["id", "path", "url", "status", "size_bytes"]):
            yield [Video.of(row) for row in table.to_pylist() if row["url"]]
    else:
        found = corpus.find(ids)
        for id in ids:
            if id not in found:
                raise unknown("video", id, corpus.ids())
        yield [video for video in found.values() if video.url]


def _in_blocks(corpus: Corpus, ids: Sequence[str]) -> Iterator[Video]:
    """The videos with these ids, read when they are needed."""
    for at in range(0, len(ids), _BLOCK):
        yield from corpus.find(ids[at : at + _BLOCK]).values()


def _facts(path: Path, stated_s: float | None, labels_end_s: float) -> dict[str, Any]:
    """What a file's row says about it, and under "part" whether it holds only stretches. A child reads it, with limits: it is foreign.

    Raises `DownloadFailed` if it is no video or has not the length that the site states or the labels need.
    """
    try:
        with VideoChild() as child:
            info, of_s = child.probe(path), part_of_s(path)
            columns = info.columns() | ({"fps": str(rate_within(child.stamps(path)))} if of_s is not None else {})
    except MediaError as error:
        raise DownloadFailed(Failure("not a video", str(error).replace(f"{path.parent}/", ""))) from None
    length_s = info.duration_s if of_s is None else of_s
    if stated_s and abs(length_s - stated_s) > SLACK_S:
        raise DownloadFailed(Failure("wrong length", f"it is {length_s:.1f} s long, the site says {stated_s:.1f} s"))
    if length_s < labels_end_s - SLACK_S:
        raise DownloadFailed(Failure("wrong length", f"it is {length_s:.1f} s long, its labels end at {labels_end_s:.1f} s"))
    return columns | {"sha256": file_sha256(path), "size_bytes": path.stat().st_size, "part": of_s is not None}

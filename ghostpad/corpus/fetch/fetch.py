"""Fetch the footage of videos that a corpus knows but does not have, with yt-dlp as a library (the extra `fetch`).

    fetch/<id>/           unfinished downloads, see ghostpad.corpus.fetch.site: re-run to resume
    fetch/ledger.jsonl    every try, see ghostpad.corpus.fetch.ledger
    videos/<id>.<ext>     the footage, probed and of the right length; its first frame is at 0 s

Pictures are the site's own, never encoded again. Of a video whose recorded rows cover little, only those stretches are fetched where the
site allows: the file then has holes, and its frames keep the original's time stamps (see `ghostpad.corpus.fetch.copy.part_of_s`). A frame
rate of at least that of the rows comes before height: small renditions are often 30 fps, which loses half the rows (measured by others).
"""

import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from ghostpad.base.errors import MediaError, MissingError, unknown
from ghostpad.base.files import file_sha256, safe_name
from ghostpad.base.progress import progress
from ghostpad.base.records import Video
from ghostpad.corpus.fetch.copy import part_of_s, rate_within
from ghostpad.corpus.fetch.errors import RETRIED_LATER, TRANSIENT, Failure
from ghostpad.corpus.fetch.ledger import OK, compact, note, read_ledger
from ghostpad.corpus.fetch.queue import FetchQueue
from ghostpad.corpus.fetch.settings import FetchSettings
from ghostpad.corpus.fetch.site import DownloadFailed, download, yt_dlp_module
from ghostpad.corpus.fetch.stretches import Span, label_spans
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.nitrogen.videos import SLACK_S, with_overlay_of
from ghostpad.video.probe import VideoInfo, probe_video, read_stamps

_LONGEST_WAIT_S = 600.0


@dataclass
class FetchCounts:
    """The results of a run; `failed` is video id -> failure."""

    fetched: int = 0
    failed: dict[str, Failure] = field(default_factory=dict)
    skipped: int = 0  # failed for good before and not tried again


def fetch_corpus(corpus: Corpus, settings: FetchSettings, ids: Sequence[str] | None = None) -> FetchCounts:
    """Fetch the missing videos that have an address (`ids`: only these). Safe to interrupt: call again to resume.

    Raises `SettingsError` for unknown ids and `MissingError` without yt-dlp.
    """
    yt_dlp_module()
    rows, counts = _wanted(corpus, settings, ids)
    run = _Run(corpus, settings, FetchQueue(rows, settings.per_site), counts, label_spans(corpus.chunks()))
    with progress("fetch", len(rows), "videos") as advance, ThreadPoolExecutor(settings.workers) as pool:
        working = [pool.submit(run.work, advance) for _ in range(min(settings.workers, len(rows)))]
        try:
            for worker in working:
                worker.result()
        finally:
            run.stop.set()
            run.queue.stop()
    compact(corpus.root)
    return counts


@dataclass
class _Run:
    """What the threads of one run share."""

    corpus: Corpus
    settings: FetchSettings
    queue: FetchQueue
    counts: FetchCounts
    spans: Mapping[str, Sequence[Span]]
    stop: Event = field(default_factory=Event)
    tries: Counter[str] = field(default_factory=Counter)

    def work(self, advance: Any) -> None:
        """Download until nothing is left."""
        rng = np.random.default_rng()  # it only spreads requests over time
        while video := self.queue.take():
            failure = self._once(video)
            self.tries[video.id] += 1
            tries = self.tries[video.id]
            if failure and failure.kind in TRANSIENT and tries < self.settings.tries and not self.stop.is_set():
                wait_s = failure.wait_s or self.settings.wait_s * 2 ** (tries - 1) * rng.uniform(0.5, 1.5)
                self.queue.again(video, min(wait_s, _LONGEST_WAIT_S), failure.kind != "network")
                continue
            if failure:
                self.counts.failed[video.id] = failure
            else:
                self.counts.fetched += 1
            self.queue.done(video)
            advance(1)

    def _once(self, video: Video) -> Failure | None:
        """One try; its outcome goes into the ledger and the table of videos."""
        id, url, spans = video.id, video.url or "", self.spans.get(video.id, ())
        folder = self.corpus.root / "fetch" / safe_name(id)
        path, stated_s, resumed = _finished(self.corpus, id), None, False
        try:
            if path is None:
                path, stated_s, resumed = download(url, folder, self.settings, video.fps, self.stop, spans)
            info, of_s = probe_video(path), part_of_s(path)
        except (MediaError, MissingError) as error:
            failure: Failure | None = Failure("not a video", str(error).replace(str(self.corpus.root), ""))
        except DownloadFailed as failed:
            failure, resumed = failed.failure, failed.resumed
        else:
            failure = _wrong_length(info.duration_s if of_s is None else of_s, stated_s, max((span.end_s for span in spans), default=0.0))
        if failure:
            return self._failed(video, folder, failure, resumed)
        assert path is not None
        target = self.corpus.root / "videos" / f"{id}{path.suffix}"
        if path != target:
            target.parent.mkdir(exist_ok=True)
            with open(path, "rb") as file:
                os.fsync(file.fileno())
            os.replace(path, target)
        self.corpus.put_videos([_fetched(video, target, info, of_s is not None)], _keep_labels)
        note(self.corpus.root, id, url, OK, part="whole" if of_s is None else "stretches", size=target.stat().st_size)
        shutil.rmtree(folder, ignore_errors=True)
        return None

    def _failed(self, video: Video, folder: Path, failure: Failure, resumed: bool) -> Failure:
        """Note a failure, and remove unfinished files that would spoil another try."""
        broken = failure.kind in ("not a video", "wrong length")
        if broken and resumed:
            # A kill between yt-dlp's two writes for a segment doubles it, and a site may have changed the file since.
            failure, broken = Failure("network", f"resuming the partial download failed ({failure.words})"), False
            shutil.rmtree(folder, ignore_errors=True)
        if failure.kind not in TRANSIENT:
            shutil.rmtree(folder, ignore_errors=True)
        if not self.stop.is_set():  # else it was stopped and did not fail
            note(self.corpus.root, video.id, video.url or "", failure.kind, failure.words)
            failed = replace(video, status="broken" if broken else "missing", reason=f"{failure.kind}: {failure.words}")
            self.corpus.put_videos([failed], _keep_labels)
        return failure


def _wanted(corpus: Corpus, settings: FetchSettings, ids: Sequence[str] | None) -> tuple[list[Video], FetchCounts]:
    videos = {video.id: video for video in corpus.list_videos()}
    for id in ids or ():
        if id not in videos:
            raise unknown("video", id, videos)
    counts, ledger, wanted = FetchCounts(), read_ledger(corpus.root), []
    for id, video in videos.items():
        last = ledger.get(id, {}).get("outcome")
        here = video.status == "ok" and (last != OK or corpus.path_of(video).exists())  # a fetched file that is gone is fetched again
        if not video.url or here or (video.status == "broken" and last is None) or (ids is not None and id not in ids):
            continue
        if last in (None, OK, *RETRIED_LATER) or settings.retry_failed:
            wanted.append(video)
        else:
            counts.skipped += 1
    return wanted, counts


def _finished(corpus: Corpus, id: str) -> Path | None:
    """Footage that a killed run had moved to its place before it wrote the row."""
    for path in sorted((corpus.root / "videos").glob("*")):
        if path.stem == id:
            with suppress(MediaError):
                probe_video(path)
                return path
    return None


def _wrong_length(length_s: float, stated_s: float | None, labels_end_s: float) -> Failure | None:
    if stated_s and abs(length_s - stated_s) > SLACK_S:
        return Failure("wrong length", f"it is {length_s:.1f} s long, the site says {stated_s:.1f} s")
    if length_s < labels_end_s - SLACK_S:
        return Failure("wrong length", f"it is {length_s:.1f} s long, its labels end at {labels_end_s:.1f} s")
    return None


def _fetched(video: Video, path: Path, info: VideoInfo, part: bool) -> Video:
    columns = info.columns() | ({"fps": str(rate_within(read_stamps(path)))} if part else {})
    return replace(video, **columns, path=f"videos/{path.name}", sha256=file_sha256(path), status="ok", reason=None)


def _keep_labels(old: Video, new: Video) -> Video:
    """What another process wrote about labels in between stays."""
    return with_overlay_of(replace(new, game=old.game, labels=old.labels), old)

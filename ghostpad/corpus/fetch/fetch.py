"""Fetch the footage of videos that a corpus knows but does not have, with yt-dlp as a library (the extra `fetch`).

    fetch/<id>/           downloads in flight, see ghostpad.corpus.fetch.site; a killed run resumes them
    fetch/ledger.jsonl    every try, see ghostpad.corpus.fetch.ledger
    videos/<id>.<ext>     the footage, probed and of the right length, or not at all; its first frame is at 0 s

Pictures are the site's own, never encoded again. Of a video whose labels cover little, only those stretches are fetched where the site
allows: the file then has holes, its frames the original's time stamps (`ghostpad.corpus.fetch.copy.part_of_s` tells such a file). A frame
rate of at least that of the labels comes before height: small renditions are often 30 fps, which loses half the rows (measured by others).
Two downloads at a time from one site.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
from ghostpad.corpus.nitrogen.videos import SLACK_S
from ghostpad.video.probe import VideoInfo, probe_video, read_stamps

_LONGEST_WAIT_S = 600.0


@dataclass
class FetchCounts:
    """What a run came to; `failed` is video id -> (kind, words)."""

    fetched: int = 0
    failed: dict[str, Failure] = field(default_factory=dict)
    skipped: int = 0
    """Failed for good before and not asked again."""


def fetch_corpus(corpus: Corpus, settings: FetchSettings, ids: Sequence[str] | None = None) -> FetchCounts:
    """Fetch the missing videos that have an address (`ids`: only these). Safe to interrupt: call again to resume.

    Raises `SettingsError` for unknown ids and `MissingError` without yt-dlp.
    """
    yt_dlp_module()
    rows, counts = _wanted(corpus, settings, ids)
    queue, stop = FetchQueue(rows, settings.per_site), Event()
    chunks = corpus.chunks().select(["video", "status", "start_s", "duration_s"]).to_pylist()
    run = _Run(corpus, settings, queue, stop, counts, label_spans(chunks))
    with progress("fetch", len(rows), "videos") as advance, ThreadPoolExecutor(settings.workers) as pool:
        working = [pool.submit(run.work, advance) for _ in range(min(settings.workers, len(rows)))]
        try:
            for worker in working:
                worker.result()
        finally:
            stop.set()
            queue.stop()
    compact(corpus.root)
    return counts


class _Run:
    """What the threads of one run share."""

    def __init__(
        self,
        corpus: Corpus,
        settings: FetchSettings,
        queue: FetchQueue,
        stop: Event,
        counts: FetchCounts,
        spans: Mapping[str, Sequence[Span]],
    ):
        self._corpus, self._settings, self._queue, self._stop, self._counts, self._spans = corpus, settings, queue, stop, counts, spans
        self._tries: dict[str, int] = {}

    def work(self, advance: Any) -> None:
        """Download until nothing is left."""
        rng = np.random.default_rng()  # it only spreads requests over time
        while video := self._queue.take():
            failure = self._once(video)
            self._tries[video.id] = tries = self._tries.get(video.id, 0) + 1
            if failure and failure.kind in TRANSIENT and tries < self._settings.tries and not self._stop.is_set():
                wait_s = failure.wait_s or self._settings.wait_s * 2 ** (tries - 1) * rng.uniform(0.5, 1.5)
                self._queue.again(video, min(wait_s, _LONGEST_WAIT_S), failure.kind != "network")
                continue
            if failure:
                self._counts.failed[video.id] = failure
            else:
                self._counts.fetched += 1
            self._queue.done(video)
            advance(1)

    def _once(self, video: Video) -> Failure | None:
        """One try; its outcome goes into the ledger and the table of videos."""
        id, url, spans = video.id, video.url or "", self._spans.get(video.id, ())
        folder = self._corpus.root / "fetch" / safe_name(id)
        there, promised_s, resumed = _finished(self._corpus, id), None, False
        try:
            if there is None:
                there, promised_s, resumed = download(url, folder, self._settings, video.fps, self._stop, spans)
            info, of_s = probe_video(there), part_of_s(there)
        except (MediaError, MissingError) as error:
            failure: Failure | None = Failure("not a video", str(error).replace(str(self._corpus.root), ""))
        except DownloadFailed as failed:
            failure, resumed = failed.failure, failed.resumed
        else:
            failure = _wrong_length(info.duration_s if of_s is None else of_s, promised_s, max((span.end_s for span in spans), default=0.0))
        if failure:
            return self._failed(video, folder, failure, resumed)
        assert there is not None
        target = self._corpus.root / "videos" / f"{id}{there.suffix}"
        if there != target:
            target.parent.mkdir(exist_ok=True)
            with open(there, "rb") as file:
                os.fsync(file.fileno())
            os.replace(there, target)
        self._corpus.put_videos([_fetched(video, target, info, of_s is not None)], _keep_labels)
        note(self._corpus.root, id, url, OK, part="whole" if of_s is None else "stretches", size=target.stat().st_size)
        shutil.rmtree(folder, ignore_errors=True)
        return None

    def _failed(self, video: Video, folder: Path, failure: Failure, resumed: bool) -> Failure:
        """Note a failure, and leave nothing in flight that another try would stumble over."""
        broken = failure.kind in ("not a video", "wrong length")
        if broken and resumed:
            # A kill between yt-dlp's two writes for a segment doubles it, and a site may have changed the file since.
            failure, broken = Failure("network", f"resuming the partial download failed ({failure.words})"), False
            shutil.rmtree(folder, ignore_errors=True)
        if failure.kind not in TRANSIENT:
            shutil.rmtree(folder, ignore_errors=True)
        if not self._stop.is_set():  # it was stopped and did not fail
            note(self._corpus.root, video.id, video.url or "", failure.kind, failure.words)
            failed = replace(video, status="broken" if broken else "missing", reason=f"{failure.kind}: {failure.words}")
            self._corpus.put_videos([failed], _keep_labels)
        return failure


def _wanted(corpus: Corpus, settings: FetchSettings, ids: Sequence[str] | None) -> tuple[list[Video], FetchCounts]:
    videos = {video.id: video for video in corpus.list_videos()}
    for id in ids or ():
        if id not in videos:
            raise unknown("video", id, videos)
    counts, ledger, wanted = FetchCounts(), read_ledger(corpus.root), []
    for id, video in videos.items():
        last = ledger.get(id, {}).get("outcome")
        there = video.status == "ok" and (last != OK or corpus.path_of(video).exists())  # what was fetched and is gone is fetched again
        if not video.url or there or (video.status == "broken" and last is None) or (ids is not None and id not in ids):
            continue
        if last in (None, OK, *RETRIED_LATER) or settings.retry_failed:
            wanted.append(video)
        else:
            counts.skipped += 1
    return wanted, counts


def _finished(corpus: Corpus, id: str) -> Path | None:
    """Footage that a killed run had moved to its place, its row not yet written."""
    folder = corpus.root / "videos"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.stem == id:
            try:
                probe_video(path)
            except MediaError:
                continue
            return path
    return None


def _wrong_length(length_s: float, promised_s: float | None, labels_end_s: float) -> Failure | None:
    if promised_s and abs(length_s - promised_s) > SLACK_S:
        return Failure("wrong length", f"it is {length_s:.1f} s long, the site says {promised_s:.1f} s")
    if length_s < labels_end_s - SLACK_S:
        return Failure("wrong length", f"it is {length_s:.1f} s long, its labels end at {labels_end_s:.1f} s")
    return None


def _fetched(video: Video, path: Path, info: VideoInfo, part: bool) -> Video:
    columns = info.columns() | ({"fps": str(rate_within(read_stamps(path)))} if part else {})
    return replace(video, **columns, path=f"videos/{path.name}", sha256=file_sha256(path), status="ok", reason=None)


def _keep_labels(old: Video, new: Video) -> Video:
    """What another process wrote about labels in between stays."""
    return replace(new, game=old.game, labels=old.labels, overlay_px=old.overlay_px, overlay_of_px=old.overlay_of_px)

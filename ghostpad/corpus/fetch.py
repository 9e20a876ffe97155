"""Fetch the footage of videos that a corpus knows but does not have, with yt-dlp as a library (the extra `fetch`).

    fetch/<id>/video.<ext>[.part]   downloads in flight; a killed run goes on with them
    fetch/ledger.jsonl              every try, see ghostpad.corpus.fetch_ledger
    videos/<id>.<ext>               the footage, whole, probed and of the right length, or not at all

The file is the site's own, never encoded again, because cutting with forced keyframes shifts time stamps. A frame rate of at least
that of the labels comes before height: small renditions are often 30 fps, which loses half the rows (measured by others). Sound is left
out where the site allows. Two downloads at a time from one site; 14 on one address earned a block (measured by others).
"""

import hashlib
import io
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from ghostpad.base.errors import GhostpadError, MediaError, MissingError, SettingsError, unknown
from ghostpad.base.files import safe_name
from ghostpad.base.progress import progress
from ghostpad.base.settings import Settings
from ghostpad.corpus.fetch_errors import PASSING, Failure, failure_of
from ghostpad.corpus.fetch_ledger import OK, compact, note, read_ledger
from ghostpad.corpus.fetch_queue import FetchQueue
from ghostpad.corpus.folder import Corpus
from ghostpad.video.probe import VideoInfo, probe_video

_LONGEST_WAIT_S = 600.0
_SLACK_S = 2.0  # between the length a site or the labels promise and the file's; sites round to seconds (a guess)


class FetchSettings(Settings):
    """How to download. The numbers are guesses at what sites bear, but for `per_site` (see above)."""

    max_height: int = 720
    workers: int = 4
    per_site: int = 2
    tries: int = 5
    """Of one video in one run, where the failure passes."""
    wait_s: float = 5.0
    """Before the second try; doubled for each further one, times a random 0.5 to 1.5."""
    timeout_s: float = 30.0
    """Without a byte before a connection counts as stalled."""
    rate_limit: float | None = None
    """Bytes a second of one download."""
    cookies: Path | None = None
    """A file of cookies (Netscape format); it is read and never written."""
    retry_failed: bool = False
    """Try again what failed for good before."""


@dataclass
class FetchCounts:
    """What a run came to; `failed` is video id -> (kind, words)."""

    fetched: int = 0
    failed: dict[str, Failure] = field(default_factory=dict)
    skipped: int = 0
    """Failed for good before and not asked again."""


def fetch_corpus(corpus: Corpus, settings: FetchSettings, ids: Sequence[str] | None = None) -> FetchCounts:
    """Fetch the missing videos that have an address (`ids`: only these). Ctrl-C stops it; the same call goes on.

    Raises `SettingsError` for impossible settings or unknown ids and `MissingError` without yt-dlp or the file of cookies.
    """
    _check(settings)
    rows, counts = _wanted(corpus, settings, ids)
    queue, stop = FetchQueue(rows, settings.per_site), Event()
    run = _Run(corpus, settings, queue, stop, counts, _label_ends(corpus))
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
        self, corpus: Corpus, settings: FetchSettings, queue: FetchQueue, stop: Event, counts: FetchCounts, ends_s: Mapping[str, float]
    ):
        self._corpus, self._settings, self._queue, self._stop, self._counts, self._ends_s = corpus, settings, queue, stop, counts, ends_s
        self._tries: dict[str, int] = {}

    def work(self, advance: Any) -> None:
        """Download until nothing is left."""
        rng = np.random.default_rng()  # it only spreads requests over time
        while row := self._queue.take():
            failure = self._once(row)
            self._tries[row["id"]] = tries = self._tries.get(row["id"], 0) + 1
            if failure and failure.kind in PASSING and tries < self._settings.tries and not self._stop.is_set():
                wait_s = failure.wait_s or self._settings.wait_s * 2 ** (tries - 1) * rng.uniform(0.5, 1.5)
                self._queue.again(row, min(wait_s, _LONGEST_WAIT_S), failure.kind != "network")
                continue
            if failure:
                self._counts.failed[row["id"]] = failure
            else:
                self._counts.fetched += 1
            self._queue.done(row)
            advance(1)

    def _once(self, row: dict[str, Any]) -> Failure | None:
        """One try; its outcome goes into the ledger and the table of videos."""
        id, url = row["id"], row["url"]
        folder = self._corpus.root / "fetch" / safe_name(id)
        there = _finished(self._corpus, id)
        try:
            path, promised_s = (there, None) if there else download(url, folder, self._settings, row["fps"], self._stop)
            info = probe_video(path)
        except (MediaError, MissingError) as error:
            failure: Failure | None = Failure("not a video", str(error).replace(str(self._corpus.root), ""))
        except DownloadFailed as failed:
            failure = failed.failure
        else:
            failure = _wrong_length(info, promised_s, self._ends_s.get(id))
        if failure:
            if failure.kind not in PASSING:
                shutil.rmtree(folder, ignore_errors=True)
            status = "broken" if failure.kind in ("not a video", "wrong length") else "missing"
            note(self._corpus.root, id, url, failure.kind, failure.words)
            self._corpus.put_videos([row | {"status": status, "reason": f"{failure.kind}: {failure.words}"}], _keep_labels)
            return failure
        target = self._corpus.root / "videos" / f"{id}{path.suffix}"
        if path != target:
            target.parent.mkdir(exist_ok=True)
            with open(path, "rb") as file:
                os.fsync(file.fileno())
            os.replace(path, target)
        self._corpus.put_videos([_ok_row(row, target, info)], _keep_labels)
        note(self._corpus.root, id, url, OK, part="whole", size=target.stat().st_size)
        shutil.rmtree(folder, ignore_errors=True)
        return None


class DownloadFailed(GhostpadError):
    """A download that failed; `failure` says how."""

    def __init__(self, failure: Failure):
        self.failure = failure
        super().__init__(f"{failure.kind}: {failure.words}")


def download(url: str, folder: Path, settings: FetchSettings, fps: str | None, stop: Event) -> tuple[Path, float | None]:
    """Download one video into a folder of its own, or go on with what is there: the file, and its length in seconds if the site says.

    Raises `DownloadFailed`, and `MissingError` without yt-dlp.
    """
    yt_dlp = _yt_dlp()

    def hook(_: dict[str, Any]) -> None:
        if stop.is_set():
            raise yt_dlp.utils.DownloadCancelled("stopped")

    folder.mkdir(parents=True, exist_ok=True)
    cookies = io.StringIO(settings.cookies.read_text(encoding="utf-8")) if settings.cookies else None
    options = {
        "paths": {"home": str(folder.absolute())}, "outtmpl": {"default": "video.%(ext)s"}, "noplaylist": True, "playlist_items": "1",
        "format": format_of(fps, settings.max_height), "format_sort": [f"res:{settings.max_height}", "fps", "vcodec:h264"],
        "continuedl": True, "overwrites": False, "retries": 0, "extractor_retries": 0, "fragment_retries": 3,
        "skip_unavailable_fragments": False, "external_downloader": {"default": "native"}, "fixup": "never", "updatetime": False,
        "socket_timeout": settings.timeout_s, "ratelimit": settings.rate_limit, "cookiefile": cookies, "cachedir": False,
        "quiet": True, "noprogress": True, "no_warnings": True, "logger": _Silent(), "progress_hooks": [hook],
    }  # fmt: skip
    try:
        with yt_dlp.YoutubeDL(options) as downloader:
            info = downloader.extract_info(url, download=True)
    except (yt_dlp.utils.YoutubeDLError, OSError) as error:
        raise DownloadFailed(failure_of(error)) from None
    files = [path for path in folder.iterdir() if path.name.startswith("video.") and not path.name.endswith((".part", ".ytdl"))]
    if len(files) != 1:
        raise DownloadFailed(Failure("format", f"{len(files)} files came of {url}: it must be one"))
    entries = (info or {}).get("entries")
    return files[0], (entries[0] if entries else info or {}).get("duration")


def format_of(fps: str | None, max_height: int) -> str:
    """yt-dlp's words for: at least the rate of the labels first, then at most the height; an unstated rate comes last."""
    low = f"[height<=?{max_height}]"
    if fps is None:
        return f"bv*{low}/bv*/b"
    rate = f"[fps>={float(Fraction(fps)) - 0.5:.2f}]"  # 59.94 counts as 60
    return f"bv{low}{rate}/bv*{low}{rate}/bv*{rate}/bv*{low}/bv*/b"


class _Silent:
    """yt-dlp's log: what matters comes as an error."""

    def debug(self, message: str) -> None:
        """Drop it."""

    info = warning = error = debug


def _yt_dlp() -> Any:
    try:
        import yt_dlp
    except ImportError:
        raise MissingError("fetching needs yt-dlp: pip install 'ghostpad[fetch]'") from None
    return yt_dlp


def _check(settings: FetchSettings) -> None:
    _yt_dlp()
    low = {name: getattr(settings, name) for name in ("workers", "per_site", "tries", "max_height")}
    problems = [f"{name} is {value}: it must be 1 or more" for name, value in low.items() if value < 1]
    if settings.rate_limit is not None and not settings.rate_limit > 0:
        problems.append(f"rate-limit is {settings.rate_limit}: it must be more than 0 bytes a second")
    if problems:
        raise SettingsError(problems)
    if settings.cookies and not settings.cookies.is_file():
        raise MissingError(f"there is no file of cookies at {settings.cookies}")


def _wanted(corpus: Corpus, settings: FetchSettings, ids: Sequence[str] | None) -> tuple[list[dict[str, Any]], FetchCounts]:
    rows = {row["id"]: row for row in corpus.rows()}
    for id in ids or ():
        if id not in rows:
            raise unknown("video", id, rows)
    counts, ledger, wanted = FetchCounts(), read_ledger(corpus.root), []
    for id, row in rows.items():
        last = ledger.get(id, {}).get("outcome")
        if not row["url"] or row["status"] == "ok" or (row["status"] == "broken" and last is None) or (ids is not None and id not in ids):
            continue
        if last in (None, OK, *PASSING) or settings.retry_failed:
            wanted.append(row)
        else:
            counts.skipped += 1
    return wanted, counts


def _label_ends(corpus: Corpus) -> dict[str, float]:
    """Where each video's labels end, s: footage that ends before is not the one that was labelled."""
    ends: dict[str, float] = {}
    for row in corpus.chunks().select(["video", "status", "start_s", "duration_s"]).to_pylist():
        if row["status"] == "ok":
            ends[row["video"]] = max(ends.get(row["video"], 0.0), row["start_s"] + row["duration_s"])
    return ends


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


def _wrong_length(info: VideoInfo, promised_s: float | None, labels_end_s: float | None) -> Failure | None:
    if promised_s and abs(info.duration_s - promised_s) > _SLACK_S:
        return Failure("wrong length", f"it is {info.duration_s:.1f} s long, the site says {promised_s:.1f} s")
    if labels_end_s and info.duration_s < labels_end_s - _SLACK_S:
        return Failure("wrong length", f"it is {info.duration_s:.1f} s long, its labels end at {labels_end_s:.1f} s")
    return None


def _ok_row(row: dict[str, Any], path: Path, info: VideoInfo) -> dict[str, Any]:
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return row | info.columns() | {"path": f"videos/{path.name}", "sha256": sha256, "status": "ok", "reason": None}


def _keep_labels(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """What another process wrote about labels in between stays."""
    return new | {name: old[name] for name in ("game", "labels", "overlay_px", "overlay_of_px")}

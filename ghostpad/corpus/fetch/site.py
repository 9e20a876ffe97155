"""Downloads one video with yt-dlp as a library (the extra `fetch`): its choice of rendition, its extractors, its downloaders.

    <folder>/<format>.<ext>[.part]   the whole video
    <folder>/parts-<hash>/           pieces of the stretches that labels cover, and `stretches.mp4` made of them

Every name holds the format, and that of pieces the stretches too, so a run with other settings never resumes another's files. Of HLS and
DASH only the segments that hold the stretches are downloaded; of a plain file those blocks, if the site answers range requests. Sound is
left out where the site allows.
"""

import hashlib
import http.client
import io
import logging
import re
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import av
from av.container import InputContainer

from ghostpad.base.errors import GhostpadError, MediaError, MissingError
from ghostpad.corpus.fetch.copy import at_zero, copy_pictures, shown_across_holes, uncovered
from ghostpad.corpus.fetch.errors import Failure, disk_error, failure_of
from ghostpad.corpus.fetch.settings import FetchSettings
from ghostpad.corpus.fetch.stretches import BLOCK_BYTES, RangeFile, Span, cut_fragments, cut_playlist, share, widened
from ghostpad.video.container import open_video
from ghostpad.video.probe import read_stamps

_READ_BYTES = 1 << 14
_INDEXED = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm"  # formats with an index of times


class DownloadFailed(GhostpadError):
    """A download that failed: `failure` says how, `resumed` whether an earlier run had begun it."""

    def __init__(self, failure: Failure, resumed: bool = False):
        self.failure, self.resumed = failure, resumed
        super().__init__(f"{failure.kind}: {failure.words}")


class Downloaded(NamedTuple):
    """A file, the length in seconds that the site states (None: it does not), and whether an earlier run had begun it."""

    path: Path
    stated_s: float | None
    resumed: bool = False


def yt_dlp_module() -> Any:
    """yt-dlp. Raises `MissingError` without it."""
    try:
        import yt_dlp
    except ImportError:
        raise MissingError("fetching needs yt-dlp: pip install 'ghostpad[fetch]'") from None
    return yt_dlp


def download(url: str, folder: Path, settings: FetchSettings, fps: str | None, stop: Event, spans: Sequence[Span] = ()) -> Downloaded:
    """Download one video into a folder of its own, or resume; only its `spans` where that is possible and saves enough.

    The first frame of the file is at 0 s. Raises `DownloadFailed`, `MissingError` without yt-dlp, and `OSError` for a full or
    read-only disk.
    """
    yt_dlp = yt_dlp_module()
    resumed = folder.is_dir() and any(folder.iterdir())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _site(yt_dlp, settings, fps, stop) as site:
            info = _chosen(site, url)
            wide = [] if settings.whole else widened(spans, settings.margin_s, settings.join_s)
            path = _stretches(site, info, folder, wide, spans, settings) if wide else None
            if path is None:
                path = at_zero(_all(site, info, folder / f"{_name(info)}.{info.get('ext') or 'mp4'}"))
            return Downloaded(path, info.get("duration"), resumed)
    except MediaError as error:
        raise DownloadFailed(Failure("not a video", str(error).replace(f"{folder}/", "")), resumed) from None
    except (yt_dlp.utils.YoutubeDLError, yt_dlp.networking.exceptions.RequestError, OSError) as error:
        if full := disk_error(error):
            raise full from None
        raise DownloadFailed(failure_of(error), resumed) from None


def format_of(fps: str | None, max_height: int) -> str:
    """yt-dlp's format expression: first at least the rate of the rows, then at most the height; an unstated rate comes last."""
    low = f"[height<=?{max_height}]"
    if fps is None:
        return f"bv*{low}/bv*/b"
    rate = f"[fps>={float(Fraction(fps)) - 0.5:.2f}]"  # 59.94 counts as 60
    return f"bv{low}{rate}/bv*{low}{rate}/bv*{rate}/bv*{low}/bv*/b"


def _site(yt_dlp: Any, settings: FetchSettings, fps: str | None, stop: Event) -> Any:
    """A downloader of yt-dlp that gives up on an answer that is too slow."""

    class Site(yt_dlp.YoutubeDL):  # type: ignore[misc]
        def urlopen(self, request: Any) -> Any:
            return _watched(yt_dlp, super().urlopen(request), settings, stop)

    cookies = io.StringIO(settings.cookies.read_text(encoding="utf-8")) if settings.cookies else None
    options = {
        "noplaylist": True, "playlist_items": "1", "format": format_of(fps, settings.max_height),
        "format_sort": [f"res:{settings.max_height}", "fps", "vcodec:h264"],
        "continuedl": True, "overwrites": False, "retries": 0, "extractor_retries": 0, "fragment_retries": 3,
        "skip_unavailable_fragments": False, "external_downloader": {"default": "native"}, "fixup": "never", "updatetime": False,
        "buffersize": _READ_BYTES, "noresizebuffer": True,  # a connection that breaks off loses this much
        "socket_timeout": settings.timeout_s, "ratelimit": settings.rate_limit, "cookiefile": cookies, "cachedir": False,
        "quiet": True, "noprogress": True, "no_warnings": True, "logger": logging.Logger("yt-dlp", logging.CRITICAL + 1),
        "compat_opts": {"prefer-legacy-http-handler"},  # urllib's answers can be read as they come, see `_watched`
    }  # fmt: skip
    return Site(options)


def _watched(yt_dlp: Any, answer: Any, settings: FetchSettings, stop: Event) -> Any:
    """The same answer, read as its bytes arrive: a socket's own timeout restarts with every byte, so a trickle would never end.

    Headers and compressed pages are not watched.
    """
    source, waited_s, arrived = answer.fp, 0.0, 0
    failed = yt_dlp.networking.exceptions.TransportError
    if not hasattr(source, "read1"):
        return answer

    def some(size: int) -> bytes:
        nonlocal waited_s, arrived
        if stop.is_set():
            raise yt_dlp.utils.DownloadCancelled("stopped")
        begin = time.monotonic()
        try:
            data: bytes = source.read1(min(size, _READ_BYTES))
        except (OSError, http.client.HTTPException) as error:
            raise failed(cause=error) from error
        waited_s, arrived = waited_s + time.monotonic() - begin, arrived + len(data)
        if waited_s > settings.timeout_s:
            if arrived < settings.min_rate * waited_s:
                raise failed(f"timed out: {arrived / waited_s:.0f} bytes a second for {waited_s:.0f} s")
            waited_s, arrived = 0.0, 0
        return data

    def read(size: int | None = None) -> bytes:
        data = bytearray()
        while (part := some(_READ_BYTES if size is None else size - len(data))) and len(data) + len(part) != size:
            data += part
        data += part
        if size is None and (missing := getattr(source, "length", None)):
            raise failed(f"cut off: {missing} bytes more expected")
        return bytes(data)

    answer.read = read
    return answer


def _chosen(site: Any, url: str) -> dict[str, Any]:
    """What yt-dlp knows of a video and of the rendition it chose."""
    try:
        info = site.extract_info(url, download=False)
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        # An extractor's own mistake, or no address: it must not end a run over thousands of videos.
        raise DownloadFailed(Failure("format", f"yt-dlp fails on {url} ({type(error).__name__}: {error})")) from None
    if info and "entries" in info:
        info = next(iter(info["entries"]), None)
    if not info or not info.get("url"):
        raise DownloadFailed(Failure("format", f"{url} offers no single file"))
    if info.get("is_live") or info.get("live_status") == "is_upcoming":
        raise DownloadFailed(Failure("live", "it is still live, or has not begun"))
    return dict(info)


def _name(info: dict[str, Any]) -> str:
    return "video-" + re.sub(r"[^\w-]", "_", str(info.get("format_id") or "0"))[:60]


def _all(site: Any, info: dict[str, Any], path: Path) -> Path:
    done, _ = site.dl(str(path), info)
    if not done or not path.exists():
        raise DownloadFailed(Failure("network", "the download broke off"))
    return path


def _stretches(
    site: Any, info: dict[str, Any], folder: Path, wide: Sequence[Span], spans: Sequence[Span], settings: FetchSettings
) -> Path | None:
    """The file of the stretches; None where the site does not allow it or they cover so much that the whole video is better."""
    stated_s = float(info.get("duration") or 0)
    if stated_s and share(wide, stated_s) > settings.most_share:
        return None
    key = hashlib.sha256(repr((_name(info), list(wide))).encode()).hexdigest()[:12]
    folder = folder / f"parts-{key}"
    target = folder / "stretches.mp4"
    folder.mkdir(exist_ok=True)
    try:
        if str(info.get("protocol")).startswith(("m3u8", "http_dash_segments")):
            length_s = _by_segments(site, info, folder, target, wide, settings)
        elif str(info.get("protocol")) in ("http", "https"):
            length_s = _by_ranges(site, info, folder, target, wide, settings)
        else:
            return None
        if length_s is None:
            return None
        stamps = read_stamps(target)
        sound = not stamps[0] and uncovered(stamps, spans, length_s) is None and shown_across_holes(target, stamps)
    except MediaError:
        return None
    return target if sound else None


def _by_segments(
    site: Any, info: dict[str, Any], folder: Path, target: Path, wide: Sequence[Span], settings: FetchSettings
) -> float | None:
    """Download the segments that touch the stretches and copy them to `target`: the length of the whole video in seconds."""
    cut: dict[str, Any] = {}
    length_s = None
    if str(info["protocol"]).startswith("m3u8"):
        answer = site.urlopen(_request(info, {}))
        if playlist := cut_playlist(answer.read().decode("utf-8", "replace"), wide):
            text, length_s = playlist
            cut = {"url": answer.url, "hls_media_playlist_data": text}
    elif isinstance(info.get("fragments"), list) and (pieces := cut_fragments(info["fragments"], wide)):
        fragments, length_s = pieces
        cut = {"fragments": fragments}
    if length_s is None or info.get("format_index") is not None or share(wide, length_s) > settings.most_share:
        return None
    if not target.exists():
        source = _all(site, info | cut, folder / f"segments.{info.get('ext') or 'mp4'}")
        with open_video(source) as (container, stream):
            copy_pictures(container, stream, target, part_of_s=length_s)
    return length_s


def _by_ranges(site: Any, info: dict[str, Any], folder: Path, target: Path, wide: Sequence[Span], settings: FetchSettings) -> float | None:
    """Copy the stretches out of a file on the site to `target`, by its blocks that hold them; returns as `_by_segments`."""
    with site.urlopen(_request(info, {"Range": f"bytes=0-{BLOCK_BYTES - 1}"})) as answer:
        size = re.fullmatch(r"bytes 0-\d+/(\d+)", answer.headers.get("Content-Range") or "")
    if answer.status != 206 or size is None:
        return None

    def get(first: int, beyond: int) -> bytes:
        begin = time.monotonic()
        with site.urlopen(_request(info, {"Range": f"bytes={first}-{beyond - 1}"})) as part:
            stated = part.headers.get("Content-Range")
            data: bytes = part.read()
        if stated != f"bytes {first}-{beyond - 1}/{size[1]}" or len(data) != beyond - first:
            raise OSError(f"the site answered {len(data)} bytes, '{stated}': more expected")
        if settings.rate_limit:
            time.sleep(max(0.0, len(data) / settings.rate_limit - (time.monotonic() - begin)))
        return data

    file = RangeFile(get, int(size[1]), folder / f"blocks-{size[1]}")
    try:
        with av.open(file, options={"format_whitelist": _INDEXED}) as container:
            assert isinstance(container, InputContainer)
            length_s = (container.duration or 0) / av.time_base
            if not container.streams.video or share(wide, length_s) > settings.most_share:
                return None
            if not target.exists():
                copy_pictures(container, container.streams.video[0], target, wide, part_of_s=length_s)
            return length_s
    except (av.FFmpegError, MediaError, OSError) as error:
        if file.error:
            raise file.error from None
        raise MediaError(f"{target.name}: {error}") from None


def _request(info: dict[str, Any], headers: dict[str, str]) -> Any:
    return yt_dlp_module().networking.Request(
        info["url"], headers={**(info.get("http_headers") or {}), "Accept-Encoding": "identity", **headers}
    )

"""A site on loopback for yt-dlp to fetch from: it stalls, trickles, cuts off, refuses, recovers, and says what it was asked for."""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ghostpad.base.records import Video
from ghostpad.corpus.fetch.downloads import Downloads
from ghostpad.corpus.folder import Corpus

KINDS = {"mp4": "video/mp4", "m3u8": "application/x-mpegurl", "ts": "video/mp2t", "mpd": "application/dash+xml", "html": "text/html",
         "mkv": "video/x-matroska", "m4s": "video/mp4"}  # fmt: skip


class Site(ThreadingHTTPServer):
    """Answers /<behaviour>/<file>. A behaviour is a status ("404"), one for the first n times ("429x2"), "cut", "stall" (twice), "trickle",
    "slow", "plain" (no ranges), "twice" (a dead connection every second time), or anything else for a good answer.

    The body is that of the behaviour's name if there is one, else that of the file's name, else that of "good". `asked` counts requests by
    path, `sent` bytes by path, `ranges` are the Range headers, `cookies` the Cookie headers, `busiest` the most requests at once.
    "slow" waits `slow_s` after every 2000 bytes. Refusals ask to wait `retry_after` seconds, if that is set; `times` says when
    requests came.
    """

    daemon_threads = True

    def __init__(self, bodies: Mapping[str, bytes]):
        self.bodies, self.asked, self.sent, self.busiest, self.now = dict(bodies), Counter[str](), Counter[str](), 0, 0
        self.slow_s, self.retry_after, self.times = 0.05, "", list[float]()
        self.ranges, self.cookies = list[str](), list[str]()
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Answer)

    def url(self, behaviour: str, name: str = "v", kind: str = "mp4") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{behaviour}/{name}.{kind}"


class Answer(BaseHTTPRequestHandler):
    server: Site

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.asked[self.path] += 1
            self.server.cookies.append(self.headers.get("Cookie", ""))
            self.server.times.append(time.monotonic())
            count = self.server.asked[self.path]
            self.server.now += 1
            self.server.busiest = max(self.server.busiest, self.server.now)
        try:
            self.answer(*self.path.split("/")[1:3], count)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with self.server.lock:
                self.server.now -= 1

    def answer(self, behaviour: str, file: str, count: int) -> None:
        named = re.fullmatch(r"(\d+)x?(\d*)", behaviour)
        status, times = named.groups() if named else ("", "")
        if status and (not times or count <= int(times)):
            self.send_response(int(status))
            self.send_header("Content-Length", "0")
            if self.server.retry_after:
                self.send_header("Retry-After", self.server.retry_after)
            self.end_headers()
            return
        body = self.server.bodies.get(behaviour) or self.server.bodies.get(file) or self.server.bodies["good"]
        kind = "text/html" if behaviour == "page" else KINDS[file.rsplit(".", 1)[1]]
        asked = None if behaviour == "plain" else self.headers.get("Range")
        first, last = 0, len(body) - 1
        if asked:
            self.server.ranges.append(asked)
            start, end = asked.removeprefix("bytes=").split("-")
            first, last = int(start), min(int(end or last), last)
        part = body[first : last + 1]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(part)))
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
        self.end_headers()
        if behaviour == "cut" or (behaviour == "twice" and count % 2):
            self.send(part[: max(len(body) // 3, 1)])
            self.close_connection = True
        elif behaviour == "stall" and count <= 2:
            self.send(part[: len(part) // 3])
            time.sleep(2)
        elif behaviour == "trickle":
            for at in range(len(part)):
                self.send(part[at : at + 1])
                time.sleep(0.2)
        elif behaviour == "slow":
            for at in range(0, len(part), 2000):
                self.send(part[at : at + 2000])
                time.sleep(self.server.slow_s)
        else:
            self.send(part)

    def send(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()
        with self.server.lock:
            self.server.sent[self.path] += len(data)


@contextmanager
def running(site: Site) -> Iterator[Site]:
    """The site, served by a thread of its own."""
    with site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join()


def corpus_of(root: Path, urls: Mapping[str, str], **columns: Any) -> Corpus:
    """A corpus that knows videos by their addresses and has none."""
    corpus = Corpus.create(root)
    corpus.put_videos([Video(id=id, url=url, status="missing", reason="not fetched yet", **columns) for id, url in urls.items()])
    return corpus


def row(corpus: Corpus, id: str) -> Video:
    """One row of the table of videos."""
    return corpus.video(id)


def last_try(corpus: Corpus, id: str) -> dict[str, Any]:
    """What became of a video the last time that it was asked for."""
    return Downloads(corpus).find([id])[id]


def unfinished(corpus: Corpus, pattern: str = "*") -> list[Path]:
    """The unfinished downloads, or their files."""
    return list((corpus.cache / "fetch").glob(f"*/{pattern}"))

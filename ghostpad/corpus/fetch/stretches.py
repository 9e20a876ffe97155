"""The stretches of a video that recorded rows cover, and the pieces of a site's stream that hold them.

Times are in the original video's own seconds, 0 at its first frame. The first piece of the stream is always chosen: its first frame gives
the stream's clock at 0 (MPEG-TS begins anywhere), so that the copy can keep the original's time.
"""

import io
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ghostpad.base.files import atomic_path

BLOCK_BYTES = 1 << 18
"""Size of one request for a part of a file: a second of 720p at 2 Mb/s."""


class Span(NamedTuple):
    """From `start_s` to `end_s` of a video."""

    start_s: float
    end_s: float


def label_spans(chunks: pa.Table) -> dict[str, list[Span]]:
    """Per video the stretches that its good chunks (schema `CHUNKS`) cover, in order of time; they may touch and overlap."""
    spans: dict[str, list[Span]] = {}
    for row in chunks.select(["video", "status", "start_s", "duration_s"]).to_pylist():
        if row["status"] == "ok":
            spans.setdefault(row["video"], []).append(Span(row["start_s"], row["start_s"] + row["duration_s"]))
    return {id: sorted(stretches) for id, stretches in spans.items()}


class LabelSpans:
    """The stretches that good chunks (schema `CHUNKS`) cover, by video. Memory: three columns of them."""

    def __init__(self, chunks: pa.Table):
        good = chunks.filter(pc.equal(chunks.column("status"), "ok")).select(["video", "status", "start_s", "duration_s"])
        self._chunks = good.sort_by("video")
        self._videos = self._chunks.column("video")

    def of(self, id: str) -> list[Span]:
        """The stretches of one video, in order of time; none where it has no good chunk."""
        at = range(len(self._videos))
        first, beyond = (side(at, id, key=lambda row: self._videos[row].as_py()) for side in (bisect_left, bisect_right))
        return label_spans(self._chunks.slice(first, beyond - first)).get(id, [])


def widened(spans: Iterable[Span], margin_s: float, join_s: float) -> list[Span]:
    """Stretches with a margin on either side, those with less than `join_s` between them joined, in order of time."""
    joined: list[Span] = []
    for start_s, end_s in sorted(spans):
        start_s, end_s = max(0.0, start_s - margin_s), end_s + margin_s
        if joined and start_s - joined[-1].end_s < join_s:
            joined[-1] = Span(joined[-1].start_s, max(joined[-1].end_s, end_s))
        else:
            joined.append(Span(start_s, end_s))
    return joined


def share(spans: Iterable[Span], length_s: float) -> float:
    """The share of a video of that length that the spans cover, 0...1; 1 for an unknown length."""
    return sum(max(0.0, min(end_s, length_s) - start_s) for start_s, end_s in spans) / length_s if length_s > 0 else 1.0


def cut_playlist(text: str, spans: Sequence[Span]) -> tuple[str, float] | None:
    """An HLS playlist of the first segment and those that touch a span, and the length of the whole in seconds.

    None where these segments cannot be known: a segment without a length, a clock that restarts, advertisements.
    """
    if re.search(r"^#EXT-X-DISCONTINUITY\s*$|^#ANVATO|^#UPLYNK", text, re.MULTILINE):
        return None
    kept, own, start_s, length_s, number, byte = list[str](), list[str](), 0.0, None, 0, 0
    for line in map(str.strip, text.splitlines()):
        if match := re.match(r"#EXTINF:\s*([\d.]+)", line):
            length_s = float(match[1])
            own.append(line)
        elif match := re.match(r"#EXT-X-MEDIA-SEQUENCE:\s*(\d+)", line):
            number = int(match[1])
        elif match := re.match(r"#EXT-X-BYTERANGE:\s*(\d+)(?:@(\d+))?", line):
            first = int(match[2]) if match[2] else byte  # without one it begins where the segment before ended
            byte = first + int(match[1])
            own.append(f"#EXT-X-BYTERANGE:{match[1]}@{first}")
        elif not line or line.startswith("#"):
            kept.append(line)
        elif length_s is None:
            return None
        else:
            if start_s == 0 or _touches(spans, start_s, start_s + length_s):
                kept += [f"#EXT-X-MEDIA-SEQUENCE:{number}", *own, line]  # an encrypted segment is read by its number
            start_s, length_s, number, own = start_s + length_s, None, number + 1, []
    return ("\n".join(kept) + "\n", start_s) if start_s else None


def cut_fragments(fragments: Iterable[Mapping[str, Any]], spans: Sequence[Span]) -> tuple[list[Mapping[str, Any]], float] | None:
    """The same for DASH fragments as yt-dlp lists them: dicts with `duration`, but for a first one that opens the file."""
    kept, start_s = list[Mapping[str, Any]](), 0.0
    for index, fragment in enumerate(fragments):
        length_s = fragment.get("duration")
        if length_s is None and index:
            return None
        if start_s == 0 or _touches(spans, start_s, start_s + (length_s or 0)):
            kept.append(fragment)
        start_s += length_s or 0
    return (kept, start_s) if start_s else None


def _touches(spans: Sequence[Span], start_s: float, end_s: float) -> bool:
    return any(start_s < span.end_s and end_s > span.start_s for span in spans)


class RangeFile(io.RawIOBase):
    """A file on a site, of which only the blocks that are read are downloaded. They are kept in a folder: re-run to resume.

    `get(first, beyond)` returns bytes [first, beyond); what it raises is kept in `error`, because FFmpeg hides it.
    """

    def __init__(self, get: Callable[[int, int], bytes], size: int, folder: Path):
        super().__init__()
        self.error: Exception | None = None
        self._get, self._size, self._folder, self._at = get, size, folder, 0
        folder.mkdir(parents=True, exist_ok=True)

    def readable(self) -> bool:
        """Yes."""
        return True

    seekable = readable

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As any file's."""
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def read(self, size: int = -1) -> bytes:
        """As any file's; at most to the end of a block."""
        if self.error:
            raise self.error
        number, skip = divmod(self._at, BLOCK_BYTES)
        beyond = min(self._size, (number + 1) * BLOCK_BYTES)
        if self._at >= self._size:
            return b""
        path = self._folder / str(number)
        if not path.exists():
            try:
                data = self._get(number * BLOCK_BYTES, beyond)
            except Exception as error:
                self.error = error
                raise
            with atomic_path(path) as temporary:
                temporary.write_bytes(data)
        data = path.read_bytes()[skip:]
        data = data if size < 0 else data[:size]
        self._at += len(data)
        return data

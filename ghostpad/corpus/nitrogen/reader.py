"""Reads the NitroGen dataset's labels (nvidia/NitroGen, arXiv:2601.02427): shards in, chunks out, nothing written.

    source.py    archives and folders, on disk or behind a URL
    tar.py       the members of an archive as a stream, past damage
    chunk.py     one chunk's metadata as a row of the table of chunks
    rows.py      the parquet files of chunks as rows of actions
    timeline.py  how the chunks of a video join
    videos.py    what chunks say about their video
    index.py     many shards into a corpus

A chunk lies in `<anything>/<video>/<video>_chunk_NNNN/` as metadata.json, actions_raw.parquet and sometimes actions_processed.parquet, in
any order and not always side by side: the first half of a chunk waits for the other, within 256 MB. Of games that are not wanted only the
metadata is parsed. One kind of labels is read, "raw" or "processed"; a chunk without it is broken, never filled from the other.
"""

import re
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ghostpad.base.errors import SettingsError, unknown
from ghostpad.base.files import safe_name
from ghostpad.corpus.nitrogen.chunk import (
    MOST_METADATA_BYTES,
    MOST_TABLE_BYTES,
    BrokenChunkError,
    Chunk,
    broken,
    describe,
    game_of,
    parse_metadata,
)
from ghostpad.corpus.nitrogen.rows import MOST_ROWS, UnreadChunk, read_chunks
from ghostpad.corpus.nitrogen.source import Source
from ghostpad.corpus.nitrogen.tar import DamageError, Fault, Member

LABELS = ("raw", "processed")
"""The two kinds of labels: as read from the screen, and with the publisher's filter and remapping."""

METADATA = "metadata.json"  # the file every chunk has
MOST_WAITING_BYTES = 1 << 28  # of tables that wait for their metadata
BATCH_ROWS, BATCH_BYTES = 40_000, 1 << 22  # that chunks read at once have together, at least: more saves nothing (measured)

_Key = tuple[str, str]


@dataclass
class _Half:
    about: dict[str, Any] | None = None
    table: bytes | None = None


class ShardReader:
    """Iterate over it once for the chunks of a shard in the order in which they are complete, the broken ones with their reasons.

    `games` are names as `game_name` gives them and `videos` ids, None for all; `threads` read tables while the archive is unpacked. Then
    `seen` counts every readable chunk by game, wanted or not, and `damaged` says whether bytes of the shard itself were lost.
    """

    def __init__(
        self,
        source: Source,
        labels: str = "raw",
        games: frozenset[str] | None = None,
        videos: Collection[str] | None = None,
        threads: int = 1,
    ):
        if labels not in LABELS:
            raise unknown("kind of labels", labels, LABELS)
        self.seen: Counter[str | None] = Counter()
        self.damaged = False
        self._source, self._games, self._videos, self._threads = source, games, videos, threads
        self._table = f"actions_{labels}.parquet"
        self._waiting: dict[_Key, _Half] = {}
        self._waiting_bytes = 0
        self._done: set[_Key] = set()

    def __iter__(self) -> Iterator[Chunk]:
        ahead: deque[Future[list[Chunk]]] = deque()
        with ThreadPoolExecutor(self._threads, "read chunks") as pool:
            for batch in _batches(self._unread()):
                ahead.append(pool.submit(read_chunks, batch))
                if len(ahead) > self._threads:
                    yield from ahead.popleft().result()
            while ahead:
                yield from ahead.popleft().result()

    def _unread(self) -> Iterator[UnreadChunk | Chunk]:
        for member in self._source.members():
            if isinstance(member, Fault):
                self.damaged = True
                yield from self._fault(member)
            elif (key := _key(member.name)) and key not in self._done and (self._videos is None or key[0] in self._videos):
                yield from self._take(key, member)
        for key, half in list(self._waiting.items()):
            yield self._chunk(key, half, f"{METADATA if half.about is None else self._table} is missing")

    def _take(self, key: _Key, member: Member) -> Iterator[UnreadChunk | Chunk]:
        half = self._waiting.setdefault(key, _Half())
        file = member.name.rpartition("/")[2]
        if file not in (METADATA, self._table):
            return
        if member.size > (MOST_METADATA_BYTES if file == METADATA else MOST_TABLE_BYTES):
            yield self._chunk(key, half, f"{file} is too large")
            return
        try:
            body = member.read()
        except DamageError as error:
            if not self._source.archive:  # an archive names the member in a fault of its own
                self.damaged = True
                yield self._chunk(key, half, str(error))
            return
        if file == METADATA:
            yield from self._take_metadata(key, half, body)
        elif half.table is None:
            half.table = body
            self._waiting_bytes += len(body)
        if key in self._waiting and half.about is not None and half.table is not None:
            yield self._chunk(key, half)
        if self._waiting_bytes > MOST_WAITING_BYTES:
            oldest = next(key for key, half in self._waiting.items() if half.table is not None)
            yield self._chunk(oldest, self._waiting[oldest], f"{METADATA} lies too far from the table")

    def _take_metadata(self, key: _Key, half: _Half, body: bytes) -> Iterator[UnreadChunk | Chunk]:
        try:
            metadata = parse_metadata(body)
        except BrokenChunkError as error:
            yield self._chunk(key, half, str(error))
            return
        game = game_of(metadata)
        self.seen[game] += 1
        if self._games is None or game in self._games:
            half.about = describe(metadata)
        else:
            self._finish(key)

    def _chunk(self, key: _Key, half: _Half, reason: str | None = None) -> UnreadChunk | Chunk:
        """The chunk of two halves, its table still to be read; or a broken one, of one half or none, with the reason."""
        self._finish(key)
        video, folder = key
        row = (half.about or {}) | {"shard": self._source.name}
        try:
            row["video"] = _name(video)
        except SettingsError:
            return broken(row, reason or "the video's name cannot name a file")
        if numbered := re.search(r"_chunk_(\d{1,9})(?:_actions)?$", folder, re.ASCII):
            row["chunk"] = int(numbered[1])
        if reason or half.table is None or row.get("chunk") is None:
            return broken(row, reason or "the chunk has no number")
        return UnreadChunk(row, half.table)

    def _fault(self, fault: Fault) -> Iterator[UnreadChunk | Chunk]:
        key = _key(fault.name or "")
        if key is None or not (fault.name or "").endswith((METADATA, self._table)):
            yield broken({"shard": self._source.name}, fault.reason)
        elif key not in self._done:
            yield self._chunk(key, self._waiting.get(key, _Half()), fault.reason)

    def _finish(self, key: _Key) -> None:
        half = self._waiting.pop(key, _Half())
        self._waiting_bytes -= len(half.table or b"")
        self._done.add(key)


def _batches(chunks: Iterable[UnreadChunk | Chunk]) -> Iterator[list[UnreadChunk | Chunk]]:
    """Chunks in lists of about `BATCH_ROWS` rows or `BATCH_BYTES` bytes; one that does not say its rows may be of any length."""
    batch: list[UnreadChunk | Chunk] = []
    rows = size = 0
    for chunk in chunks:
        batch.append(chunk)
        if isinstance(chunk, UnreadChunk):
            told = chunk.about["rows"]
            rows += told if told and told > 0 else MOST_ROWS
            size += len(chunk.body)
        if rows >= BATCH_ROWS or size >= BATCH_BYTES or len(batch) >= BATCH_ROWS:
            yield batch
            batch, rows, size = [], 0, 0
    yield batch


def _name(video: str) -> str:
    """A video's name. Raises `SettingsError` if it cannot name a file or is not UTF-8, and so stands for many names."""
    if "\ufffd" in video:
        raise SettingsError(f"'{video}' is not UTF-8")
    return safe_name(video)


def _key(name: str) -> _Key | None:
    """The names of a member's two innermost folders, video and chunk; None for files that are no part of a chunk."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    known = len(parts) >= 3 and parts[-1] in (METADATA, *(f"actions_{labels}.parquet" for labels in LABELS))
    return (parts[-3], parts[-2]) if known else None

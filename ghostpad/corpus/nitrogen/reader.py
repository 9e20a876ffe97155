"""Reads the NitroGen dataset's labels (nvidia/NitroGen, arXiv:2601.02427): shards in, chunks out, nothing written.

    source.py    archives and folders, on disk or behind a URL
    tar.py       the members of an archive as a stream, past damage
    chunk.py     one chunk: metadata and parquet as one row and its actions
    timeline.py  how the chunks of a video join
    videos.py    what chunks say about their video
    index.py     many shards into a corpus

A chunk lies in `<anything>/<video>/<video>_chunk_NNNN/` as metadata.json, actions_raw.parquet and sometimes actions_processed.parquet, in
any order and not always side by side: the first half of a chunk waits for the other, within 256 MB. Of games that nobody wants only the
metadata is parsed. One kind of labels is read, "raw" or "processed"; a chunk without it is broken, never filled from the other.
"""

import re
from collections import Counter
from collections.abc import Iterator
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
    read_chunk,
)
from ghostpad.corpus.nitrogen.source import Source
from ghostpad.corpus.nitrogen.tar import DamageError, Fault, Member

LABELS = ("raw", "processed")
"""The two kinds of labels: as read from the screen, and with the publisher's filter and remapping."""

METADATA = "metadata.json"  # the file every chunk has
MOST_WAITING_BYTES = 1 << 28  # of tables that wait for their metadata

_Key = tuple[str, str]


@dataclass
class _Half:
    about: dict[str, Any] | None = None
    table: bytes | None = None


class ShardReader:
    """Iterate over it once for the chunks of a shard in the order in which they are complete, the broken ones with their reasons.

    `games` are names as `game_name` gives them, None for all. Then `seen` counts every readable chunk by game, wanted or not, and
    `damaged` says whether bytes of the shard itself were lost.
    """

    def __init__(self, source: Source, labels: str = "raw", games: frozenset[str] | None = None):
        if labels not in LABELS:
            raise unknown("kind of labels", labels, LABELS)
        self.seen: Counter[str | None] = Counter()
        self.damaged = False
        self._source, self._games, self._table = source, games, f"actions_{labels}.parquet"
        self._waiting: dict[_Key, _Half] = {}
        self._waiting_bytes = 0
        self._done: set[_Key] = set()

    def __iter__(self) -> Iterator[Chunk]:
        for member in self._source.members():
            if isinstance(member, Fault):
                self.damaged = True
                yield from self._fault(member)
            elif (key := _key(member.name)) and key not in self._done:
                yield from self._take(key, member)
        for key, half in list(self._waiting.items()):
            yield self._broken(key, half, f"{METADATA if half.about is None else self._table} is missing")

    def _take(self, key: _Key, member: Member) -> Iterator[Chunk]:
        half = self._waiting.setdefault(key, _Half())
        file = member.name.rpartition("/")[2]
        if file not in (METADATA, self._table):
            return
        if member.size > (MOST_METADATA_BYTES if file == METADATA else MOST_TABLE_BYTES):
            yield self._broken(key, half, f"{file} is too large")
            return
        try:
            body = member.read()
        except DamageError as error:
            if not self._source.archive:  # an archive names the member in a fault of its own
                self.damaged = True
                yield self._broken(key, half, str(error))
            return
        if file == METADATA:
            yield from self._learn(key, half, body)
        elif half.table is None:
            half.table = body
            self._waiting_bytes += len(body)
        if key in self._waiting and half.about is not None and half.table is not None:
            yield self._whole(key, half.about, half.table)
        if self._waiting_bytes > MOST_WAITING_BYTES:
            oldest = next(key for key, half in self._waiting.items() if half.table is not None)
            yield self._broken(oldest, self._waiting[oldest], f"{METADATA} lies too far from the table")

    def _learn(self, key: _Key, half: _Half, body: bytes) -> Iterator[Chunk]:
        try:
            metadata = parse_metadata(body)
        except BrokenChunkError as error:
            yield self._broken(key, half, str(error))
            return
        game = game_of(metadata)
        self.seen[game] += 1
        if self._games is None or game in self._games:
            half.about = describe(metadata)
        else:
            self._finish(key)

    def _whole(self, key: _Key, about: dict[str, Any], table: bytes) -> Chunk:
        try:
            row, number = self._row(key, about)
        except SettingsError:
            return self._broken(key, _Half(about), "the video's name cannot name a file")
        self._finish(key)
        return broken(row, "the chunk has no number") if number is None else read_chunk(row, table, number)

    def _broken(self, key: _Key, half: _Half, reason: str) -> Chunk:
        self._finish(key)
        try:
            row, _ = self._row(key, half.about or {})
        except SettingsError:
            row = (half.about or {}) | {"shard": self._source.name}
        return broken(row, reason)

    def _row(self, key: _Key, about: dict[str, Any]) -> tuple[dict[str, Any], int | None]:
        video, folder = key
        numbered = re.search(r"_chunk_(\d{1,9})(?:_actions)?$", folder, re.ASCII)
        number = int(numbered[1]) if numbered else about.get("chunk")
        return about | {"video": safe_name(video), "shard": self._source.name, "chunk": number}, number

    def _fault(self, fault: Fault) -> Iterator[Chunk]:
        key = _key(fault.name or "")
        if key is None or not (fault.name or "").endswith((METADATA, self._table)):
            yield broken({"shard": self._source.name}, fault.reason)
        elif key not in self._done:
            yield self._broken(key, self._waiting.get(key, _Half()), fault.reason)

    def _finish(self, key: _Key) -> None:
        half = self._waiting.pop(key, _Half())
        self._waiting_bytes -= len(half.table or b"")
        self._done.add(key)


def _key(name: str) -> _Key | None:
    """The video's and the chunk's folder of a member, whatever stands before them; None for files that are no part of a chunk."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    known = len(parts) >= 3 and parts[-1] in (METADATA, *(f"actions_{labels}.parquet" for labels in LABELS))
    return (parts[-3], parts[-2]) if known else None

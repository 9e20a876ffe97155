"""Puts NitroGen's labels into a corpus: `ghostpad corpus index`.

    actions/recorded/<video>.parquet  every labelled row of a video in one timeline, with its chunk's number
    chunks.parquet                    every chunk: its stretch, rate, boxes, and what is broken about it
    the catalogue                     every video, status "missing" until its footage is fetched
    nitrogen/<shard>-<hash>.parquet   the ledger: the chunks of a finished shard, written after its rows

Re-run to resume: a shard that is in the ledger with the same name, size, games and kind of labels is not read again, unless it was damaged
and may have been replaced. Shards may be indexed in any number of runs; a video spread over several of them is joined. Where chunks
overlap, the rows of the one that starts first are kept; of two with one number, the first that was indexed.

Nothing is locked: several processes and machines may index into one corpus, the same shards or others. At its end each compares the ends
of the files of rows with the chunks of the ledger. What is missing there, because a file was deleted or cut short or because two joined
chunks to one video at the same moment, is read from its shard again. Whoever is last sees all, so the files are those of one process.

Memory: at most `HELD_ROWS` rows (about 60 bytes each) and the table of chunks (about 300 bytes each).
"""

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pyarrow as pa

from ghostpad.base.errors import SettingsError, nearest
from ghostpad.base.progress import progress
from ghostpad.base.records import Video, write_table
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.nitrogen.chunk import Chunk, game_name
from ghostpad.corpus.nitrogen.parts import all_chunks, by_video, chunk_table, finished, labels_of_parts, part_sizes, write_part
from ghostpad.corpus.nitrogen.reader import ShardReader
from ghostpad.corpus.nitrogen.recorded import join, lacking
from ghostpad.corpus.nitrogen.source import Source
from ghostpad.corpus.nitrogen.timeline import stretches_of
from ghostpad.corpus.nitrogen.videos import keep_footage, video_row

HELD_ROWS = 2_000_000
"""Rows held in memory before they are joined to their videos' files: a guess, about 120 MB."""

CHUNK_ROWS = 500
"""A chunk's own size, in rows: that of 27 columns."""

CHUNKS_AT_ONCE = 5000
"""Chunks that are held as Python objects (2 KB each) before they become a table (300 bytes each)."""

VIDEOS_AT_ONCE = 200
"""Videos whose chunks are held as Python objects while the ends of their files are read: some 20 MB, a guess."""

MOST_ROUNDS = 5
"""How often a run looks for lost rows: each finds them only if another process wrote the same videos meanwhile (a guess)."""


_Lost = dict[str, dict[str, set[int]]]  # chunks' numbers by shard and video


@dataclass
class IndexCounts:
    """The results of a run. `broken` counts chunks, and damage of whole shards, by reason, over the whole corpus.

    `lost` counts the chunks without rows by the shard that has to be indexed again.
    """

    shards: int = 0
    present: int = 0  # of them, those that earlier runs had finished
    videos: int = 0
    chunks: int = 0
    hours: float = 0.0
    overlaps_s: float = 0.0
    holes: int = 0
    holes_s: float = 0.0
    broken: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)


def index_shards(
    corpus: Corpus, sources: Sequence[Source], labels: str = "raw", games: Iterable[str] | None = None, workers: int | None = None
) -> IndexCounts:
    """Index some shards into `corpus`, of `games` in any spelling only (None: all). Shows its progress in MB of shards.

    `workers` threads read and write tables (None: one a core). Raises `SettingsError` if the corpus holds the other kind of labels, and at
    the end for games that no shard has.
    """
    wanted = None if games is None else _wanted(games)
    if workers is not None and workers < 1:
        raise SettingsError(f"--workers is {workers}: at least 1 thread is needed")
    _refuse_other_labels(corpus, labels)
    seen: Counter[str | None] = Counter()
    present = 0
    threads = workers or os.cpu_count() or 1
    with ThreadPoolExecutor(threads, "index") as pool:
        index = _Index(corpus, labels, pool)
        with progress("index", sum(source.size for source in sources) / 1e6, "MB") as advance:
            for source in sources:
                games_seen: Counter[str | None] | None = finished(corpus, source, labels, wanted)
                present += games_seen is not None
                if games_seen is None:
                    reader = ShardReader(source, labels, wanted, threads=threads)
                    write_part(corpus, source, labels, wanted, index.take(reader), reader)
                    games_seen = reader.seen
                seen.update(games_seen)
                advance(source.size / 1e6)
        counts = index.finish(sources, threads)
    counts.shards, counts.present = len(sources), present
    unseen = [name for name in sorted(wanted or ()) if name not in seen]
    if unseen:
        hints = {name: nearest(name, filter(None, seen)) if any(seen) else "they name no game" for name in unseen}
        raise SettingsError([f"no chunk of these shards is of the game '{name}': {hint}" for name, hint in hints.items()])
    return counts


def _wanted(games: Iterable[str]) -> frozenset[str]:
    names = {label: game_name(label) for label in games}
    if not names or None in names.values():
        raise SettingsError("--games names no game: write names with commas, for example celeste,hollow_knight")
    return frozenset(name for name in names.values() if name)


def _refuse_other_labels(corpus: Corpus, labels: str) -> None:
    held = {label for table in corpus.scan(["labels"]) for label in table.column("labels").unique().to_pylist() if label}
    held |= labels_of_parts(corpus)
    if held - {labels}:
        raise SettingsError(f"{corpus.root} holds {', '.join(held)} labels, which mean other things than {labels} ones: use another folder")


class _Index:
    """What a run does to a corpus, with the threads of `pool`."""

    def __init__(self, corpus: Corpus, labels: str, pool: ThreadPoolExecutor):
        self._corpus, self._labels, self._pool = corpus, labels, pool

    def take(self, chunks: Iterable[Chunk]) -> pa.Table:
        """Join chunks to their videos' files, and give their rows in the table of chunks.

        The newest video mostly goes on: it waits for its other chunks, so that its file is written once.
        """
        rows, tables, held_rows = [], [chunk_table([])], 0
        held: dict[str, list[Chunk]] = {}
        for chunk in chunks:
            rows.append(chunk.row)
            if len(rows) >= CHUNKS_AT_ONCE:
                tables.append(chunk_table(rows))
                rows = []
            if chunk.actions is not None:
                held.setdefault(chunk.row["video"], []).append(chunk)
                held_rows += chunk.row["rows"] + CHUNK_ROWS
            if held_rows > HELD_ROWS:
                newest = next(reversed(held))
                waiting = sum(chunk.row["rows"] + CHUNK_ROWS for chunk in held[newest])
                kept = {newest: held.pop(newest)} if waiting <= HELD_ROWS // 2 else {}
                self._join(held)
                held, held_rows = kept, waiting if kept else 0
        self._join(held)
        return pa.concat_tables([*tables, chunk_table(rows)]).combine_chunks()

    def _join(self, held: Mapping[str, Sequence[Chunk]]) -> None:
        for _ in self._pool.map(lambda video: join(self._corpus, video, held[video], self._labels), sorted(held)):
            pass

    def finish(self, sources: Sequence[Source], threads: int) -> IndexCounts:
        """Write the tables of chunks and of videos and read lost rows again, until there are none that these shards have.

        Once more where another process has finished a shard meanwhile: whoever is last sees all.
        """
        for _ in range(MOST_ROUNDS):
            parts = part_sizes(self._corpus)
            table = all_chunks(self._corpus)
            videos, lost, counts = self._survey(table, {source.name for source in sources})
            self._corpus.put_videos(videos, keep_footage)
            write_table(self._corpus.root / "chunks.parquet", table, "chunks")
            counts.lost.update({shard: sum(map(len, videos.values())) for shard, videos in lost.items()})
            found = [self._mend(source, lost[source.name], threads) for source in sources if source.name in lost]
            if not any(found) and part_sizes(self._corpus) == parts:
                break
        return counts

    def _mend(self, source: Source, lost: Mapping[str, Collection[int]], threads: int) -> bool:
        """Read lost rows from their shard again; whether it has any of them."""
        chunks = ShardReader(source, self._labels, videos=lost, threads=threads)
        good = (chunk for chunk in chunks if chunk.actions is not None and chunk.row["chunk"] in lost[chunk.row["video"]])
        return self.take(good).num_rows > 0

    def _survey(self, table: pa.Table, shards: Collection[str]) -> "tuple[list[Video], _Lost, IndexCounts]":
        """What the table of chunks says: the rows of videos, the chunks without recorded rows in videos of `shards`, and the counts."""
        counts, videos, lost = IndexCounts(), [], defaultdict[str, dict[str, set[int]]](dict)
        groups = by_video(table)
        while some := list(islice(groups, VIDEOS_AT_ONCE)):
            for (video, rows), lacks in zip(
                some, self._pool.map(lambda group: self._lacking(group[0], group[1], shards), some), strict=True
            ):
                videos.append(video_row(video, rows, self._labels))
                _measure(rows, counts)
                for row in rows:
                    if row["chunk"] in lacks:
                        lost[row["shard"]].setdefault(video, set()).add(row["chunk"])
        counts.videos = len(videos)
        counts.hours = sum(video.duration_s or 0.0 for video in videos) / 3600
        counts.chunks = table.num_rows - table.column("video").null_count
        for name, count in (("reason", counts.broken), ("note", counts.notes)):
            count.update({entry["values"]: entry["counts"] for entry in table.column(name).drop_null().value_counts().to_pylist()})
        return videos, dict(lost), counts

    def _lacking(self, video: str, rows: Sequence[dict[str, Any]], shards: Collection[str]) -> set[int]:
        good = {row["chunk"] for row in rows if row["status"] == "ok"}
        return lacking(self._corpus, video, good) if good and any(row["shard"] in shards for row in rows) else set()


def _measure(rows: Sequence[dict[str, Any]], counts: IndexCounts) -> None:
    end_s: float | None = None
    for start_s, duration_s, _ in sorted(stretches_of(rows).values()):
        if end_s is not None and start_s < end_s - 1e-6:
            counts.overlaps_s += min(end_s - start_s, duration_s)
        elif end_s is not None and start_s > end_s + 1e-6:
            counts.holes += 1
            counts.holes_s += start_s - end_s
        end_s = max(end_s or 0.0, start_s + duration_s)

"""Puts NitroGen's labels into a corpus: `ghostpad corpus index`.

    actions/recorded/<video>.parquet  every labelled row of a video in one timeline, with its chunk's number
    chunks.parquet                    every chunk: its stretch, rate, boxes, and what is broken about it
    videos.parquet                    every video, status "missing" until its footage is fetched
    nitrogen/<shard>-<hash>.parquet   the ledger: the chunks of a finished shard, written last

Re-run to resume: a shard that is in the ledger with the same name, size, games and kind of labels is not read again, unless it was damaged
and may have been replaced. Shards may be indexed in any number of runs; a video spread over several of them is joined.

Where chunks overlap, the rows of the one that starts first are kept; of two with one number, the first that was indexed. The stretches of
all chunks are stored with the rows (fact "chunks"), so the files do not depend on how the work was split into runs.

Memory: at most `HELD_ROWS` rows (about 60 bytes each) and the table of chunks (about 300 bytes each).
"""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ghostpad.base.errors import FormatError, SettingsError, nearest
from ghostpad.base.files import locked
from ghostpad.base.progress import progress
from ghostpad.base.records import ACTIONS, CHUNKS, read_table, table_facts, write_table
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.nitrogen.chunk import Chunk, game_name
from ghostpad.corpus.nitrogen.reader import ShardReader
from ghostpad.corpus.nitrogen.source import Source
from ghostpad.corpus.nitrogen.timeline import Stretch, keep_first, stretches_of
from ghostpad.corpus.nitrogen.videos import keep_footage, video_row

HELD_ROWS = 2_000_000
"""Rows held in memory before they are joined to their videos' files: a guess, about 120 MB."""

CHUNK_ROWS = 500
"""A chunk's own size, in rows: that of 27 columns."""

CHUNKS_AT_ONCE = 5000
"""Chunks that are held as Python objects (2 KB each) before they become a table (300 bytes each)."""


@dataclass
class IndexCounts:
    """The results of a run. `broken` counts chunks, and damage of whole shards, by reason, over the whole corpus."""

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


def index_shards(corpus: Corpus, sources: Sequence[Source], labels: str = "raw", games: Iterable[str] | None = None) -> IndexCounts:
    """Index some shards into `corpus`, of `games` in any spelling only (None: all). Shows its progress in MB of shards.

    Raises `SettingsError` if the corpus holds the other kind of labels, and at the end for games that no shard has.
    """
    wanted = None if games is None else _wanted(games)
    with locked(corpus.root / "nitrogen" / ".lock"):
        _refuse_other_labels(corpus, labels)
        counts = IndexCounts(shards=len(sources))
        seen: Counter[str] = Counter()
        with progress("index", sum(source.size for source in sources) / 1e6, "MB") as advance:
            for source in sources:
                games_seen = _finished(corpus, source, labels, wanted)
                counts.present += games_seen is not None
                seen.update(_index_shard(corpus, source, labels, wanted) if games_seen is None else games_seen)
                advance(source.size / 1e6)
        _write_tables(corpus, labels, counts)
    unseen = [name for name in sorted(wanted or ()) if name not in seen]
    if unseen:
        hints = {name: nearest(name, seen) if seen else "they name no game" for name in unseen}
        raise SettingsError([f"no chunk of these shards is of the game '{name}': {hint}" for name, hint in hints.items()])
    return counts


def _wanted(games: Iterable[str]) -> frozenset[str]:
    names = {label: game_name(label) for label in games}
    if not names or None in names.values():
        raise SettingsError("--games names no game: write names with commas, for example celeste,hollow_knight")
    return frozenset(name for name in names.values() if name)


def _refuse_other_labels(corpus: Corpus, labels: str) -> None:
    held = {video.labels for video in corpus.list_videos() if video.labels}
    held |= {_facts(part)["labels"] for part in _parts(corpus)}
    if held - {labels}:
        raise SettingsError(f"{corpus.root} holds {', '.join(held)} labels, which mean other things than {labels} ones: use another folder")


def _parts(corpus: Corpus) -> list[Path]:
    return sorted((corpus.root / "nitrogen").glob("[!.]*.parquet"))


def _facts(part: Path) -> dict[str, str]:
    try:
        return table_facts(pq.read_schema(part).empty_table())
    except (pa.ArrowException, OSError) as error:
        raise FormatError(f"{part} is not a readable parquet file ({error}): remove it and index its shard again") from None


def _part(corpus: Corpus, source: Source, wanted: Collection[str] | None) -> Path:
    key = json.dumps(None if wanted is None else sorted(wanted))
    return corpus.root / "nitrogen" / f"{source.name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}.parquet"


def _finished(corpus: Corpus, source: Source, labels: str, wanted: Collection[str] | None) -> Counter[str] | None:
    """The games that a finished shard has, or None if it has to be read."""
    part = _part(corpus, source, wanted)
    facts = _facts(part) if part.exists() else {}
    same = (facts.get("size"), facts.get("labels"), facts.get("damaged")) == (str(source.size), labels, "no")
    return Counter(json.loads(facts["seen"])) if same else None


def _index_shard(corpus: Corpus, source: Source, labels: str, wanted: frozenset[str] | None) -> Counter[str]:
    reader, rows, tables, held_rows = ShardReader(source, labels, wanted), [], [_chunk_table([])], 0
    held: dict[str, list[Chunk]] = {}
    for chunk in reader:
        rows.append(chunk.row)
        if len(rows) >= CHUNKS_AT_ONCE:
            tables.append(_chunk_table(rows))
            rows = []
        if chunk.actions is not None:
            held.setdefault(chunk.row["video"], []).append(chunk)
            held_rows += chunk.actions.num_rows + CHUNK_ROWS
        if held_rows > HELD_ROWS:
            _join(corpus, held, labels)
            held, held_rows = {}, 0
    _join(corpus, held, labels)
    seen = Counter({name: count for name, count in reader.seen.items() if name})
    facts = {"shard": source.name, "size": str(source.size), "labels": labels, "damaged": "yes" if reader.damaged else "no"}
    facts["seen"] = json.dumps(seen, sort_keys=True)
    write_table(_part(corpus, source, wanted), pa.concat_tables([*tables, _chunk_table(rows)]).combine_chunks(), "chunks", facts)
    return seen


def _chunk_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Arrow's own way from rows takes ten times the memory of columns, so a column at a time."""
    columns = {name: pa.array([row[name] for row in rows], CHUNKS.field(name).type) for name in CHUNKS.names}
    return pa.table(columns, schema=CHUNKS)


def _join(corpus: Corpus, held: dict[str, list[Chunk]], labels: str) -> None:
    """Join chunks to the rows that their videos have already."""
    for video, chunks in sorted(held.items()):
        old = corpus.actions(RECORDED, video)
        facts = {} if old is None else table_facts(old)
        if old is not None and facts.get("labels") != labels:
            raise SettingsError(
                f"{corpus.root} has recorded rows of video '{video}' that are not NitroGen's {labels} labels: use another folder"
            )
        stretches = {number: Stretch(*rest) for number, *rest in json.loads(facts.get("chunks", "[]"))}
        tables = [] if old is None else [old]
        for chunk in chunks:
            if chunk.row["chunk"] not in stretches:
                stretches[chunk.row["chunk"]] = Stretch(chunk.row["start_s"], chunk.row["duration_s"], chunk.row["rows"])
                tables.append(chunk.actions)
        table = pa.concat_tables([table.replace_schema_metadata(None) for table in tables])
        spans = json.dumps([[number, *stretches[number]] for number in sorted(stretches)])
        facts = {"dataset": "nvidia/NitroGen", "licence": "CC BY-NC 4.0", "labels": labels, "chunks": spans}
        corpus.write_actions(RECORDED, video, keep_first(table, stretches).cast(ACTIONS).combine_chunks(), facts)


def _write_tables(corpus: Corpus, labels: str, counts: IndexCounts) -> None:
    """The tables of chunks and of videos, from the parts of all shards."""
    parts = [read_table(part, "chunks").replace_schema_metadata(None) for part in _parts(corpus)]
    table = _once(pa.concat_tables([CHUNKS.empty_table(), *parts]))
    write_table(corpus.root / "chunks.parquet", table, "chunks")
    videos, at = [], 0
    for video, group in groupby(table.column("video").to_pylist()):
        rows = table.slice(at, len(list(group)))
        at += rows.num_rows
        if video is not None:
            videos.append(video_row(video, rows.to_pylist(), labels))
            _measure(rows.to_pylist(), counts)
    corpus.put_videos(videos, keep_footage)
    counts.videos = len(videos)
    counts.hours = sum(video.duration_s or 0.0 for video in videos) / 3600
    counts.chunks = table.num_rows - table.column("video").null_count
    counts.broken.update(reason for reason in table.column("reason").to_pylist() if reason)
    counts.notes.update(note for note in table.column("note").to_pylist() if note)


def _once(table: pa.Table) -> pa.Table:
    """By video and number, each once: a good one rather than a broken one, then the first."""
    table = table.append_column("order", pa.array(np.arange(table.num_rows)))
    table = table.sort_by([("video", "ascending"), ("chunk", "ascending"), ("status", "descending"), ("order", "ascending")])
    videos, chunks = table.column("video").to_pylist(), table.column("chunk").to_pylist()
    keys = list(zip(videos, chunks, strict=True))
    first = [at == 0 or None in keys[at] or keys[at] != keys[at - 1] for at in range(len(keys))]
    return table.drop_columns("order").filter(pa.array(first, pa.bool_())).combine_chunks()


def _measure(rows: list[dict[str, Any]], counts: IndexCounts) -> None:
    end_s: float | None = None
    for start_s, duration_s, _ in sorted(stretches_of(rows).values()):
        if end_s is not None and start_s < end_s - 1e-6:
            counts.overlaps_s += min(end_s - start_s, duration_s)
        elif end_s is not None and start_s > end_s + 1e-6:
            counts.holes += 1
            counts.holes_s += start_s - end_s
        end_s = max(end_s or 0.0, start_s + duration_s)

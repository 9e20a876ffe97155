"""`ghostpad corpus index`: read NitroGen's labels into a corpus."""

from typing import Annotated, Literal

import tyro

from ghostpad.cli.arguments import PlacePath
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.nitrogen.index import index_shards
from ghostpad.corpus.nitrogen.source import find_sources

_Shards = Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SHARDS")]


def corpus_index(
    shards: _Shards, *, out: PlacePath, games: str | None = None, labels: Literal["raw", "processed"] = "raw", workers: int | None = None
) -> int:
    """Index shards of NitroGen's labels: which videos they cover, and every row of the pad.

    Reads the archives as streams and extracts nothing. Writes a row for every video (its footage is missing until it is fetched), a row for
    every chunk, and actions/recorded/<video>.parquet. Shards may come in several runs; a finished one is not read again. A chunk that
    cannot be read becomes a row with its reason, and is counted at the end. Safe to interrupt: re-run to resume.

    Args:
        shards: SHARD_*.tar.gz files, folders of them, extracted folders, or URLs of those (s3://, https://, hf://, with the fsspec driver).
        out: The corpus, a folder or an address, made if there is none.
        games: Games to index, with commas, in any spelling (default: all).
        labels: Which labels to read. One corpus holds one kind, because they mean different things.
        workers: Threads that read and write tables (default: one a core).
    """
    sources = find_sources(shards)
    counts = index_shards(Corpus.create(out), sources, labels, None if games is None else games.split(","), workers)
    lines = [
        f"{out}: {counts.videos} videos, {counts.chunks} chunks, {counts.hours:.2f} h labelled,"
        f" from {counts.shards} shards ({counts.present} were finished before)"
    ]
    if counts.overlaps_s:
        lines.append(f"  chunks overlap for {counts.overlaps_s:.1f} s: the one that starts first was kept")
    if counts.holes:
        lines.append(f"  {counts.holes} holes between chunks, {counts.holes_s / 3600:.2f} h in all")
    lines += [f"  {count} chunks of {shard} have no rows here any more: index it again" for shard, count in sorted(counts.lost.items())]
    lines += [f"  broken: {reason}: {count}" for reason, count in counts.broken.most_common()]
    lines += [f"  note: {note}: {count}" for note, count in counts.notes.most_common()]
    print("\n".join(lines))
    return 1 if counts.lost else 0

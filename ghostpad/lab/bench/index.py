"""`ghostpad lab bench index`: what indexing a shard of labels costs beside `tar -tzf` on it, and its memory.

Writes nothing but a temporary shard and corpus. Both ways are timed in turn by wall clock and by CPU time, each in processes of its own
(tar runs a gzip; the index unpacks and reads tables in threads), so that both include their start, half a second for the index (measured).
The index is timed for a game of one video in fifty, and for every game, where it also reads every parquet file.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ghostpad.base.progress import Advance, progress
from ghostpad.lab.bench.common import check_counts, ratios, run_command, show, spread, spread_words
from ghostpad.lab.made_up.nitrogen_shards import SampleChunk, sample_files, write_shard

VIDEO_CHUNKS = 50
"""Chunks of a made-up video. They are made for one video; the shard repeats them under other names."""

RARE = 50
"""One video in 50 is of the game "rare"; a real shard has about 90 games (measured by others)."""

WAYS = ("tar -tzf", "a rare game", "every game")
"""What is timed."""


def bench_index(*, shard: Path | None = None, repeats: int = 5, out: Path | None = None, quick: bool = False) -> None:
    """Measure indexing a shard of NitroGen's labels beside `tar -tzf` on it, and the memory that 100,000 chunks take.

    Prints wall and CPU time as a ratio to tar (median, least and largest), for a game of one video in fifty and for every game, and
    the peak memory. Takes about five minutes and 500 MB of disk.

    Args:
        shard: The shard to measure with (default: made-up chunks with random actions, in NitroGen's layout).
        repeats: How often each way is measured.
        out: The JSON file to write.
        quick: A small shard: shows that it works, measures little.
    """
    check_counts(repeats=repeats)
    with tempfile.TemporaryDirectory(prefix="ghostpad-bench-") as temporary:
        folder = Path(temporary)
        if shard is None:
            shard = folder / "SHARD_0000.tar.gz"
            make_shard(shard, 50 if quick else 20_000, 1200)
        with progress("measure", len(WAYS) * repeats, "runs") as advance:
            ways = time_ways(shard, folder, repeats, advance)
        (folder / "memory").mkdir()
        report = {"bytes": shard.stat().st_size, "ways": ways, "memory": weigh(folder / "memory", 100 if quick else 100_000)}
    show(report, out, bench_text(report))


def bench_text(report: dict[str, Any]) -> str:
    """The lines that the command prints of its report."""
    lines = [f"a shard of {report['bytes'] / 1e6:.1f} MB; ratios are to tar -tzf, median (least to largest):"]
    for way, timed in report["ways"].items():
        wall, cpu = (f"{timed[f'{clock}_s']['median']:.2f} s, {spread_words(timed[f'{clock}_ratio'])}" for clock in ("wall", "cpu"))
        lines.append(f"  {way:>11}: wall {wall}; CPU {cpu}; {timed['peak_mb']:.0f} MB")
    memory = report["memory"]
    lines.append(f"  {memory['chunks']} chunks of 60 rows: {memory['peak_mb']:.0f} MB at most, {memory['wall_s']:.0f} s")
    return "\n".join(lines)


def make_shard(path: Path, chunks: int, rows: int) -> None:
    """Write a shard of `chunks` (rounded up to whole videos) of `rows` rows with random actions; every second has processed labels."""
    write_shard(path, _videos(-(-chunks // VIDEO_CHUNKS), rows))


def _videos(count: int, rows: int) -> Iterator[tuple[str, bytes]]:
    games = ("rare", "celeste")
    files = [sample_files([SampleChunk("bench", number, rows, game, number % 2 == 0) for number in range(VIDEO_CHUNKS)]) for game in games]
    for video in range(count):
        for name, body in files[video % RARE != 0]:
            yield name.replace("bench", f"bench{video}"), body


def time_ways(shard: Path, folder: Path, repeats: int, advance: Advance) -> dict[str, Any]:
    """By way: least, median and largest wall and CPU seconds, peak memory in MB of the largest run, and the ratios to `tar -tzf`."""
    runs: dict[str, list[tuple[float, float, float]]] = {way: [] for way in WAYS}
    for repeat in range(repeats):
        for way in WAYS:
            runs[way].append(run_command(_command(way, shard, folder / f"{repeat}-{WAYS.index(way)}")))
            advance(1)
    report: dict[str, Any] = {}
    plain_wall_s, plain_cpu_s, _ = zip(*runs[WAYS[0]], strict=True)
    for way, own in runs.items():
        wall_s, cpu_s, peak_mb = zip(*own, strict=True)
        report[way] = {"wall_s": spread(wall_s), "cpu_s": spread(cpu_s), "peak_mb": max(peak_mb)}
        report[way] |= {"wall_ratio": ratios(wall_s, plain_wall_s), "cpu_ratio": ratios(cpu_s, plain_cpu_s)}
    return report


def weigh(folder: Path, chunks: int) -> dict[str, float]:
    """Peak memory in MB, and seconds, of indexing `chunks` small chunks with all their rows."""
    shard = folder / "SHARD_0000.tar.gz"
    make_shard(shard, chunks, 60)
    wall_s, cpu_s, peak_mb = run_command(_command("every game", shard, folder / "corpus"))
    return {"chunks": chunks, "wall_s": wall_s, "cpu_s": cpu_s, "peak_mb": peak_mb}


def _command(way: str, shard: Path, out: Path) -> list[str]:
    if way == WAYS[0]:
        return ["tar", "-tzf", str(shard)]
    games = ["--games", "rare"] if way == WAYS[1] else []
    return [sys.executable, "-m", "ghostpad", "corpus", "index", str(shard), "--out", str(out), *games]

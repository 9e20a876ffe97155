"""`ghostpad lab bench index`: what indexing a shard of labels costs on this machine."""

import tempfile
from pathlib import Path
from typing import Any

from ghostpad.base.errors import SettingsError
from ghostpad.base.files import write_json
from ghostpad.base.progress import progress
from ghostpad.lab.bench.index_timing import WAYS, make_shard, time_ways, weigh


def bench_index(*, shard: Path | None = None, repeats: int = 5, out: Path | None = None, quick: bool = False) -> None:
    """Measure indexing a shard of NitroGen's labels beside `tar -tzf` on it, and the memory that 100,000 chunks take.

    Prints wall and CPU time as a ratio to tar (median, least and largest), for a game that one video in fifty is of and for every game, and
    the peak memory. Takes about five minutes and 500 MB of disk.

    Args:
        shard: The shard to measure with (default: made-up chunks with random actions, in NitroGen's layout).
        repeats: How often each way is measured.
        out: The JSON file to write.
        quick: A small shard: shows that it works, measures little.
    """
    if repeats < 1:
        raise SettingsError(f"repeats is {repeats}: it must be 1 or more")
    with tempfile.TemporaryDirectory(prefix="ghostpad-bench-") as temporary:
        folder = Path(temporary)
        if shard is None:
            shard = folder / "SHARD_0000.tar.gz"
            make_shard(shard, 50 if quick else 20_000, 1200)
        with progress("measure", (len(WAYS) - 1) * repeats + 1, "runs") as advance:
            ways = time_ways(shard, folder, repeats, advance)
        (folder / "memory").mkdir()
        report = {"bytes": shard.stat().st_size, "ways": ways, "memory": weigh(folder / "memory", 100 if quick else 100_000)}
    if out is not None:
        write_json(out, report)
    print(bench_text(report))


def bench_text(report: dict[str, Any]) -> str:
    """The lines that the command prints of its report."""
    lines = [f"a shard of {report['bytes'] / 1e6:.1f} MB; ratios are to tar -tzf, median (least to largest):"]
    for way, told in report["ways"].items():
        wall, cpu = told["wall_ratio"], told["cpu_ratio"]
        lines.append(
            f"  {way:>11}: wall {told['wall_s']['median']:.2f} s, {wall['median']:.2f} ({wall['min']:.2f} to {wall['max']:.2f});"
            f" CPU {told['cpu_s']['median']:.2f} s, {cpu['median']:.2f} ({cpu['min']:.2f} to {cpu['max']:.2f}); {told['peak_mb']:.0f} MB"
        )
    memory = report["memory"]
    lines.append(f"  {memory['chunks']} chunks of 60 rows: {memory['peak_mb']:.0f} MB at most, {memory['wall_s']:.0f} s")
    return "\n".join(lines)

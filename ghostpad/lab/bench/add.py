"""`ghostpad lab bench add`: what adding short videos costs as a corpus grows.

Writes to a temporary folder, 1 GB for 100,000 videos of 6 s. They are added in ten parts by `ghostpad corpus add`, a process each; one
video in a hundred comes a second time, re-encoded, and must be found.
"""

import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ghostpad.base.errors import FormatError
from ghostpad.base.lines import text_table
from ghostpad.base.progress import progress
from ghostpad.lab.bench.common import check_counts, show
from ghostpad.lab.made_up.many_videos import write_many

PARTS, ANEW_EVERY = 10, 100
"""Runs of the command, and of how many videos one is re-encoded."""


def bench_add(*, videos: int = 100_000, out: Path | None = None) -> None:
    """Measure the CPU time and memory of adding many short videos, and whether the re-encoded ones among them are found.

    Takes about an hour for 100,000 videos on two cores. CPU time is that of the command and of the child in which it reads footage.

    Args:
        videos: How many, 10 or more.
        out: The JSON file to write.
    """
    check_counts(**{"a tenth of the videos": videos // PARTS})
    parts: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="ghostpad-add-") as temporary, progress("add", videos, "videos") as advance:
        corpus, footage, count = Path(temporary) / "corpus", Path(temporary) / "footage", videos // PARTS
        for part in range(PARTS):
            anew = write_many(footage, count, anew_every=ANEW_EVERY, first=part * count)
            parts.append({"before": part * count, "added": count, "anew": anew, **_add(corpus, footage)})
            shutil.rmtree(footage)
            advance(count)
    show(parts, out, add_text(parts))


def _add(corpus: Path, footage: Path) -> dict[str, Any]:
    """Run the command: its seconds of CPU and by the clock, its peak memory in MB, and the duplicates that it found."""
    before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    words = [sys.executable, "-c", _MEASURED, "corpus", "add", str(corpus), str(footage)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found, peak = re.search(r"(\d+) duplicates", done.stdout), re.search(r"peak (\d+)", done.stderr)
    if done.returncode or not found or not peak:
        raise FormatError(f"ghostpad corpus add failed with status {done.returncode}: {done.stderr[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_s": cpu_s, "wall_s": time.monotonic() - began_s, "peak_mb": int(peak[1]) / 1000, "duplicates": int(found[1])}


_MEASURED = """
import resource, sys
from ghostpad.cli.main import main
status = main(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(status)
"""
"""A command that tells its own peak memory, without that of its child (KB on Linux)."""


def add_text(parts: list[dict[str, Any]]) -> str:
    """The lines that the command prints."""
    rows = [
        (
            f"{part['before']:,}",
            f"{1000 * part['cpu_s'] / (part['added'] + part['anew']):.1f}",
            f"{1000 * part['wall_s'] / (part['added'] + part['anew']):.1f}",
            f"{part['peak_mb']:.0f}",
            f"{part['duplicates']} of {part['anew']}",
        )
        for part in parts
    ]
    return text_table(("videos before", "CPU ms a video", "wall ms a video", "MB", "re-encoded found"), rows)

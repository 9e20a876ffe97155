"""`ghostpad lab bench feed`: what the feed costs on thousands of hours of segments: the start, memory, open files, and frames.

Writes a corpus of links (`ghostpad.lab.made_up.many_hours`) to a temporary folder and reads it as a training does, in a process of its own
for each kind of window. Measures no training: a model's own time is in RUN/speed.json.
"""

import os
import resource
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ghostpad.base.errors import GhostpadError
from ghostpad.base.lines import text_table
from ghostpad.base.progress import progress
from ghostpad.corpus.folder import Corpus
from ghostpad.feed.window import WindowSpec
from ghostpad.lab.bench.common import MAXRSS_MB, check_counts, processor, show
from ghostpad.lab.made_up.many_hours import many_hours

WINDOWS: dict[str, WindowSpec] = {
    "33 frames": WindowSpec(tuple(range(33)), tuple(range(32)), 256, 256, False, inside=True),
    "2 frames": WindowSpec((-2, 0), tuple(range(1, 9)), 256, 256, False),
}
"""The windows that are read: those of the default IDM and of the default policy, at 256 x 256 RGB."""


def bench_feed(
    *, videos: int = 10_000, rows: int = 21_600, steps: int = 5_000, batch: int = 8, together: int = 4, out: Path | None = None
) -> None:
    """Measure how the feed begins and goes on, with windows of an IDM and of a policy at 256 x 256 RGB.

    By default 10,000 videos with 216 million rows, which are 1,000 hours at 60 Hz. Takes 2 GB of disk, and about an hour.

    Args:
        videos: Videos of the corpus.
        rows: Rows of each, about.
        steps: Batches that are read of each kind of window.
        batch: Windows of a batch.
        together: Windows that a batch takes from one segment.
        out: The JSON file to write.
    """
    check_counts(videos=videos, rows=rows, steps=steps, batch=batch, together=together)
    report: dict[str, Any] = {"processor": processor(), "videos": videos, "batch": batch, "together": together, "windows": {}}
    with tempfile.TemporaryDirectory(prefix="ghostpad-bench-") as temporary:
        for number, (name, spec) in enumerate(WINDOWS.items()):
            root = Path(temporary) / f"c{number}"
            many_hours(root, spec, videos, rows)
            with progress(name, steps, "steps") as advance:
                report["windows"][name] = _apart(root, spec, steps, batch, together, advance)
    show(report, out, feed_text(report))


def feed_text(report: dict[str, Any]) -> str:
    """The lines that the command prints of its report."""
    names = {
        "rows": "rows", "start_s": "start, s", "start_mb": "start, MB", "open_files": "open files", "early_mb": "MB at 10 %",
        "late_mb": "MB at the end", "frames_per_cpu_s": "frames a CPU-second", "windows_per_cpu_s": "windows a CPU-second",
    }  # fmt: skip
    lines = [[name, *(f"{one[key]:,.0f}" for key in names)] for name, one in report["windows"].items()]
    return text_table(["window", *names.values()], lines)


def _apart(root: Path, spec: WindowSpec, steps: int, batch: int, together: int, advance: Any) -> dict[str, Any]:
    """`read_batches` in a new process, whose memory is its own."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(theirs, root, spec, steps, batch, together))
    process.start()
    theirs.close()
    try:
        while isinstance(said := ours.recv(), int):
            advance(said)
    except EOFError:
        raise GhostpadError("the process that reads batches died") from None
    finally:
        process.join()
    return dict(said)


def _child(pipe: Connection, root: Path, spec: WindowSpec, steps: int, batch: int, together: int) -> None:
    pipe.send(read_batches(root, spec, steps, batch, together, pipe))


def read_batches(root: Path, spec: WindowSpec, steps: int, batch: int, together: int, pipe: Connection) -> dict[str, Any]:
    """Open the corpus as a training does and read batches of it; what that costs."""
    began_s = time.perf_counter()
    from ghostpad.feed.dataset import WindowDataset, batches  # in here, because importing them belongs to the start
    from ghostpad.feed.gather import gather
    from ghostpad.feed.order import Order
    from ghostpad.feed.settings import DataSettings

    data = DataSettings(batch_size=batch, together=together)
    footage = gather([Corpus.open(root)], data, spec)
    dataset = WindowDataset(footage.groups, spec)
    order = Order([group.layout(data.evenly) for group in dataset.groups], [1.0], batch, 0, together)
    feed = batches(dataset, order, 0, steps)
    next(feed)
    told: dict[str, Any] = {"start_s": time.perf_counter() - began_s, "start_mb": _peak_mb()}
    told["rows"] = sum(len(clip.pads) for clip in footage.recorded)
    frames, cpu_s = 0, time.process_time()
    for step, one in enumerate(feed, 1):
        frames += one.frames.shape[0] * one.frames.shape[1]
        if step == max(1, steps // 10):
            told["early_mb"] = _now_mb()
        if step % max(1, steps // 100) == 0:
            pipe.send(max(1, steps // 100))
    spent_s = time.process_time() - cpu_s
    return told | {
        "late_mb": _now_mb(), "open_files": len(os.listdir("/proc/self/fd")), "frames_per_cpu_s": frames / spent_s,
        "windows_per_cpu_s": batch * (steps - 1) / spent_s, "steps": steps,
    }  # fmt: skip


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MAXRSS_MB


def _now_mb() -> float:
    """Memory of this process now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20

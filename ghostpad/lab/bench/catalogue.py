"""`ghostpad lab bench catalogue`: what a catalogue of videos costs as it grows, in a folder and at s3://, beside SQLite.

Writes to a temporary folder, 2 GB for a million rows. Times are by wall clock; each step runs in processes of its own.
"""

import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ghostpad.base.errors import MissingError
from ghostpad.base.progress import Advance, progress
from ghostpad.lab.bench.catalogue_ways import (
    Catalogue,
    Sqlite,
    Way,
    add_step,
    attempts_in,
    change_step,
    disk_of,
    find_step,
    scan_step,
    status_command,
)
from ghostpad.lab.bench.common import check_counts, processor, run_command, show

ADDED = 10_000
"""Rows of one commit while a table is made, and of the one that is timed."""

WAYS = ("catalogue", "SQLite", "catalogue at s3")
"""What is measured."""

STORE_ROWS, STORE_CHANGES = 100_000, 5
"""The most rows that are put at s3://, and how many times fewer changes are made there: the server in Python is slow."""

TARGETS = {"add_s": 10.0, "status_s": 5.0, "change_ms": 50.0, "status_mb": 500.0}
"""What must hold at a million rows: see docs/scale.md."""


def bench_catalogue(
    *,
    rows: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000),
    changes: int = 1_000,
    writers: int = 8,
    store: bool = True,
    out: Path | None = None,
    picture: Path | None = None,
) -> None:
    """Measure what a catalogue of videos costs at growing numbers of rows: in a folder, in SQLite, and at s3:// by moto's server.

    Prints for each the seconds of adding 10,000 rows, of reading four columns of all and of `ghostpad corpus status`, the time of single
    changes that several processes make at once and how many were lost, the requests of a change at s3://, disk and memory. Takes about ten
    minutes and 2 GB of disk.

    Args:
        rows: The sizes of the table.
        changes: How many single rows are changed at each size, a fifth of it at s3://.
        writers: How many processes make them, at once.
        store: Whether to measure s3:// too, up to 100,000 rows.
        out: The JSON file to write.
        picture: The PNG file of the curves to write.
    """
    check_counts(changes=changes, writers=writers, **{f"rows[{at}]": count for at, count in enumerate(rows)})
    report: dict[str, Any] = {"machine": {"processor": processor(), "cores": os.cpu_count()}, "ways": {}}
    plan = [(name, count) for count in sorted(rows) for name in WAYS if name != WAYS[2] or (store and count <= STORE_ROWS)]
    with (
        tempfile.TemporaryDirectory(prefix="ghostpad-bench-") as folder,
        s3_server(store) as bucket,
        progress("measure", sum(count for _, count in plan), "rows") as advance,
    ):
        for number, (name, count) in enumerate(plan):
            way, root = (Sqlite if name == WAYS[1] else Catalogue), f"{bucket if name == WAYS[2] else folder}/{number}"
            fewer = STORE_CHANGES if name == WAYS[2] else 1
            figures = measure(way, root, count, max(writers, changes // fewer), writers, advance)
            report["ways"].setdefault(name, []).append({"rows": count, **figures})
    if picture is not None:
        draw(report, picture)
    show(report, out, bench_text(report))


def measure(way: type[Way], root: str, rows: int, changes: int, writers: int, advance: Advance) -> dict[str, Any]:
    """All figures of one way at one size."""
    built = apart(add_step, way, root, 0, rows, ADDED)
    advance(rows)
    added = apart(add_step, way, root, rows, rows + ADDED, ADDED)
    scanned, found = apart(scan_step, way, root), apart(find_step, way, root, rows)
    assert scanned["rows"] == rows + ADDED
    figures = {
        "add_s": added["s"][0],
        "worst_add_s": max(built["s"]),
        "add_mb": built["peak_mb"],
        "scan_s": scanned["s"],
        "scan_mb": scanned["peak_mb"] - scanned["before_mb"],
        "first_find_ms": 1000 * found["first_s"],
        "find_ms": 1000 * float(np.median(found["s"])),
        **disk_of(root),
    }
    if way is Catalogue:
        figures["status_s"], _, figures["status_mb"] = run_command(status_command(root))
    return figures | change_all(way, root, changes, writers)


def change_all(way: type[Way], root: str, changes: int, writers: int) -> dict[str, Any]:
    """Single changes by several processes at once: milliseconds of a change, by the clock on the wall and as each process waits for it."""
    shares = [changes // writers + (number < changes % writers) for number in range(writers)]
    with ProcessPoolExecutor(writers, _processes()) as pool:
        list(pool.map(time.sleep, [0.2] * writers))  # so that all have started
        began_s = time.perf_counter()
        done = [pool.submit(change_step, way, root, share, seed) for seed, share in enumerate(shares)]
        parts = [one.result() for one in done]
        took_s = time.perf_counter() - began_s
    waited_ms = 1000 * np.concatenate([part["s"] for part in parts])
    requests = {name: sum(part["requests"].get(name, 0) for part in parts) / changes for part in parts for name in part["requests"]}
    return {
        "changes": changes,
        "lost": changes - attempts_in(way, root),
        "change_ms": 1000 * took_s / changes,
        "wait_ms": {"mean": float(waited_ms.mean()), **{f"p{at}": float(np.percentile(waited_ms, at)) for at in (50, 95, 99)}},
        "tries": sum(part["tries"] for part in parts) / changes,
        "requests": requests,
    }


def _processes() -> Any:
    """New processes that have imported what they need and done nothing else."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["ghostpad.lab.bench.catalogue_ways"])
    return processes


def apart(step: Any, *arguments: Any) -> Any:
    """What a step gives in a process of its own."""
    with ProcessPoolExecutor(1, _processes()) as pool:
        return pool.submit(step, *arguments).result()


@contextmanager
def s3_server(wanted: bool) -> Iterator[str]:
    """The address of a bucket at a server on this machine that speaks S3, "" where none is wanted. Raises `MissingError` without moto."""
    if not wanted:
        yield ""
        return
    try:
        import moto.server  # noqa: F401
        import s3fs  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingError(f"s3:// cannot be measured here ({error}): pip install 'ghostpad[dev,s3]', or --no-store") from None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    keys = {"ENDPOINT_URL": f"http://127.0.0.1:{port}", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "DEFAULT_REGION": "us-east-1"}
    before = dict(os.environ)
    os.environ.update({f"AWS_{name}": value for name, value in keys.items()})
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("bench")
        yield "s3://bench"
    finally:
        server.kill()
        server.wait()
        for name in keys:
            os.environ.pop(f"AWS_{name}", None)
        os.environ.update(before)


def bench_text(report: dict[str, Any]) -> str:
    """The lines that the command prints of its report."""
    lines = [f"{report['machine']['cores']} cores of {report['machine']['processor']}"]
    for name, sizes in report["ways"].items():
        for one in sizes:
            waits = " ".join(f"{key} {value:.0f}" for key, value in one["wait_ms"].items())
            requests = ", ".join(f"{count:.1f} {what}" for what, count in sorted(one["requests"].items()))
            lines.append(f"{name}, {one['rows']} rows: {one['bytes'] / 1e6:.1f} MB in {one['files']} files")
            lines.append(f"  add {ADDED} rows: {one['add_s']:.2f} s (worst before: {one['worst_add_s']:.2f} s), {one['add_mb']:.0f} MB")
            lines.append(f"  read four columns: {one['scan_s']:.2f} s, {one['scan_mb']:.0f} MB more than before")
            lines.append(f"  find a row: {one['first_find_ms']:.0f} ms, the next {one['find_ms']:.1f} ms")
            if "status_s" in one:
                lines.append(f"  ghostpad corpus status: {one['status_s']:.1f} s, {one['status_mb']:.0f} MB")
            lines.append(f"  {one['changes']} changes: {one['lost']} lost, {one['change_ms']:.1f} ms each, tried {one['tries']:.2f} times")
            lines.append(f"  ms that a process waits for a change: {waits}" + (f"; requests each: {requests}" if requests else ""))
    return "\n".join(lines)


def draw(report: dict[str, Any], path: Path) -> None:
    """Write the curves as a PNG: four panels, both axes in powers of ten, what must hold as a dashed line."""
    from matplotlib.figure import Figure  # here, because matplotlib takes a second to import

    from ghostpad.view.plots import AMBER, BLUE, GREY

    panels = {"add_s": f"add {ADDED:,} rows, s", "scan_s": "read four columns of all rows, s"}
    panels |= {"status_s": "ghostpad corpus status, s", "change_ms": "one of many changes, by several processes, ms"}
    looks = dict(zip(WAYS, [(BLUE, "o-"), (AMBER, "s-"), (GREY, "^-")], strict=True))
    figure = Figure(figsize=(9, 6), layout="constrained")
    for axes, (key, title) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
        for name, sizes in report["ways"].items():
            points: Sequence[Any] = [(one["rows"], one[key]) for one in sizes if key in one]
            if points:
                axes.loglog(*zip(*points, strict=True), looks[name][1], color=looks[name][0], label=name)
        if key in TARGETS:
            axes.axhline(TARGETS[key], color=GREY, linestyle="--", linewidth=1, label="must hold")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("rows")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path, dpi=100)

"""What labelling a corpus would take, before anything is written: units, hours, bytes, and worker-hours by a sample.

Labels the first seconds of the first readable video in memory, which costs as much as loading the IDM and labelling them.
"""

import shutil
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from ghostpad.base.engines.settings import Share, usable_cores
from ghostpad.base.records import LABELS, write_table
from ghostpad.corpus.folder import Corpus
from ghostpad.idm import load
from ghostpad.label.labeller import Labeller, label_source_of
from ghostpad.label.settings import LabelSettings
from ghostpad.label.units import STRETCH_S, Todo, Unit

SAMPLE_S = 10.0
"""Seconds of video that are labelled to see how long it takes."""

_WARM_S, _SAMPLED = 1.0, 5
"""Seconds of video labelled before the clock runs, and videos that are tried until one can be read."""


@dataclass(frozen=True)
class Plan:
    """What is to be done; None is unknown."""

    source: str
    videos: int
    units: int
    hours: float  # of video
    present: int  # videos labelled before
    skipped: int  # videos that failed before and are left out
    read_bytes: float
    write_bytes: float | None
    free_bytes: int | None  # on the disk of the corpus
    speed: float | None  # seconds of video a second of one worker on a machine like this one
    device: str  # of the worker: "cpu" or "cuda"
    workers: int | None  # None: what a cluster has


def plan_labelling(
    corpus: Corpus,
    run: Path,
    settings: LabelSettings,
    *,
    retry: str | None = None,
    share: Share | None = None,
    stretch_s: float = STRETCH_S,
) -> Plan:
    """What `ghostpad.label.label.label_corpus` would do with the same arguments. Writes nothing into the corpus. Raises as it does."""
    idm = load(run)
    todo = Todo(corpus, label_source_of(run), stretch_s, retry, share)
    labeller = Labeller(corpus, run, settings, idm)
    try:
        sample = next(filter(None, (_sample(labeller, unit) for unit in islice(todo, _SAMPLED))), None)
    finally:
        labeller.close()
    return Plan(
        source=todo.source,
        videos=todo.videos,
        units=todo.units,
        hours=todo.minutes / 60,
        present=todo.present,
        skipped=len(todo.skipped),
        read_bytes=todo.read_bytes,
        write_bytes=todo.videos * _file_bytes(LABELS.empty_table()) + todo.minutes * 60 * sample.bytes_a_second if sample else None,
        free_bytes=shutil.disk_usage(corpus.root).free if isinstance(corpus.root, Path) else None,
        speed=sample.speed if sample else None,
        device=idm.bins.device.type,
        workers=1 if settings.placed == "here" else settings.workers or (usable_cores() if settings.placed == "pool" else None),
    )


def plan_lines(plan: Plan) -> list[str]:
    """The plan for a terminal."""
    free = f", {_size(plan.free_bytes)} are free there" if plan.free_bytes is not None else ""
    short = plan.free_bytes is not None and plan.write_bytes is not None and plan.write_bytes > plan.free_bytes
    lines = [
        f"{plan.source}: {plan.videos} videos in {plan.units} units, {plan.hours:.4g} hours; {plan.present} labelled before, "
        f"{plan.skipped} failed before and left out",
        f"  to read   {_size(plan.read_bytes)}",
        f"  to write  {'unknown' if plan.write_bytes is None else _size(plan.write_bytes)}{free}{': TOO LITTLE' * short}",
    ]
    if plan.speed is None:
        return [*lines, "  to work   unknown: none of the first videos can be read"] if plan.units else lines
    hours, kind = plan.hours / plan.speed, "GPU" if plan.device == "cuda" else "CPU"
    wall = f", {hours / plan.workers:.4g} hours with {plan.workers} workers" if plan.workers else ", on as many workers as the cluster has"
    return [*lines, f"  to work   {hours:.4g} {kind}-hours{wall} ({plan.speed:.3g} s of video a second, by the first seconds here)"]


@dataclass(frozen=True)
class _Sample:
    speed: float
    bytes_a_second: float


def _sample(labeller: Labeller, unit: Unit) -> _Sample | None:
    """How the first seconds of a video are labelled; None if they cannot be."""
    next(labeller.label([Unit(unit.video, 0, 2, _WARM_S)]))
    began_s = time.perf_counter()
    _, rows, _ = next(labeller.label([Unit(unit.video, 0, 2, SAMPLE_S)]))
    took_s = time.perf_counter() - began_s
    if isinstance(rows, Exception) or rows.num_rows < 2:
        return None
    stamps = rows.column("pts_s")
    covered_s = (stamps[-1].as_py() - stamps[0].as_py()) * rows.num_rows / (rows.num_rows - 1)
    return _Sample(covered_s / took_s, (_file_bytes(rows) - _file_bytes(LABELS.empty_table())) / covered_s)


def _file_bytes(rows: pa.Table) -> int:
    """How large a file the rows make."""
    with TemporaryDirectory(prefix="ghostpad-") as folder:
        path = Path(folder) / "rows.parquet"
        write_table(path, rows, "labels")
        return path.stat().st_size


def _size(count: float) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"

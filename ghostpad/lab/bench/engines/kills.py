"""Trials with kills: workers, drivers and nodes of every engine, and what is in the files afterwards."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from upath import UPath

from ghostpad.base.errors import GhostpadError, MissingError
from ghostpad.corpus.folder import Corpus
from ghostpad.lab.bench.engines.noted import read_notes
from ghostpad.lab.bench.engines.scene import Case, Scene, engine_flags, place_for, workers_of
from ghostpad.lab.bench.trust.stage import Trial, difference
from ghostpad.label.labeller import label_source_of

STRETCH_S = 6.0
"""Where long videos are cut, which have a minute."""

_DRIVER_SHARE = 0.25
"""Of the kills, those that hit the driver and not a worker."""

_FAILURES = 5
"""Runs that may end with an error of their own before a trial is given up."""

_LOOK_S = 0.1
"""Seconds between two looks at a run."""


@dataclass
class KillTrial(Trial):
    """What was done to the runs that labelled a corpus, and what they did."""

    videos: int = 0
    units: int = 0
    runs: int = 0
    worker_kills: int = 0
    driver_kills: int = 0
    node_kills: int = 0
    redone: int = 0  # units whose reading began again
    files: int = 0
    rewritten: int = 0  # files that took the place of others
    failures: list[str] = field(default_factory=list)  # of runs that ended with an error by themselves, and were begun again
    took_s: float = 0.0

    @property
    def kills(self) -> int:
        """All of them."""
        return self.worker_kills + self.driver_kills + self.node_kills


@dataclass(frozen=True)
class Killing:
    """When processes are killed: each time at random from 0 to `every_s` s after a next unit has begun, at most `most` times a trial."""

    every_s: float
    most: int
    rng: np.random.Generator


@dataclass(frozen=True)
class Expected:
    """What labelling gives where nothing happens."""

    short: int
    long: int
    files: dict[str, str]
    units: int


def undisturbed(scene: Scene, short: int, long: int) -> tuple[Expected, Trial]:
    """Label the videos in this process's engine without a kill; and a trial of whether joined stretches are the rows of one pass."""
    trial, case, whole = Trial("stretches beside one pass"), scene.corpus("undisturbed", short, long), scene.corpus("whole", 0, long)
    for one, stretch_s in ((case, STRETCH_S), (whole, None)):
        if status := one.begin(*engine_flags("here", stretch_s)).wait():
            raise GhostpadError(f"the undisturbed run ended with status {status}: {one.said()}")
    source, joined = label_source_of(case.run), Corpus.open(case.root)
    for number, video in enumerate(Corpus.open(whole.root).each()):
        rows, parts = Corpus.open(whole.root).actions(source, video.id), joined.actions(source, f"v{short + number:04d}")
        assert rows is not None and parts is not None
        trial.expect(rows.num_rows == parts.num_rows, f"{video.id}: {rows.num_rows} rows, and {parts.num_rows} in stretches")
        for name in rows.column_names if rows.num_rows == parts.num_rows else ():
            one, other = (table.column(name).to_numpy().astype(float) for table in (rows, parts))
            trial.expect(bool(np.allclose(one, other, rtol=0, atol=1e-5, equal_nan=True)), f"{video.id}: {name} is another")
    return Expected(short, long, case.files(), len(set(read_notes(case.run)))), trial


def kill_at_random(scene: Scene, engine: str, expected: Expected, killing: Killing, bucket: str = "") -> KillTrial:
    """Label the videos while workers and drivers are killed; the same command is run until it ends well."""
    name = f"kills-{engine}-{'s3' if bucket else 'disk'}"
    trial = KillTrial(f"{engine}, {'at an address' if bucket else 'on the disk'}")
    case = scene.corpus(name, expected.short, expected.long, root=place_for(name, bucket))
    began_s, seen = time.monotonic(), dict[str, tuple[int, int]]()
    while len(trial.failures) < _FAILURES:
        process = case.begin(*engine_flags(engine, STRETCH_S))
        trial.runs += 1
        while process.poll() is None:
            if _has_begun_another(process, case, lambda: _note_files(case, seen, trial)) and trial.kills < killing.most:
                time.sleep(killing.rng.uniform(0, killing.every_s))
                _kill(process, engine, killing.rng, trial)
        if process.returncode == 0:
            break
        if process.returncode != -signal.SIGKILL:
            trial.failures.append(f"status {process.returncode}: {case.said()}")
    trial.expect(len(trial.failures) < _FAILURES, "the command was given up")
    trial.took_s = time.monotonic() - began_s
    _note_files(case, seen, trial)
    if bucket:
        trial.rewritten += _versions_too_many(case)
    return checked(trial, case, expected)


def _has_begun_another(process: subprocess.Popen[bytes], case: Case, look: Callable[[], None]) -> bool:
    """Wait until a next unit has begun; False if the run has ended before."""
    before = len(read_notes(case.run))
    while process.poll() is None:
        if len(read_notes(case.run)) > before:
            return True
        time.sleep(_LOOK_S)
        look()
    return False


def _kill(process: subprocess.Popen[bytes], engine: str, rng: np.random.Generator, trial: KillTrial) -> None:
    """Kill a worker of a run, or its driver, if it has not ended meanwhile."""
    workers = workers_of(process.pid)
    if process.poll() is not None:
        return
    if engine == "here" or rng.random() < _DRIVER_SHARE:
        process.kill()
        process.wait()
        trial.driver_kills += 1
    elif workers:
        with suppress(ProcessLookupError):
            os.kill(workers[int(rng.integers(len(workers)))], signal.SIGKILL)
            trial.worker_kills += 1


def _note_files(case: Case, seen: dict[str, tuple[int, int]], trial: KillTrial) -> None:
    """Count the files on a disk that are others than at the last look, though they have the same names."""
    if not isinstance(case.root, Path):
        return
    for path in (case.root / "actions").rglob("*.parquet"):
        with suppress(FileNotFoundError):
            about = path.stat()
            mark = about.st_ino, about.st_mtime_ns
            trial.rewritten += seen.setdefault(str(path), mark) != mark
            seen[str(path)] = mark


def keep_versions(bucket: str) -> None:
    """Let a bucket keep all that is ever written to a name."""
    root = UPath(bucket)
    root.fs.call_s3("put_bucket_versioning", Bucket=root.path.strip("/"), VersioningConfiguration={"Status": "Enabled"})


def _versions_too_many(case: Case) -> int:
    """Writes to names at an address that had been written to. Its bucket keeps all versions."""
    bucket, _, prefix = (case.root / "actions").path.partition("/")  # type: ignore[union-attr]
    files, marker, counts = case.root.fs, dict[str, str](), dict[str, int]()  # type: ignore[union-attr]
    while True:
        told = files.call_s3("list_object_versions", Bucket=bucket, Prefix=prefix, **marker)
        for version in told.get("Versions", ()):
            counts[version["Key"]] = counts.get(version["Key"], 0) + 1
        if not told.get("IsTruncated"):
            return sum(count - 1 for count in counts.values())
        marker = {"KeyMarker": told["NextKeyMarker"], "VersionIdMarker": told["NextVersionIdMarker"]}


def checked(trial: KillTrial, case: Case, expected: Expected) -> KillTrial:
    """The trial with what its files and notes say."""
    found, notes = case.files(), read_notes(case.run)
    trial.videos, trial.units = expected.short + expected.long, expected.units
    trial.redone, trial.files = len(notes) - expected.units, len(found)
    trial.tried = trial.tried + trial.kills
    lost = difference(expected.files, found)
    trial.expect(not lost, f"files: {lost}")
    trial.expect(not trial.rewritten, f"{trial.rewritten} files were written again")
    last = {pid: at for at, (pid, _) in enumerate(notes)}
    newest: Mapping[str, int] = {unit: at for at, (_, unit) in enumerate(notes)}
    twice = {unit for at, (pid, unit) in enumerate(notes) if newest[unit] != at and last[pid] != at}
    trial.expect(not twice, f"units that were not in flight at a kill were done again: {', '.join(sorted(twice)[:4])}")
    return trial


def lose_node(scene: Scene, expected: Expected) -> KillTrial:
    """Label the videos on a Ray cluster of two nodes of this machine, of which one is killed when a quarter of the units has begun."""
    try:
        from ray.cluster_utils import Cluster
    except ImportError:
        raise MissingError('two nodes need Ray: pip install -e ".[ray]"') from None
    trial, case = KillTrial("ray, one node of two lost"), scene.corpus("nodes", expected.short, expected.long)
    began_s, store = time.monotonic(), dict[str, Any]({"num_cpus": 1, "object_store_memory": 80_000_000})
    cluster = Cluster(initialize_head=True, head_node_args={**store, "include_dashboard": False})
    try:
        node = cluster.add_node(**store)
        with case.begin(*engine_flags("ray", STRETCH_S), "--ray-address", cluster.address) as process:
            while process.poll() is None and not trial.node_kills:
                time.sleep(_LOOK_S)
                begun = read_notes(case.run)
                if len(begun) >= expected.units / 4 and len({pid for pid, _ in begun}) == 2:
                    cluster.remove_node(node, allow_graceful=False)
                    trial.node_kills += 1
        trial.runs = 1
        trial.expect(process.returncode == 0, f"ended with status {process.returncode}: {case.said()}")
    finally:
        cluster.shutdown()
    trial.took_s = time.monotonic() - began_s
    return checked(trial, case, expected)

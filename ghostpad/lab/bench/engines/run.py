"""`ghostpad lab bench engines`: labelling by every engine, killed again and again, what engines cost, and their memory.

Writes nothing but temporary files. The workload is `ghostpad label` as a user runs it, on made-up footage of Doom, with an IDM that has
learned a little. Linux only: processes are found by /proc. At an address: a server of this machine that speaks S3, whose bucket keeps all
versions.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ghostpad.base.errors import SettingsError, nearest
from ghostpad.base.lines import text_table
from ghostpad.base.progress import progress
from ghostpad.lab.bench.catalogue import s3_server
from ghostpad.lab.bench.common import check_counts, show
from ghostpad.lab.bench.trust.stage import Stage, Trial

if TYPE_CHECKING:
    from ghostpad.lab.bench.engines.kills import Killing
    from ghostpad.lab.bench.engines.scene import Scene

PARTS = ("kills", "nodes", "cost", "memory")
"""What is done, in order."""

ENGINES = ("here", "pool", "ray")
"""Who labels."""

PLACES = ("disk", "s3")
"""Where corpora lie that are labelled under kills."""

_FEW = 2
"""Videos whose labelling is timed for what a start takes."""


def bench_engines(
    *,
    parts: tuple[str, ...] = PARTS,
    engines: tuple[str, ...] = ENGINES,
    places: tuple[str, ...] = PLACES,
    videos: int = 200,
    kills: int = 100,
    every_s: float = 3.0,
    minutes: int = 60,
    many: int = 1000,
    idm: Path | None = None,
    seed: int = 0,
    out: Path | None = None,
    quick: bool = False,
) -> int:
    """Label with every engine while its workers and drivers are killed, on a disk and at s3://; time the engines; watch their memory.

    kills: of 20 videos one has a minute and is cut into nine stretches, the others have 4 s. Kills hit workers, a quarter of them the
    driver, and the same command is run until it ends well. Then the files must be those of an undisturbed run, each written once, and only
    units in flight at a kill read again; and joined stretches must be the rows of one pass to 1e-5. nodes: the same on a Ray cluster of two
    nodes of this machine, of which one is killed. cost: the rate on one-minute videos with two workers beside one process, without the
    start, and what an engine adds to an item. memory: of driver and workers, early and late. The exit status is 1 if anything was lost.
    Takes about 50 minutes, of which kills and nodes are 30; for cost and memory the machine must be idle.

    Args:
        parts: What to do: kills, nodes, cost, memory (default: all).
        engines: Who labels: here, pool, ray (default: all).
        places: Where they lie under kills: disk, and s3, which needs the extras `dev` and `s3` (default: both).
        videos: Videos that are labelled under kills.
        kills: The most of them in a trial.
        every_s: A kill comes at a random time up to this many seconds after the next unit has begun.
        minutes: Videos of a minute whose labelling is timed.
        many: Short videos for the memory.
        idm: The run folder of a trained IDM (default: a small one that has learned a little).
        seed: Where all chance comes from.
        out: The JSON file to write.
        quick: Fewer and shorter videos: shows that it works, measures little.
    """
    check_counts(videos=videos, kills=kills, many=many, minutes=minutes)
    _check(parts, engines, places, every_s, minutes)
    from ghostpad.lab.bench.engines.cost import time_engines, watch_memory  # in here, because torch takes seconds to import
    from ghostpad.lab.bench.engines.kills import Killing
    from ghostpad.lab.bench.engines.scene import Scene

    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="ghostpad-engines-") as temporary:
        folder = Path(temporary)
        scene = Scene(folder, idm or Stage(folder, 0, "").idm)
        killing = Killing(every_s, kills, np.random.default_rng(seed))
        trials = _trials(scene, parts, engines, places, min(videos, 12) if quick else videos, killing)
        if "cost" in parts:
            times, items = (1, 100) if quick else (15, 2000)
            report["cost"] = time_engines(scene, engines, 6 if quick else minutes, _FEW, times, items)
        if "memory" in parts:
            report["memory"] = watch_memory(scene, engines, 20 if quick else many)
    report["trials"] = [asdict(trial) for trial in trials]
    show(report, out, engines_text(report))
    return int(any(trial.lost for trial in trials))


def _check(parts: Sequence[str], engines: Sequence[str], places: Sequence[str], every_s: float, minutes: int) -> None:
    """Raise `SettingsError`, listing every problem, unless all names are known and the numbers are possible."""
    problems = [] if every_s >= 0 else [f"every_s is {every_s}: it must be 0 or more"]
    problems += [] if minutes > _FEW else [f"minutes is {minutes}: more than {_FEW} are needed, whose time is taken off as the start"]
    for what, names, known in (("part", parts, PARTS), ("engine", engines, ENGINES), ("place", places, PLACES)):
        problems += [f"no {what} called '{name}': {nearest(name, known)}" for name in names if name not in known]
    if problems:
        raise SettingsError(problems)


def _trials(
    scene: "Scene", parts: Sequence[str], engines: Sequence[str], places: Sequence[str], videos: int, killing: "Killing"
) -> list[Trial]:
    """The trials of the parts `kills` and `nodes`."""
    from ghostpad.lab.bench.engines.kills import keep_versions, kill_at_random, lose_node, undisturbed

    if not {"kills", "nodes"} & set(parts):
        return []
    long = max(1, videos // 20)
    expected, trial = undisturbed(scene, videos - long, long)
    trials, wanted = [trial], list[Callable[[], Trial]]()
    with s3_server("s3" in places and "kills" in parts) as bucket:
        if bucket:
            keep_versions(bucket)
        for place, engine in product(places, engines if "kills" in parts else ()):
            wanted.append(partial(kill_at_random, scene, engine, expected, killing, bucket if place == "s3" else ""))
        if "nodes" in parts and "ray" in engines:
            wanted.append(partial(lose_node, scene, expected))
        with progress("engines", len(wanted), "trials") as advance:
            for run in wanted:
                trials.append(run())
                advance(1)
    return trials


def engines_text(report: Mapping[str, Any]) -> str:
    """The lines that the command prints of its report."""
    names = ("videos", "units", "runs", "worker_kills", "driver_kills", "node_kills", "redone", "rewritten", "took_s")
    lines, trials = list[str](), report["trials"]
    if trials:
        head = ("trial", *(name.replace("_", " ") for name in names), "lost")
        numbers = ([f"{trial[name]:.0f}" if name in trial else "" for name in names] for trial in trials)
        lines.append(text_table(head, [[one["name"], *row, str(len(one["lost"]))] for one, row in zip(trials, numbers, strict=True)]))
        lines += [f"lost in {trial['name']}: {lost}" for trial in trials for lost in trial["lost"]]
    if cost := report.get("cost"):
        rows = [
            [name, *(f"{one[key]:.3g}" for key in ("video_s", "times_here", "item_ms")), f"{100 * one['own_share']:.2g}"]
            for name, one in cost.items()
        ]
        lines.append(text_table(("engine", "s a video", "times one process", "ms an item", "of a video, %"), rows))
    if memory := report.get("memory"):
        keys = ("driver_early_mb", "driver_late_mb", "worker_early_mb", "worker_late_mb")
        rows = [[name, *(f"{one[key]:.0f}" if one.get(key) else "" for key in keys)] for name, one in memory.items()]
        lines.append(text_table(("engine", *(key.replace("_mb", ", MB").replace("_", " ") for key in keys)), rows))
    return "\n".join(lines)

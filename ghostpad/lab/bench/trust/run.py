"""`ghostpad lab bench trust`: what a corpus survives, tried with real processes and disks on made-up footage.

Writes nothing but temporary files. Each trial compares a corpus in the end with one that nothing happened to: rows of videos, and the bytes
of footage, segments, rows and verdicts. S3 has tests of its own (tests/corpus).
"""

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ghostpad.base.errors import SettingsError, nearest
from ghostpad.base.lines import text_table
from ghostpad.base.progress import progress
from ghostpad.lab.bench.common import check_counts, show
from ghostpad.lab.bench.trust.broken import broken
from ghostpad.lab.bench.trust.disks import damage, outages, outputs
from ghostpad.lab.bench.trust.kills import OTHER_MACHINE, kill_at_random, machines, writers
from ghostpad.lab.bench.trust.obstacles import full, read_only
from ghostpad.lab.bench.trust.stage import Trial, make_stage

TRIALS = ("kills", "writers", "machines", "outages", "outputs", "full", "read-only", "damage", "broken")
"""The trials by name, in order."""

_COMMANDS = 9  # that are killed


def bench_trust(
    *,
    only: tuple[str, ...] = (),
    kills: int = 10,
    damages: int = 40,
    videos: int = 6,
    good: int = 40,
    seed: int = 0,
    out: Path | None = None,
) -> int:
    """Try to make a corpus lose something: kill commands, run two at once, take disks away, fill, lock and damage them, add broken files.

    Prints for each kind of trial how often it was tried and what was lost; the exit status is 1 if anything was. Takes about ten minutes.

    Args:
        only: Trials to run: kills, writers, machines, outages, outputs, full, read-only, damage, broken (default: all).
        kills: Kills of each of nine commands.
        damages: Bits that are flipped in the catalogue, one at a time.
        videos: Sound videos in each corpus.
        good: Sound videos beside the broken ones.
        seed: Where all chance comes from.
        out: The JSON file to write.
    """
    check_counts(kills=kills, damages=damages, videos=videos, good=good)
    if problems := [f"no trial called '{name}': {nearest(name, TRIALS)}" for name in only if name not in TRIALS]:
        raise SettingsError(problems)
    wanted = [name for name in TRIALS if not only or name in only]
    with tempfile.TemporaryDirectory(prefix="ghostpad-trust-") as temporary, make_stage(Path(temporary), videos) as stage:
        rng = np.random.default_rng(seed)
        with progress("trust", _COMMANDS * kills * ("kills" in wanted) + len(wanted), "trials") as advance:
            run: dict[str, Callable[[], Trial]] = {
                "kills": lambda: kill_at_random(stage, kills, rng, advance),
                "writers": lambda: writers(stage),
                "machines": lambda: machines(stage, _may_separate()),
                "outages": lambda: outages(stage, rng),
                "outputs": lambda: outputs(stage, rng),
                "full": lambda: full(stage),
                "read-only": lambda: read_only(stage),
                "damage": lambda: damage(stage, rng, damages),
                "broken": lambda: broken(stage, good),
            }
            trials = []
            for name in wanted:
                trials.append(run[name]())
                advance(1)
    show([asdict(trial) for trial in trials], out, trust_text(trials))
    return int(any(trial.lost for trial in trials))


def trust_text(trials: list[Trial]) -> str:
    """The lines that the command prints."""
    table = text_table(("trial", "tried", "lost"), [(trial.name, str(trial.tried), str(len(trial.lost))) for trial in trials])
    return "\n".join([table, *(f"lost in {trial.name}: {lost}" for trial in trials for lost in trial.lost)])


def _may_separate() -> bool:
    """Whether this process may make PID namespaces."""
    try:
        return subprocess.run([*OTHER_MACHINE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False

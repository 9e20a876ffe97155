"""Trials with disks: away and back, outputs lost or cut off, damage."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ghostpad.lab.bench.trust.stage import LONGEST_S, Stage, Trial, ended_badly, name_of, run, run_whole

PARTS = ("videos", "actions", "segments", "verdicts", "nitrogen")
"""Folders of a corpus whose files commands make again."""


def outages(stage: Stage, rng: np.random.Generator) -> Trial:
    """A disk is away while every command runs, and comes back: that of linked footage, and that of the corpus in the middle of the work.

    The same commands must mend everything.
    """
    trial = Trial("outage and return")
    _source_away(trial, stage)
    for make in (stage.added, stage.brought):
        way = make(f"away-{make.__name__}")
        for words in way.commands:
            done = _while_away(words, way.root, rng.uniform(0.5, 2.0))
            trial.expect(not ended_badly(done), f"{name_of(words)} while the corpus's disk is away: {ended_badly(done)}")
            run_whole(words)
        way.check(trial, "after the corpus's disk was away")
    return trial


def _source_away(trial: Trial, stage: Stage) -> None:
    way = stage.added("outages")
    source, away = way.root.with_name("disk"), way.root.with_name("disk-away")
    shutil.copytree(stage.footage, source)
    way.commands[0] = ["corpus", "add", str(way.root), str(source), "--link"]
    run_whole(way.commands[0])
    source.rename(away)
    for words in [*way.commands[1:], ["corpus", "status", str(way.root)], way.commands[0]]:
        done = run(words)
        trial.expect(not ended_badly(done), f"{name_of(words)} while the footage's disk is away: {ended_badly(done)}")
    away.rename(source)
    for words in way.commands:
        done = run(words)
        trial.expect(done.returncode == 0, f"{name_of(words)} after the return: {done.stdout[-200:]}{done.stderr[-200:]}")
    way.check(trial, "after the return of the footage's disk")


def _while_away(words: Sequence[str], root: Path, after_s: float) -> subprocess.CompletedProcess[str]:
    """Run a command, and rename the folder of its corpus away from some moment to its end. What it writes in its place is in vain."""
    away = root.with_name(f"{root.name}-away")
    with subprocess.Popen([sys.executable, "-m", "ghostpad", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(after_s)
        is_away = root.exists()
        if is_away:
            root.rename(away)
        out, error = process.communicate(timeout=LONGEST_S)
    if is_away:
        shutil.rmtree(root, ignore_errors=True)
        away.rename(root)
    return subprocess.CompletedProcess(list(words), process.returncode, out, error)


def outputs(stage: Stage, rng: np.random.Generator) -> Trial:
    """Of each kind of output one is deleted and another cut off: the same commands must make them again, with the same bytes."""
    trial = Trial("outputs deleted and cut off")
    for make in (stage.added, stage.brought):
        way = make(f"outputs-{make.__name__}")
        way.run_whole()
        for part in PARTS:
            files = sorted(path for path in (way.root / part).rglob("*") if path.is_file() and not path.name.startswith("."))
            hurt = [files[at] for at in rng.permutation(len(files))[:2]]
            for path, cut in zip(hurt, (False, True), strict=False):
                path.unlink() if not cut else os.truncate(path, min(1000, path.stat().st_size // 2))
            if not hurt:
                continue
            for words in way.commands:
                run_whole(words)
            way.check(trial, f"after {' and '.join(path.name for path in hurt)} of {part} was deleted and cut off")
    return trial


def damage(stage: Stage, rng: np.random.Generator, count: int) -> Trial:
    """Single bits of the catalogue are flipped: `corpus status` must say so, or say what it said before."""
    trial, way = Trial("damaged catalogues"), stage.added("damage")
    way.run_whole()
    words = ["corpus", "status", str(way.root), "--json"]
    before = json.loads(run_whole(words))
    files = sorted(path for path in (way.root / "catalogue").iterdir() if not path.name.startswith("."))
    for _ in range(count):
        path = files[int(rng.integers(len(files)))]
        whole = path.read_bytes()
        body = bytearray(whole)
        body[int(rng.integers(len(body)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(body))
        done = run(words)
        told = done.returncode == 1 and path.name in done.stderr and not ended_badly(done)
        trial.expect(told or (done.returncode == 0 and json.loads(done.stdout) == before), f"{path.name}: {done.stderr[-200:]}")
        path.write_bytes(whole)
    return trial

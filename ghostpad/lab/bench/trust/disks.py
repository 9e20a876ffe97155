"""Trials with disks: away and back, outputs lost or cut off, full, read-only, damaged."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ghostpad.lab.bench.trust.stage import Stage, Trial, bug_in, difference, file_limit, is_root, run, run_whole, state_of

FULL_AT_BYTES = (0, 2_000, 20_000)
"""Sizes beyond which no file may grow: at once, in the catalogue, and in the middle of footage and rows."""


def outages(stage: Stage, expected: dict[str, Any]) -> Trial:
    """The disk of linked footage is away while every command runs, and comes back: the same commands must mend everything."""
    trial, root = Trial("outage and return"), stage.corpus("outages")
    source, away = root.with_name("disk"), root.with_name("disk-away")
    shutil.copytree(stage.footage, source)
    chain = stage.chain(root)
    chain[0] = ["corpus", "add", str(root), str(source), "--link"]
    run_whole(chain[0])
    source.rename(away)
    for words in [*chain[1:], ["corpus", "status", str(root)], chain[0]]:
        done = run(words)
        trial.expect(not bug_in(done), f"ghostpad {' '.join(words[:2])} while the disk is away: {bug_in(done)}")
    away.rename(source)
    for words in chain:
        done = run(words)
        trial.expect(done.returncode == 0, f"ghostpad {' '.join(words[:2])} after the return: {done.stdout[-200:]}{done.stderr[-200:]}")
    trial.expect(not (lost := difference(expected, state_of(root))), f"after the return: {lost}")
    return trial


def outputs(stage: Stage, expected: dict[str, Any], rng: np.random.Generator) -> Trial:
    """Outputs are deleted and cut off: the same commands must make them again, with the same bytes."""
    trial, root = Trial("outputs deleted and cut off"), stage.corpus("outputs")
    chain = stage.chain(root)
    for words in chain:
        run_whole(words)
    for part in ("videos", "actions", "proxy", "verdicts"):
        files = sorted(path for path in (root / part).rglob("*") if path.is_file() and not path.name.startswith("."))
        for cut in (False, True):
            path = files[int(rng.integers(len(files)))]
            path.unlink() if not cut else os.truncate(path, min(1000, path.stat().st_size // 2))
            for words in chain:
                run(words)
            found = state_of(root)
            trial.expect(not (lost := difference(expected, found)), f"{path.name} {'cut off' if cut else 'deleted'}: {lost}")
    return trial


def full(stage: Stage, expected: dict[str, Any]) -> Trial:
    """Every command meets a full disk: it must end with a message, and with room the same command must go on."""
    trial = Trial("full disks")
    for size_bytes in FULL_AT_BYTES:
        root = stage.corpus(f"full-{size_bytes}")
        for words in stage.chain(root):
            done = run(words, before=file_limit(size_bytes))
            what = f"ghostpad {' '.join(words[:2])} with room for {size_bytes} bytes a file"
            trial.expect(not bug_in(done), f"{what}: {bug_in(done)}")
            run_whole(words)
        trial.expect(not (lost := difference(expected, state_of(root))), f"after full disks: {lost}")
    return trial


def read_only(stage: Stage, expected: dict[str, Any]) -> Trial:
    """Every command meets a corpus that it may only read: reading works, writing ends with a message, and nothing changes."""
    trial, root = Trial("read-only disk"), stage.corpus("read-only")
    for words in stage.chain(root):
        run_whole(words)
    with _read_only(root):
        for words in [*stage.chain(root), ["corpus", "status", str(root)], ["corpus", "set-mask", str(root), "--all", "--none"]]:
            done = run(words)
            trial.expect(not bug_in(done), f"ghostpad {' '.join(words[:2])} on a read-only disk: {bug_in(done)}")
    trial.expect(not (lost := difference(expected, state_of(root))), f"after reading: {lost}")
    return trial


@contextmanager
def _read_only(root: Path) -> Iterator[None]:
    """A bind mount for root, to whom rights mean nothing; else rights."""
    if not is_root():
        folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        yield
        for folder in folders:
            folder.chmod(0o755)
        return
    _mount("--bind", str(root), str(root))
    try:
        _mount("-o", "remount,ro,bind", str(root))
        yield
    finally:
        subprocess.run(["umount", str(root)], check=True, capture_output=True)


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


def damage(stage: Stage, rng: np.random.Generator, count: int) -> Trial:
    """Single bytes of the catalogue are changed: `corpus status` must say so, or say what it said before."""
    trial, root = Trial("damaged catalogues"), stage.corpus("damage")
    for step in stage.chain(root):
        run_whole(step)
    words = ["corpus", "status", str(root), "--json"]
    before = json.loads(run_whole(words))
    files = sorted(path for path in (root / "catalogue").iterdir() if not path.name.startswith("."))
    for _ in range(count):
        path = files[int(rng.integers(len(files)))]
        body = bytearray(path.read_bytes())
        body[int(rng.integers(len(body)))] ^= 1 << int(rng.integers(8))
        whole = path.read_bytes()
        path.write_bytes(bytes(body))
        done = run(words)
        told = done.returncode == 1 and path.name in done.stderr and not bug_in(done)
        trial.expect(told or (done.returncode == 0 and json.loads(done.stdout) == before), f"{path.name}: {done.stderr[-200:]}")
        path.write_bytes(whole)
    return trial

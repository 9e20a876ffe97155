"""Trials with disks that take nothing more: full and read-only."""

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ghostpad.lab.bench.trust.stage import Stage, Trial, Way, ended_badly, file_limit, is_root, name_of, run, run_whole

ROOM_BYTES = (0, 20_000)
"""What there is room for: nothing, and a part of what a command writes."""

LARGEST_FILE_BYTES = 2_000
"""Where there is no disk to fill, no file may grow beyond this: enough for a row, too little for footage."""

_DISK_MB, _PAGE_BYTES = 64, 4096


def full(stage: Stage) -> Trial:
    """Every command meets a full disk: it must end with a message and status 1, and with room the same command must go on."""
    trial = Trial("full disks")
    for make in (stage.added, stage.brought):
        small_files = Obstacle("files that may not grow", False, process=file_limit(LARGEST_FILE_BYTES))
        _hindered(trial, make(f"limit-{make.__name__}"), small_files)
        for room in ROOM_BYTES if is_root() else ():
            name = f"full-{room}-{make.__name__}"
            obstacle = Obstacle(f"room for {room} bytes", room == 0, partial(_filled, room_bytes=room))
            with _disk(stage.corpus(name)):
                way = make(name)
                _hindered(trial, way, obstacle)
                if make == stage.brought:
                    obstacle.meet(trial, stage.training(way.root, way.root / "run"), way.root)
    return trial


def read_only(stage: Stage) -> Trial:
    """Every command meets a corpus that it may only read: what writes ends with a message, what reads works, and nothing changes."""
    trial = Trial("read-only disk")
    for make in (stage.added, stage.brought):
        way = make(f"read-only-{make.__name__}")
        way.root.mkdir(parents=True, exist_ok=True)
        _hindered(trial, way, Obstacle("a read-only disk", True, _locked))
        with _locked(way.root):
            for words in [*way.commands, ["corpus", "check-masks", str(way.root)]]:
                done = run(words)
                trial.expect(not ended_badly(done), f"{name_of(words)} on a read-only disk, with nothing to do: {ended_badly(done)}")
            run_whole(["corpus", "status", str(way.root)])
        way.check(trial, "after reading")
    return trial


@dataclass(frozen=True)
class Obstacle:
    """What keeps a corpus from growing while a command runs: something done to its disk, or to the process.

    `fails`: no command can succeed.
    """

    name: str
    fails: bool
    disk: Callable[[Path], AbstractContextManager[None]] = lambda root: nullcontext()
    process: Callable[[], None] | None = None

    def meet(self, trial: Trial, words: Sequence[str], root: Path) -> None:
        """Run a command, which must end with status 1 and say why, or succeed if it can; then run it without the obstacle."""
        with self.disk(root):
            done = run(words, before=self.process)
        errors = [line for line in done.stderr.splitlines() if line.startswith("ghostpad: error:")]
        told = done.returncode == 1 and (len(errors) == 1 or bool(done.stdout))
        right = told or (done.returncode == 0 and not self.fails)
        trial.expect(
            right and not ended_badly(done), f"{name_of(words)}, {self.name}: {ended_badly(done) or done.stdout + done.stderr[-300:]}"
        )
        run_whole(words)


def _hindered(trial: Trial, way: Way, obstacle: Obstacle) -> None:
    """Let each command meet the obstacle; in the end nothing may be missing."""
    for words in way.commands:
        obstacle.meet(trial, words, way.root)
    way.check(trial, f"after {obstacle.name}")


@contextmanager
def _disk(root: Path) -> Iterator[None]:
    """A small disk in memory of the corpus's own; for root."""
    root.mkdir(parents=True)
    with _mounted("-t", "tmpfs", "-o", f"size={_DISK_MB}m", "tmpfs", str(root)):
        yield


@contextmanager
def _filled(root: Path, room_bytes: int) -> Iterator[None]:
    """Fill the disk of a corpus but for some pages."""
    filler = root / ".filler"
    about = os.statvfs(root)
    pages = about.f_bavail * about.f_frsize // _PAGE_BYTES - room_bytes // _PAGE_BYTES
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, pages * _PAGE_BYTES)
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Let a corpus be read only: for root, to whom rights mean nothing, by a mount of its own."""
    if is_root():
        with _mounted("--bind", str(root), str(root)):
            _run("mount", "-o", "remount,ro,bind", str(root))
            yield
        return
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        yield
    finally:
        for folder in folders:
            folder.chmod(0o755)


@contextmanager
def _mounted(*words: str) -> Iterator[None]:
    _run("mount", *words)
    try:
        yield
    finally:
        _run("umount", words[-1])


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)

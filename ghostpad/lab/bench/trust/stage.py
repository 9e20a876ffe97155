"""What the trials of `ghostpad lab bench trust` share: small footage, commands run as a user runs them, and what a corpus holds in the end.

Commands are processes of their own, `python -m ghostpad ...`, so that they can be killed, limited and put on another machine.
"""

import hashlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ghostpad.base.errors import FormatError
from ghostpad.corpus.folder import Corpus
from ghostpad.lab.made_up.broken_videos import make_good_videos

LONGEST_S = 600.0
"""No command may take longer (a guess, many times what each takes)."""

_SMALL_IDM = {
    "model.width-px": 64, "model.height-px": 48, "model.dim": 16, "model.heads": 2, "model.clip-rows": 16, "data.batch-size": 4,
    "data.validation-share": 0.5, "train.threads": 1, "train.steps": 3,
}  # fmt: skip


@dataclass
class Trial:
    """What one kind of trial tried, and what was lost; nothing should be."""

    name: str
    tried: int = 0
    lost: list[str] = field(default_factory=list)

    def expect(self, holds: bool, lost: str) -> None:
        """Count one thing tried, and note what was lost unless it holds."""
        self.tried += 1
        if not holds:
            self.lost.append(lost)


@dataclass(frozen=True)
class Stage:
    """A folder with footage to add, one recorded corpus, and an IDM that learned a little from it."""

    folder: Path
    videos: int

    @property
    def footage(self) -> Path:
        """Small sound videos."""
        return self.folder / "footage"

    @property
    def idm(self) -> Path:
        """The run of the IDM."""
        return self.folder / "idm"

    def corpus(self, name: str) -> Path:
        """Where a trial has its corpus."""
        return self.folder / "corpora" / name

    def chain(self, corpus: Path) -> list[list[str]]:
        """The commands that take the footage to verdicts, in order."""
        return [
            ["corpus", "add", str(corpus), str(self.footage)],
            ["corpus", "proxy", str(corpus), "--px", "32"],
            ["label", str(corpus), "--idm", str(self.idm)],
            ["filter", str(corpus)],
        ]


def make_stage(folder: Path, videos: int) -> Stage:
    """Make the footage, and train the IDM; what is there is kept."""
    stage = Stage(folder, videos)
    if not stage.footage.exists():
        stage.footage.mkdir(parents=True)
        make_good_videos(stage.footage, videos)
    if not (stage.idm / "model.safetensors").exists():
        recorded = folder / "recorded"
        run_whole(["record", "doom", "--player", "novice", "--minutes", "0.1", "--seed", "1", "--out", str(recorded)])
        flags = [word for name, value in _SMALL_IDM.items() for word in (f"--{name}", str(value))]
        run_whole(["train", "idm", str(recorded), "--out", str(stage.idm), *flags])
    return stage


def run(words: Sequence[str], *, before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    """A command of ghostpad, run to its end; `before` is called in its process."""
    command = [sys.executable, "-m", "ghostpad", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, preexec_fn=before, check=False)


def run_whole(words: Sequence[str]) -> str:
    """The output of a command. Raises `FormatError` if it fails: the trial has found nothing out."""
    done = run(words)
    if done.returncode:
        raise FormatError(f"ghostpad {' '.join(words)} failed with status {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


def start(words: Sequence[str], within: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """A command of ghostpad, begun, in a process group of its own."""
    command = [*within, sys.executable, "-m", "ghostpad", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process at once, as a power cut or the kernel would."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def file_limit(size_bytes: int) -> Callable[[], None]:
    """For `run`: no file may grow beyond this size, as on a full disk."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))

    return limit


def state_of(root: Path) -> dict[str, Any]:
    """What a corpus holds: its rows, and the hash of each file of footage and rows. Times and numbers of attempts do not count."""
    corpus = Corpus.open(root)
    state: dict[str, Any] = {f"row {video.id}": {**video.columns(), "attempts": None} for video in corpus.each()}
    for part in ("videos", "actions", "proxy"):
        for path in sorted((root / part).rglob("*")):
            if path.is_file():
                state[str(path.relative_to(root))] = hashlib.sha256(path.read_bytes()).hexdigest()
    if (root / "verdicts" / "default.parquet").exists():
        state["verdicts"] = corpus.verdicts("default").to_pylist()
    return state


def difference(expected: dict[str, Any], found: dict[str, Any]) -> str:
    """In words what is missing, more or other in `found`; "" for nothing."""
    missing, more = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    other = sorted(name for name in expected.keys() & found.keys() if expected[name] != found[name])
    words = [f"{what} {', '.join(names[:4])}" for what, names in (("missing", missing), ("more", more), ("other", other)) if names]
    return "; ".join(words)


def bug_in(done: subprocess.CompletedProcess[str]) -> str:
    """In words how a command ended that did not end as one may: by a signal or a traceback; "" for an ordinary end."""
    if done.returncode < 0:
        return f"ended by signal {-done.returncode}"
    return f"traceback: {done.stderr.strip().splitlines()[-1][:200]}" if "Traceback" in done.stderr else ""


def is_root() -> bool:
    """Whether file rights mean nothing to this process, and it may mount and make namespaces."""
    return os.geteuid() == 0

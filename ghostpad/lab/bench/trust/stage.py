"""What the trials of `ghostpad lab bench trust` share: small footage, commands run as a user runs them, and what a corpus holds in the end.

Commands are processes of their own, `python -m ghostpad ...`, so that they can be killed, limited and put on another machine.
"""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from ghostpad.base.errors import FormatError
from ghostpad.base.files import file_sha256
from ghostpad.base.records import Video
from ghostpad.corpus.folder import Corpus, stems
from ghostpad.corpus.nitrogen.videos import NOT_FETCHED
from ghostpad.lab.made_up.broken_videos import make_good_videos
from ghostpad.lab.made_up.nitrogen_shards import SampleChunk, sample_files, write_shard

GAME = "doom"
"""What is recorded."""

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
    """A folder with footage to add, and an IDM that learned a little from a recording."""

    folder: Path
    videos: int
    site: str
    """The address at which a server of this process has the footage."""

    @property
    def shard(self) -> Path:
        """A shard of a dataset's labels."""
        return self.folder / "SHARD_0000.tar.gz"

    @property
    def footage(self) -> Path:
        """Small sound videos."""
        return self.folder / "footage"

    @cached_property
    def idm(self) -> Path:
        """The run of an IDM, trained now if it is not there."""
        run, recorded = self.folder / "idm", self.folder / "recorded"
        if not (run / "model.safetensors").exists():
            run_whole(self.recording(recorded))
            run_whole(self.training(recorded, run))
        return run

    def corpus(self, name: str) -> Path:
        """Where a trial has its corpus."""
        return self.folder / "corpora" / name

    def added(self, name: str) -> "Way":
        """A corpus to which the footage is added, and what is made of it."""
        root = self.corpus(name)
        commands = [
            ["corpus", "add", str(root), str(self.footage)],
            ["corpus", "proxy", str(root), "--like", str(self.idm)],
            ["label", str(root), "--idm", str(self.idm)],
            ["filter", str(root)],
        ]
        return Way(root, commands, lambda: self._added)

    def brought(self, name: str) -> "Way":
        """A corpus, begun, that knows the videos of the site; footage and pads come in the other ways, and are looked after."""
        root = self.corpus(name)
        videos = {f"site-{number}": path.name for number, path in enumerate(sorted(self.footage.iterdir())[:2])}
        rows = (Video(id, url=f"{self.site}/{file}", status="missing", reason=NOT_FETCHED) for id, file in videos.items())
        Corpus.create(root).put_videos(rows)
        commands = [
            self.recording(root),
            ["corpus", "index", str(self.shard), "--out", str(root)],
            ["corpus", "fetch", str(root), "--videos", ",".join(videos)],
            ["corpus", "set-mask", str(root), f"{GAME}-novice-s1-e0000", "--box", "4", "4", "40", "40"],
            ["corpus", "align", str(root)],
        ]
        return Way(root, commands, lambda: self._brought)

    def recording(self, root: Path) -> list[str]:
        """The command that records a few seconds."""
        return ["record", GAME, "--player", "novice", "--minutes", "0.1", "--seed", "1", "--out", str(root)]

    def training(self, corpus: Path, out: Path) -> list[str]:
        """The command that trains an IDM."""
        flags = [word for name, value in _SMALL_IDM.items() for word in (f"--{name}", str(value))]
        return ["train", "idm", str(corpus), "--out", str(out), *flags]

    @cached_property
    def _added(self) -> dict[str, Any]:
        return self.added("expected").run_whole()

    @cached_property
    def _brought(self) -> dict[str, Any]:
        return self.brought("expected-too").run_whole()


@dataclass(frozen=True)
class Way:
    """A corpus of a trial, the commands that make it, in order, and what it holds in the end if nothing happens to it."""

    root: Path
    commands: list[list[str]]
    expected: Callable[[], dict[str, Any]]

    def run_whole(self) -> dict[str, Any]:
        """Run all commands. Returns what the corpus holds then; raises `FormatError` if one fails."""
        for words in self.commands:
            run_whole(words)
        return state_of(self.root)

    def check(self, trial: Trial, when: str) -> None:
        """Count as lost what the corpus does not hold as it should."""
        lost = difference(self.expected(), state_of(self.root))
        trial.expect(not lost, f"{when}: {lost}")


@contextmanager
def make_stage(folder: Path, videos: int) -> Iterator[Stage]:
    """Make the footage, which a server has while the block runs; what is there is kept."""
    footage = folder / "footage"
    if not footage.exists():
        footage.mkdir(parents=True)
        make_good_videos(footage, videos)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(footage))) as server:
        stage = Stage(folder, videos, f"http://127.0.0.1:{server.server_address[1]}")
        write_shard(stage.shard, sample_files([SampleChunk(rows=60, duration_s=1)]))
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield stage
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    """Says nothing of requests, nor of a client that was killed."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


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
    """What a corpus holds: its rows, and hashes of footage, segments and rows. Names of footage, times and attempts do not count."""
    corpus, named, state = Corpus.open(root), set[str](), dict[str, Any]()
    for video in corpus.each():
        named.add(Path(video.path).name)
        state[f"row {video.id}"] = {**video.columns(), "attempts": None, "path": None}
        state[f"footage of {video.id}"] = _hash(root / video.path)
    for path in _files(root / "videos"):
        if path.name not in named:
            state[f"videos/{path.name}, of no video"] = None
    for path in (path for part in ("actions", "segments") for path in _files(root / part)):
        state[str(path.relative_to(root))] = _hash(path)
    state |= {"chunks": corpus.chunks().to_pylist()}
    state |= {f"verdicts {name}": corpus.verdicts(name).to_pylist() for name in stems(root / "verdicts")}
    return state


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _hash(path: Path) -> str | None:
    return file_sha256(path) if path.exists() else None


def difference(expected: dict[str, Any], found: dict[str, Any]) -> str:
    """In words what is missing, more or other in `found`; "" for nothing."""
    missing, more = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    other = sorted(name for name in expected.keys() & found.keys() if expected[name] != found[name])
    words = [f"{what} {', '.join(names[:4])}" for what, names in (("missing", missing), ("more", more), ("other", other)) if names]
    return "; ".join(words)


def ended_badly(done: subprocess.CompletedProcess[str]) -> str:
    """In words how a command ended that did not end as one may: by a signal, a traceback, or in silence; "" for an ordinary end."""
    if done.returncode < 0:
        return f"ended by signal {-done.returncode}"
    if "Traceback" in done.stderr:
        return f"traceback: {done.stderr.strip().splitlines()[-1][:200]}"
    return "failed without a word" if done.returncode and not (done.stdout + done.stderr).strip() else ""


def name_of(words: Sequence[str]) -> str:
    """A command without its flags, for people."""
    return " ".join(["ghostpad", *words[: 2 if words[0] in ("corpus", "train") else 1]])


def is_root() -> bool:
    """Whether file rights mean nothing to this process, and it may mount and make namespaces."""
    return os.geteuid() == 0

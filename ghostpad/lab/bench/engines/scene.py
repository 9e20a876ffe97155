"""What the parts of `ghostpad lab bench engines` share: made-up corpora, the command that labels them, its processes, and its files."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ghostpad.base.files import file_sha256
from ghostpad.base.places import Place, place
from ghostpad.base.records import Video
from ghostpad.corpus.folder import Corpus
from ghostpad.games.episode import record_episode
from ghostpad.games.spec import make_game, make_player
from ghostpad.lab.made_up.videos import repeat_video
from ghostpad.video.probe import probe_video

_NOTED = "from ghostpad.lab.bench.engines.noted import noted_main; noted_main()"

_FRAMES = 70
"""Frames of 4 s."""

_CLIPS = 4
"""Different videos of one length; the others are their copies."""


@dataclass(frozen=True)
class Scene:
    """A folder with clips, and a trained IDM."""

    folder: Path
    idm: Path

    def clips(self, times: int = 1) -> list[Path]:
        """Different videos of Doom, 4 s that are there `times` in a row. Made once."""
        paths = [self.folder / "clips" / f"{times}-{number}.mp4" for number in range(_CLIPS)]
        for number, path in enumerate(paths):
            path.parent.mkdir(exist_ok=True)
            if not path.exists() and times > 1:
                repeat_video(self.clips()[number], path, times)
            elif not path.exists():
                with make_game("doom") as engine:
                    record_episode(engine, make_player("doom", "expert"), number, path, max_frames=_FRAMES)
        return paths

    def corpus(self, name: str, short: int, long: int = 0, *, times: int = 15, root: Place | None = None) -> "Case":
        """A corpus of `short` videos of 4 s and `long` ones of `times` as much, and an IDM whose notes are of it alone."""
        root = root or self.folder / name / "corpus"
        clips = self.clips() * -(-short // _CLIPS)
        clips = clips[:short] + (self.clips(times) * -(-long // _CLIPS))[:long]
        corpus = Corpus.create(root)
        facts = {path: (probe_video(path), file_sha256(path)) for path in set(clips)}
        videos = list[Video]()
        for number, path in enumerate(clips):
            about, sha256 = facts[path]
            video = Video(f"v{number:04d}", game="doom", fps=str(about.fps), duration_s=about.duration_s, sha256=sha256)
            target = root / video.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(path) if isinstance(target, Path) else target.fs.put_file(str(path), target.path)
            videos.append(video)
        corpus.put_videos(videos)
        run = self.folder / name / "idm"
        shutil.copytree(self.idm, run)
        return Case(root, run)


@dataclass(frozen=True)
class Case:
    """A corpus, and the IDM that labels it."""

    root: Place
    run: Path

    @property
    def _said(self) -> Path:
        return self.run.with_name("said")

    def begin(self, *flags: str) -> subprocess.Popen[bytes]:
        """The command that labels it, begun."""
        command = [sys.executable, "-c", _NOTED, "label", str(self.root), "--idm", str(self.run), *flags]
        with open(self._said, "wb") as said:  # no pipe: workers that outlive a killed driver would hold it
            return subprocess.Popen(command, stdout=said, stderr=said)

    def said(self) -> str:
        """The end of what the last command said."""
        return self._said.read_text(errors="replace").strip()[-500:]

    def files(self) -> dict[str, str]:
        """The names of the files of rows, and of parts of rows, and hashes of what they hold; names that begin with a dot do not count."""
        folder = self.root / "actions"
        if isinstance(folder, Path):
            found = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
            return {str(path): _hash(body) for path, body in found.items() if not path.name.startswith(".")}
        return {path.partition("/actions/")[2]: _hash(folder.fs.cat_file(path)) for path in folder.fs.find(folder.path)}


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def engine_flags(engine: str, stretch_s: float | None = None, workers: int = 2) -> list[str]:
    """The words of the command for an engine."""
    return [
        *("--engine", engine),
        *(("--workers", str(workers)) if engine != "here" else ()),
        *(("--stretch-s", str(stretch_s)) if stretch_s else ()),
    ]


def workers_of(pid: int) -> list[int]:
    """The processes below one that are workers of an engine (Linux)."""
    direct = [child for child in _children(pid) if "spawn_main" in _command(child)]
    return direct + [below for below in _below(pid) if _command(below).startswith("ray::_Actor")]


def _below(pid: int) -> Iterator[int]:
    for child in _children(pid):
        yield child
        yield from _below(child)


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split()]
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def memory_mb(pid: int) -> float:
    """Resident memory of a process; 0 for one that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def place_for(name: str, bucket: str) -> Place | None:
    """The place of a corpus in a bucket; None without one: on the disk."""
    return place(f"{bucket}/{name}/corpus") if bucket else None

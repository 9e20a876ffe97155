"""Full and read-only disks: every command ends with status 1 and one line, and the same command goes on once there is room."""

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ghostpad.cli.main import main
from ghostpad.corpus.failures import Failures
from ghostpad.corpus.folder import Corpus
from ghostpad.lab.made_up.small_videos import write_video
from ghostpad.label.labeller import label_source_of

WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
"""Lets rights on files hold for root too."""


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("footage")
    for seed in range(2):
        write_video(folder / f"v{seed}.mp4", "mpeg4", seed=seed)
    return folder


@pytest.fixture
def commands(footage: Path, idm_run: Path, tmp_path: Path) -> list[list[str]]:
    """The way of footage to verdicts."""
    root = str(tmp_path / "c")
    return [
        ["corpus", "add", root, str(footage)],
        ["corpus", "proxy", root],
        ["label", root, "--idm", str(idm_run)],
        ["filter", root],
    ]


def check_told(done: subprocess.CompletedProcess[str], words: str) -> None:
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and len(lines) == 1, done.stderr
    assert lines[0].startswith("ghostpad: error: ") and words in lines[0], done.stderr


def ghostpad(words: list[str], within: tuple[str, ...] = (), **how: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*within, sys.executable, "-m", "ghostpad", *words], capture_output=True, text=True, check=False, **how)  # type: ignore[call-overload,no-any-return]


def room_for(size_bytes: int) -> Callable[[], None]:
    """No file may grow beyond this."""
    return partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


def check_whole(root: Path) -> None:
    corpus = Corpus.open(root)
    assert [(video.id, video.status) for video in corpus.each()] == [("v0", "ok"), ("v1", "ok")]
    (source,) = corpus.sources()
    assert corpus.ids_with_rows(source) == ["v0", "v1"] and set(corpus.verdicts("default").column("video").to_pylist()) == {"v0", "v1"}
    assert {path.suffix for path in (root / "segments" / "128x96-gray").iterdir()} == {".mp4", ".index"}
    assert len(list((root / "segments" / "128x96-gray").iterdir())) == 4 and not list(root.rglob(".*.tmp-*"))


def test_d20_a_full_disk_is_told_by_every_command_that_then_goes_on(commands: list[list[str]], tmp_path: Path) -> None:
    for words in commands:
        check_told(ghostpad(words, preexec_fn=room_for(0)), "file too large")
        assert main(words) == 0
    check_whole(tmp_path / "c")


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="rights mean nothing to root")
def test_d20_a_read_only_corpus_is_told_by_every_command_that_then_goes_on(commands: list[list[str]], tmp_path: Path) -> None:
    root = tmp_path / "c"
    Corpus.create(root)
    for words in commands:
        folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        done, status = ghostpad(words, WITHOUT_RIGHTS), ghostpad(["corpus", "status", str(root)], WITHOUT_RIGHTS)
        for folder in folders:
            folder.chmod(0o755)
        check_told(done, "change its rights")
        assert status.returncode == 0
        assert main(words) == 0
    check_whole(root)


def test_d20_training_and_games_tell_of_a_full_disk(small: Any, small_idm_flags: list[str], tmp_path: Path) -> None:
    corpus = shutil.copytree(small.novice, tmp_path / "c", ignore=shutil.ignore_patterns("cache"))
    train = ["train", "idm", str(corpus), "--out", str(tmp_path / "run"), *small_idm_flags, "--train.steps=1"]
    check_told(ghostpad(train, preexec_fn=room_for(50_000)), "file too large")
    assert not list((corpus / "cache").rglob("*.npy"))
    record = ["record", "doom", "--player", "novice", "--minutes", "0.05", "--out", str(tmp_path / "r")]
    check_told(ghostpad(record, preexec_fn=room_for(2_000)), "make room")
    assert main(record) == 0


def test_d20_labelling_ends_at_the_first_rows_that_the_disk_does_not_take(commands: list[list[str]], tmp_path: Path) -> None:
    add, _, label, _ = commands
    assert main(add) == 0
    done = ghostpad(label, preexec_fn=room_for(4_000))  # enough for a row of the failures, not for a video's rows
    check_told(done, "file too large")
    assert not Failures(Corpus.open(tmp_path / "c"), label_source_of(label[-1])).known()
    assert main(label) == 0

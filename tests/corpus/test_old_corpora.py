"""Corpora of an earlier version, made at 11ec472, open as they are and go on."""

import json
import shutil
from pathlib import Path

import pytest

from ghostpad.cli.main import main
from ghostpad.corpus.folder import Corpus
from ghostpad.lab.made_up.videos import write_sample

STATUS_KEYS = {
    "broken", "broken_videos", "by_game", "by_state", "chunks", "groups", "hours", "missing", "proxies", "sources", "undone",
    "verdicts", "videos",
}  # fmt: skip
"""What `corpus status --json` printed at 11ec472."""

OLD = Path(__file__).parents[1] / "fixtures" / "corpora_11ec472"


def old_corpus(name: str, folder: Path) -> Path:
    shutil.copytree(OLD / name, folder / name)
    strange = folder / name / "videos" / "celeste-run1.mp4"
    if strange.exists():
        strange.rename(strange.with_name("celeste:run1.mp4"))
    return folder / name


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["recorded", "wild", "added"])
def test_looking_at_an_old_corpus_changes_nothing(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = old_corpus(name, tmp_path)
    before = files_of(root)
    assert main(["corpus", "status", str(root), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary.keys() >= STATUS_KEYS
    assert summary["videos"] == (2 if name == "added" else 1) == len(Corpus.open(root).list_videos())
    assert files_of(root) == before


def test_an_old_recording_goes_on_and_ends_with_the_same_pictures(tmp_path: Path) -> None:
    root = old_corpus("recorded", tmp_path)
    before = files_of(root)
    flags = ["doom", "--player", "novice", "--minutes", "0.1", "--seed", "1", "--crf", "36", "--out", str(root)]
    assert main(["record", *flags]) == 0
    corpus, after = Corpus.open(root), files_of(root)
    assert [video.id for video in corpus.list_videos()] == ["doom-novice-s1-e0000", "doom-novice-s1-e0001"]
    kept = [path for path in before if path != "videos.parquet"]
    assert [after[path] for path in kept] == [before[path] for path in kept]
    assert "videos.parquet" not in after and after["videos.until-catalogue.parquet"] == before["videos.parquet"]


def test_old_labels_are_filtered_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = old_corpus("wild", tmp_path)
    old = Corpus.open(root).verdicts("default")
    assert main(["filter", str(root)]) == 0
    assert Corpus.open(root).verdicts("default").to_pylist() == old.to_pylist()


def test_one_add_heals_what_an_outage_broke_and_frees_what_a_colon_locked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = old_corpus("added", tmp_path)
    write_sample(tmp_path / "new.mp4", width_px=64, height_px=48, fps=10, frames=60)
    assert Corpus.open(root).video("two").status == "broken"
    assert main(["corpus", "add", str(root), str(tmp_path / "new.mp4")]) == 1, "one video of before is not there"
    printed = capsys.readouterr().out
    assert "1 videos added" in printed and "1 are back: two" in printed
    assert "celeste:run1: 'celeste:run1' cannot name a file" in printed and "add its file again" in printed
    assert Corpus.open(root).ok_ids() == ["new", "one", "two"]
    strange = root / "videos" / "celeste:run1.mp4"
    assert main(["corpus", "add", str(root), str(strange)]) == 0
    assert Corpus.open(root).ok_ids() == ["celeste_run1", "new", "one", "two"]
    assert Corpus.open(root).video_path("celeste_run1").read_bytes() == strange.read_bytes()

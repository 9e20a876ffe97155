"""Labelling a corpus: once, whole files or none, continued after a kill, the same bytes from a pool, broken videos told apart."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ghostpad.base.errors import FormatError, MissingError
from ghostpad.base.records import Video, table_facts
from ghostpad.cli.main import main
from ghostpad.corpus.folder import Corpus
from ghostpad.label.label import label_corpus, label_source_of

COPIES = 8


@pytest.fixture
def wild(small: Any, tmp_path: Path) -> Corpus:
    """The expert's video under eight names."""
    corpus = Corpus.create(tmp_path / "wild")
    original = Corpus.open(small.wild).list_videos()[0]
    (corpus.root / "videos").mkdir()
    for copy in range(COPIES):
        name = f"v{copy}"
        shutil.copy(small.wild / original.path, corpus.root / "videos" / f"{name}.mp4")
        corpus.add_video(replace(original, id=name, path=f"videos/{name}.mp4"))
    return corpus


@pytest.fixture(scope="module")
def whole(small: Any, idm_run: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What labelling that video writes."""
    corpus = Corpus.open(shutil.copytree(small.wild, tmp_path_factory.mktemp("whole") / "wild"))
    done = label_corpus(corpus, idm_run)
    assert (done.made, done.present, done.unreadable) == (1, 0, {}) and done.minutes == pytest.approx(1 / 6)
    return corpus.actions_path(done.source, corpus.ok_ids()[0]).read_bytes()


def keep_ok(corpus: Corpus, count: int) -> None:
    """Only the first videos are here to be labelled."""
    corpus.put_videos(replace(video, status="ok" if at < count else "missing") for at, video in enumerate(corpus.list_videos()))


def written(corpus: Corpus) -> dict[str, tuple[int, bytes]]:
    """Everything below actions/, hidden files too."""
    paths = [path for path in (corpus.root / "actions").rglob("*") if path.is_file()]
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def test_labelling_twice_does_nothing_the_second_time(wild: Corpus, whole: bytes, idm_run: Path) -> None:
    keep_ok(wild, 2)
    first = label_corpus(wild, idm_run)
    before = written(wild)
    again = label_corpus(wild, idm_run)
    assert (first.made, first.present, again.made, again.present) == (2, 0, 0, 2)
    assert written(wild) == before and {content for _, content in before.values()} == {whole}
    assert first.source == again.source == label_source_of(idm_run) and wild.sources() == [first.source]


def test_the_table_of_videos_is_read_as_often_for_many_as_for_few(wild: Corpus, idm_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    keep_ok(wild, 1)
    videos = Corpus.videos
    monkeypatch.setattr(Corpus, "videos", lambda corpus: reads.append(corpus) or videos(corpus))
    label_corpus(wild, idm_run)
    few = len(reads)
    monkeypatch.undo()
    keep_ok(wild, COPIES)
    monkeypatch.setattr(Corpus, "videos", lambda corpus: reads.append(corpus) or videos(corpus))
    label_corpus(wild, idm_run)
    assert len(reads) - few == few


def test_labels_say_where_they_come_from(wild: Corpus, idm_run: Path) -> None:
    keep_ok(wild, 1)
    source = label_corpus(wild, idm_run).source
    table = wild.actions(source, "v0")
    assert table is not None and table.num_rows == 174
    facts = table_facts(table)
    assert facts["run"] == idm_run.name and "right_x" in facts["slots"].split(",") and facts["licences"]


def test_a_killed_labelling_leaves_whole_files_and_the_same_command_ends_it(wild: Corpus, whole: bytes, idm_run: Path) -> None:
    folder = wild.root / "actions" / label_source_of(idm_run)
    words = ["label", str(wild.root), "--idm", str(idm_run)]
    process = subprocess.Popen([sys.executable, "-m", "ghostpad", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(folder.glob("v*.parquet")):
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the labelling was over before it could be killed"
    left = wild.ids_with_rows(folder.name)
    assert 0 < len(left) < COPIES and all((folder / f"{id}.parquet").read_bytes() == whole for id in left)

    before = written(wild)
    assert main(words) == 0
    after = written(wild)
    assert {name: content for name, (_, content) in after.items()} == {f"v{copy}.parquet": whole for copy in range(COPIES)}
    assert all(after[f"{id}.parquet"] == before[f"{id}.parquet"] for id in left), "finished files are left alone"


def test_a_pool_writes_the_same_bytes_and_a_broken_video_does_not_stop_it(wild: Corpus, whole: bytes, idm_run: Path) -> None:
    for name, content in (("v1", wild.video_path("v1").read_bytes()[:20_000]), ("v3", b"not a video")):
        wild.video_path(name).write_bytes(content)
    wild.video_path("v5").unlink()
    done = label_corpus(wild, idm_run, workers=2)
    good = [f"v{copy}" for copy in range(COPIES) if copy not in (1, 3, 5)]
    assert {name: content for name, (_, content) in written(wild).items()} == {f"{id}.parquet": whole for id in good}
    assert done.made == len(good) and sorted(done.unreadable) == ["v1", "v3", "v5"]
    assert all(f"{id}.mp4" in reason and "\n" not in reason for id, reason in done.unreadable.items())
    assert len(wild.ok_ids()) == COPIES, "reading changes no status"


def test_the_command_tells_broken_videos_and_goes_on(wild: Corpus, idm_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for copy in range(2, COPIES):
        wild.add_video(Video(f"v{copy}", status="broken", reason="left out of this test"))
    wild.video_path("v0").write_bytes(wild.video_path("v1").read_bytes()[:-5000])
    assert main(["label", str(wild.root), "--idm", str(idm_run)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "1 videos" in told[0] and "1 videos cannot be read" in told[1] and told[2].startswith("  v0: ") and len(told) == 3


def test_a_bad_run_stops_before_any_work(wild: Corpus, idm_run: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="is not a run"):
        label_corpus(wild, tmp_path / "no")
    unfinished = shutil.copytree(idm_run, tmp_path / "unfinished")
    (unfinished / "model.safetensors").unlink()
    with pytest.raises(MissingError, match="is not finished"):
        label_corpus(wild, unfinished)
    text = (idm_run / "run.json").read_text()
    policy = shutil.copytree(idm_run, tmp_path / "policy")
    (policy / "run.json").write_text(text.replace('"kind": "idm"', '"kind": "policy"'))
    with pytest.raises(FormatError, match="a 'idm' is needed here"):
        label_corpus(wild, policy)
    assert not (wild.root / "actions").exists() and len(wild.ok_ids()) == COPIES


def test_an_empty_corpus_is_labelled_in_no_time(idm_run: Path, tmp_path: Path) -> None:
    assert label_corpus(Corpus.create(tmp_path / "empty"), idm_run, workers=2).made == 0

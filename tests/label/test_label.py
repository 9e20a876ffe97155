"""Labelling a corpus: once, whole files or none, continued after a kill, the same bytes from a pool, broken videos told apart."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from ghostpad.base.errors import FormatError, MissingError, SettingsError
from ghostpad.base.records import table_facts
from ghostpad.cli.main import main
from ghostpad.corpus.failures import Failures
from ghostpad.corpus.folder import Corpus
from ghostpad.label.label import label_corpus
from ghostpad.label.labeller import label_source_of
from ghostpad.label.settings import LabelSettings

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
    done = label_corpus(wild, idm_run, LabelSettings(workers=2))
    good = [f"v{copy}" for copy in range(COPIES) if copy not in (1, 3, 5)]
    assert {name: content for name, (_, content) in written(wild).items()} == {f"{id}.parquet": whole for id in good}
    assert done.made == len(good) and sorted(done.unreadable) == ["v1", "v3", "v5"]
    assert all(f"{id}.mp4" in reason and "\n" not in reason for id, reason in done.unreadable.items())
    assert len(wild.ok_ids()) == COPIES, "reading changes no status"


def leave_out(corpus: Corpus, *kept: str) -> None:
    corpus.change(corpus.ids(), lambda video: video if video.id in kept else replace(video, status="missing"))


def be_broken(corpus: Corpus, id: str, body: bytes) -> None:
    """A video's file was never another than this one."""
    corpus.video_path(id).write_bytes(body)
    corpus.change([id], lambda video: replace(video, sha256=hashlib.sha256(body).hexdigest(), size_bytes=len(body)))


def test_the_command_tells_broken_videos_and_goes_on(wild: Corpus, idm_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave_out(wild, "v0", "v1", "v2")
    path, words = wild.video_path("v0"), ["label", str(wild.root), "--idm", str(idm_run)]
    be_broken(wild, "v0", b"no video")
    wild.video_path("v2").unlink()
    assert main(words) == 1
    told = capsys.readouterr().out.splitlines()
    assert "1 videos" in told[0] and "2 videos cannot be read" in told[1]
    assert told[2].startswith("  v0: ") and "is not a video" in told[2] and told[3].startswith("  v2: ") and len(told) == 4
    shutil.copy(wild.video_path("v1"), wild.video_path("v2"))
    assert main(words) == 1
    told = capsys.readouterr().out.splitlines()
    assert "1 videos" in told[0] and "1 videos failed before" in told[1], "what was away is tried again, what is broken is not"
    assert Failures(wild, label_source_of(idm_run)).known()["v0"].attempts == 1
    with pytest.raises(SettingsError, match="nothing failed with the reason 'not a vide0'"):
        label_corpus(wild, idm_run, retry="not a vide0")
    assert main([*words, "--retry", "Not A Video"]) == 1
    assert Failures(wild, label_source_of(idm_run)).known()["v0"].attempts == 2
    shutil.copy(wild.video_path("v1"), path)
    assert main([*words, "--retry", "all"]) == 0
    assert Failures(wild, label_source_of(idm_run)).known() == {} and len(written(wild)) == 3


def test_other_footage_of_a_broken_video_is_tried_without_being_asked(wild: Corpus, whole: bytes, idm_run: Path) -> None:
    leave_out(wild, "v0")
    good = wild.video_path("v0").read_bytes()
    be_broken(wild, "v0", b"no video")
    assert list(label_corpus(wild, idm_run).unreadable) == ["v0"]
    assert list(label_corpus(wild, idm_run).skipped) == ["v0"]
    be_broken(wild, "v0", good)
    assert label_corpus(wild, idm_run).made == 1


@pytest.mark.parametrize("gives", ["cut", "other bytes", "holes"])
def test_what_a_disk_spoiled_for_a_while_is_labelled_by_the_next_run(gives: str, wild: Corpus, whole: bytes, idm_run: Path) -> None:
    """The file is not the one that the row names: the footage is not to blame."""
    leave_out(wild, "v0")
    path, good = wild.video_path("v0"), wild.video_path("v0").read_bytes()
    middle = len(good) // 2
    holed = good[:middle] + bytes(400) + good[middle + 400 :]
    path.write_bytes({"cut": good[:20_000], "other bytes": b"x" * len(good), "holes": holed}[gives])
    done = label_corpus(wild, idm_run)
    assert list(done.in_parts if gives == "holes" else done.unreadable) == ["v0"]
    path.write_bytes(good)
    assert label_corpus(wild, idm_run).made == 1 and label_corpus(wild, idm_run).present == 1
    assert wild.actions_path(done.source, "v0").read_bytes() == whole
    assert Failures(wild, done.source).known() == {}


def test_the_good_parts_of_a_damaged_video_are_labelled(
    wild: Corpus, whole: bytes, idm_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_out(wild, "v0")
    path = wild.video_path("v0")
    body = bytearray(path.read_bytes())
    middle = len(body) // 2
    body[middle : middle + 400] = bytes(400)
    be_broken(wild, "v0", bytes(body))
    words = ["label", str(wild.root), "--idm", str(idm_run)]
    assert main(words) == 0
    told = capsys.readouterr().out
    source = label_source_of(idm_run)
    table = wild.actions(source, "v0")
    assert table is not None
    gaps = json.loads(table_facts(table)["gaps"])
    assert gaps and all(f"{start_s:.3f} to {end_s:.3f} s" in told for start_s, end_s, _ in gaps)
    pts_s = table.column("pts_s").to_numpy()
    assert 60 < len(pts_s) < 174 and not any(((pts_s >= start_s) & (pts_s < end_s)).any() for start_s, end_s, _ in gaps)
    reason = Failures(wild, source).known()["v0"].reason
    assert reason.startswith("labelled in parts: ") and main(words) == 0 and "1 before" in capsys.readouterr().out
    shutil.copy(wild.video_path("v1"), path)
    assert main([*words, "--retry", "in parts"]) == 0 and wild.actions_path(source, "v0").read_bytes() == whole


def test_d03_rows_that_were_deleted_or_cut_off_are_written_again(wild: Corpus, whole: bytes, idm_run: Path) -> None:
    leave_out(wild, "v0", "v1", "v2")
    source = label_corpus(wild, idm_run).source
    wild.actions_path(source, "v0").unlink()
    wild.actions_path(source, "v1").write_bytes(whole[:1000])
    again = label_corpus(wild, idm_run)
    assert (again.made, again.present) == (2, 1)
    assert all(wild.actions_path(source, id).read_bytes() == whole for id in ("v0", "v1", "v2"))


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descendants_of(pid: int) -> list[int]:
    return [each for child in children_of(pid) for each in [child, *descendants_of(child)]]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux ends them")
def test_d18_a_killed_labelling_leaves_no_process(wild: Corpus, idm_run: Path) -> None:
    words = ["label", str(wild.root), "--idm", str(idm_run), "--workers", "1"]
    process = subprocess.Popen([sys.executable, "-m", "ghostpad", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not wild.ids_with_rows(label_source_of(idm_run)):
        time.sleep(0.005)
    ours = descendants_of(process.pid)
    assert len(ours) >= 2, "a worker, and the child in which it decodes"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    until_s = time.monotonic() + 30
    while (left := [pid for pid in ours if Path(f"/proc/{pid}").exists()]) and time.monotonic() < until_s:
        time.sleep(0.01)
    assert not left


@pytest.mark.skipif(sys.platform != "linux", reason="finds the worker in /proc")
def test_the_video_of_a_worker_that_is_killed_goes_to_another(wild: Corpus, whole: bytes, idm_run: Path) -> None:
    killed = list[int]()

    def kill_one() -> None:
        while not killed:
            for pid in children_of(os.getpid()):
                if wild.ids_with_rows(label_source_of(idm_run)) and b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                    return
            time.sleep(0.002)

    thread = Thread(target=kill_one)
    thread.start()
    done = label_corpus(wild, idm_run, LabelSettings(workers=1))
    thread.join()
    assert (done.made + done.meanwhile, done.unreadable) == (COPIES, {}) and Failures(wild, done.source).known() == {}
    assert {content for _, content in written(wild).values()} == {whole}


def test_d21_a_negative_number_of_workers_is_refused(wild: Corpus, idm_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["label", str(wild.root), "--idm", str(idm_run), "--workers", "-1"]) == 2
    assert "--workers is -1" in capsys.readouterr().err


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
    assert label_corpus(Corpus.create(tmp_path / "empty"), idm_run, LabelSettings(workers=2)).made == 0


def test_a_corpus_at_an_address_is_labelled_like_one_in_a_folder(
    bucket: Any, wild: Corpus, whole: bytes, idm_run: Path, tmp_path: Path
) -> None:
    leave_out(wild, "v0", "v1")
    wild.video_path("v1").write_bytes(b"no video")
    bucket.put(f"{wild.root}/", "s3://bucket/c/", recursive=True)
    words = ["label", "s3://bucket/c", "--idm", str(idm_run)]
    assert main(words) == 1 and main([*words, "--retry", "all", "--workers", "1"]) == 1
    there, source = Corpus.open("s3://bucket/c"), label_source_of(idm_run)
    assert there.ids_with_rows(source) == ["v0"] and there.actions_path(source, "v0").read_bytes() == whole
    assert Failures(there, source).known()["v1"].attempts == 2

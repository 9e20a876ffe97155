"""Footage and labels from S3: the real driver against a server on this machine that speaks S3."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from s3fs.errors import translate_boto_error

from ghostpad.base.records import Video
from ghostpad.cli.main import main
from ghostpad.corpus import table
from ghostpad.corpus.add.add import add_videos
from ghostpad.corpus.add.find import find_videos
from ghostpad.corpus.folder import Corpus
from ghostpad.lab.made_up.nitrogen_shards import SampleChunk, sample_files, write_shard
from ghostpad.lab.made_up.videos import write_sample


def test_a_prefix_is_added_once_and_not_read_again(bucket: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, frames in (("one", 60), ("two", 90)):
        write_sample(tmp_path / f"{name}.mp4", width_px=64, height_px=48, fps=30, frames=frames)
        bucket.put(str(tmp_path / f"{name}.mp4"), f"bucket/play/deep/{name}.mp4")
    bucket.pipe_file("bucket/play/torn.mkv", b"no video")
    bucket.pipe_file("bucket/play/note.txt", b"no video either")
    command = ["corpus", "add", str(tmp_path / "c"), "s3://bucket/play", "--game", "celeste"]
    assert main(command) == 1
    told = capsys.readouterr().out
    assert "2 videos added, 0 were there, 0 duplicates, 1 broken" in told and "broken: bucket/play/torn.mkv: it is not a video" in told
    corpus = Corpus.open(tmp_path / "c")
    assert corpus.ok_ids() == ["one", "two"] and corpus.video_path("one").read_bytes() == (tmp_path / "one.mp4").read_bytes()
    assert [row.id for row in corpus.list_videos() if row.status == "broken"] == ["torn"]
    assert main(command) == 1
    assert "0 videos added, 2 were there, 0 duplicates, 1 broken" in capsys.readouterr().out


def test_a_manifest_names_objects(bucket: Any, tmp_path: Path) -> None:
    write_sample(tmp_path / "one.mp4", width_px=64, height_px=48, fps=30, frames=60)
    bucket.put(str(tmp_path / "one.mp4"), "bucket/a.mp4")
    (tmp_path / "list.csv").write_text("path,id,game\ns3://bucket/a.mp4,first,hades\ns3://bucket/gone.mp4,second,hades\n")
    assert main(["corpus", "add", str(tmp_path / "c"), str(tmp_path / "list.csv")]) == 1
    rows = {row.id: row for row in Corpus.open(tmp_path / "c").list_videos()}
    assert (rows["first"].status, rows["first"].game) == ("ok", "hades")
    assert rows["second"].status == "broken" and "cannot be read" in rows["second"].reason


def test_a_corpus_there_takes_footage_once_and_heals(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, frames in (("one", 60), ("two", 90)):
        (tmp_path / "in").mkdir(exist_ok=True)
        write_sample(tmp_path / "in" / f"{name}.mp4", width_px=64, height_px=48, fps=30, frames=frames)
    (tmp_path / "in" / "torn.mp4").write_bytes(b"no video")
    corpus, inputs = Corpus.create("s3://bucket/c"), find_videos([str(tmp_path / "in")], {})
    counts = add_videos(corpus, inputs)
    assert (counts.added, len(counts.broken)) == (2, 1) and corpus.ok_ids() == ["one", "two"]
    assert bucket.cat("bucket/c/videos/two.mp4") == (tmp_path / "in" / "two.mp4").read_bytes()
    counts = add_videos(corpus, inputs)
    assert (counts.added, counts.present, len(counts.broken)) == (0, 2, 1)
    bucket.rm("bucket/c/videos/one.mp4")
    bucket.pipe_file("bucket/c/videos/two.mp4", b"cut")
    counts = add_videos(Corpus.open("s3://bucket/c"), inputs)
    assert sorted(counts.back) == ["one", "two"] and counts.gone == {} and corpus.ok_ids() == ["one", "two"]
    for video in corpus.each("ok"):
        assert bucket.info(f"bucket/c/{video.path}")["size"] == video.size_bytes
    assert len(bucket.ls("bucket/c/videos")) == 2
    words = ["corpus", "add", "s3://bucket/c", str(tmp_path / "in")]
    assert main(words) == 1 and "0 videos added, 2 were there, 0 duplicates, 1 broken" in capsys.readouterr().out
    assert main([*words, "--link"]) == 2 and "--link needs a corpus on this machine" in capsys.readouterr().err


def test_shards_are_indexed_from_there_as_from_here(bucket: Any, tmp_path: Path) -> None:
    for number in range(2):
        write_shard(tmp_path / f"SHARD_000{number}.tar.gz", sample_files([SampleChunk(f"v{number}", chunk, 60) for chunk in range(3)]))
        bucket.put(str(tmp_path / f"SHARD_000{number}.tar.gz"), f"bucket/labels/SHARD_000{number}.tar.gz")
    for place, out in ((tmp_path, "here"), ("s3://bucket/labels/SHARD_*.tar.gz", "there"), ("s3://bucket/labels/SHARD_0001.tar.gz", "one")):
        assert main(["corpus", "index", str(place), "--out", str(tmp_path / out)]) == 0
    here, there = Corpus.open(tmp_path / "here"), Corpus.open(tmp_path / "there")
    assert there.videos().equals(here.videos()) and there.chunks().equals(here.chunks()) and there.chunks().num_rows == 6
    assert [row.id for row in Corpus.open(tmp_path / "one").list_videos()] == ["v1"]


@pytest.mark.parametrize("place", ["s3://bucket/nothing", "s3://other/SHARD_0000.tar.gz"])
def test_what_is_not_there_is_said(place: str, bucket: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "add", str(tmp_path / "c"), place]) == 1
    assert f"there is no video at {place}" in capsys.readouterr().err
    assert main(["corpus", "index", place, "--out", str(tmp_path / "c")]) == 1
    assert f"there are no labels at {place}" in capsys.readouterr().err


def test_a_bucket_that_is_not_there_ends_a_command_with_one_line(bucket: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sample(tmp_path / "one.mp4", width_px=64, height_px=48, fps=30, frames=60)
    assert main(["corpus", "add", "s3://nobucket/c", str(tmp_path / "one.mp4")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("ghostpad: error: ") and told.count("\n") == 1 and "bucket does not exist" in told


@pytest.mark.parametrize("answer", [("ExpiredToken", 400), ("InvalidAccessKeyId", 403)], ids=["token", "key"])
def test_keys_lost_while_adding_end_with_one_line_and_the_same_command_mends(
    answer: tuple[str, int], bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The requests that are answered before the keys are lost: from the first to all; a HEAD has no body, so its answer no name."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, frames in (("one", 60), ("two", 90)):
        write_sample(tmp_path / f"{name}.mp4", width_px=64, height_px=48, fps=30, frames=frames)
    (tmp_path / "torn.mp4").write_bytes(b"no video")
    real, left = type(bucket)._call_s3, [0]

    async def until_lost(files: Any, method: str, *args: Any, **flags: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            return await real(files, method, *args, **flags)
        code, message = (str(answer[1]), "Bad Request") if method.startswith("head") else (answer[0], "no more")
        raise translate_boto_error(ClientError({"Error": {"Code": code, "Message": message}}, method))

    command, tries = ["corpus", "add", "s3://bucket/c", str(tmp_path)], 0
    for allowed in (*range(0, 40, 3), 10_000):
        left[0] = allowed
        with monkeypatch.context() as patched:
            patched.setattr(type(bucket), "_call_s3", until_lost)
            status, told = main(command), capsys.readouterr()
        if left[0] < 0:
            tries += 1
            assert status == 1 and told.err.count("ghostpad: error: ") == 1 and "check its address, keys" in told.err, told.err
    assert tries > 5 and "0 duplicates, 1 broken" in told.out
    videos = {video.id: video for video in Corpus.open("s3://bucket/c").list_videos()}
    assert {id: video.status for id, video in videos.items()} == {"one": "ok", "two": "ok", "torn": "broken"}
    assert sorted(bucket.ls("bucket/c/videos")) == ["bucket/c/videos/one.mp4", "bucket/c/videos/two.mp4"]


def test_addresses_that_nothing_reads_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "add", str(tmp_path / "c"), "nothing://bucket/a"]) == 2
    assert "nothing://bucket/a cannot be read" in capsys.readouterr().err


COUNT_UP = """
import sys
from dataclasses import replace
from ghostpad.corpus import table
from ghostpad.corpus.folder import Corpus
table.MOST_FILES, table.INLINE_ROWS = 4, 3
corpus = Corpus.open("s3://bucket/c")
for _ in range(int(sys.argv[1])):
    corpus.change(["v1", "v2", "v3", "v4"], lambda video: replace(video, attempts=video.attempts + 1))
    corpus.change(["v1"], lambda video: replace(video, attempts=video.attempts + 1))
"""


def test_processes_changing_one_catalogue_there_lose_nothing(bucket: Any) -> None:
    Corpus.create("s3://bucket/c").put_videos(Video(f"v{number}") for number in range(9))
    writers = [subprocess.Popen([sys.executable, "-c", COUNT_UP, "4"]) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0] * 3
    attempts = [video.attempts for video in Corpus.open("s3://bucket/c").list_videos()]
    assert attempts == [0, 24, 12, 12, 12, 0, 0, 0, 0]


def test_a_change_there_whose_answer_was_lost_is_made_once(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver sends a request again when no answer came; the store then says that the object exists."""
    corpus, real = Corpus.create("s3://bucket/c"), type(bucket)._call_s3
    corpus.add_video(Video("a"))

    async def twice(files: Any, method: str, *args: Any, **flags: Any) -> Any:
        if method == "put_object":
            await real(files, method, *args, **flags)
        return await real(files, method, *args, **flags)

    monkeypatch.setattr(type(bucket), "_call_s3", twice)
    for _ in range(3):
        corpus.change(["a"], lambda video: replace(video, attempts=video.attempts + 1))
    monkeypatch.undo()
    assert [video.attempts for video in corpus.list_videos()] == [3]


def test_a_store_that_says_another_is_creating_it_is_asked_again(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, real, answers = Corpus.create("s3://bucket/c"), type(bucket)._call_s3, [409, 409]
    corpus.add_video(Video("a"))

    async def refused(files: Any, method: str, *args: Any, **flags: Any) -> Any:
        if method == "put_object" and answers:
            about = {"Error": {"Code": "ConditionalRequestConflict"}, "ResponseMetadata": {"HTTPStatusCode": answers.pop()}}
            raise translate_boto_error(ClientError(about, "PutObject"))
        return await real(files, method, *args, **flags)

    monkeypatch.setattr(type(bucket), "_call_s3", refused)
    corpus.change(["a"], lambda video: replace(video, attempts=video.attempts + 1))
    assert [video.attempts for video in corpus.list_videos()] == [1] and not answers


def test_sweeping_there_keeps_what_is_needed(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"KEPT_S": 0.0, "SWEEP_EVERY": 3, "MOST_FILES": 4, "INLINE_ROWS": 3}.items():
        monkeypatch.setattr(table, name, value)
    corpus = Corpus.create("s3://bucket/c")
    corpus.put_videos(Video(f"v{number}") for number in range(9))
    for number in range(12):
        corpus.change([f"v{number % 2}"], lambda video: replace(video, attempts=video.attempts + 1))
    assert [video.attempts for video in Corpus.open("s3://bucket/c").list_videos()] == [6, 6, 0, 0, 0, 0, 0, 0, 0]
    assert len([name for name in bucket.ls("bucket/c/catalogue") if name.endswith(".commit")]) < 9

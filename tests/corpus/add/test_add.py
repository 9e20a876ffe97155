"""Adding footage from elsewhere: each content once, never half, broken files kept with their reason."""

import errno
import os
import signal
from pathlib import Path

import av
import fsspec
import numpy as np
import pytest

from ghostpad.base import files
from ghostpad.base.engines.settings import EngineSettings
from ghostpad.base.errors import FormatError, MissingError, SettingsError
from ghostpad.base.pad import PAD_DIM
from ghostpad.base.records import actions_table, write_table
from ghostpad.cli.main import main
from ghostpad.corpus.add import look
from ghostpad.corpus.add.add import AddCounts, add_videos
from ghostpad.corpus.add.find import find_videos
from ghostpad.corpus.folder import Corpus
from ghostpad.video.decode import decode_frames


def film(path: Path, seed: int, seconds: int = 8, width_px: int = 160, crf: int = 23, of: Path | None = None) -> Path:
    """A film of a new scene each second, or the film `of` encoded anew in another size and quality."""
    rng, height_px = np.random.default_rng(seed), width_px * 3 // 5
    if of is not None:
        pictures = [frame.image for frame in decode_frames(of, width_px=width_px, height_px=height_px)]
    else:
        scenes = [np.kron(rng.integers(0, 255, (6, 10, 3)), np.ones((height_px // 6, width_px // 10, 1))) for _ in range(seconds)]
        pictures = [scenes[index // 10].astype(np.uint8) for index in range(seconds * 10)]
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": str(crf), "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode(None))
    return path


def add(corpus: Corpus, *places: Path | str, link: bool = False) -> AddCounts:
    return add_videos(corpus, find_videos([str(place) for place in places], {"game": "celeste"}), link)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus.create(tmp_path / "c")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    film(tmp_path / "in" / "one.mp4", 1)
    film(tmp_path / "in" / "deep" / "one.mp4", 2)
    (tmp_path / "in" / "torn.mp4").write_bytes((tmp_path / "in" / "one.mp4").read_bytes()[:2000])
    (tmp_path / "in" / "note.txt").write_text("no video")
    (tmp_path / "in" / "._one.mp4").write_bytes(b"what a Mac leaves beside a file")
    return tmp_path / "in"


def test_a_file_whose_suffix_cannot_stand_in_the_table_is_added_under_another(corpus: Corpus, tmp_path: Path) -> None:
    odd = tmp_path / "clip.12:30"
    film(tmp_path / "clip.mp4", 1).rename(odd)
    assert add(corpus, odd).added == 1 and corpus.video("clip").path == "videos/clip.12_30"
    assert add(corpus, odd).present == 1, "the corpus still takes files"


def test_a_folder_is_added_once_and_broken_files_are_rows(corpus: Corpus, folder: Path) -> None:
    counts = add(corpus, folder)
    assert (counts.added, counts.present, len(counts.broken)) == (2, 0, 1)
    ids = corpus.ok_ids()
    assert len(ids) == 2 and sum(id == "one" for id in ids) == 1, "a name that is taken gets a part of the hash"
    row = next(row for row in corpus.list_videos() if row.id == "one")
    assert (row.game, row.frames, row.width_px, row.status) == ("celeste", 80, 160, "ok")
    broken = next(row for row in corpus.list_videos() if row.status == "broken")
    assert broken.id == "torn" and broken.reason == counts.broken[str(folder / "torn.mp4")]
    assert broken.reason.startswith("it is not a video")
    assert sorted(path.name for path in (corpus.root / "videos").iterdir()) == sorted(f"{id}.mp4" for id in ids)
    before, told = corpus.catalogue.version(), counts.broken
    counts = add(corpus, folder)
    assert (counts.added, counts.present, counts.broken) == (0, 2, told) and corpus.catalogue.version() == before


def test_the_same_pictures_encoded_anew_are_found(corpus: Corpus, folder: Path, tmp_path: Path) -> None:
    add(corpus, folder / "one.mp4")
    again = film(tmp_path / "small.mp4", 0, width_px=120, crf=32, of=folder / "one.mp4")
    assert add(corpus, again).same == {str(again): "one"}
    for kept in (corpus.root / "cache" / "fingerprints").iterdir():
        kept.write_bytes(kept.read_bytes()[:90])
    assert add(corpus, film(tmp_path / "smaller.mp4", 0, width_px=100, crf=32, of=folder / "one.mp4")).same, "it may be damaged or deleted"
    assert add(corpus, folder / "deep").added == 1


def test_rows_beside_a_video_and_facts_of_a_manifest(corpus: Corpus, folder: Path) -> None:
    rows = actions_table(np.arange(79) / 10, np.zeros((79, PAD_DIM), np.float32), np.ones(PAD_DIM, np.bool_))
    write_table(folder / "one.parquet", rows, "actions")
    (folder / "list.csv").write_text("path,game,licence\none.mp4,hades,CC0\n")
    assert add(corpus, folder / "list.csv").added == 1
    found = corpus.actions("recorded", "one")
    assert found is not None and found.equals(rows)
    assert (corpus.list_videos()[0].game, corpus.list_videos()[0].licence) == ("hades", "CC0")


def test_rows_that_cannot_be_read_are_said_and_the_video_is_added(corpus: Corpus, folder: Path) -> None:
    (folder / "one.parquet").write_bytes(b"no table")
    counts = add(corpus, folder / "one.mp4")
    assert counts.added == 1 and "not a readable parquet" in counts.unread["one"] and corpus.ids_with_rows("recorded") == []


def test_links_addresses_and_what_is_not_there(corpus: Corpus, folder: Path) -> None:
    assert add(corpus, folder / "one.mp4", link=True).added == 1
    assert corpus.video_path("one").is_symlink() and corpus.video_path("one").resolve() == folder / "one.mp4"
    fsspec.filesystem("memory").pipe_file("/bucket/far.mp4", (folder / "deep/one.mp4").read_bytes())
    with pytest.raises(SettingsError, match="--link"):
        add(corpus, "memory://bucket", link=True)
    assert add(corpus, "memory://bucket").added == 1 and "far" in corpus.ok_ids()
    with pytest.raises(MissingError, match="no video at"):
        add(corpus, folder / "nothing.mp4")
    (folder / "empty").mkdir()
    with pytest.raises(MissingError, match="holds no video"):
        add(corpus, folder / "empty")
    with pytest.raises(SettingsError, match="no videos to add"):
        add(corpus)
    with pytest.raises(SettingsError, match="read from this machine"):
        add(corpus, "memory://bucket/list.csv")
    (folder / "gone.csv").write_text("path\nnothing.mp4\n")
    assert list(add(corpus, folder / "gone.csv").broken.values()) == ["it cannot be read: No such file or directory"], "without its path"
    (folder / "list.csv").write_text("file\none.mp4\n")
    with pytest.raises(FormatError, match="column path"):
        add(corpus, folder / "list.csv")


def test_a_full_disk_is_no_fault_of_the_file(corpus: Corpus, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(files.os, "fsync", full)
        add(corpus, folder / "one.mp4")
    assert not corpus.list_videos() and not list((corpus.root / "videos").iterdir())
    assert add(corpus, folder / "one.mp4").added == 1


def test_what_a_killed_run_left_is_not_in_the_way(corpus: Corpus, folder: Path) -> None:
    videos = corpus.root / "videos"
    videos.mkdir()
    (videos / ".add.mp4").write_bytes(b"half")  # by an earlier version
    (corpus.root / "add").mkdir()
    (corpus.root / "add" / "ledger.jsonl").write_text("")
    (videos / "one.mp4").write_bytes((folder / "one.mp4").read_bytes())  # moved, its row not written
    assert add(corpus, folder / "one.mp4").added == 1
    assert corpus.ok_ids() == ["one"] and [path.name for path in videos.iterdir()] == ["one.mp4"]


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "add", str(tmp_path / "new"), str(folder), "--game", "celeste"]) == 1
    assert "2 videos added, 0 were there, 0 duplicates, 1 broken" in capsys.readouterr().out


POOL = EngineSettings(engine="pool", workers=2)


def test_a_pool_adds_the_same_as_one_process(folder: Path, tmp_path: Path) -> None:
    film(folder / "smaller.mp4", 0, width_px=80, of=folder / "one.mp4")
    (folder / "twin.mp4").write_bytes((folder / "one.mp4").read_bytes())
    sources = find_videos([str(folder)], {"game": "celeste"})
    here, there = Corpus.create(tmp_path / "here"), Corpus.create(tmp_path / "there")
    assert add_videos(here, sources) == add_videos(there, sources, engine=POOL)
    assert here.list_videos() == there.list_videos() and len(here.ok_ids()) == 2
    again = add_videos(there, sources, engine=POOL)
    assert again.added == 0 and len(again.broken) == 1


class Poisoned(look.Looker):
    """Dies at one file."""

    def __call__(self, item: tuple[str | None]) -> look.Look | None:
        if str(item[0]).endswith("torn.mp4"):
            with open(f"{item[0]}.begun", "a") as begun:
                begun.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(item)


def test_a_file_that_kills_its_workers_is_a_row_and_the_others_are_added(
    corpus: Corpus, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look, "Looker", Poisoned)
    counts = add_videos(corpus, find_videos([str(folder)], {}), engine=POOL)
    assert counts.added == 2 and (folder / "torn.mp4.begun").read_text() == "xxx"
    (broken,) = (video for video in corpus.list_videos() if video.status == "broken")
    assert "died at this item 3 times" in str(broken.reason) and broken.attempts == 1

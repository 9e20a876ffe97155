"""Adding and making segments, stopped and started again: only what was in flight is done again, and the end is the same."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from ghostpad.base.pad import PAD_DIM
from ghostpad.base.records import actions_table, write_table
from ghostpad.cli.main import main
from ghostpad.corpus.add import batch as add_batch
from ghostpad.corpus.add.add import AddCounts, add_videos
from ghostpad.corpus.add.check import GONE
from ghostpad.corpus.add.find import find_videos
from ghostpad.corpus.folder import Corpus
from ghostpad.feed.make_segments import make_segments
from ghostpad.idm.model import idm_window
from ghostpad.idm.settings import IdmSettings


def clip(path: Path, seed: int, frames: int = 20, size: int = 64) -> Path:
    """A film of noise: no two are alike, and it is too short to be compared by pictures below 5 s."""
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = size, size, "yuv420p"
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rng.integers(0, 255, (size, size, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    return path


def add(corpus: Corpus, place: Path, link: bool = False) -> AddCounts:
    return add_videos(corpus, find_videos([str(place)], {"game": None}), link)


def kill_when(words: list[str], ready: Callable[[], bool]) -> None:
    """Start a command, and kill it once `ready`."""
    process = subprocess.Popen([sys.executable, "-m", "ghostpad", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None and not ready():
            time.sleep(0.001)
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was over before it could be killed"


def finish(words: list[str], status: int = 0) -> str:
    done = subprocess.run([sys.executable, "-m", "ghostpad", *words], capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done.stdout


def contents(root: Path, *folders: str) -> dict[str, bytes]:
    paths = [path for folder in folders for path in sorted((root / folder).rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if not path.name.startswith(".")}


def finished(folder: Path) -> dict[str, int]:
    """The segments of which an index is there."""
    known = times(folder)
    return {name: time for name, time in known.items() if f"{name[0]}.index" in known}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for seed in range(8):
        clip(tmp_path / "in" / f"{seed}.mp4", seed, frames=60, size=128)
    (tmp_path / "in" / "torn.mp4").write_bytes((tmp_path / "in" / "0.mp4").read_bytes()[:900])
    rows = actions_table(np.arange(59) / 10, np.zeros((59, PAD_DIM), np.float32), np.ones(PAD_DIM, np.bool_))
    write_table(tmp_path / "in" / "3.parquet", rows, "actions")
    return tmp_path / "in"


def test_killed_adding_takes_what_it_had_copied_and_goes_on(folder: Path, tmp_path: Path) -> None:
    whole = Corpus.create(tmp_path / "whole")
    add(whole, folder)
    root, words = tmp_path / "c", ["corpus", "add", str(tmp_path / "c"), str(folder)]
    before: dict[str, int] = {}
    for done in (1, 4):
        kill_when(words, lambda: (root / "videos").is_dir() and len(times(root / "videos")) >= done)  # noqa: B023  (called here)
        assert before.items() <= times(root / "videos").items(), "a finished video was copied again"
        before = times(root / "videos")
    assert "1 broken" in finish(words, status=1)
    assert before.items() <= times(root / "videos").items(), "a finished video was copied again"
    assert not [path for path in (root / "videos").iterdir() if path.name.startswith(".")], "what the kill left is gone"
    assert Corpus.open(root).list_videos() == whole.list_videos()
    assert contents(root, "videos", "actions", "cache") == contents(whole.root, "videos", "actions", "cache")


def test_killed_making_of_segments_makes_only_those_in_flight_again(folder: Path, tmp_path: Path) -> None:
    for name in ("whole", "c"):
        add(Corpus.create(tmp_path / name), folder, link=True)
    spec = idm_window(IdmSettings())
    make_segments(Corpus.open(tmp_path / "whole"), spec)
    copies, words = tmp_path / "c" / "segments" / spec.picture, ["corpus", "proxy", str(tmp_path / "c")]
    before: dict[str, int] = {}
    for done in (1, 4):
        kill_when(words, lambda: copies.is_dir() and len(finished(copies)) >= done)  # noqa: B023
        assert before.items() <= times(copies).items(), "finished segments were made again"
        before = finished(copies)
    done = len(before) // 2
    assert f"{8 - done} videos ({(8 - done) / 10:.1f} min) made, {done} made before" in finish(words)
    assert before.items() <= times(copies).items()
    made, whole = contents(tmp_path / "c", "segments"), contents(tmp_path / "whole", "segments")
    assert {name: body for name, body in made.items() if not name.endswith(".rows")} == {
        name: body for name, body in whole.items() if not name.endswith(".rows")
    }
    assert not [path for path in copies.iterdir() if path.name.startswith(".")], "what the kill left is gone"


def test_rows_are_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(add_batch, "EVERY_S", 1e9)
    monkeypatch.setattr(add_batch, "MOST_ROWS", 25)
    (tmp_path / "in").mkdir()
    for seed in range(60):
        clip(tmp_path / "in" / f"{seed}.mp4", seed, frames=2, size=32)
    corpus = Corpus.create(tmp_path / "c")
    assert add(corpus, tmp_path / "in").added == 60 == len(corpus.ok_ids())
    assert corpus.catalogue.version() == 1 + 3, "at 25 and 50 rows, and at the end"


def test_known_files_are_not_opened_again(folder: Path, tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "c")
    (folder / "again.mp4").write_bytes((folder / "1.mp4").read_bytes())
    remade = folder / "z.mp4"
    with av.open(str(folder / "2.mp4")) as source, av.open(str(remade), "w") as out:  # other bytes, the same pictures
        copy = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    counts = add(corpus, folder)
    assert (counts.added, counts.present, len(counts.broken)) == (8, 1, 1) and counts.same == {str(remade): "2"}
    before = corpus.catalogue.version()
    for path in folder.glob("*.mp4"):  # whoever reads them now is found out
        stat = path.stat()
        path.write_bytes(b"\0" * stat.st_size)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    counts = add(corpus, folder)
    assert (counts.added, counts.present, counts.same, len(counts.broken)) == (0, 9, {str(remade): "2"}, 1)
    assert corpus.catalogue.version() == before
    os.utime(folder / "5.mp4")  # touched: looked at again
    assert len(add(corpus, folder).broken) == 2


def test_a_better_copy_of_a_broken_file_takes_its_place_and_nothing_old_with_it(folder: Path, tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "c")
    add(corpus, folder)
    old = corpus.root / "actions" / "idm-1" / "torn.parquet"
    old.parent.mkdir(parents=True)
    old.write_text("of the broken one")
    clip(folder / "torn.mp4", 99, frames=60)
    clip(folder / "new.mp4", 100, frames=60)
    assert add(corpus, folder).added == 2
    assert {"torn", "new"} < set(corpus.ok_ids()) and not corpus.ids("broken")
    assert corpus.video("torn").attempts == 0 and not old.exists()
    assert add(corpus, folder).present == 10


def test_rows_that_come_later_are_taken_and_others_are_not_lost(folder: Path, tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "c")
    add(corpus, folder)
    first = corpus.actions("recorded", "3")
    for name, count in (("3", 40), ("4", 59)):
        rows = actions_table(np.arange(count) / 10, np.ones((count, PAD_DIM), np.float32), np.ones(PAD_DIM, np.bool_))
        write_table(folder / f"{name}.parquet", rows, "actions")
    counts = add(corpus, folder)
    assert corpus.ids_with_rows("recorded") == ["3", "4"] and counts.unread.keys() == {"3"}
    assert first is not None and first.equals(corpus.actions("recorded", "3")) and "other rows" in counts.unread["3"]


def test_a_source_that_was_away_and_is_back_leaves_all_fine(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, away = Corpus.create(tmp_path / "c"), tmp_path / "away"
    add(corpus, folder, link=True)
    before = corpus.list_videos()
    folder.rename(away)
    assert main(["corpus", "proxy", str(corpus.root)]) == 1
    assert "8 videos cannot be read" in capsys.readouterr().out and corpus.list_videos() == before, "reading changes no status"
    counts = add(corpus, corpus.root / "videos")  # the corpus's own links, which lead nowhere
    assert (
        list(counts.gone) == [str(number) for number in range(8)] and (counts.added, len(counts.broken)) == (0, 0) and not corpus.ok_ids()
    )
    assert {video.reason for video in corpus.list_videos() if video.status == "missing"} == {GONE}
    assert main(["corpus", "status", str(corpus.root)]) == 0
    assert f"missing: {GONE}: 8 videos" in capsys.readouterr().out
    away.rename(folder)
    counts = add(corpus, folder, link=True)
    assert len(counts.back) == 8 and (counts.added, counts.gone) == (0, {}) and corpus.list_videos() == before
    assert main(["corpus", "proxy", str(corpus.root)]) == 0
    assert "8 videos (0.8 min) made" in capsys.readouterr().out


def test_a_video_that_was_marked_by_an_outage_is_healed_and_a_lost_copy_is_made_again(folder: Path, tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "c")
    add(corpus, folder)
    before = corpus.list_videos()
    corpus.add_video(replace(corpus.video("3"), status="broken", reason="3.mp4 does not exist"))  # as older versions did
    corpus.video_path("5").unlink()
    counts = add(corpus, folder)
    assert sorted(counts.back) == ["3", "5"] and counts.gone == {} and (counts.added, counts.joined) == (0, 0)
    assert corpus.list_videos() == before and corpus.video_path("5").read_bytes() == (folder / "5.mp4").read_bytes()


def test_a_corpus_inside_the_folder_does_not_take_its_own_files(folder: Path) -> None:
    corpus = Corpus.create(folder / "c")
    assert add(corpus, folder).added == 8
    assert main(["corpus", "proxy", str(corpus.root)]) == 0
    counts = add(corpus, folder)
    assert (counts.added, counts.same, len(corpus.ok_ids())) == (0, {}, 8)


def test_footage_inside_the_corpus_folder_is_footage(folder: Path) -> None:
    corpus = Corpus.create(folder.parent)
    assert add(corpus, folder).added == 8 and add(corpus, folder).present == 8

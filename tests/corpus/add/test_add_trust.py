"""What adding promises on a bad day: odd names, lost and cut files, pipes, two writers at once, an earlier version's ledger."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostpad.base.errors import MissingError, SettingsError
from ghostpad.base.files import safe_name
from ghostpad.base.pad import LAYOUT, PAD_DIM
from ghostpad.base.records import Video, actions_table
from ghostpad.cli.main import main
from ghostpad.corpus import table
from ghostpad.corpus.add import add as add_module
from ghostpad.corpus.add import copy as add_copy
from ghostpad.corpus.add import find as add_find
from ghostpad.corpus.add import known as add_known
from ghostpad.corpus.add import similar
from ghostpad.corpus.add.add import AddCounts, add_videos
from ghostpad.corpus.add.batch import Batch
from ghostpad.corpus.add.check import CUT, GONE
from ghostpad.corpus.add.files import Files
from ghostpad.corpus.add.find import InputVideo, find_videos
from ghostpad.corpus.add.known import KnownBytes
from ghostpad.corpus.add.names import ids_of, slug
from ghostpad.corpus.folder import Corpus
from ghostpad.lab.made_up.many_videos import write_many
from ghostpad.lab.made_up.videos import write_sample
from ghostpad.video import child as video_child
from ghostpad.video.child import Limits, VideoChild


def film(path: Path, width_px: int = 64, frames: int = 20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_sample(path, width_px=width_px, height_px=48, fps=10, frames=frames)
    return path


def add(corpus: Corpus, *places: Path | str, link: bool = False, retry: str | None = None) -> AddCounts:
    return add_videos(corpus, find_videos([str(place) for place in places], {}), link, retry)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus.create(tmp_path / "c")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three films of other bytes, and a torn one."""
    for index in range(3):
        film(tmp_path / "in" / f"{index}.mp4", 64 + 16 * index)
    (tmp_path / "in" / "torn.mp4").write_bytes((tmp_path / "in" / "0.mp4").read_bytes()[:500])
    return tmp_path / "in"


# ---- names --------------------------------------------------------------------------------------------------


def test_d01_no_name_of_a_file_locks_a_corpus(corpus: Corpus, tmp_path: Path) -> None:
    sample = film(tmp_path / "sample.mp4").read_bytes()
    names = [
        b"clip.12:30",
        b"a:b.mp4",
        b"\xff\xfe.mp4",
        b"n\xe9e.mp\xe9",
        b"back\\slash.mp4",
        b" .mp4",
        b"long" * 50 + b".mp4",
        b"x." + b"y" * 200,
    ]
    paths = [Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"in", name))) for name in names]
    paths[0].parent.mkdir()
    for index, path in enumerate(paths):
        path.write_bytes(sample + bytes(8) + b"free"[:4] + bytes([index]))
    counts = add(corpus, *paths)
    assert counts.added + len(counts.broken) + len(counts.same) == len(names)
    before = corpus.list_videos()
    assert len(before) >= 1 and add(corpus, *paths).added == 0 and corpus.list_videos() == before, "the corpus still takes files"


@given(stem=st.text(st.characters(exclude_characters="/\0", exclude_categories=()), min_size=1, max_size=60))
@settings(max_examples=200)
def test_d01_whatever_a_file_is_called_its_id_can_stand_in_the_catalogue(stem: str) -> None:
    source = InputVideo(f"/in/{stem}.mp4", None)
    assert slug(source) == "" or safe_name(slug(source)) == slug(source)
    for id in ids_of(source):
        id.encode()


def test_d01_a_game_that_is_not_utf8_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["corpus", "add", str(tmp_path / "c"), str(folder)]
    assert main([*words, "--game", os.fsdecode(b"caf\xe9")]) == 2
    assert "--game is not UTF-8 text" in capsys.readouterr().err
    assert main([*words, "--game", "café"]) == 1 and Corpus.open(tmp_path / "c").video("0").game == "café"


def test_d01_an_earlier_ledger_that_locked_its_corpus_is_taken_over_once(corpus: Corpus, folder: Path) -> None:
    (source,) = find_videos([str(folder / "0.mp4")], {})
    row = {"id": "celeste:run1", "path": "videos/celeste:run1.mp4", "source": "added"}
    waiting = Video("waiting", source="added", status="broken", reason="it is no video").columns()
    lines = [
        {"key": "k1", "path": "/a.mp4", "sha256": "s", "outcome": "added", "id": "celeste:run1", "row": row},
        {"key": source.state(source.about()), "path": source.path, "sha256": None, "outcome": "broken", "id": "waiting", "row": waiting},
        {"key": "k3", "path": "/b.mp4", "sha256": "s", "outcome": "added", "id": "x", "row": {"id": "x", "game": "\udce9"}},
    ]
    ledger = corpus.root / "add" / "ledger.jsonl"
    ledger.parent.mkdir()
    ledger.write_text("\n".join(map(json.dumps, lines)) + '\n{"key": "cut sho')
    counts = add(corpus, folder)
    assert counts.skipped.keys() == {"celeste:run1", "x"} and counts.added == 2 and not ledger.exists()
    assert counts.broken[source.path] == "it is no video", "what was known about files is known still"
    assert corpus.video("waiting").status == "broken"
    assert not add(corpus, folder).skipped


def test_d22_an_empty_name_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film(tmp_path / "here.mp4")
    monkeypatch.chdir(tmp_path)
    assert main(["corpus", "add", "c", ""]) == 2 and not Path("c").exists()


def test_d28_a_manifest_of_many_ids_is_read_in_time_that_grows_with_it(tmp_path: Path) -> None:
    compared = 0

    class Counted(str):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    rows = "".join(f"{index}.mp4,id{index}\n" for index in range(300))
    (tmp_path / "list.csv").write_text("path,id\n" + rows)
    original = add_find.safe_name
    add_find.safe_name = lambda name: Counted(original(name))
    try:
        assert len(find_videos([str(tmp_path / "list.csv")], {})) == 300
    finally:
        add_find.safe_name = original
    assert compared < 3000


# ---- lost and healed ----------------------------------------------------------------------------------------


def test_d03_a_deleted_and_a_cut_file_are_missing_and_come_back_with_their_source(corpus: Corpus, folder: Path) -> None:
    add(corpus, folder)
    before = corpus.list_videos()
    corpus.video_path("0").unlink()
    corpus.video_path("1").write_bytes(corpus.video_path("1").read_bytes()[:1024])
    away = folder.rename(folder.with_name("away"))
    other = film(folder / "other.mp4", 160)
    counts = add(corpus, other)
    assert counts.gone == {"0": GONE, "1": CUT} and corpus.ok_ids() == ["2", "other"]
    assert {corpus.video(id).reason for id in "01"} == {GONE, CUT}
    shutil.move(away / "0.mp4", folder)
    shutil.move(away / "1.mp4", folder)
    counts = add(corpus, folder)
    assert sorted(counts.back) == ["0", "1"] and counts.gone == {} and counts.is_whole
    for video in before:
        now = corpus.video(video.id)
        assert replace(now, path=video.path) == video
        if now.status == "ok":
            path = corpus.path_of(now)
            assert path.stat().st_size == now.size_bytes
    names = {path.name for path in (corpus.root / "videos").iterdir()}
    assert names == {Path(video.path).name for video in corpus.each("ok")}, "what was left of the cut file is gone"


def test_d02_what_an_outage_broke_is_ok_again(corpus: Corpus, folder: Path) -> None:
    add(corpus, folder, link=True)
    before = corpus.list_videos()
    for status, id in (("broken", "0"), ("missing", "1")):  # as earlier versions did
        corpus.add_video(replace(corpus.video(id), status=status, reason="No such file or directory", size_bytes=None))
    counts = add(corpus, folder, link=True)
    assert sorted(counts.back) == ["0", "1"]
    assert [replace(video, size_bytes=None) for video in corpus.list_videos()] == [replace(video, size_bytes=None) for video in before]


def test_d02_a_video_of_another_command_heals_and_one_that_is_not_whole_does_not(corpus: Corpus, folder: Path) -> None:
    add(corpus, folder)
    whole = replace(corpus.video("0"), source="a site", status="broken", reason="out of memory")
    corpus.put_videos([whole, replace(corpus.video("1"), status="broken", reason="cut", sha256="0" * 64, size_bytes=None)])
    assert add(corpus, film(folder.parent / "new.mp4", 128)).back == ["0"]
    assert corpus.video("0") == replace(whole, status="ok", reason=None) and corpus.video("1").status == "broken"


def test_d10_a_corpus_reached_by_a_link_does_not_take_its_own_files(folder: Path, tmp_path: Path) -> None:
    corpus = Corpus.create(folder / "c")
    assert add(corpus, folder).added == 3
    for inside in ("proxy/64", "segments/128x96-gray"):
        (corpus.root / inside).mkdir(parents=True)
        film(corpus.root / inside / "0.mp4", 32)
    film(corpus.root / "cache" / "copy.mp4", 48)
    (tmp_path / "link").symlink_to(corpus.root)
    for reached in (corpus, Corpus.open(tmp_path / "link"), Corpus.open(folder / "c" / ".." / "c")):
        counts = add(reached, folder)
        assert (counts.added, counts.present, counts.same) == (0, 6, {}) and len(corpus.ok_ids()) == 3


# ---- broken -------------------------------------------------------------------------------------------------


def test_d12_a_broken_file_is_broken_again_and_read_again_only_where_that_is_asked_for(
    corpus: Corpus, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torn = str(folder / "torn.mp4")
    first = add(corpus, folder)
    assert first.broken.keys() == {torn} and corpus.video("torn").attempts == 1

    def read(*_: Any) -> Iterator[bytes]:
        raise AssertionError("it was read again")

    with monkeypatch.context() as patch:
        patch.setattr(add_copy, "_blocks", read)
        again = add(corpus, folder)
    assert (again.present, again.broken) == (3, first.broken) and corpus.video("torn").attempts == 1
    reason = first.broken[torn]
    for retry in (reason[4:20].upper(), "all"):
        assert add(corpus, folder, retry=retry).broken == first.broken
    assert corpus.video("torn").attempts == 3 and len(corpus.ids()) == 4
    with pytest.raises(SettingsError, match="it is not a video"):
        add(corpus, folder, retry="a reason that nothing has")
    (folder / "copy.mp4").write_bytes((folder / "torn.mp4").read_bytes())
    assert add(corpus, folder).broken == {torn: reason, str(folder / "copy.mp4"): reason} and len(corpus.ids()) == 4, "the same bytes"


def test_two_broken_files_of_one_name_are_two_rows(corpus: Corpus, folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "torn.mp4").write_bytes(b"no video at all")
    (folder / "z").mkdir()
    film(folder / "z" / "torn.mp4", 160)
    counts = add(corpus, folder)
    assert len(counts.broken) == 2 and len(corpus.ids("broken")) == 2 and counts.added == 4


def test_a_file_that_cannot_be_opened_counts_its_attempts_and_comes_when_it_can(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path\nlater.mp4\n")
    for attempt in (1, 2):
        assert list(add(corpus, tmp_path / "list.csv").broken.values()) == ["it cannot be read: No such file or directory"]
        assert [(video.id, video.attempts, video.sha256) for video in corpus.each()] == [("later", attempt, None)]
    film(tmp_path / "later.mp4")
    assert add(corpus, tmp_path / "list.csv").added == 1 and corpus.ok_ids() == ["later"] == corpus.ids()
    assert corpus.video("later").attempts == 0


def test_d19_pipes_and_devices_are_no_videos_and_hold_nothing_up(corpus: Corpus, folder: Path) -> None:
    os.mkfifo(folder / "pipe.mp4")
    (folder / "null.mp4").symlink_to("/dev/zero")
    counts = add(corpus, folder)
    assert counts.added == 3 and counts.broken[str(folder / "pipe.mp4")] == "it is a pipe, not a file"
    assert counts.broken[str(folder / "null.mp4")] == "it is a device, not a file"
    assert corpus.video("pipe").reason == "it is a pipe, not a file"
    assert add(corpus, folder / "pipe.mp4").broken and len(corpus.ids("broken")) == 3
    (folder / "pipe.mp4").unlink()
    film(folder / "pipe.mp4", 160)
    assert add(corpus, folder / "pipe.mp4").added == 1 and corpus.video("pipe").status == "ok"


def test_a_source_that_grows_or_has_no_size_ends_with_a_reason(corpus: Corpus, folder: Path) -> None:
    (source,) = find_videos([str(folder / "0.mp4")], {})
    about = source.about()
    grown, cut, endless = (replace(source, listed=about._replace(size=size)) for size in (about.size - 1, about.size + 1, None))
    for one, reason in ((grown, "its size changes"), (cut, "its size changes"), (endless, "may have no end")):
        assert reason in add_videos(corpus, [one]).broken[source.path]
    assert not list((corpus.root / "videos").iterdir())
    assert add(corpus, folder / "0.mp4").added == 1 and corpus.ids() == ["0"]


def test_d07_recorded_rows_that_no_pad_gives_are_refused_with_a_reason(corpus: Corpus, folder: Path) -> None:
    good = actions_table(np.arange(19) / 10, np.zeros((19, PAD_DIM), np.float32), np.ones(PAD_DIM, np.bool_))
    bad = {"pts_s": (3, [np.nan, np.inf, 0.1, 0.2]), "left_x": (5, [1e9, np.inf])}
    for name, (row, values) in bad.items():
        for value in values:
            column = good.column(name).to_numpy(zero_copy_only=False).copy()
            column[row] = value
            table = good.set_column(good.schema.get_field_index(name), good.schema.field(name), [column])
            pq.write_table(table.replace_schema_metadata({"ghostpad.table": "actions/2", "ghostpad.layout": LAYOUT}), folder / "0.parquet")
            counts = add(corpus, folder / "0.mp4")
            assert counts.unread.keys() == {"0"} and corpus.actions("recorded", "0") is None, (name, value)


def test_a_decoder_that_hangs_costs_the_video_and_not_the_run(corpus: Corpus, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(VideoChild):
        def __init__(self) -> None:
            super().__init__(Limits(stall_s=5))

        def stamps(self, path: Any) -> Any:
            if Path(path).stat().st_size == (folder / "1.mp4").stat().st_size and self.pid:
                os.kill(self.pid, signal.SIGSTOP)
            return super().stamps(path)

    with monkeypatch.context() as patch:
        patch.setattr(add_module, "VideoChild", Stuck)
        patch.setattr(video_child, "_START_S", 5)
        counts = add(corpus, folder)
    assert counts.added == 2 and corpus.ok_ids() == ["0", "2"]
    assert counts.broken[str(folder / "1.mp4")] == corpus.video("1").reason and "for 5 s" in str(corpus.video("1").reason)
    assert add(corpus, folder, retry="FOR 5 S").added == 1 and corpus.ok_ids() == ["0", "1", "2"]


def test_d24_a_new_video_is_compared_with_few_and_not_with_all_of_its_length(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    likeness = similar.likeness
    monkeypatch.setattr(similar, "likeness", lambda a, b: compared.append(1) or likeness(a, b))
    write_many(tmp_path / "in", 80, anew_every=20)
    counts = add(corpus, tmp_path / "in")
    assert counts.same == {str(tmp_path / "in" / f"v{number:07d}.mp4"): f"v{number:07d}-anew" for number in range(0, 80, 20)}
    assert counts.added == 80 and len(compared) <= 80, "all with all are 3,400"
    write_many(tmp_path / "later", 1, seed=0, first=7, anew_every=7)
    assert list(add(corpus, tmp_path / "later").same.values()) == ["v0000007"], "what an earlier run added is found too"


# ---- two writers --------------------------------------------------------------------------------------------


def test_runs_at_the_same_time_have_every_content_once(tmp_path: Path) -> None:
    corpus, runs = Corpus.create(tmp_path / "c"), 3
    films = [film(tmp_path / "films" / f"{index}.mp4", 32 + 2 * index, frames=8).read_bytes() for index in range(24)]
    for run in range(runs):
        for index, content in enumerate(films):
            name = f"{index}.mp4" if index % 2 else f"run{run}-{index}.{'mp4' if run else 'mkv'}"
            name = f"same{('.mp4', '.mkv', '.mov')[run]}" if index == 5 else name
            path = tmp_path / f"in{run}" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(films[(index + run) % 24] if index == 5 else content)
    words = [sys.executable, "-m", "ghostpad", "corpus", "add", str(corpus.root)]
    started = [subprocess.Popen([*words, str(tmp_path / f"in{run}")], stdout=subprocess.DEVNULL) for run in range(runs)]
    assert [process.wait() for process in started] == [0] * runs
    videos = corpus.list_videos()
    assert len({video.sha256 for video in videos}) == len(videos) == 24 and {video.status for video in videos} == {"ok"}
    for video in videos:
        assert corpus.path_of(video).read_bytes() in films and corpus.path_of(video).stat().st_size == video.size_bytes
    left = {path.name for path in (corpus.root / "videos").iterdir()}
    assert left == {Path(video.path).name for video in videos}, "no copy is left of what another run has added"


def test_an_id_that_another_run_takes_meanwhile_gets_a_part_of_the_hash(
    corpus: Corpus, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, other = Batch.commit, film(folder.parent / "other" / "0.mkv", 160)

    def later(batch: Batch) -> Any:
        monkeypatch.setattr(Batch, "commit", commit)
        assert add(corpus, other).added == 1
        return commit(batch)

    monkeypatch.setattr(Batch, "commit", later)
    assert add(corpus, folder / "0.mp4").added == 1
    ids = corpus.ok_ids()
    assert len(ids) == 2 and ids[0] == "0" and ids[1].startswith("0-") and corpus.video("0").path == "videos/0.mkv"
    assert (
        corpus.video(ids[1]).path == "videos/0.mp4" and corpus.path_of(corpus.video(ids[1])).read_bytes() == (folder / "0.mp4").read_bytes()
    )


def test_known_bytes_are_found_in_what_is_sorted_and_in_what_is_new(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(add_known, "_MOST_NEW", 3)
    known = KnownBytes(corpus)
    for index in range(10):
        corpus.put_videos([Video(f"v{index}", sha256=f"{index * 7 % 10:064x}"), Video(f"without{index}")])
        known.refresh()
    assert [known.id_of(f"{index * 7 % 10:064x}") for index in range(10)] == [f"v{index}" for index in range(10)]
    assert known.id_of("f" * 64) is None
    corpus.put_videos([Video("v3", sha256="a" * 64)])
    known.refresh()
    assert known.id_of("a" * 64) == "v3"


def test_known_bytes_are_kept_once_however_often_their_files_are_merged(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(add_known, "_MOST_NEW", 3)
    monkeypatch.setattr(table, "MOST_FILES", 4)
    known = KnownBytes(corpus)
    for index in range(40):
        corpus.put_videos([Video(f"v{index}", sha256=f"{index:064x}")])
        known.refresh()
    assert len(known) == 40 and all(known.id_of(f"{index:064x}") == f"v{index}" for index in range(40))


# ---- addresses ----------------------------------------------------------------------------------------------


def test_a_corpus_at_an_address_takes_footage_once_and_heals(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    corpus = Corpus.create(f"memory://{tmp_path.name}/c")
    with pytest.raises(SettingsError, match="--link needs a corpus on this machine"):
        add(corpus, folder, link=True)
    counts = add(corpus, folder)
    assert (counts.added, len(counts.broken)) == (3, 1) and corpus.video_path("0").read_bytes() == (folder / "0.mp4").read_bytes()
    assert (add(corpus, folder).present, corpus.ids("broken")) == (3, ["torn"])
    assert add(corpus, f"memory://{tmp_path.name}").added == 0, "its own files are no footage"
    corpus.video_path("1").unlink()
    assert add(corpus, folder).back == ["1"] and corpus.ok_ids() == ["0", "1", "2"]
    with pytest.raises(MissingError):
        add(corpus, f"memory://{tmp_path.name}/nothing")


def test_reasons_are_those_of_broken_files(corpus: Corpus, folder: Path) -> None:
    add(corpus, folder)
    assert Files(corpus).reasons() == {corpus.video("torn").reason} and len(Files(corpus).added_ids()) == 3

"""A corpus: rows survive, stay inside, and are never lost to a neighbour writing at the same time."""

import multiprocessing
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import ghostpad.corpus
from ghostpad.base.errors import FormatError, MissingError, SettingsError
from ghostpad.base.pad import PAD_DIM
from ghostpad.base.records import VERDICTS, Video, actions_table, labels_table, table_facts, videos_table, write_table
from ghostpad.corpus.folder import Corpus, truth_table


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus.create(tmp_path / "corpus")


def truth(rows: int = 3) -> pa.Table:
    pads = np.zeros((rows, PAD_DIM), np.float32)
    pads[:, 18] = 1
    return actions_table(np.arange(rows) / 20, pads, np.ones(PAD_DIM, np.bool_))


def labels(rows: int = 3) -> pa.Table:
    pads = np.full((rows, PAD_DIM), 0.25, np.float32)
    return labels_table(np.arange(rows) / 20, pads, pads[:, :4], np.ones(PAD_DIM, np.bool_), np.full(rows, 0.9, np.float32))


def test_opening_and_creating(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="ghostpad record"):
        ghostpad.corpus.open(tmp_path)
    made = Corpus.create(tmp_path / "a" / "corpus")
    assert made.list_videos() == [] and made.sources() == [] and made.ok_ids() == []
    made.add_video(Video(id="one"))
    assert Corpus.create(made.root).ok_ids() == ["one"]
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SettingsError, match="cannot be the folder of a corpus"):
            Corpus.create(path)
    opened = ghostpad.corpus.open(str(made.root))
    assert opened.root == made.root and pickle.loads(pickle.dumps(opened)).ok_ids() == ["one"]


def test_videos_are_kept_by_id(corpus: Corpus) -> None:
    corpus.add_video(Video(id="b", game="doom", fps="35/2", frames=100, seed=3, return_=1.5))
    corpus.add_video(Video(id="a", path="videos/other.mp4"))
    corpus.add_video(Video(id="b", game="racing"))
    assert [row.id for row in corpus.list_videos()] == ["a", "b"] == corpus.videos().column("id").to_pylist()
    assert corpus.list_videos()[1].game == "racing" and corpus.list_videos()[1].frames is None
    assert corpus.video_path("a") == corpus.root / "videos" / "other.mp4"
    assert corpus.video_path("b") == corpus.root / "videos" / "b.mp4"


def test_broken_videos_stay_listed_with_their_reason(corpus: Corpus) -> None:
    for name in ("one", "two"):
        corpus.add_video(Video(id=name, frames=9))
    corpus.put_videos([Video("one", reason="cut off at 3 s")], lambda old, new: replace(old, status="broken", reason=new.reason))
    assert corpus.ok_ids() == ["two"]
    assert corpus.video("one") == corpus.list_videos()[0] == Video("one", frames=9, status="broken", reason="cut off at 3 s")
    for act in (lambda: corpus.video("twoo"), lambda: corpus.video_path("twoo")):
        with pytest.raises(SettingsError, match="no video called 'twoo': did you mean 'two'"):
            act()


@pytest.mark.parametrize("path", ["/etc/passwd", "../out.mp4", "videos/../../out.mp4", "..", "C:\\out.mp4", "videos\\..\\out.mp4", "."])
def test_paths_that_leave_the_corpus_are_refused(corpus: Corpus, path: str) -> None:
    with pytest.raises(SettingsError, match="inside the corpus folder"):
        corpus.add_video(Video(id="one", path=path))
    assert corpus.list_videos() == []
    corpus.add_video(Video(id="one"))
    corpus.catalogue.put(corpus.videos().set_column(1, "path", pa.array([path])))  # from somebody else
    with pytest.raises(SettingsError, match="inside the corpus folder"):
        corpus.video_path("one")


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".hidden", "a\\b", "a:b"])
def test_names_that_leave_their_folder_are_refused(corpus: Corpus, name: str, tmp_path: Path) -> None:
    for act in (
        lambda: corpus.add_video(Video(id=name)),
        lambda: corpus.actions("recorded", name),
        lambda: corpus.write_actions("recorded", name, truth()),
        lambda: corpus.actions(f"idm-{name}/x", "one"),
        lambda: corpus.ids_with_rows(name),
        lambda: corpus.verdicts(name),
        lambda: truth_table(tmp_path, name),
    ):
        with pytest.raises(SettingsError):
            act()


def test_every_problem_of_a_row_at_once(corpus: Corpus) -> None:
    with pytest.raises(SettingsError) as caught:
        corpus.add_video(Video(".one", status="fine", path="/x"))
    assert len(caught.value.problems) == 3 and "'/x'" in str(caught.value)
    with pytest.raises(SettingsError, match="no video column called 'gmae': did you mean 'game'") as caught:
        Video.of({"id": "one", "gmae": "doom", "levle": "E1M1"})
    assert len(caught.value.problems) == 2
    with pytest.raises(FormatError, match="does not fit"):
        corpus.add_video(Video(id="one", frames="many"))


def test_rows_by_source(corpus: Corpus) -> None:
    assert corpus.actions("recorded", "one") is None and corpus.ids_with_rows("idm-abc") == []
    corpus.write_actions("recorded", "two", truth())
    corpus.write_actions("recorded", "one", truth(), {"game": "doom"})
    corpus.write_actions("idm-abc", "one", labels(), {"model": "abc"})
    assert corpus.sources() == ["idm-abc", "recorded"]
    assert corpus.ids_with_rows("recorded") == ["one", "two"]
    back = corpus.actions("recorded", "one")
    assert back is not None and back.equals(truth()) and table_facts(back)["game"] == "doom"
    back = corpus.actions("idm-abc", "one")
    assert back is not None and back.equals(labels()) and table_facts(back)["table"] == "labels/1"
    with pytest.raises(FormatError):
        corpus.write_actions("idm-abc", "one", truth())
    with pytest.raises(SettingsError, match="no source of rows called 'guess'"):
        corpus.write_actions("guess", "one", truth())


def test_ids_in_any_number_and_order_are_looked_up(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ghostpad.corpus.folder._BLOCK", 2)
    for id in ("one", "two", "three"):
        corpus.write_actions("recorded", id, truth())
        corpus.add_video(Video(id))
    assert corpus.with_rows("recorded").to_pylist() == ["one", "three", "two"]
    wanted = ["two", "no such", "one", "two", "one"]
    found = list(corpus.each_of(iter(wanted)))
    assert [id for id, _ in found] == wanted and [video and video.id for _, video in found] == ["two", None, "one", "two", "one"]


def test_half_written_files_and_strange_folders_are_not_listed(corpus: Corpus) -> None:
    corpus.write_actions("recorded", "one", truth())
    (corpus.root / "actions/recorded/.two.parquet.tmp-123.parquet").write_bytes(b"half")
    (corpus.root / "actions/notes").mkdir()
    (corpus.root / "actions/idm-empty").mkdir()
    assert corpus.ids_with_rows("recorded") == ["one"] and corpus.sources() == ["recorded"]


def test_verdicts(corpus: Corpus) -> None:
    with pytest.raises(MissingError, match="ghostpad filter"):
        corpus.verdicts("default")
    table = pa.table(
        {"video": ["a"], "first_row": [0], "last_row": [9], "duration_s": [0.5], "keep": [True], "reason": ["kept"]}, schema=VERDICTS
    )
    corpus.write_verdicts("default", table)
    assert corpus.verdicts("default").equals(table)
    with pytest.raises(MissingError, match="did you mean 'default'"):
        corpus.verdicts("defualt")


def test_withheld_truth_lies_outside(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no folder of true rows"):
        truth_table(tmp_path / "truth", "one")
    write_table(tmp_path / "truth" / "one.parquet", truth(), "actions")
    found = truth_table(tmp_path / "truth", "one")
    assert found is not None and found.equals(truth()) and truth_table(tmp_path / "truth", "two") is None
    write_table(tmp_path / "truth" / "two.parquet", labels(), "labels")
    with pytest.raises(FormatError, match="expected 'actions/2'"):
        truth_table(tmp_path / "truth", "two")


def test_a_video_named_twice_in_a_corpus_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "videos.parquet", pa.concat_tables([videos_table([Video(id="one")])] * 2), "videos")
    with pytest.raises(FormatError, match="two rows"):
        Corpus.open(tmp_path)


def add_many(root: Path, name: str, count: int) -> None:
    for index in range(count):
        Corpus.create(root).add_video(Video(id=f"{name}-{index:03d}"))


def test_processes_adding_videos_at_once_lose_none(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=add_many, args=(tmp_path / "corpus", name, 25)) for name in ("a", "b", "c")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert Corpus.open(tmp_path / "corpus").ok_ids() == [f"{name}-{index:03d}" for name in "abc" for index in range(25)]


def test_the_same_rows_in_any_order_give_the_same_table(tmp_path: Path) -> None:
    for folder, names in (("p", "abc"), ("q", "cab")):
        for name in names:
            Corpus.create(tmp_path / folder).add_video(Video(id=name))
    assert Corpus.open(tmp_path / "p").videos().equals(Corpus.open(tmp_path / "q").videos())

"""Footage that is here already meets the labels that were indexed for it: by its name, or by a manifest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ghostpad.base.errors import FormatError, SettingsError
from ghostpad.base.pad import PAD_DIM
from ghostpad.base.records import Video, actions_table, write_table
from ghostpad.cli.main import main
from ghostpad.corpus.add.add import AddCounts, add_videos
from ghostpad.corpus.add.batch import Batch, Entry
from ghostpad.corpus.add.files import ADDED, FileRow, Files
from ghostpad.corpus.add.find import find_videos
from ghostpad.corpus.add.known import KnownBytes
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.nitrogen.index import index_shards
from ghostpad.corpus.nitrogen.source import find_sources
from ghostpad.lab.made_up.nitrogen_shards import SampleChunk, sample_files, write_shard
from ghostpad.lab.made_up.videos import write_sample

IDS = ("-dQw4w9WgXcQ", "v1.part", "gone")


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    chunks = [SampleChunk(id, 0, 120, "celeste", duration_s=4) for id in IDS]
    write_shard(tmp_path / "SHARD_0000.tar.gz", sample_files(chunks))
    return tmp_path / "SHARD_0000.tar.gz"


@pytest.fixture
def corpus(shard: Path, tmp_path: Path) -> Corpus:
    corpus = Corpus.create(tmp_path / "c")
    index_shards(corpus, find_sources([shard]))
    return corpus


def film(path: Path, seconds: int = 4, width_px: int = 64) -> Path:
    path.parent.mkdir(exist_ok=True)
    write_sample(path, width_px=width_px, height_px=48, fps=30, frames=30 * seconds)
    return path


def add(corpus: Corpus, *places: Path, **facts: str) -> AddCounts:
    return add_videos(corpus, find_videos([str(place) for place in places], {"game": None, **facts}))


def row(corpus: Corpus, id: str) -> Video:
    return corpus.video(id)


def test_a_file_named_by_its_id_is_the_footage_of_the_labels(corpus: Corpus, shard: Path, tmp_path: Path) -> None:
    before = row(corpus, "-dQw4w9WgXcQ")
    assert before.status == "missing"
    film(tmp_path / "in" / "-dQw4w9WgXcQ.mp4")
    film(tmp_path / "in" / "A run (part 2) [v1.part].mkv", width_px=80)
    counts = add(corpus, tmp_path / "in", game="other", player="me")
    assert (counts.added, counts.joined) == (2, 2)
    for id, name in (("-dQw4w9WgXcQ", "-dQw4w9WgXcQ.mp4"), ("v1.part", "v1.part.mkv")):
        found = row(corpus, id)
        assert (found.status, found.reason, found.path, found.player) == ("ok", None, f"videos/{name}", "me")
        assert (found.frames, found.sha256 is not None) == (120, True)
        kept = ("game", "source", "url", "licence", "labels", "overlay_px", "overlay_of_px")
        assert {key: getattr(found, key) for key in kept} == {
            key: getattr(row(corpus, id), key) for key in kept
        } and found.game == "celeste"
    assert {key: getattr(row(corpus, "-dQw4w9WgXcQ"), key) for key in kept} == {key: getattr(before, key) for key in kept}
    assert row(corpus, "gone").status == "missing"
    assert corpus.ids_with_rows("recorded") == sorted(IDS)
    again = add(corpus, tmp_path / "in")
    assert (again.added, again.present) == (0, 2)
    index_shards(corpus, find_sources([shard]))
    assert corpus.ok_ids() == ["-dQw4w9WgXcQ", "v1.part"], "indexing again leaves the footage"


def test_a_manifest_says_whose_footage_a_file_is(corpus: Corpus, tmp_path: Path) -> None:
    film(tmp_path / "in" / "whatever.mp4")
    film(tmp_path / "in" / "own.mp4", width_px=80)
    (tmp_path / "list.csv").write_text("path,id,game\nin/whatever.mp4,gone,\nin/own.mp4,mine,hades\n")
    counts = add(corpus, tmp_path / "list.csv")
    assert (counts.added, counts.joined) == (2, 1)
    assert row(corpus, "gone").status == "ok" and row(corpus, "mine").game == "hades"
    assert add(corpus, tmp_path / "list.csv").present == 2


def test_footage_that_was_added_under_another_name_can_still_be_joined(corpus: Corpus, tmp_path: Path) -> None:
    path = film(tmp_path / "in" / "whatever.mp4")
    assert add(corpus, path).joined == 0
    (tmp_path / "list.csv").write_text("path,id\nin/whatever.mp4,gone\n")
    assert add(corpus, tmp_path / "list.csv").joined == 1 and row(corpus, "gone").status == "ok"


def test_footage_added_before_its_labels_were_indexed_gets_them(shard: Path, tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "c")
    add(corpus, film(tmp_path / "in" / "gone.mp4"))
    index_shards(corpus, find_sources([shard]))
    assert row(corpus, "gone").status == "ok" and row(corpus, "gone").labels == "raw" and "gone" in corpus.ids_with_rows("recorded")


def test_labels_that_are_indexed_while_a_row_waits_to_be_written_stay(corpus: Corpus, tmp_path: Path) -> None:
    batch, old = Batch(corpus, KnownBytes(corpus), Files(corpus)), row(corpus, "gone")
    (source,) = find_videos([str(film(tmp_path / "gone.mp4"))], {})
    file = FileRow(source.key(), None, source.name, "hash", ADDED, "gone", None, 0, "")
    batch.add(Entry(source, file, replace(old, status="ok", reason=None, sha256="hash"), old))
    boxed = {"overlay_px": (1.0, 2.0, 3.0, 4.0), "overlay_of_px": (64, 48)}
    corpus.add_video(replace(old, **boxed))
    batch.commit()
    assert row(corpus, "gone") == replace(old, **boxed, status="ok", reason=None, sha256="hash")


def test_what_cannot_be_the_footage_is_left_out_with_the_reason(corpus: Corpus, tmp_path: Path) -> None:
    short, torn = film(tmp_path / "in" / "gone.mp4", seconds=1), tmp_path / "in" / "v1.part.mp4"
    torn.write_bytes(short.read_bytes()[:500])
    counts = add(corpus, tmp_path / "in")
    assert counts.added == 0 and not counts.broken and counts.unfit.keys() == {str(short), str(torn)}
    assert counts.unfit[str(short)] == "it is 1.0 s long, the labels of 'gone' end at 4.0 s"
    assert counts.unfit[str(torn)].startswith("it is not a video")
    assert row(corpus, "gone").status == row(corpus, "v1.part").status == "missing"
    film(short)
    assert add(corpus, short).joined == 1, "a better file takes its place"
    other = film(tmp_path / "other.mp4", width_px=96)
    (tmp_path / "list.csv").write_text(f"path,id\n{other.name},gone\n")
    assert "give it another id" in add(corpus, tmp_path / "list.csv").unfit[str(other)]
    assert [path.name for path in (corpus.root / "videos").iterdir()] == ["gone.mp4"]


def test_rows_beside_joined_footage_do_not_replace_its_labels(corpus: Corpus, tmp_path: Path) -> None:
    film(tmp_path / "in" / "gone.mp4")
    rows = actions_table(np.zeros(1), np.zeros((1, PAD_DIM), np.float32), np.ones(PAD_DIM, np.bool_))
    write_table(tmp_path / "in" / "gone.parquet", rows, "actions")
    before = corpus.actions("recorded", "gone")
    assert "other rows" in add(corpus, tmp_path / "in").unread["gone"]
    assert before is not None and before.equals(corpus.actions("recorded", "gone"))


@pytest.mark.parametrize(
    "text, kind, message",
    [
        ("path,id\na.mp4,../b\n", SettingsError, "line 2: '../b' cannot name a file"),
        ("path,id\na.mp4,celeste:run1\n", SettingsError, "line 2: 'celeste:run1' cannot name a file"),
        ("path,id\na.mp4,x\nb.mp4,x\n", SettingsError, "two videos are called 'x'"),
        ("path,id\n,x\n", SettingsError, "line 2: path is empty"),
        ("id\nx\n", FormatError, "column path"),
        ("", FormatError, "column path"),
        ("path\n\xff\xfe", FormatError, "not a table of text"),
    ],
)
def test_a_manifest_that_cannot_work_is_refused(text: str, kind: type[Exception], message: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(kind, match=message):
        find_videos([str(tmp_path / "list.csv")], {})


def test_the_command_says_what_was_joined(corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film(tmp_path / "in" / "gone.mp4")
    film(tmp_path / "in" / "v1.part.mp4", seconds=1)
    assert main(["corpus", "add", str(corpus.root), str(tmp_path / "in")]) == 1
    told = capsys.readouterr().out
    assert "1 videos added (1 of them footage of indexed labels)" in told and "not taken:" in told and "labels of 'v1.part' end at" in told

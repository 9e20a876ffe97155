"""Anybody's table beside a video: CSV or parquet with pts_s and slot names, and a reason for everything that can be wrong with it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ghostpad.base.pad import slot
from ghostpad.base.records import pads_of
from ghostpad.cli.main import main
from ghostpad.corpus.add.add import AddCounts, add_videos
from ghostpad.corpus.add.find import find_videos
from ghostpad.corpus.folder import Corpus
from ghostpad.lab.made_up.videos import write_sample

HEAD = "pts_s,south,left_x"
GOOD = f"{HEAD}\n0,1,-1\n0.5,0,0.25\n1,,\n"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Two seconds of film in a folder of its own."""
    (tmp_path / "in").mkdir()
    write_sample(tmp_path / "in" / "clip.mp4", width_px=64, height_px=48, fps=30, frames=60)
    return tmp_path / "in" / "clip.mp4"


def add(video: Path) -> tuple[AddCounts, Corpus]:
    corpus = Corpus.create(video.parent.parent / "c")
    return add_videos(corpus, find_videos([str(video.parent)], {})), corpus


def rows(corpus: Corpus) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = corpus.actions("recorded", "clip")
    assert table is not None
    return (table.column("pts_s").to_numpy(), *pads_of(table))


def test_a_csv_with_a_few_slots_becomes_recorded_rows(video: Path) -> None:
    video.with_suffix(".csv").write_text(GOOD, encoding="utf-8-sig")  # as a spreadsheet writes it
    counts, corpus = add(video)
    assert counts.added == 1 and not counts.unread
    pts_s, pads, known = rows(corpus)
    assert pts_s.tolist() == [0, 0.5, 1] and pads[:, slot("left_x")].tolist() == [-1, 0.25, 0]
    assert pads[:, slot("south")].tolist() == [1, 0, 0] and known[:, slot("south")].tolist() == [True, True, False]
    assert known.sum() == 4, "what has no column, or an empty cell, is unknown"


@pytest.mark.parametrize("cells", [(1, 0), ("true", "FALSE"), (" True ", "0"), (0.93, 0.07), ("1.0", "0.49")])
def test_a_button_is_a_number_a_word_or_a_probability(video: Path, cells: tuple) -> None:
    video.with_suffix(".csv").write_text(f"south,pts_s\n{cells[0]},0\n{cells[1]},0.1\n")
    counts, corpus = add(video)
    assert not counts.unread and rows(corpus)[1][:, slot("south")].tolist() == [1, 0]


@pytest.mark.parametrize(
    "columns",
    [
        {"pts_s": [0.0, 1.0], "south": [True, None], "right_y": [0.5, -0.5]},
        {"pts_s": pa.array([0, 1], pa.int32()), "south": pa.array([1, None], pa.int8()), "right_y": ["0.5", "-0.5"]},
    ],
)
def test_a_parquet_of_any_types_is_read_without_our_metadata(video: Path, columns: dict) -> None:
    pq.write_table(pa.table(columns), video.with_suffix(".parquet"))
    counts, corpus = add(video)
    assert not counts.unread
    _, pads, known = rows(corpus)
    assert pads[0, slot("south")] == 1 and pads[:, slot("right_y")].tolist() == [0.5, -0.5]
    assert known[:, slot("south")].tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("south,left_x\n1,0\n", "no column pts_s"),
        ("pts_s,sotuh\n0,1\n", "no slot of the pad is called 'sotuh': did you mean 'south'?"),
        ("pts_s,south,south\n0,1,1\n", "the column south 2 times"),
        ("pts_s\n0\n", "no column of the pad, such as south or left_x"),
        (f"{HEAD}\n", "it has no rows"),
        ("", "is not a readable csv file"),
        (f"{HEAD}\n0,1\n", "is not a readable csv file"),
        (f"{HEAD}\n0,1,0\n0.5,pressed,0\n", "south is 'pressed' in row 2: it must be a number"),
        (f"{HEAD}\nten,1,0\n", "pts_s is 'ten' in row 1: it must be a number"),
        (f"{HEAD}\n0,1,1.5\n", "left_x is 1.5 in row 1: it must lie in -1...1"),
        (f"{HEAD}\n0,-1,0\n", "south is -1 in row 1: it must lie in 0...1"),
        (f"{HEAD}\n0,1,nan\n", "left_x is nan in row 1"),
        (f"{HEAD}\n0,1,-inf\n", "left_x is -inf in row 1"),
        (f"{HEAD}\n0,1,0\nnan,1,0\n", "pts_s is nan in row 2: every row needs a time stamp"),
        (f"{HEAD}\n0,1,0\ninf,1,0\n", "pts_s is inf in row 2"),
        (f"{HEAD}\n0,1,0\n,1,0\n", "pts_s is empty in row 2"),
        (f"{HEAD}\n0,1,0\n1,1,0\n0.5,1,0\n", "pts_s is 0.5 s in row 3, earlier than the row before, 1 s: sort the rows"),
        (f"{HEAD}\n0,1,0\n0.5,1,0\n0.5,0,0\n", "pts_s is 0.5 s in row 3, the same stamp as the row before"),
        (f"{HEAD}\n0,1,0\n9,1,0\n", "its rows run from 0.000 to 9.000 s, the video from 0.000 to 1.967 s"),
        (f"{HEAD}\n1764500000,1,0\n1764500001,1,0\n", "pts_s counts seconds of the video's own clock"),
        ("pts_s,left_x,sotuh\n0,2,1\n0,far,1\n", "sotuh"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_and_the_video_is_added_without_it(video: Path, text: str, reason: str) -> None:
    video.with_suffix(".csv").write_text(text)
    counts, corpus = add(video)
    assert counts.added == 1 and corpus.ok_ids() == ["clip"] and corpus.actions("recorded", "clip") is None
    assert reason in counts.unread["clip"], counts.unread
    video.with_suffix(".csv").write_text(GOOD)
    counts, corpus = add(video)
    assert counts.added == 0 and not counts.unread and rows(corpus)[0].tolist() == [0, 0.5, 1], "corrected, the same command takes it"


def test_every_problem_is_told_at_once(video: Path) -> None:
    video.with_suffix(".csv").write_text("pts_s,left_x,sotuh,north\n0,2,1,1\n0,0,1,x\n")
    told = add(video)[0].unread["clip"]
    assert all(part in told for part in ("clip.csv: ", "'sotuh'", "left_x is 2", "north is 'x' in row 2", "the same stamp"))


def test_text_that_is_not_utf8_two_tables_and_dates_are_refused(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video.with_suffix(".csv").write_bytes("pts_s,south,größe\n0,1,2\n".encode("latin-1"))
    assert "is not UTF-8 text" in add(video)[0].unread["clip"]
    pq.write_table(pa.table({"pts_s": pa.array([0, 1], pa.timestamp("ms")), "south": [1, 0]}), video.with_suffix(".parquet"))
    assert "both clip.csv and clip.parquet are beside it: remove one" in add(video)[0].unread["clip"]
    video.with_suffix(".csv").unlink()
    assert "pts_s is '1970-01-01" in add(video)[0].unread["clip"]
    assert main(["corpus", "add", str(video.parent.parent / "c"), str(video.parent)]) == 1
    assert "clip was added without the rows beside it: clip.parquet: pts_s is" in capsys.readouterr().out


def test_other_rows_than_those_taken_before_are_not_laid_over_them(video: Path) -> None:
    video.with_suffix(".csv").write_text(GOOD)
    assert not add(video)[0].unread and not add(video)[0].unread
    video.with_suffix(".csv").write_text(GOOD.replace("0.25", "0.75"))
    counts, corpus = add(video)
    assert "remove" in counts.unread["clip"] and rows(corpus)[1][1, slot("left_x")] == 0.25

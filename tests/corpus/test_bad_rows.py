"""Tables of rows that another program wrote badly: each command counts those videos with the reason and goes on with the others."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ghostpad.base.records import labels_table, pads_of
from ghostpad.cli.main import main
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.feed.load import load_footage
from ghostpad.feed.rows import PseudoLabelRows, RecordedRows
from ghostpad.feed.settings import DataSettings
from ghostpad.feed.window import WindowSpec
from ghostpad.measure.evaluate import judge

SPEC = WindowSpec((0, 1), (0,), 16, 16, True)


def with_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def senseless(table: pa.Table) -> dict[str, pa.Table]:
    """Rows that no recorder writes."""
    pts_s, sticks = table.column("pts_s").to_numpy().copy(), np.zeros(table.num_rows, np.float32)
    pts_s[3], sticks[5] = np.nan, 1e9
    return {
        "nan": with_column(table, "pts_s", pa.array(pts_s, from_pandas=False)),
        "unsorted": table.take([1, 0, *range(2, table.num_rows)]),
        "twice": table.take([0, *range(table.num_rows)]),
        "far": with_column(table, "left_x", pa.array(sticks)),
    }


def other_columns(table: pa.Table) -> dict[str, pa.Table]:
    """Tables of the right kind by their metadata."""
    return {
        "lacking": table.drop_columns("south"),
        "text": with_column(table, "pts_s", pa.array(["x"] * table.num_rows)),
        "null": with_column(table, "pts_s", pa.nulls(table.num_rows, pa.float64())),
    }


def spoilt(good: Path, root: Path, tables: Mapping[str, pa.Table]) -> tuple[Corpus, list[str]]:
    """A copy of a corpus with a video more for each of the tables, and the ids of the good ones."""
    corpus = Corpus.open(shutil.copytree(good, root))
    known, ids = corpus.video(corpus.ok_ids()[1]), corpus.ok_ids()
    for name, table in tables.items():
        shutil.copyfile(corpus.path_of(known), root / "videos" / f"bad-{name}.mp4")
        corpus.add_video(replace(known, id=f"bad-{name}", path=""))
        metadata = pq.read_schema(corpus.actions_path(RECORDED, known.id)).metadata
        pq.write_table(table.replace_schema_metadata(metadata), corpus.actions_path(RECORDED, f"bad-{name}"))
    return corpus, ids


def rows_of(root: Path) -> pa.Table:
    corpus = Corpus.open(root)
    return corpus.actions(RECORDED, corpus.ok_ids()[1])


@pytest.fixture(scope="module")
def senseless_rows(small: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, list[str]]:
    return spoilt(small.novice, tmp_path_factory.mktemp("senseless") / "c", senseless(rows_of(small.novice)))


@pytest.fixture(scope="module")
def wrong_columns(small: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, list[str]]:
    return spoilt(small.novice, tmp_path_factory.mktemp("columns") / "c", other_columns(rows_of(small.novice)))


def check_footage(corpus: Corpus, ids: list[str], told: str) -> None:
    bad = [id for id in corpus.ok_ids() if id not in ids]
    assert f"{len(bad)} videos cannot be read and are left out" in told
    assert all(f"  {id}: {corpus.actions_path(RECORDED, id)}" in told for id in bad)


def test_d07_training_leaves_out_rows_that_make_no_sense(
    senseless_rows: tuple[Corpus, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, ids = senseless_rows
    assert [clip.video for clip in load_footage(corpus, corpus.ok_ids(), RecordedRows(), SPEC)] == ids
    check_footage(corpus, ids, capsys.readouterr().err)


def test_d15_training_leaves_out_tables_of_other_columns(
    wrong_columns: tuple[Corpus, list[str]], small_idm_flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, ids = wrong_columns
    flags = [*small_idm_flags, "--train.steps", "2", "--data.validation-share", "0"]
    assert main(["train", "idm", str(corpus.root), "--out", str(tmp_path / "run"), *flags]) == 0
    check_footage(corpus, ids, capsys.readouterr().err)


@pytest.mark.parametrize("spoilt", ["senseless_rows", "wrong_columns"])
def test_d07_d15_align_and_check_masks_count_bad_rows_and_go_on(
    spoilt: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, ids = request.getfixturevalue(spoilt)
    bad = len(corpus.ok_ids()) - len(ids)
    assert main(["corpus", "align", str(corpus.root)]) == 0
    assert f"unknown: its recorded rows cannot be read: {bad} videos" in capsys.readouterr().out
    assert main(["corpus", "check-masks", str(corpus.root)]) == 1
    told = capsys.readouterr()
    assert told.out.count("broken   ") == bad and f"of {len(corpus.ok_ids())} videos" in told.err and f"{bad} are broken" in told.err
    assert all(line.split()[1] != "broken" for line in told.out.splitlines() if line.split()[0] in ids)


@pytest.mark.parametrize("spoilt", ["senseless_rows", "wrong_columns"])
def test_d07_d15_an_evaluation_reports_bad_truth_and_goes_on(
    spoilt: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, ids = request.getfixturevalue(spoilt)
    table = corpus.actions(RECORDED, ids[1])
    pads, known = pads_of(table)
    spreads, confidence = np.ones((len(pads), 4), np.float32), np.ones(len(pads), np.float32)
    labels = labels_table(table.column("pts_s").to_numpy(), pads, spreads, known, confidence)
    for id in corpus.ok_ids():
        corpus.write_actions("idm-a", id, labels)
    corpus.actions_path("idm-a", ids[0]).write_bytes(b"torn")
    judged = judge(corpus, "idm-a", corpus.root / "actions" / RECORDED)
    assert [one.video.id for one in judged] == ids[1:]
    assert f"{len(corpus.ok_ids()) - 1} videos cannot be read" in capsys.readouterr().err
    footage = load_footage(corpus, ids, PseudoLabelRows(corpus, "idm-a", DataSettings(verdicts="none")), SPEC)
    assert [clip.video for clip in footage] == ids[1:] and "1 videos cannot be read" in capsys.readouterr().err
    shutil.rmtree(corpus.root / "actions" / "idm-a")

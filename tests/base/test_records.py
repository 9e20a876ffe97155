"""The tables: what is written is read back, and a table of another kind, version or layout is refused."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ghostpad.base import records
from ghostpad.base.errors import FormatError, MissingError
from ghostpad.base.pad import BUTTONS, PAD_DIM, SLOTS

ROWS = 7
PADS = arrays(np.float32, (ROWS, PAD_DIM), elements=st.floats(0, 1, width=32))
KNOWN = arrays(np.bool_, (ROWS, PAD_DIM))
PTS_S = np.arange(ROWS) / 17.5


def some_actions() -> pa.Table:
    return records.actions_table(PTS_S, np.ones((ROWS, PAD_DIM), np.float32), np.ones(PAD_DIM, np.bool_))


def some_videos() -> pa.Table:
    row = {"id": "doom-novice-0", "path": "videos/doom-novice-0.mp4", "fps": "35/2", "frames": 8, "status": "ok", "attempts": 0}
    return pa.Table.from_pylist([row], schema=records.VIDEOS)


@given(PADS, KNOWN)
def test_recorded_rows_come_back_with_buttons_as_bits_and_unknown_as_null(pads: np.ndarray, known: np.ndarray) -> None:
    back, back_known = records.pads_of(records.actions_table(PTS_S, pads, known))
    wanted = np.concatenate([(pads[:, : len(BUTTONS)] >= 0.5).astype(np.float32), pads[:, len(BUTTONS) :]], axis=1)
    np.testing.assert_array_equal(back, np.where(known, wanted, 0))
    np.testing.assert_array_equal(back_known, known)


@given(PADS, arrays(np.bool_, PAD_DIM))
def test_labels_keep_their_probabilities(pads: np.ndarray, known: np.ndarray) -> None:
    table = records.labels_table(PTS_S, pads, np.full((ROWS, 4), 0.25, np.float32), known, np.ones(ROWS, np.float32))
    back, back_known = records.pads_of(table)
    np.testing.assert_array_equal(back, np.where(known, pads, 0))
    np.testing.assert_array_equal(back_known, np.broadcast_to(known, pads.shape))
    assert table["left_x_spread"].null_count == (0 if known[SLOTS.index("left_x")] else ROWS)


def test_a_table_is_read_back_with_its_facts(tmp_path: Path) -> None:
    path = tmp_path / "actions" / "a.parquet"
    records.write_table(path, some_actions(), "actions", {"licence": "BSD-3-Clause"})
    table = records.read_table(path, "actions")
    assert table.equals(some_actions())
    assert records.table_facts(table)["licence"] == "BSD-3-Clause"


def test_a_table_may_come_in_parts_and_go_in_parts(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.parquet", some_actions()
    records.write_table(path, (whole.slice(at, 1) for at in range(whole.num_rows)), "actions", {"licence": "x"})
    assert records.read_table(path, "actions").equals(whole) and records.read_facts(path, "actions")["licence"] == "x"
    assert pa.concat_tables(records.scan_table(path, "actions", ["south", "pts_s"])).equals(whole.select(["south", "pts_s"]))
    with pytest.raises(FormatError, match="a.parquet: not a labels table|expected 'labels/1'"):
        list(records.scan_table(path, "labels", ["pts_s"]))
    with pytest.raises(MissingError, match="b.parquet"):
        list(records.scan_table(tmp_path / "b.parquet", "actions", ["pts_s"]))
    path.write_bytes(path.read_bytes()[:-20])
    for read in (lambda: list(records.scan_table(path, "actions", ["pts_s"])), lambda: records.read_facts(path, "actions")):
        with pytest.raises(FormatError, match="a.parquet is damaged"):
            read()


def test_parts_of_which_one_is_wrong_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        records.write_table(tmp_path / "a.parquet", iter([some_actions(), some_videos()]), "actions")
    assert not list(tmp_path.iterdir())


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        records.write_table(tmp_path / name, some_videos(), "videos", {"x": "1"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("fact, value", [("table", "actions/0"), ("table", "labels/1"), ("layout", "other-17/1")])
def test_another_version_kind_or_layout_is_refused_by_name(tmp_path: Path, fact: str, value: str) -> None:
    path = tmp_path / "old.parquet"
    records.write_table(path, some_actions(), "actions")
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata(table.schema.metadata | {f"ghostpad.{fact}".encode(): value.encode()}), path)
    with pytest.raises(FormatError, match="old.parquet"):
        records.read_table(path, "actions")


def test_a_parquet_file_from_elsewhere_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "theirs.parquet")
    with pytest.raises(FormatError, match="expected 'videos/3'"):
        records.read_table(tmp_path / "theirs.parquet", "videos")


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.parquet"
    records.write_table(path, some_videos(), "videos")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FormatError, match="cut.parquet"):
        records.read_table(path, "videos")


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="videos.parquet"):
        records.read_table(tmp_path / "videos.parquet", "videos")


@pytest.mark.parametrize("table", [pa.table({"id": ["a"]}), some_videos().set_column(9, "frames", pa.array(["many"]))])
def test_wrong_columns_are_refused_and_nothing_is_written(tmp_path: Path, table: pa.Table) -> None:
    with pytest.raises(FormatError, match="not a videos table"):
        records.write_table(tmp_path / "videos.parquet", table, "videos")
    assert not list(tmp_path.iterdir())


def test_a_null_where_a_value_is_due_is_refused(tmp_path: Path) -> None:
    table = some_videos().set_column(0, "id", pa.array([None], pa.string()))
    with pytest.raises(FormatError):
        records.write_table(tmp_path / "videos.parquet", table, "videos")

"""Reading one shard of NitroGen's labels: every quirk that its users met, on made-up chunks in its layout."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from ghostpad.base.errors import MissingError, SettingsError
from ghostpad.base.pad import BUTTONS, DATASET_BUTTONS, STICKS
from ghostpad.corpus.nitrogen import reader as nitrogen
from ghostpad.corpus.nitrogen.chunk import Chunk, box_px, game_name
from ghostpad.corpus.nitrogen.reader import ShardReader
from ghostpad.corpus.nitrogen.source import find_sources
from ghostpad.lab.made_up.nitrogen_shards import SampleChunk, parquet_bytes, sample_files, tar_bytes, write_shard

Files = list[tuple[str, bytes]]
RIGHT_SLOTS = set(BUTTONS) - set(DATASET_BUTTONS)


def read(path: Path | str, labels: str = "raw", games: frozenset[str] | None = None) -> list[Chunk]:
    (source,) = find_sources([path])
    return list(ShardReader(source, labels, games))


def shard(folder: Path, files: Files, prefix: str = "SHARD_0000/") -> Path:
    path = folder / "SHARD_0000.tar.gz"
    write_shard(path, files, prefix)
    return path


def one(folder: Path, chunk: SampleChunk, change: Callable[[dict[str, Any]], Any] | None = None, table: pa.Table | None = None) -> Chunk:
    """What becomes of one chunk whose metadata or table was changed."""
    told = chunk.metadata()
    told = (change(told) or told) if change else told
    body = parquet_bytes(chunk.table() if table is None else table)
    files = [(f"{chunk.folder}/actions_raw.parquet", body), (f"{chunk.folder}/metadata.json", json.dumps(told).encode())]
    (found,) = read(shard(folder, files))
    return found


def rows(chunk: Chunk) -> pa.Table:
    assert chunk.row["status"] == "ok", chunk.row["reason"]
    assert chunk.actions is not None
    return chunk.actions


def test_a_chunk_becomes_rows_at_the_times_of_its_frames(tmp_path: Path) -> None:
    sample = SampleChunk(number=3)
    chunk = one(tmp_path, sample)
    table, truth = rows(chunk), sample.table()
    assert np.allclose(table.column("pts_s").to_numpy(), 60 + np.arange(1200) / 60)
    for name in DATASET_BUTTONS:
        assert table.column(name).to_pylist() == [value > 0 for value in truth.column(name).to_pylist()]
    for index, axis in enumerate(STICKS):
        told = [pair[index % 2] for pair in truth.column("j_left" if index < 2 else "j_right").to_pylist()]
        assert np.allclose(table.column(axis).to_numpy(), told)
    assert all(table.column(name).null_count == 1200 for name in RIGHT_SLOTS)
    assert set(table.column("chunk").to_pylist()) == {3}
    row = chunk.row
    assert (row["video"], row["chunk"], row["rate"], row["rows"], row["game"]) == ("aaaaaaaaaaa", 3, "60", 1200, "celeste")
    assert (row["start_frame"], row["end_frame"], row["note"]) == (3600, 4799, None)  # the last frame is part of the chunk
    assert row["controller"] == "xboxone" and row["url"].endswith("watch?v=aaaaaaaaaaa")


@pytest.mark.parametrize(
    "count, duration_s, rate",
    [(1200, 20, "60"), (1198, 20, "599/10"), (1000, 20, "50"), (720, 20, "36"),
     (600, 20, "30"), (300, 20, "15"), (1201, 20, "1201/20"), (437, 7.3, "4370/73"), (1, 0.5, "2")],
)  # fmt: skip
def test_the_rate_is_rows_by_duration_chunk_by_chunk(tmp_path: Path, count: int, duration_s: float, rate: str) -> None:
    chunk = one(tmp_path, SampleChunk(number=2, rows=count, duration_s=duration_s))
    pts_s = rows(chunk).column("pts_s").to_numpy()
    assert chunk.row["rate"] == rate and len(pts_s) == count
    assert np.allclose(pts_s, 40 + np.arange(count) * duration_s / count)


def test_a_frame_range_that_is_not_inclusive_is_noted_and_changes_no_time(tmp_path: Path) -> None:
    chunk = one(tmp_path, SampleChunk(rows=600), lambda told: told["original_video"].update(end_frame=600))
    assert "as many frames as rows" in chunk.row["note"] and rows(chunk).column("pts_s")[599].as_py() == pytest.approx(599 / 30)


def test_columns_are_found_by_name_in_any_order_and_missing_ones_are_unknown(tmp_path: Path) -> None:
    sample = SampleChunk(rows=60)
    table = sample.table()
    names = [name for name in reversed(table.column_names) if name not in ("guide", "j_right")]
    found = rows(one(tmp_path, sample, table=table.select(names).append_column("extra", pa.array(["x"] * 60))))
    assert found.column("south").to_pylist() == [value > 0 for value in table.column("south").to_pylist()]
    for unknown in ("guide", "right_x", "right_y"):
        assert found.column(unknown).null_count == 60


@pytest.mark.parametrize("kind", [pa.bool_(), pa.int8(), pa.int32(), pa.uint8(), pa.int64(), pa.float64()])
def test_buttons_are_bool_or_numbers(tmp_path: Path, kind: pa.DataType) -> None:
    sample = SampleChunk(rows=4, duration_s=1)
    table = sample.table().set_column(0, DATASET_BUTTONS[0], pa.array([0, 1, None, 1], pa.int32()).cast(kind))
    assert rows(one(tmp_path, sample, table=table)).column(DATASET_BUTTONS[0]).to_pylist() == [False, True, None, True]


def test_a_trigger_of_255_is_pressed(tmp_path: Path) -> None:
    sample = SampleChunk(rows=2, duration_s=1)
    table = sample.table()
    table = table.set_column(table.column_names.index("left_trigger"), "left_trigger", pa.array([0, 255], pa.int32()))
    assert rows(one(tmp_path, sample, table=table)).column("left_trigger").to_pylist() == [False, True]


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float64(), 2)])
def test_sticks_are_lists_of_float_or_int(tmp_path: Path, kind: pa.DataType) -> None:
    sample = SampleChunk(rows=3, duration_s=1)
    table = sample.table().set_column(17, "j_left", pa.array([[0, 0], [1, -1], [0, 1]], kind))
    found = rows(one(tmp_path, sample, table=table))
    assert found.column("left_x").to_pylist() == [0, 1, 0] and found.column("left_y").to_pylist() == [0, -1, 1]  # down is positive


def test_chunks_of_many_kinds_are_read_together_as_each_alone(tmp_path: Path) -> None:
    def changed(n: int, table: pa.Table) -> pa.Table:
        count = table.num_rows
        match n % 8:
            case 1:
                return table.set_column(0, DATASET_BUTTONS[0], pa.array(([True, None, False] * count)[:count]))
            case 2:
                return table.drop_columns(["j_left"])
            case 3:  # number 3 is unknown there, 11 and 19 are broken
                return table.set_column(17, "j_left", pa.array([[0.5, None if n == 3 else 2.0]] * count))
            case 4:
                return table.replace_schema_metadata({"pandas": str(n)})
            case 5:  # 5, 13 and 21 are broken
                return table.set_column(0, DATASET_BUTTONS[0], pa.array(["x"] * count))
        return table

    samples = [SampleChunk(number=n, rows=30 + n % 3) for n in range(24)]
    files = sample_files(samples)
    for sample in samples:
        files[2 * sample.number] = (files[2 * sample.number][0], parquet_bytes(changed(sample.number, sample.table())))
    files[2 * 9 + 1] = (files[2 * 9 + 1][0], b"{")
    together = read(shard(tmp_path, files))
    alone = [read(shard(tmp_path, files[at : at + 2]))[0] for at in range(0, len(files), 2)]
    assert together == alone
    assert [chunk.row["chunk"] for chunk in together if chunk.row["status"] == "broken"] == [5, 9, 11, 13, 19, 21]


def test_a_null_is_unknown_in_its_row_alone(tmp_path: Path) -> None:
    sample = SampleChunk(rows=3, duration_s=1)
    table = sample.table().set_column(17, "j_left", pa.array([None, [None, 0.5], [1.0, 0.25]], pa.list_(pa.float64())))
    found = rows(one(tmp_path, sample, table=table))
    assert found.column("left_x").to_pylist() == [None, None, 1] and found.column("left_y").to_pylist() == [None, 0.5, 0.25]
    table = sample.table().set_column(17, "j_left", pa.array([None] * 3, pa.list_(pa.float64())))
    assert rows(one(tmp_path, sample, table=table)).column("left_x").null_count == 3


STICKS_THAT_CANNOT_BE = {
    "not two numbers": pa.array([[0.0, 0.0, 0.0], [0.0, 0.0]], pa.list_(pa.float64())),
    "a list of j_left is not two": pa.array([[], None], pa.list_(pa.float64())),
    "holds no lists": pa.array([0.5, 0.5]),
    "hold no numbers": pa.array([["a", "b"], ["c", "d"]]),
    "outside -1...1": pa.array([[0.0, 1.5], [0.0, 0.0]]),
    "j_left lies outside": pa.array([[1 << 60, 0], [0, 0]]),  # beyond what a double holds exactly
    "a value of j_left": pa.array([[0.0, float("nan")], [float("inf"), 0.0]]),
}


@pytest.mark.parametrize("reason", STICKS_THAT_CANNOT_BE)
def test_sticks_that_cannot_be_break_the_chunk_with_a_reason(tmp_path: Path, reason: str) -> None:
    sample = SampleChunk(rows=2, duration_s=1)
    chunk = one(tmp_path, sample, table=sample.table().set_column(17, "j_left", STICKS_THAT_CANNOT_BE[reason]))
    assert chunk.row["status"] == "broken" and reason in chunk.row["reason"] and chunk.actions is None


def test_text_buttons_no_rows_no_pad_and_wrong_counts_break_the_chunk(tmp_path: Path) -> None:
    sample = SampleChunk(rows=2, duration_s=1)
    text = sample.table().set_column(0, DATASET_BUTTONS[0], pa.array(["a", "b"]))
    for table, reason in (
        (text, "holds no buttons"),
        (sample.table().slice(0, 0), "no rows"),
        (sample.table().slice(0, 1), "chunk_size"),
        (pa.table({"x": [1, 2]}), "none of the columns"),
    ):
        chunk = one(tmp_path, sample, table=table)
        assert chunk.row["status"] == "broken" and reason in chunk.row["reason"]
    assert one(tmp_path, sample, lambda told: told.pop("chunk_size") and None).row["status"] == "ok"


WRONG_METADATA: dict[str, Callable[[dict[str, Any]], Any]] = {
    "metadata.json gives no start_time": lambda told: told["original_video"].update(start_time="soon"),
    "metadata.json gives no duration": lambda told: told["original_video"].update(duration=None, end_time=None),
    "no duration": lambda told: told["original_video"].update(duration=0),
    "gives no start_time": lambda told: told["original_video"].update(start_time=1e300),  # where all stamps would be the same
    "more rows a second than any video": lambda told: told["original_video"].update(duration=1e-9),
    "not an object": lambda told: [told],
    "no start_time": lambda told: {**told, "original_video": [1, 2]},
}


@pytest.mark.parametrize("reason", WRONG_METADATA)
def test_metadata_that_cannot_be_breaks_the_chunk_with_a_reason(tmp_path: Path, reason: str) -> None:
    chunk = one(tmp_path, SampleChunk(rows=2), WRONG_METADATA[reason])
    assert chunk.row["status"] == "broken" and reason in chunk.row["reason"]
    assert (chunk.row["video"], chunk.row["chunk"]) == ("aaaaaaaaaaa", 0)


def test_metadata_with_odd_types_keeps_what_is_sound(tmp_path: Path) -> None:
    def odd(told: dict[str, Any]) -> None:
        told |= {"game": 7, "controller_type": None, "bbox_controller_overlay": "here", "bbox_game_area": {"xtl": 0}, "chunk_size": True}
        told["original_video"] |= {"resolution": "1080p", "start_frame": 1e400, "end_frame": [], "url": "\ud800x", "duration": None}

    row = one(tmp_path, SampleChunk(rows=60), odd).row
    assert row["status"] == "ok" and row["rate"] == "3"  # the duration is end_time - start_time
    for name in ("game", "controller", "overlay_px", "game_area_px", "width_px", "start_frame", "end_frame"):
        assert row[name] is None
    assert row["url"] == "?x"


def test_both_kinds_of_boxes_become_pixels_cut_to_the_picture(tmp_path: Path) -> None:
    row = one(tmp_path, SampleChunk(rows=2), lambda told: told.update(bbox_game_area={"xtl": 0.25, "ytl": 0, "xbr": 1.0, "ybr": 0.5})).row
    assert (row["width_px"], row["height_px"]) == (1920, 1080)  # the metadata says height first
    assert row["overlay_px"] == [1500, 800, 360, 240] and row["game_area_px"] == [480, 0, 1440, 540]
    assert box_px([1800, 1000, 125, 205], 1920, 1080) == [1800, 1000, 120, 80]
    assert box_px([-5, -5, 25, 15], 1920, 1080) == [0, 0, 20, 10]
    for nothing in (None, [], [1, 2, 3], [0, 0, 0, 5], [3000, 0, 10, 10], [1, 2, None, 4], {"xtl": 1}, "x", [1e400, 0, 1, 1]):
        assert box_px(nothing, 1920, 1080) is None
    assert box_px([0, 0, 10, 10], None, None) is None


@pytest.mark.parametrize(
    "label, name",
    [("hollow_knight", "hollow_knight"), (" Hollow  Knight ", "hollow_knight"), ("_retro", "retro"),
     ("Baldur's Gate 3", "baldurs_gate_3"),
     ("The Witcher 3: Wild-Hunt", "the_witcher_3_wild_hunt"), ("ＤＯＯＭ", "doom"), ("Pokémon", "pokémon"),
     ("other", None), ("Other ", None), ("", None), ("__", None)],
)  # fmt: skip
def test_games_are_spelled_in_one_way(label: str, name: str | None) -> None:
    assert game_name(label) == name


def test_the_spelling_of_a_game_is_kept_beside_its_name(tmp_path: Path) -> None:
    row = one(tmp_path, SampleChunk(rows=2, game="Hollow Knight")).row
    assert (row["game"], row["game_label"]) == ("hollow_knight", "Hollow Knight")


@pytest.mark.parametrize("video", ["-abcdefghij", "_abcdefghij", "v1234567890", "--help", "a b"])
def test_ids_may_begin_with_signs(tmp_path: Path, video: str) -> None:
    assert one(tmp_path, SampleChunk(video, rows=2)).row["video"] == video


@pytest.mark.parametrize("video", ["..", ".hidden", "a\\b", "a" * 300])
def test_names_that_could_leave_a_folder_are_broken_and_name_nothing(tmp_path: Path, video: str) -> None:
    row = one(tmp_path, SampleChunk(video, rows=2)).row
    assert row["video"] is None and row["status"] == "broken" and "cannot name a file" in row["reason"]


@pytest.mark.parametrize("prefix", ["", "./", "SHARD_0000/", "actions/SHARD_0000/", "/abs/olute/", "../../up/", "x" * 150 + "/"])
def test_any_prefix_will_do(tmp_path: Path, prefix: str) -> None:
    found = read(shard(tmp_path, sample_files([SampleChunk(number=n, rows=20) for n in range(3)]), prefix))
    assert [(chunk.row["video"], chunk.row["chunk"], chunk.row["status"]) for chunk in found] == [
        ("aaaaaaaaaaa", n, "ok") for n in range(3)
    ]


def test_files_of_a_chunk_may_come_in_any_order_and_apart(tmp_path: Path) -> None:
    files = sample_files([SampleChunk(number=n, rows=20, processed=True) for n in range(6)])
    for seed in range(5):
        mixed = [files[index] for index in np.random.default_rng(seed).permutation(len(files))]
        found = read(shard(tmp_path, [("README.md", b"hello"), *mixed, ("a/b/c/notes.txt", b"x")]))
        assert sorted(chunk.row["chunk"] for chunk in found if chunk.row["status"] == "ok") == list(range(6)) and len(found) == 6


def test_missing_files_are_told(tmp_path: Path) -> None:
    files = sample_files([SampleChunk(number=n, rows=20, processed=True) for n in range(3)])
    left = [file for file in files if file[0] not in (files[1][0], files[5][0])]
    found = {chunk.row["chunk"]: chunk.row for chunk in read(shard(tmp_path, left))}
    assert found[0]["reason"] == "actions_raw.parquet is missing" and found[1]["reason"] == "metadata.json is missing"
    assert found[2]["status"] == "ok" and found[0]["game"] == "celeste"


def test_raw_and_processed_are_never_mixed(tmp_path: Path) -> None:
    sample = SampleChunk(rows=20, processed=True)
    files = sample.files()
    files[0] = (files[0][0], parquet_bytes(sample.table().set_column(0, DATASET_BUTTONS[0], pa.array([1] * 20))))
    path = shard(tmp_path, [*files, *SampleChunk(number=1, rows=20).files()])
    raw, processed = read(path), read(path, "processed")
    assert not all(rows(raw[0]).column(DATASET_BUTTONS[0]).to_pylist()) and all(rows(processed[0]).column(DATASET_BUTTONS[0]).to_pylist())
    assert raw[1].row["status"] == "ok" and processed[1].row["reason"] == "actions_processed.parquet is missing"
    with pytest.raises(SettingsError, match="did you mean 'raw'"):
        read(path, "rwa")


def test_games_that_nobody_wants_are_counted_and_not_read(tmp_path: Path) -> None:
    chunks = [SampleChunk("a", 0, 20), SampleChunk("b", 0, 20, game="Hollow Knight"), SampleChunk("c", 0, 20, game="other")]
    files = [(name, b"junk" if name.startswith("a/") and name.endswith("parquet") else body) for name, body in sample_files(chunks)]
    (source,) = find_sources([shard(tmp_path, files)])
    reader = ShardReader(source, games=frozenset({"hollow_knight"}))
    assert [chunk.row["video"] for chunk in reader] == ["b"]
    assert reader.seen == {"celeste": 1, "hollow_knight": 1, None: 1} and not reader.damaged


def test_a_chunk_that_comes_twice_is_read_once(tmp_path: Path) -> None:
    files = SampleChunk(rows=20).files()
    assert len(read(shard(tmp_path, files * 2))) == 1


def test_tables_that_wait_too_long_for_their_metadata_are_broken_and_memory_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sample_files([SampleChunk(number=n, rows=20) for n in range(6)])
    apart = [file for file in files if file[0].endswith("parquet")] + [file for file in files if file[0].endswith("json")]
    path = shard(tmp_path, apart)
    assert all(chunk.row["status"] == "ok" for chunk in read(path))
    monkeypatch.setattr(nitrogen, "MOST_WAITING_BYTES", 3 * max(len(body) for _, body in files))
    found = {chunk.row["chunk"]: chunk.row["reason"] for chunk in read(path)}
    assert {number for number, reason in found.items() if reason is None} == {3, 4, 5} and "lies too far" in str(found[0])


def test_files_that_are_too_large_are_not_read(tmp_path: Path) -> None:
    files = SampleChunk(rows=20).files()
    files[-1] = (files[-1][0], b" " * (1 << 20) + files[-1][1])
    assert [chunk.row["reason"] for chunk in read(shard(tmp_path, files))] == ["metadata.json is too large"]


def test_extracted_folders_and_urls_read_the_same(tmp_path: Path) -> None:
    files = sample_files([SampleChunk("-x", n, 20) for n in range(3)])
    path = shard(tmp_path, files)
    for name, body in files:
        target = tmp_path / "out/SHARD_0000" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/SHARD_0000.tar.gz", path.read_bytes())
    memory.pipe("/bucket/plain.tar", tar_bytes(files))
    there = [chunk.actions for chunk in read(path)]
    assert len(there) == 3
    places = (
        f"file://{path}",
        "memory://bucket/SHARD_0000.tar.gz",
        "memory://bucket/pl*.tar",
        tmp_path / "out",
        tmp_path / "out/SHARD_0000",
    )
    for place in places:
        assert [chunk.actions for chunk in read(place)] == there, place


def test_sources_that_are_not_there_or_no_archives_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no labels at"):
        find_sources([tmp_path / "none.tar.gz"])
    with pytest.raises(MissingError, match="no labels at memory://nowhere"):
        find_sources(["memory://nowhere/SHARD_*.tar.gz"])
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(MissingError, match="holds no chunk of labels"):
        find_sources([tmp_path])
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        shard(tmp_path / folder, SampleChunk(rows=2).files())
    with pytest.raises(SettingsError) as caught:
        find_sources([tmp_path / "a.txt", tmp_path / "one", tmp_path / "two"])
    assert len(caught.value.problems) == 2 and "two shards are called SHARD_0000.tar.gz" in str(caught.value)

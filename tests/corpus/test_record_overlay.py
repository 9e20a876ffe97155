"""The truth machine: real games with a controller drawn in, as a corpus and as NitroGen's shards, with labels that run ahead."""

import json
import shutil
import tarfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ghostpad.base.errors import SettingsError
from ghostpad.base.pad import pack, slot
from ghostpad.base.records import pads_of
from ghostpad.cli.main import main
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.record import lagged, record_corpus
from ghostpad.games.overlay import CORNERS, STYLES, Overlay, swapped
from ghostpad.lab.made_up.nitrogen_corpus import Shard, write_nitrogen
from ghostpad.video.decode import decode_array

RECORD = ["lab", "record", "doom", "--player", "novice", "--minutes", "0.8", "--overlay", "xbox", "--corner", "top-left"]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("corner", CORNERS)
def test_a_controller_stays_in_its_box_and_shows_the_pad(style: str, corner: str) -> None:
    overlay, frame = Overlay(style, corner, 1.0), np.full((240, 320, 3), 99, np.uint8)
    x, y, wide, high = overlay.box(320, 240)
    assert 0 <= x <= 320 - wide and 0 <= y <= 240 - high and wide == 64
    idle = overlay.draw(frame, pack({})[0])
    changed = (idle != frame).any(axis=2)
    assert changed[y : y + high, x : x + wide].mean() > 0.5
    changed[y : y + high, x : x + wide] = False
    assert not changed.any() and (frame == 99).all()
    for name, value in {"south": 1, "left_trigger": 1, "dpad_up": 1, "left_x": -1, "right_y": 1, "right_thumb": 1, "start": 1}.items():
        assert (overlay.draw(frame, pack({name: value})[0]) != idle).any(), name


def test_impossible_controllers_name_every_problem() -> None:
    with pytest.raises(SettingsError) as caught:
        Overlay("xbocks", "top", 0, (("south", "eastt"),))
    assert len(caught.value.problems) == 4 and "'east'" in str(caught.value)


def test_a_binding_is_swapped_in_picture_and_rows() -> None:
    pad, frame = pack({"south": 1})[0], np.zeros((240, 320, 3), np.uint8)
    swaps = (("south", "east"),)
    np.testing.assert_array_equal(swapped(pad, swaps), pack({"east": 1})[0])
    np.testing.assert_array_equal(Overlay(swaps=swaps).draw(frame, pad), Overlay().draw(frame, pack({"east": 1})[0]))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("nitrogen") / "shards"
    assert main([*RECORD, "--as-nitrogen", "--lag-frames", "4", "--out", str(out)]) == 0
    return out


def test_shards_tell_what_the_truth_says_four_frames_later(shards: Path) -> None:
    assert main(["corpus", "index", str(shards / "SHARD_0000.tar.gz"), "--out", str(shards.parent / "c")]) == 0
    indexed, truth = Corpus.open(shards.parent / "c"), Corpus.open(shards / "truth")
    assert [row.id for row in indexed.list_videos()] == truth.ok_ids()
    for row, true_row in zip(indexed.list_videos(), truth.list_videos(), strict=True):
        assert row.overlay_px == true_row.overlay_px and row.overlay_of_px == (320, 240)
        assert row.fps == true_row.fps and (shards / "videos" / f"{row.id}.mp4").exists()
        table, true_table = indexed.actions("recorded", row.id), truth.actions("recorded", row.id)
        assert table is not None and true_table is not None
        found, true = pads_of(table)[0], pads_of(true_table)[0]
        assert len(true) - 4 - 7 < len(found) <= len(true) - 4
        np.testing.assert_allclose(found, true[4 : 4 + len(found)], atol=1e-6)
        np.testing.assert_allclose(table["pts_s"].to_numpy(), true_table["pts_s"].to_numpy()[: len(found)], atol=1e-9)


def test_metadata_is_the_dataset_s(shards: Path) -> None:
    with tarfile.open(shards / "SHARD_0000.tar.gz") as archive:
        told = [json.load(archive.extractfile(member)) for member in archive if member.name.endswith("metadata.json")]  # type: ignore[arg-type]
    assert told[0]["original_video"]["resolution"] == [240, 320] and told[0]["controller_type"] == "xboxone"
    for one in told:
        video = one["original_video"]
        assert video["end_frame"] - video["start_frame"] + 1 == one["chunk_size"] == video["duration"] * 17.5
    assert any(one["chunk_size"] == 350 for one in told)


def test_the_same_command_gives_the_same_bytes_and_records_nothing_twice(shards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (shards / "SHARD_0000.tar.gz").read_bytes()
    assert main([*RECORD, "--as-nitrogen", "--lag-frames", "4", "--out", str(shards)]) == 0
    assert (shards / "SHARD_0000.tar.gz").read_bytes() == before and "0 of them recorded now" in capsys.readouterr().out
    assert main([*RECORD[:-1], "top-right", "--as-nitrogen", "--lag-frames", "4", "--out", str(shards)]) == 2
    assert "another --corner" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags", [["--opacity", "0.5"], ["--rebind", "south=east"], ["--crf", "30"], ["--lag-frames", "3"], ["--label-fps", "30"]]
)
def test_another_run_into_the_same_folder_must_have_the_same_settings(
    shards: Path, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    before = (shards / "SHARD_0000.tar.gz").read_bytes()
    lag = [] if flags[0] == "--lag-frames" else ["--lag-frames", "4"]
    assert main([*RECORD, "--as-nitrogen", *lag, *flags, "--out", str(shards)]) == 2
    assert f"another {flags[0]}" in capsys.readouterr().err
    assert (shards / "SHARD_0000.tar.gz").read_bytes() == before


def test_a_corpus_with_other_rows_ahead_is_refused(tmp_path: Path) -> None:
    record_corpus("doom", "novice", minutes=0.02, seed=3, out=tmp_path, lag_frames=2)
    with pytest.raises(SettingsError, match="another --lag-frames"):
        record_corpus("doom", "novice", minutes=0.04, seed=3, out=tmp_path)
    record_corpus("doom", "novice", minutes=0.02, seed=4, out=tmp_path)


@pytest.mark.parametrize("label_fps", ["59.94", "30", "50", "15"])
def test_rows_at_another_rate_hold_what_was_in_force(shards: Path, tmp_path: Path, label_fps: str) -> None:
    shutil.copytree(shards / "truth", tmp_path / "shards" / "truth")
    write_nitrogen(Shard(tmp_path / "shards", "xbox", label_fps=Fraction(label_fps)))
    assert main(["corpus", "index", str(tmp_path / "shards" / "SHARD_0000.tar.gz"), "--out", str(tmp_path / "c")]) == 0
    indexed, truth = Corpus.open(tmp_path / "c"), Corpus.open(shards / "truth")
    for id in truth.ok_ids():
        table, true_table = indexed.actions("recorded", id), truth.actions("recorded", id)
        assert table is not None and true_table is not None
        pts_s, true_s = table["pts_s"].to_numpy(), true_table["pts_s"].to_numpy()
        assert np.diff(pts_s) == pytest.approx(1 / float(label_fps), rel=1e-3)
        at = np.searchsorted(true_s, pts_s + 1e-5, side="right") - 1
        np.testing.assert_allclose(pads_of(table)[0], pads_of(true_table)[0][at], atol=1e-6)
        assert pts_s[-1] > true_s[-1] - 7 * max(1 / float(label_fps), 2 / 35)


def test_processed_rows_are_in_the_games_own_layout(tmp_path: Path) -> None:
    swaps = (("right_trigger", "south"),)
    for seed in (1, 2, 3, 4):
        truth = tmp_path / "truth"
        record_corpus("doom-defend", "novice", minutes=0.05, seed=seed, out=truth, overlay=Overlay(swaps=swaps))
    write_nitrogen(Shard(tmp_path, "xbox", processed_share=0.5, swaps=swaps))
    found = {}
    for labels in ("raw", "processed"):
        main(["corpus", "index", str(tmp_path / "SHARD_0000.tar.gz"), "--labels", labels, "--out", str(tmp_path / labels)])
        corpus = Corpus.open(tmp_path / labels)
        found[labels] = {
            id: pads_of(table)[0]
            for id in (video.id for video in corpus.list_videos())
            if (table := corpus.actions("recorded", id)) is not None
        }
    assert len(found["raw"]) == 4 and len(found["processed"]) == 2
    for id, pads in found["processed"].items():
        np.testing.assert_array_equal(pads, swapped(found["raw"][id], swaps))
    assert any(pads[:, slot("right_trigger")].any() for pads in found["processed"].values())


def test_the_controller_is_drawn_into_the_same_play(tmp_path: Path) -> None:
    for name, overlay in (("bare", None), ("drawn", Overlay(corner="top-left"))):
        record_corpus("doom", "novice", minutes=0.05, seed=3, out=tmp_path / name, crf=0, overlay=overlay)
    bare, drawn = (Corpus.open(tmp_path / name) for name in ("bare", "drawn"))
    (id,) = bare.ok_ids()
    assert bare.actions("recorded", id) == drawn.actions("recorded", id)
    (_, one), (_, other) = (decode_array(corpus.video_path(id)) for corpus in (bare, drawn))
    x, y, wide, high = (int(value) for value in drawn.list_videos()[0].overlay_px)
    changed = (abs(one.astype(int) - other) > 3).any(axis=(0, 3))
    assert changed[y : y + high, x : x + wide].mean() > 0.5
    changed[y - 2 : y + high + 2, x - 2 : x + wide + 2] = False
    assert changed.mean() < 0.001


@pytest.mark.parametrize("lag", [0, 3, -3, 99])
def test_lag_moves_rows_and_drops_what_has_no_frame(small: object, lag: int) -> None:
    corpus = Corpus.open(small.novice)  # type: ignore[attr-defined]
    table = corpus.actions("recorded", corpus.ok_ids()[1])
    assert table is not None
    moved = lagged(table, lag)
    count = table.num_rows - abs(lag)
    assert moved.num_rows == count and moved.schema == table.schema
    assert moved.drop_columns("pts_s") == table.drop_columns("pts_s").slice(max(0, lag), count)
    assert moved["pts_s"].to_pylist() == table["pts_s"].slice(max(0, -lag), count).to_pylist()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--as-nitrogen"], "needs --overlay"),
        (["--rebind", "south=east"], "add --overlay"),
        (["--overlay", "ps5", "--opacity", "2"], "at most 1"),
        (["--label-fps", "30"], "add --as-nitrogen"),
        (["--lag-frames", "-40", "--minutes", "0.01"], "no row would be left"),
        (["--as-nitrogen", "--overlay", "ps5", "--processed-share", "2"], "from 0 to 1"),
        (["--as-nitrogen", "--overlay", "ps5", "--label-fps", "quick"], "such as 59.94"),
    ],
)
def test_flags_that_cannot_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], says: str) -> None:
    assert main(["lab", "record", "doom", "--out", str(tmp_path / "o"), *flags]) == 2
    assert says in capsys.readouterr().err and not (tmp_path / "o").exists(), "said before anything is recorded"

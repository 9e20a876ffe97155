"""Labelling a video file: the same rows however it is cut, each frame encoded once, little memory, no thread left behind."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor

import ghostpad.idm
from ghostpad.base.errors import FormatError, MediaError, MissingError
from ghostpad.base.pad import SLOTS, STICKS
from ghostpad.base.records import LABELS
from ghostpad.idm.calibrate import Calibration
from ghostpad.idm.model import Idm
from ghostpad.idm.settings import IdmSettings
from ghostpad.idm.stream import _Columns, label_video
from ghostpad.lab.made_up.videos import repeat_video, write_sample
from ghostpad.video.decode import decode_array

KNOWN = ["south", "left_x", "right_x"]
TINY = {"width_px": 32, "height_px": 32, "dim": 8, "heads": 2, "attention_rows": 3, "convolution_rows": 2, "search_x_px": 2}


def tiny(**changes: Any) -> Idm:
    torch.manual_seed(0)
    return Idm(IdmSettings(**(TINY | changes)), {"slots": KNOWN}).eval()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds at 60 fps, with B-frames."""
    path = tmp_path_factory.mktemp("stream") / "video.mp4"
    write_sample(path, width_px=64, height_px=48, fps=60, frames=120)
    return path


def columns_of(table: Any) -> dict[str, np.ndarray]:
    return {name: table.column(name).to_numpy() for name in LABELS.names if not table.column(name).null_count}


@hypothesis_settings(max_examples=20, deadline=None)
@given(piece_rows=st.integers(1, 130), rate_hz=st.sampled_from([None, 60.0, 41.0, 20.0, 3.0]))
def test_rows_of_a_file_do_not_depend_on_the_cut(video: Path, piece_rows: int, rate_hz: float | None) -> None:
    model = tiny(rate_hz=rate_hz)
    pts_s, images = decode_array(video, width_px=32, height_px=32, gray=True, rate_hz=rate_hz)
    pads, spreads = model.predict(torch.from_numpy(images))
    found = columns_of(label_video(model, video, piece_rows=piece_rows))
    assert found["pts_s"].tolist() == pts_s[:-1].tolist()
    for name in KNOWN:
        np.testing.assert_allclose(found[name], pads[:, SLOTS.index(name)], atol=1e-5)
        if name in STICKS:
            np.testing.assert_allclose(found[f"{name}_spread"], spreads[:, STICKS.index(name)], atol=1e-5)


@pytest.mark.parametrize("piece_rows", [1, 7, 64, 500])
def test_every_kept_frame_is_encoded_once(video: Path, piece_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = tiny(rate_hz=30.0), []
    encode = model.encode

    def counted(frames: Tensor) -> Tensor:
        rows.append(frames.shape[1] - 1)
        return encode(frames)

    monkeypatch.setattr(model, "encode", counted)
    assert label_video(model, video, piece_rows=piece_rows).num_rows == sum(rows) == 59
    assert max(rows) <= piece_rows


def test_labels_are_calibrated_when_a_calibration_is_attached(video: Path) -> None:
    model = tiny()
    raw = columns_of(model.label(video))
    model.calibration = Calibration({"south": 2.0}, {"left_x": 0.5}, 1000)
    found = columns_of(model.label(video))
    np.testing.assert_allclose(found["left_x_spread"], raw["left_x_spread"] / 2, rtol=1e-5)
    assert (np.abs(found["south"] - 0.5) <= np.abs(raw["south"] - 0.5)).all() and not np.array_equal(found["south"], raw["south"])


def test_a_run_is_loaded_with_its_calibration(idm_run: Path, small: Any, tmp_path: Path) -> None:
    idm = ghostpad.idm.load(str(idm_run))
    assert isinstance(idm.calibration, Calibration) and not idm.training
    path = next((small.wild / "videos").iterdir())
    assert idm.label(str(path)).schema.equals(LABELS)
    with pytest.raises(MissingError, match="is not a run"):
        ghostpad.idm.load(tmp_path)


def test_torch_s_threads_are_given_back(video: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    model, before = tiny(rate_hz=3.0), torch.get_num_threads()
    model.register_module("norm", torch.nn.Sequential(model.norm))
    model.norm.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    torch.set_num_threads(2)
    try:
        model.label(video)
        model.label(video, threads=2)
        with pytest.raises(MissingError):
            model.label(tmp_path / "no.mp4")
        assert set(seen) == {1, 2} and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_error_of_the_decoder_reaches_the_caller_and_leaves_no_thread(video: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    repeat_video(video, cut, 5)
    cut.write_bytes(cut.read_bytes()[:-2000])
    one = tmp_path / "one.mp4"
    write_sample(one, width_px=64, height_px=48, fps=60, frames=1)
    model = tiny()
    for path, message in ((cut, r"cut\.mp4"), (one, "shows no two frames")):
        with pytest.raises(MediaError, match=message):
            model.label(path)
    assert not [thread for thread in threading.enumerate() if thread.name == "read ahead"]


def test_an_error_of_the_model_stops_the_decoder(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny()

    def refuse(frames: Tensor) -> Tensor:
        raise FormatError("no")

    monkeypatch.setattr(model, "encode", refuse)
    with pytest.raises(FormatError):
        label_video(model, video, piece_rows=4)
    assert not [thread for thread in threading.enumerate() if thread.name == "read ahead"]


def test_a_row_costs_the_memory_of_its_known_slots_alone() -> None:
    columns, rows = _Columns(KNOWN), 100_000
    for _ in range(rows // 100):
        columns.pts_s.extend([0.0] * 100)
        columns.add(np.zeros((100, len(SLOTS)), np.float32), np.ones((100, len(STICKS)), np.float32))
    columns.pts_s.append(1.0)
    table = columns.table()
    assert table.num_rows == rows and table.column("south").null_count == 0 and table.column("north").null_count == rows
    # 3 slots, 2 spreads and the confidence of 4 bytes, a time stamp of 8; and one shared empty column of 4 bytes and a bit
    assert table.get_total_buffer_size() < rows * (3 * 4 + 2 * 4 + 4 + 8 + 4 + 1)

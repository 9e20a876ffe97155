"""The validation loss: what it measures, that it is the published model's, and that a training does not feel it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ghostpad.base.files import read_json
from ghostpad.base.pad import PAD_DIM
from ghostpad.feed.batch import collate
from ghostpad.feed.dataset import WindowDataset
from ghostpad.feed.footage import Footage
from ghostpad.feed.gather import Gathered
from ghostpad.feed.settings import DataSettings
from ghostpad.idm.model import Idm
from ghostpad.idm.settings import IdmSettings
from ghostpad.train.checkpoint import load_model
from ghostpad.train.loop import Training, train
from ghostpad.train.settings import TrainSettings


def footage(video: str, seed: int, rows: int = 20) -> Footage:
    rng = np.random.default_rng(seed)
    pads, weight = np.zeros((rows, PAD_DIM), np.float32), np.zeros((rows, PAD_DIM), np.float32)
    pads[:, -2], weight[:, -2] = rng.uniform(-1, 1, rows), 1
    return Footage(video, np.arange(rows + 1) / 10, rng.integers(0, 255, (rows + 1, 32, 32, 1), np.uint8), pads, weight)


LEARNED, HELD_OUT = footage("learned", 0), footage("held out", 1, 30)


def training(out: Path, held_out: list[Footage], batch_size: int = 2, **changes: Any) -> Training[Idm]:
    """Of an IDM with everything that chance touches: dropout, mirroring, light."""
    tiny = IdmSettings(width_px=32, height_px=32, dim=8, heads=1, clip_rows=8, search_x_px=1, search_y_px=1, dropout=0.3, light=0.2)
    settings = TrainSettings(**({"steps": 7, "threads": 1, "checkpoint_every": 2, "validate_every": 3, "log_every": 1} | changes))
    data = DataSettings(batch_size=batch_size)
    return Training(Idm, tiny, {"slots": ["right_x"]}, Gathered([LEARNED], held_out=held_out), data, settings, out)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("validate") / "run"
    train(training(out, [HELD_OUT]))
    return out


def test_training_does_not_feel_it(run: Path, tmp_path: Path) -> None:
    train(training(tmp_path / "without", []))
    train(training(tmp_path / "often", [HELD_OUT], validate_every=1))
    for name in ("model.safetensors", "run.json"):
        assert (run / name).read_bytes() == (tmp_path / "without" / name).read_bytes() == (tmp_path / "often" / name).read_bytes(), name
    often = read_json(tmp_path / "often" / "validation.json")["losses"]
    assert [row["step"] for row in often] == [1, 2, 3, 4, 5, 6, 7]
    assert [often[2], often[5], often[6]] == read_json(run / "validation.json")["losses"]


def test_it_is_the_published_models_loss_on_every_window_without_dropout_or_augmentation(tmp_path: Path) -> None:
    """Four batches of two windows hold all eight."""
    held_out = footage("short", 2, 15)
    plan = training(tmp_path / "run", [held_out])
    train(plan)
    model = load_model(tmp_path / "run", Idm)
    windows = WindowDataset([[held_out]], model.window)
    assert windows.sizes == [8]
    with torch.no_grad():
        wanted = np.mean([model.loss(collate([windows[0, index]]), torch.Generator())[0].item() for index in range(8)])
    last = read_json(tmp_path / "run" / "validation.json")["losses"][-1]
    assert last["step"] == 7 and last["held_out"] == pytest.approx(wanted, rel=1e-5) and last["learned"] > 0


def test_few_windows_make_a_batch_and_many_are_looked_at_in_part(tmp_path: Path) -> None:
    few, many = footage("few", 3, 8), footage("many", 4, 200)
    train(training(tmp_path / "few", [few], batch_size=4, steps=1))
    train(training(tmp_path / "many", [many], batch_size=4, steps=1))
    assert read_json(tmp_path / "few" / "validation.json")["windows"] == {"learned": 16, "held_out": 4}
    assert read_json(tmp_path / "many" / "validation.json")["windows"] == {"learned": 16, "held_out": 16}


def test_windows_without_a_known_row_are_not_measured(tmp_path: Path) -> None:
    sparse = replace(HELD_OUT, weight=HELD_OUT.weight.copy())
    sparse.weight[8:] = 0
    train(training(tmp_path / "run", [sparse], steps=1))
    assert np.isfinite(read_json(tmp_path / "run" / "validation.json")["losses"][0]["held_out"])
    sparse.weight[:] = 0
    train(training(tmp_path / "nothing", [sparse], steps=1))
    assert not (tmp_path / "nothing" / "validation.json").exists()


def test_a_stopped_run_goes_on_to_the_same_file(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after it measured step 7: the checkpoint is of step 6, and what came later is measured once more."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("ghostpad.train.loop.publish", stop)
        with pytest.raises(KeyboardInterrupt):
            train(training(tmp_path / "run", [HELD_OUT]))
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-0000006"]
    train(training(tmp_path / "run", [HELD_OUT]))
    for name in ("validation.json", "model.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (run / name).read_bytes(), name


def test_it_is_logged_and_said_and_so_is_that_there_is_none(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    losses = read_json(run / "validation.json")["losses"]
    for tag, name in (("validation_loss", "held_out"), ("learned_loss", "learned")):
        logged = events.Scalars(tag)
        assert [event.step for event in logged] == [2, 5, 6]
        assert [event.value for event in logged] == pytest.approx([row[name] for row in losses], rel=1e-6)
    train(training(tmp_path / "run", [HELD_OUT], steps=1))
    said = capsys.readouterr().err
    assert "validation loss" in said and "on held-out videos" in said
    train(training(tmp_path / "none", [], steps=1))
    assert "no validation loss, as no video is held out (data.validation_share)" in capsys.readouterr().err

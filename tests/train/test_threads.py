"""The number of CPU threads that a training chooses for itself: kept by the run, and without a trace in its weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ghostpad.base.files import read_json, write_json
from ghostpad.base.pad import PAD_DIM
from ghostpad.feed.footage import Footage
from ghostpad.feed.gather import Gathered
from ghostpad.feed.settings import DataSettings
from ghostpad.idm.model import Idm
from ghostpad.idm.settings import IdmSettings
from ghostpad.train.loop import Training, train
from ghostpad.train.settings import TrainSettings


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """torch would take two."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def training(out: Path, **settings: Any) -> Training[Idm]:
    rng = np.random.default_rng(0)
    pads, weight = np.zeros((20, PAD_DIM), np.float32), np.zeros((20, PAD_DIM), np.float32)
    pads[:, -2], weight[:, -2] = rng.uniform(-1, 1, 20), 1
    clip = Footage("clip", np.arange(21) / 10, rng.integers(0, 255, (21, 32, 32, 1), np.uint8), pads, weight)
    tiny = IdmSettings(width_px=32, height_px=32, dim=8, heads=1, clip_rows=8, search_x_px=1, search_y_px=1)
    return Training(
        Idm, tiny, {"slots": ["right_x"]}, Gathered([clip]), DataSettings(batch_size=2), TrainSettings(**{"steps": 100} | settings), out
    )


def test_a_choice_is_made_by_time_and_leaves_no_trace_in_the_weights(tmp_path: Path) -> None:
    train(training(tmp_path / "run"))
    chosen = read_json(tmp_path / "run" / "threads.json")
    assert chosen["threads"] in (1, 2) and set(chosen["seconds"]) == {"1", "2"} and torch.get_num_threads() == chosen["threads"]
    train(training(tmp_path / "told", threads=chosen["threads"]))
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (tmp_path / "told" / "model.safetensors").read_bytes()
    assert not (tmp_path / "told" / "threads.json").exists()


def test_a_run_that_is_continued_keeps_its_number(tmp_path: Path) -> None:
    write_json(tmp_path / "run" / "threads.json", {"threads": 2, "seconds": {}})
    torch.set_num_threads(1)
    train(training(tmp_path / "run", steps=2))
    assert torch.get_num_threads() == 2 and read_json(tmp_path / "run" / "threads.json") == {"threads": 2, "seconds": {}}


def test_a_short_training_takes_one_untimed(tmp_path: Path) -> None:
    train(training(tmp_path / "run", steps=4))
    chosen = read_json(tmp_path / "run" / "threads.json")
    assert chosen == {"threads": 1, "seconds": {"1": 0.0, "2": 0.0}} and torch.get_num_threads() == 1

"""What a GPU would be asked to do, shown without one: nothing that the host waits for, and as many kernels for a large batch as for a small
one."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ghostpad.base.pad import PAD_DIM
from ghostpad.feed.batch import Batch, WindowRef
from ghostpad.idm.model import Idm
from ghostpad.idm.predict import Piece, Prediction, Stretch
from ghostpad.idm.settings import IdmSettings
from ghostpad.lab.bench.launches import META, Launches, MetaGenerator
from ghostpad.policy.model import Policy
from ghostpad.policy.settings import PolicySettings
from ghostpad.train.loop import _Trainer
from ghostpad.train.model import Model
from ghostpad.train.parallel import start
from ghostpad.train.settings import TrainSettings

SMALL = {"width_px": 32, "height_px": 32, "dim": 8, "heads": 2, "clip_rows": 8}
CHANGED = {"mask": 0.5, "shift_px": 2, "repeat": 0.2, "rate_jitter": 0.2, "binding": "game"}
SLOTS = {"slots": ["south", "right_trigger", "left_x", "right_y"], "games": ["doom"], "by_game": {"doom": ["south"]}}


def idm(**changes: Any) -> Idm:
    return Idm(IdmSettings(**(SMALL | changes)), SLOTS)


def policy(**changes: Any) -> Policy:
    return Policy(PolicySettings(**({"width_px": 32, "height_px": 32, "dim": 16, "heads": 2, "depth": 2} | changes)), SLOTS)


def batch_of(model: Model, count: int) -> Batch:
    """Windows of made-up footage of two games, one of them with a mask."""
    spec, rng = model.window, torch.Generator().manual_seed(count)
    shape = (count, len(spec.frame_offsets), spec.height_px, spec.width_px, 1 if spec.gray else 3)
    refs = tuple(WindowRef("a", row, ("doom", "")[row % 2], row == 0) for row in range(count))
    pads = torch.rand(count, len(spec.row_offsets), PAD_DIM, generator=rng)
    return Batch(torch.randint(0, 256, shape, dtype=torch.uint8, generator=rng), pads, torch.ones_like(pads), refs)


@pytest.mark.parametrize(
    "model",
    [idm(), idm(**CHANGED), policy(), policy(game_rows=4, drop_game=0.5, frame_offsets=(-1, 0), drop_frames=0.5)],
    ids=["idm", "idm changed", "policy", "policy conditioned"],
)
def test_a_gpu_is_not_waited_for_while_gradients_are_computed(model: Model) -> None:
    model.train().to(META)
    counted = []
    for count in (4, 16):
        model.zero_grad()
        with Launches() as work:
            loss, _ = model(batch_of(model, count).to(META), MetaGenerator())
            loss.backward()
        assert work.waits == []
        counted.append((work.kernels.total(), work.copies))
    assert counted[0] == counted[1], "a larger batch is larger kernels, not more"
    assert 100 < counted[0][0] < 600 and 3 <= counted[0][1] <= 5


def test_a_wait_is_found() -> None:
    on_device = torch.zeros(4, 3, device=META)
    with Launches() as work:
        on_device[:, [0, 2]]
        on_device[..., [0]] = 1.0
        torch.tensor([1, 2], device=META)
        torch.zeros(2).to(META)
        torch.zeros(2).to(META, non_blocking=True)
        assert (len(work.waits), work.copies) == (4, 1)
        with pytest.raises(NotImplementedError):
            on_device.tolist()
        with pytest.raises(RuntimeError):
            float(on_device.sum())


@pytest.mark.parametrize("binding", ["none", "game"])
def test_pieces_of_many_videos_are_as_many_kernels_as_of_few(binding: str) -> None:
    model = idm(binding=binding).eval().to(META)
    counted = []
    for videos in (2, 8):
        stretches, frames = [Stretch("doom") for _ in range(videos)], np.zeros((17, 32, 32, 1), np.uint8)
        for piece in range(4):
            with Launches() as work:
                Prediction(model, [Piece(stretch, frames) for stretch in stretches])
            assert work.waits == []
            if piece == 3:
                counted.append((work.kernels.total(), work.copies))
    assert counted[0] == counted[1] and 100 < counted[0][0] < 200 and counted[0][1] <= 2


def test_torch_s_loader_pins_the_tensors_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, pinned = batch_of(idm(), 2), []
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor.clone())  # needs a GPU
    found = torch.utils.data._utils.pin_memory.pin_memory(batch)
    assert isinstance(found, Batch) and len(pinned) == 3 and found.refs == batch.refs
    assert all(one is not other for one, other in zip(pinned, (found.frames, found.pads, found.weight), strict=True))


class _Reads(TorchFunctionMode):
    """Counts the numbers that are read from tensors, but not the optimiser's own counts of steps, which no GPU holds."""

    HOW = (Tensor.tolist, Tensor.item, Tensor.numpy, Tensor.cpu, Tensor.__float__, Tensor.__int__, Tensor.__bool__)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self.HOW:
            self.found.append(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("parts", [1, 2])
def test_a_training_step_reads_its_numbers_at_once(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrainSettings(accumulate=parts)
    model = idm()
    trainer = _Trainer(start(settings), model, settings, None)
    batch = batch_of(model, 4)
    trainer.step(batch, 0)
    with _Reads() as reads:
        monkeypatch.setattr(trainer.prepared, "step", lambda: None)
        logs = trainer.step(batch, 1)
    assert reads.found == ["tolist"] * parts, "one for all that is logged; with parts, one more for their shares"
    assert {"loss", "gradient_norm", "buttons", "stick_mean"} <= logs.keys() and all(np.isfinite(list(logs.values())))

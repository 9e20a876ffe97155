"""The validation loss: a model in training measured on footage held out, and alike on what it learns from, so that the gap shows.

Both are the model's own loss as it would be published now: averaged weights, evaluation mode (no dropout, no augmentation), on windows
spread evenly over the footage and noise that follows from the seed. So neither the training nor any of its draws is touched, and a run
that was killed, or has another number of processes, measures the same. Reads and writes RUN/validation.json. At most `BATCHES` batches
of each kind are looked at, without gradients: every 100 steps that is about 3 % of the time of a training (reckoned).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from torch.distributed.fsdp import FSDPModule

from ghostpad.base.files import read_json, write_json
from ghostpad.feed.batch import collate
from ghostpad.feed.dataset import WindowDataset
from ghostpad.feed.footage import Footage
from ghostpad.train.model import Model
from ghostpad.train.optim import Ema
from ghostpad.train.parallel import in_parts

BATCHES = 4
"""Batches of each kind that are measured, at most (a guess at what is worth its time)."""


class Validation:
    """Measures losses and keeps them in `run`/validation.json; without footage held out it does nothing.

    learned, held_out  footage of the first group that is learned from, and footage that is not
    size, parts        windows of a batch over all processes, and parts that a process computes its own in
    """

    def __init__(self, run: Path, learned: Sequence[Footage], held_out: Sequence[Footage], model: Model, size: int, parts: int, seed: int):
        self.path, self.size, self.parts, self.seed = run / "validation.json", size, parts, seed
        self.dataset = WindowDataset([learned, held_out], model.window)
        self.losses: list[dict[str, float]] = []

    def resume(self, step: int) -> None:
        """Take up what an earlier process measured in its first `step` steps."""
        if step and self.path.exists():
            self.losses = [row for row in read_json(self.path)["losses"] if row["step"] <= step]

    def measure(self, accelerator: Accelerator, model: Model, ema: Ema, step: int) -> dict[str, float]:
        """The losses after `step` steps by name, for the log; all processes must call it."""
        if not all(self.dataset.sizes):
            return {}
        with _as_published(model, ema):
            learned, held_out = (self._loss(accelerator, model, group) for group in (0, 1))
        self.losses.append({"step": step, "learned": learned, "held_out": held_out})
        if accelerator.is_main_process:
            windows = [len(self._windows(group)) for group in (0, 1)]
            write_json(self.path, {"windows": {"learned": windows[0], "held_out": windows[1]}, "losses": self.losses})
        return {"validation_loss": held_out, "learned_loss": learned}

    def __str__(self) -> str:
        if not self.losses:
            return "no validation loss, as no video is held out (data.validation_share)"
        return f"validation loss {self.losses[-1]['held_out']:.4g} on held-out videos, {self.losses[-1]['learned']:.4g} on learned ones"

    def _windows(self, group: int) -> np.ndarray:
        """Indices of the windows of a group that are measured: whole batches, spread evenly, repeated where there are too few."""
        windows = self.dataset.sizes[group]
        count = self.size * min(BATCHES, -(-windows // self.size))
        return np.arange(count) * windows // count

    def _loss(self, accelerator: Accelerator, model: Model, group: int) -> float:
        """The mean by weight over the batches of a group, each spread over all of its footage."""
        windows, total, weight = self._windows(group), 0.0, 0.0
        for number in range(len(windows) // self.size):
            mine = windows[number :: len(windows) // self.size][accelerator.process_index :: accelerator.num_processes]
            batch = collate([self.dataset[group, int(index)] for index in mine])
            loss, weighs = torch.zeros((), device=accelerator.device), float(accelerator.reduce(model.weigh(batch).to(accelerator.device)))
            for piece, share, generator in in_parts(accelerator, model, batch, self.seed + number, self.parts):
                with accelerator.autocast():
                    loss = loss + share * model(piece, generator)[0].detach()
            total, weight = total + weighs * float(accelerator.reduce(loss, reduction="mean")), weight + weighs
        return total / max(weight, 1e-6)


@contextmanager
def _as_published(model: Model, ema: Ema) -> Iterator[None]:
    """The model with its averaged weights, in evaluation mode and without gradients; afterwards it is bit for bit as before."""
    modes: list[tuple[nn.Module, bool]] = [(module, module.training) for module in model.modules()]
    ema.swap(model)
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        if isinstance(model, FSDPModule):
            model.reshard()  # of the root, which keeps its weights whole for a backward pass that does not come
        ema.swap(model)
        for module, mode in modes:
            module.training = mode

"""The validation loss: a model in training measured on held-out footage, and in the same way on what it learns from, to show the gap.

Both are the loss of the model as it would be published now: averaged weights, evaluation mode (no dropout, no augmentation), on windows
spread evenly over the footage and with noise that follows from the seed. So training is not changed by being measured, and a run that was
killed, or has another number of processes, measures the same. Reads and writes RUN/validation.json. At most `BATCHES` batches of each kind
are measured, without gradients: every 100 steps that is about 3 % of the time of a training (reckoned).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch.distributed.fsdp import FSDPModule

from ghostpad.base.files import read_json, write_json
from ghostpad.feed.batch import collate
from ghostpad.feed.dataset import WindowDataset
from ghostpad.feed.gather import Gathered
from ghostpad.train.model import Model
from ghostpad.train.optim import Ema
from ghostpad.train.parallel import in_parts

BATCHES = 4
"""Batches of each kind that are measured, at most (a guess at what is worth its time)."""


class Validation:
    """Measures losses after some steps and keeps them in `run`/validation.json; without held-out footage it does nothing.

    size, parts  windows of a batch over all processes, and parts in which each process computes its own
    first        steps that earlier processes made, whose losses are kept
    """

    def __init__(self, run: Path, footage: Gathered, model: Model, size: int, parts: int, seed: int, first: int):
        self.path, self.parts, self.seed = run / "validation.json", parts, seed
        self.dataset = WindowDataset([footage.groups[0], footage.held_out], model.window)
        self.batches = {name: _spread(count, size) for name, count in zip(("learned", "held_out"), self.dataset.sizes, strict=True)}
        kept = read_json(self.path)["losses"] if first and self.path.exists() else []
        self.losses: list[dict[str, float]] = [row for row in kept if row["step"] <= first]

    def measure(self, accelerator: Accelerator, model: Model, ema: Ema, step: int) -> dict[str, float]:
        """The losses after `step` steps by name, for the log; all processes must call it."""
        if not all(self.dataset.sizes):
            return {}
        with _as_published(model, ema):
            losses = {name: self._loss(accelerator, model, group, *self.batches[name]) for group, name in enumerate(self.batches)}
        self.losses.append({"step": step} | losses)
        if accelerator.is_main_process:
            write_json(self.path, {"windows": {name: each.size for name, each in self.batches.items()}, "losses": self.losses})
        return {"validation_loss": losses["held_out"], "learned_loss": losses["learned"]}

    def __str__(self) -> str:
        if not self.losses:
            return "no validation loss, as no video is held out (data.validation_share)"
        return f"validation loss {self.losses[-1]['held_out']:.4g} on held-out videos, {self.losses[-1]['learned']:.4g} on learned ones"

    def _loss(self, accelerator: Accelerator, model: Model, group: int, *batches: np.ndarray) -> float:
        """The mean by weight over batches of windows of a group."""
        total, weight = 0.0, 0.0
        for number, windows in enumerate(batches):
            mine = windows[accelerator.process_index :: accelerator.num_processes]
            batch = collate([self.dataset[group, int(index)] for index in mine])
            loss, weighs = torch.zeros((), device=accelerator.device), float(accelerator.reduce(model.weigh(batch).to(accelerator.device)))
            for piece, share, generator in in_parts(accelerator, model, batch, self.seed + number, self.parts):
                with accelerator.autocast():
                    loss = loss + share * model(piece, generator)[0].detach()
            total, weight = total + weighs * float(accelerator.reduce(loss, reduction="mean")), weight + weighs
        return total / max(weight, 1e-6)


def _spread(windows: int, size: int) -> np.ndarray:
    """Windows to measure as int64 [batches, size]: each batch spread evenly over all of them, repeated where there are too few."""
    batches = min(BATCHES, -(-windows // size))
    return (np.arange(batches * size) * windows // (batches * size)).reshape(size, batches).T if windows else np.zeros((0, size), np.int64)


@contextmanager
def _as_published(model: Model, ema: Ema) -> Iterator[None]:
    """The model with its averaged weights, in evaluation mode and without gradients; afterwards it is bit for bit as before."""
    modes = [(module, module.training) for module in model.modules()]
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

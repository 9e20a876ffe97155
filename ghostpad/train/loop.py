"""The one training loop: batches in the order of (seed, step), a finite loss or none, a checkpoint now and then, weights at the end.

Started plainly it is one process; under `torchrun --nproc_per_node N` accelerate makes it N (`accelerate launch --cpu` silently
starts one: measured). Every random draw of a step comes from (seed, step), so a killed run continues to the same weights.
"""

import math
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from ghostpad.base.errors import TrainingError
from ghostpad.base.files import locked
from ghostpad.base.progress import progress
from ghostpad.base.settings import fingerprint
from ghostpad.feed.batch import Batch
from ghostpad.feed.dataset import WindowDataset, batches
from ghostpad.feed.footage import Footage
from ghostpad.feed.order import Order
from ghostpad.feed.settings import DataSettings
from ghostpad.train.checkpoint import claim, describe, load_checkpoint, load_model, publish, save_checkpoint
from ghostpad.train.model import Model, model_class
from ghostpad.train.optim import Ema, learning_rate, make_optimizer
from ghostpad.train.settings import TrainSettings


@dataclass(frozen=True)
class Training:
    """One training: which model, from what, how long, where to.

    groups   footage in groups that are mixed by `shares` in every batch
    prepare  called with the fresh model: gives it weights to start from, freezes parts of it
    """

    kind: str
    model: Any
    facts: dict[str, Any]
    groups: Sequence[Sequence[Footage]]
    shares: Sequence[float]
    data: DataSettings
    train: TrainSettings
    out: Path
    prepare: Callable[[Model], None] = lambda model: None


def train(training: Training) -> Model:
    """Train to the end, continuing from a checkpoint if there is one, and return the published model.

    Raises `TrainingError` for no windows or a loss that is not finite, `SettingsError` if `out` holds another run.
    """
    settings = training.train
    if settings.threads:
        torch.set_num_threads(settings.threads)
    accelerator = Accelerator(mixed_precision=settings.precision, cpu=not torch.cuda.is_available())
    set_seed(settings.seed)
    model = model_class(training.kind)(training.model, training.facts)
    dataset = WindowDataset(training.groups, model.window)
    if not any(dataset.sizes):
        raise TrainingError("there is nothing to learn from: no video has rows and frames; 'ghostpad status' says what a corpus holds")
    order = Order(dataset.sizes, training.shares, training.data.batch_size, settings.seed)
    # A second process that trains the same run waits here, and then finds it finished.
    with locked(training.out / ".lock") if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            claim(training.out, describe(model, _run_settings(training), data_fingerprint(training.groups)))
        accelerator.wait_for_everyone()
        if not (training.out / "model.safetensors").exists():
            _steps(accelerator, model, dataset, order, training)
        accelerator.wait_for_everyone()
    return load_model(training.out, training.kind)


def _steps(accelerator: Accelerator, model: Model, dataset: WindowDataset, order: Order, training: Training) -> None:
    settings, run = training.train, training.out
    training.prepare(model)
    optimizer = make_optimizer(model, settings)
    model.to(accelerator.device)
    ema = Ema(model, settings.ema)
    first = load_checkpoint(run, model, ema, optimizer)
    wrapped, prepared = accelerator.prepare(model, optimizer)
    writer = _writer(run, first) if accelerator.is_main_process else None
    feed = batches(
        dataset, order, first, settings.steps,
        workers=training.data.workers, rank=accelerator.process_index, ranks=accelerator.num_processes,
    )  # fmt: skip
    with progress(f"train {training.kind}", settings.steps, "steps", first) as advance:
        for step, batch in enumerate(feed, first):
            logs = _step(accelerator, wrapped, prepared, batch, step, settings)
            ema.update(model, step)
            if writer and (step % settings.log_every == 0 or step + 1 == settings.steps):
                for name, value in logs.items():
                    writer.add_scalar(name, value, step)
            if accelerator.is_main_process and (step + 1) % settings.checkpoint_every == 0 and step + 1 < settings.steps:
                save_checkpoint(run, step + 1, model, ema, optimizer)
            advance(1)
    if writer:
        writer.close()
    if accelerator.is_main_process:
        publish(run, ema.state(model))


def _step(accelerator: Accelerator, model: Any, optimizer: Any, batch: Batch, step: int, settings: TrainSettings) -> dict[str, float]:
    """One optimiser step; returns what to log. Refuses to move the weights on a loss or gradient that is not finite."""
    seed = hash_seed(settings.seed, step, accelerator.process_index)
    torch.manual_seed(seed)
    generator = torch.Generator(device=accelerator.device).manual_seed(seed)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, settings)
    loss, logs = model(batch.to(accelerator.device), generator)
    accelerator.backward(loss)
    norm = accelerator.clip_grad_norm_(model.parameters(), settings.clip_norm)
    values = {"loss": float(loss.detach()), "gradient_norm": float(norm), **{name: float(value) for name, value in logs.items()}}
    if not (math.isfinite(values["loss"]) and math.isfinite(values["gradient_norm"])):
        windows = ", ".join(f"{ref.video}:{ref.row}" for ref in batch.refs[:4])
        raise TrainingError(
            f"step {step}: the loss is {values['loss']} (gradient norm {values['gradient_norm']}) on windows {windows}, ...: "
            "the weights were not changed; lower train.lr or look at those windows"
        )
    optimizer.step()
    optimizer.zero_grad()
    return values


def hash_seed(*parts: int) -> int:
    """A 63-bit seed from integers; nearby inputs give unrelated seeds."""
    return int(fingerprint(*parts), 16) & (2**63 - 1)


def data_fingerprint(groups: Sequence[Sequence[Footage]]) -> str:
    """Twelve hex digits that name what is learned from: videos, row counts, and the sums of rows and weights."""
    return fingerprint(
        [[(clip.video, len(clip.pads), float(clip.pads.sum()), float(clip.weight.sum())) for clip in group] for group in groups]
    )


def _run_settings(training: Training) -> dict[str, Any]:
    return {
        "train": training.train.model_dump(mode="json"),
        "data": training.data.model_dump(mode="json"),
        "shares": list(training.shares),
    }


def _writer(run: Path, first: int) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and only the main process writes

    return SummaryWriter(run / "tensorboard", purge_step=first)

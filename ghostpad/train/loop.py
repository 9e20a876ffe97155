"""The one training loop: batches in the order of (seed, step), checkpoints to resume from, a stop at a loss that is not finite.

It is one process, or N under `torchrun --nproc_per_node N` (`accelerate launch --cpu` silently starts one: measured). The batch of a
step and its random draws follow from (seed, step), whatever the number of processes (but for dropout masks, and for batch norms, which
see the samples of their own process). So a killed run continues to the same weights, and with another number of processes to the same
but for rounding.
"""

import math
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor

from ghostpad.base.errors import SettingsError, TrainingError
from ghostpad.base.files import locked, write_json
from ghostpad.base.progress import progress
from ghostpad.base.settings import fingerprint
from ghostpad.feed.batch import Batch
from ghostpad.feed.dataset import WindowDataset, batches
from ghostpad.feed.footage import Footage
from ghostpad.feed.gather import Gathered
from ghostpad.feed.idle import with_idle_share
from ghostpad.feed.order import Order
from ghostpad.feed.settings import DataSettings
from ghostpad.nn.lora import merged
from ghostpad.train.checkpoint import State, claim, load_checkpoint, load_model, publish, save_checkpoint
from ghostpad.train.model import AnyModel, Model
from ghostpad.train.optim import Ema, learning_rate, load_optimizer_tensors, make_optimizer, optimizer_tensors
from ghostpad.train.parallel import callable_model, gather, in_parts, no_sync, recompute, shard, start, unsharded
from ghostpad.train.settings import RUNTIME_ONLY, TrainSettings
from ghostpad.train.speed import Speed
from ghostpad.train.threads import choose_threads, recorded_threads
from ghostpad.train.validate import Validation


@dataclass(frozen=True)
class Training(Generic[AnyModel]):
    """One training.

    model    the class of the model; `settings` are those it is built from
    footage  what is learned from, mixed by `data.truth_share`, and what is held out for the validation loss
    prepare  called with the fresh model: gives it weights to start from, freezes parts of it
    """

    model: type[AnyModel]
    settings: Any
    facts: dict[str, Any]
    footage: Gathered
    data: DataSettings
    train: TrainSettings
    out: Path
    prepare: Callable[[AnyModel], None] = lambda model: None


def train(training: Training[AnyModel]) -> AnyModel:
    """Train to the end, continuing from a checkpoint if there is one, and return the published model.

    Raises `TrainingError` for no windows or a loss that is not finite, `SettingsError` if `out` holds another run or a batch cannot be
    shared.
    """
    settings, data, run, groups = training.train, training.data, training.out, training.footage.groups
    if settings.threads:
        torch.set_num_threads(settings.threads)
    accelerator = start(settings)
    shared = accelerator.num_processes * settings.accumulate
    if data.batch_size % shared:
        raise SettingsError(
            f"data.batch_size is {data.batch_size}: choose a multiple of {shared}, which is processes ({accelerator.num_processes}) "
            f"x train.accumulate ({settings.accumulate})"
        )
    set_seed(settings.seed)
    model = training.model(training.settings, training.facts)
    dataset, shares = WindowDataset(groups, model.window), training.footage.shares(data.truth_share)
    if not any(dataset.sizes):
        raise TrainingError("nothing to learn from: no video has rows and frames; see 'ghostpad corpus status'")
    claimed = {
        "train": settings.model_dump(mode="json", exclude=RUNTIME_ONLY),
        "data": data.model_dump(mode="json", exclude=RUNTIME_ONLY),
        "shares": shares,
    }
    if data.idle_share is not None:
        dataset, shares = with_idle_share(dataset, shares, data.idle_share)
    order = Order([group.layout(data.evenly) for group in dataset.groups], shares, data.batch_size, settings.seed, data.together)
    # A second process that trains the same run waits here, and then finds it finished.
    with locked(run / ".lock") if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            claim(run, model, claimed, data_fingerprint(groups))
        accelerator.wait_for_everyone()
        if not settings.threads and (threads := recorded_threads(run)):
            torch.set_num_threads(threads)
        if not (run / "model.safetensors").exists():
            _train(accelerator, model, dataset.in_files(run / "feed"), order, training)
            accelerator.wait_for_everyone()
            shutil.rmtree(run / "feed", ignore_errors=True)
        accelerator.wait_for_everyone()
    return load_model(run, training.model)


def _train(accelerator: Accelerator, model: Model, dataset: WindowDataset, order: Order, training: Training[Any]) -> None:
    """All steps from the newest checkpoint on; writes all that the run folder holds but `run.json`."""
    settings, run, main = training.train, training.out, accelerator.is_main_process
    training.prepare(model)
    saved = load_checkpoint(run)
    first = saved.step if saved else 0
    if saved:
        model.load_state_dict(saved.model)
    if accelerator.num_processes == 1 and accelerator.device.type == "cpu" and not settings.threads and recorded_threads(run) is None:
        torch.set_num_threads(choose_threads(run, model, next(batches(dataset, order, 0, 1)), settings.steps))
    trainer = _Trainer(accelerator, model, settings, saved)
    validation = Validation(run, training.footage, model, order.batch_size, settings.accumulate, hash_seed(settings.seed), first)
    writer = _writer(run, first) if main else None
    feed = batches(
        dataset, order, first, settings.steps,
        workers=training.footage.workers(training.data.workers), rank=accelerator.process_index, ranks=accelerator.num_processes,
    )  # fmt: skip
    speed = Speed(feed, order.batch_size)
    with progress(f"train {model.kind}", settings.steps, "steps", first) if main else nullcontext(lambda _: None) as advance:
        for step, batch in enumerate(speed, first):
            logs = trainer.step(batch, step)
            last = step + 1 == settings.steps
            logs = trainer.averaged(logs) | speed.since_last() if last or step % settings.log_every == 0 else {}
            if last or (step + 1) % settings.validate_every == 0:
                logs |= validation.measure(accelerator, model, trainer.ema, step + 1)
                if main and not last and validation.losses:
                    print(f"train {model.kind}: step {step + 1}: {validation}", file=sys.stderr, flush=True)
            if writer:
                for name, value in logs.items():
                    writer.add_scalar(name, value, step)
            if (step + 1) % settings.checkpoint_every == 0 and not last:
                state = trainer.state(step + 1)
                if main:
                    save_checkpoint(run, state)
            advance(1)
    weights = gather(trainer.ema.state(model), keep=main)
    if writer:
        writer.close()
        print(f"train {model.kind}: {speed}; {validation}", file=sys.stderr, flush=True)
        write_json(run / "speed.json", speed.facts() | {"processes": accelerator.num_processes, "device": str(accelerator.device.type)})
        publish(run, merged(weights))


class _Trainer:
    """A model where it is trained, with its optimiser and weight average, from the state `saved` on."""

    def __init__(self, accelerator: Accelerator, model: Model, settings: TrainSettings, saved: State | None):
        self.accelerator, self.model, self.settings = accelerator, model, settings
        if settings.recompute:
            recompute(model)
        model.to(accelerator.device)
        if settings.parallel == "fsdp" and accelerator.num_processes > 1:
            shard(model, accelerator)
        self.optimizer, self.ema = make_optimizer(model, settings), Ema(model, settings.ema)
        if saved:
            self.ema.load(saved.ema)
            load_optimizer_tensors(self.optimizer, saved.optimizer)
            if accelerator.scaler is not None:
                accelerator.scaler.load_state_dict(saved.scaler)
        self.call, self.prepared = callable_model(model, accelerator, self.optimizer)

    def step(self, batch: Batch, step: int) -> dict[str, float]:
        """One optimiser step; returns what to log. Leaves the weights as they are where a loss or gradient is not finite."""
        accelerator, settings = self.accelerator, self.settings
        torch.manual_seed(hash_seed(settings.seed, step, accelerator.process_index))  # dropout
        for group in self.prepared.param_groups:
            group["lr"] = learning_rate(step, settings)
        computed = self._gradients(batch, hash_seed(settings.seed, step, 0))
        computed["gradient_norm"] = unsharded(accelerator.clip_grad_norm_(self.model.parameters(), settings.clip_norm))
        # All that the host reads of a step, in one copy: it waits for a GPU once, as it must know them before the weights may change.
        values = dict(zip(computed, torch.stack([value.float() for value in computed.values()]).tolist(), strict=True))
        norm = values["gradient_norm"]
        # fp16 finds its scale by trying: the scaler skips a step whose gradients overflow and halves the scale for the next.
        trying = accelerator.scaler is not None and accelerator.scaler.get_scale() > 1
        if not (math.isfinite(values["loss"]) and (trying or math.isfinite(norm))):
            windows = ", ".join(f"{ref.video}:{ref.row}" for ref in batch.refs[:4])
            raise TrainingError(
                f"step {step}: the loss is {values['loss']} (gradient norm {norm}) on windows {windows}, ...: "
                "the weights were not changed; lower train.lr or look at those windows"
            )
        self.prepared.step()
        self.prepared.zero_grad()
        self.ema.update(self.model, step)
        return values

    def _gradients(self, batch: Batch, seed: int) -> dict[str, Tensor]:
        """Add up the gradients of a batch, part by part; returns the loss and what else to log, where they were computed.

        Each part counts what it weighs in the whole batch, so the sum is the gradient of the batch at once where the loss is one mean (a
        policy's); where it is several means, the parts of each have the same weights.
        """
        values: dict[str, Tensor] = {}
        parts = self.settings.accumulate
        for part, (piece, share, generator) in enumerate(in_parts(self.accelerator, self.model, batch, seed, parts), 1):
            with nullcontext() if part == parts else no_sync(self.call):
                loss, logs = self.call(piece, generator)
                self.accelerator.backward(loss * share)
            for name, value in {"loss": loss.detach(), **logs}.items():
                values[name] = values.get(name, 0.0) + share * value
        return values

    def averaged(self, logs: dict[str, float]) -> dict[str, float]:
        """The mean of each value over the processes."""
        if self.accelerator.num_processes == 1:
            return logs
        mean = self.accelerator.reduce(torch.tensor(list(logs.values()), device=self.accelerator.device), reduction="mean")
        return dict(zip(logs, mean.tolist(), strict=True))

    def state(self, step: int) -> State:
        """What a checkpoint after `step` steps holds; all processes must call it."""
        keep, scaler = self.accelerator.is_main_process, self.accelerator.scaler
        tensors = self.model.state_dict(), self.ema.weights, optimizer_tensors(self.optimizer)
        weights, ema, optimizer = (gather(part, keep) for part in tensors)
        return State(step, weights, ema, optimizer, scaler.state_dict() if scaler else {})


def hash_seed(*parts: int) -> int:
    """A 63-bit seed from integers; nearby inputs give unrelated seeds."""
    return int(fingerprint(*parts), 16) & (2**63 - 1)


def data_fingerprint(groups: Sequence[Sequence[Footage]]) -> str:
    """Twelve hex digits that name what is learned from: videos, row counts, and what their pictures and rows are made of."""
    return fingerprint([[(clip.video, len(clip.pads), clip.mark) for clip in group] for group in groups])


def _writer(run: Path, first: int) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and only the main process writes

    return SummaryWriter(run / "tensorboard", purge_step=first)

"""The one training loop: batches in the order of (seed, step), a finite loss or none, a checkpoint now and then, weights at the end.

Started plainly it is one process; under `torchrun --nproc_per_node N` accelerate makes it N (`accelerate launch --cpu` silently
starts one: measured). The batch of a step and every draw in it come from (seed, step) and not from the number of processes (dropout
masks do, and batch norms see their own process's samples), so a killed run continues to the same weights, and with another number of
processes to the same but for rounding.
"""

import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from ghostpad.base.errors import SettingsError, TrainingError
from ghostpad.base.files import locked, write_json
from ghostpad.base.progress import progress
from ghostpad.base.settings import fingerprint
from ghostpad.feed.batch import Batch
from ghostpad.feed.dataset import WindowDataset, batches
from ghostpad.feed.footage import Footage
from ghostpad.feed.idle import with_idle_share
from ghostpad.feed.order import Order
from ghostpad.feed.settings import DataSettings
from ghostpad.nn.lora import merged
from ghostpad.train.checkpoint import State, claim, describe, load_checkpoint, load_model, publish, save_checkpoint
from ghostpad.train.model import AnyModel, Model
from ghostpad.train.optim import Ema, learning_rate, load_optimizer_tensors, make_optimizer, optimizer_tensors
from ghostpad.train.parallel import callable_model, gather, in_parts, no_sync, recompute, scalar, shard, start
from ghostpad.train.settings import RUNTIME_ONLY, TrainSettings
from ghostpad.train.speed import Speed
from ghostpad.train.threads import choose_threads, recorded_threads
from ghostpad.train.validate import Validation


@dataclass(frozen=True)
class Training(Generic[AnyModel]):
    """One training: which model, from what, how long, where to.

    model    the class of the model; `settings` are those it is built from
    groups   footage in groups that are mixed by `shares` in every batch
    held_out footage for the validation loss alone
    prepare  called with the fresh model: gives it weights to start from, freezes parts of it
    """

    model: type[AnyModel]
    settings: Any
    facts: dict[str, Any]
    groups: Sequence[Sequence[Footage]]
    shares: Sequence[float]
    data: DataSettings
    train: TrainSettings
    out: Path
    prepare: Callable[[AnyModel], None] = lambda model: None
    held_out: Sequence[Footage] = ()


def train(training: Training[AnyModel]) -> AnyModel:
    """Train to the end, continuing from a checkpoint if there is one, and return the published model.

    Raises `TrainingError` for no windows or a loss that is not finite, `SettingsError` if `out` holds another run or a batch cannot be
    shared.
    """
    settings = training.train
    if settings.threads:
        torch.set_num_threads(settings.threads)
    accelerator = start(settings)
    shared, size = accelerator.num_processes * settings.accumulate, training.data.batch_size
    if size % shared:
        raise SettingsError(
            f"data.batch_size is {size}: choose a multiple of {shared}, which is processes ({accelerator.num_processes}) "
            f"x train.accumulate ({settings.accumulate})"
        )
    set_seed(settings.seed)
    model = training.model(training.settings, training.facts)
    dataset = WindowDataset(training.groups, model.window)
    if not any(dataset.sizes):
        raise TrainingError("nothing to learn from: no video has rows and frames; see 'ghostpad corpus status'")
    shares = list(training.shares)
    if training.data.idle_share is not None:
        dataset, shares = with_idle_share(dataset, shares, training.data.idle_share)
    order = Order(dataset.sizes, shares, training.data.batch_size, settings.seed)
    # A second process that trains the same run waits here, and then finds it finished.
    with locked(training.out / ".lock") if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            claim(training.out, describe(model, _run_settings(training), data_fingerprint(training.groups)))
        accelerator.wait_for_everyone()
        if not settings.threads and (kept := recorded_threads(training.out)):
            torch.set_num_threads(kept)
        if not (training.out / "model.safetensors").exists():
            _steps(accelerator, model, dataset, order, training)
        accelerator.wait_for_everyone()
    return load_model(training.out, training.model)


def _steps(accelerator: Accelerator, model: Model, dataset: WindowDataset, order: Order, training: Training[Any]) -> None:
    settings, run, main = training.train, training.out, accelerator.is_main_process
    training.prepare(model)
    saved = load_checkpoint(run)
    if saved:
        model.load_state_dict(saved.model)
    alone_on_cpu = accelerator.num_processes == 1 and accelerator.device.type == "cpu"
    if alone_on_cpu and not settings.threads and recorded_threads(run) is None:
        torch.set_num_threads(choose_threads(run, model, next(batches(dataset, order, 0, 1)), settings.steps))
    optimizer, ema, step_of = _lay_out(accelerator, model, settings, saved)
    first = saved.step if saved else 0
    size, seed = training.data.batch_size, hash_seed(settings.seed)
    validation = Validation(run, training.groups[0], training.held_out, model, size, settings.accumulate, seed)
    validation.resume(first)
    writer = _writer(run, first) if main else None
    feed = batches(
        dataset, order, first, settings.steps,
        workers=training.data.workers, rank=accelerator.process_index, ranks=accelerator.num_processes,
    )  # fmt: skip
    speed = Speed(feed, order.batch_size)
    with progress(f"train {model.kind}", settings.steps, "steps", first) if main else nullcontext(lambda _: None) as advance:
        for step, batch in enumerate(speed, first):
            logs = step_of(batch, step)
            ema.update(model, step)
            last = step + 1 == settings.steps
            logs = _averaged(accelerator, logs) | speed.since_last() if last or step % settings.log_every == 0 else {}
            if last or (step + 1) % settings.validate_every == 0:
                logs |= validation.measure(accelerator, model, ema, step + 1)
                if main and not last and validation.losses:
                    print(f"train {model.kind}: step {step + 1}: {validation}", file=sys.stderr, flush=True)
            if writer:
                for name, value in logs.items():
                    writer.add_scalar(name, value, step)
            if (step + 1) % settings.checkpoint_every == 0 and not last:
                state = _state(accelerator, step + 1, model, ema, optimizer)
                if main:
                    save_checkpoint(run, state)
            advance(1)
    weights = gather(ema.state(model), keep=main)
    if writer:
        writer.close()
        print(f"train {model.kind}: {speed}; {validation}", file=sys.stderr, flush=True)
        write_json(run / "speed.json", speed.facts() | {"processes": accelerator.num_processes, "device": str(accelerator.device.type)})
        publish(run, merged(weights))


Step = Callable[[Batch, int], dict[str, float]]
"""Takes the batch and the number of a step, moves the weights and returns what to log."""


def _lay_out(accelerator: Accelerator, model: Model, settings: TrainSettings, saved: State | None) -> tuple[Any, Ema, Step]:
    """Put the model where it is trained; its optimiser and weight average, as `saved` has them, and what makes a step."""
    if settings.recompute:
        recompute(model)
    model.to(accelerator.device)
    if settings.parallel == "fsdp" and accelerator.num_processes > 1:
        shard(model, accelerator)
    optimizer, ema = make_optimizer(model, settings), Ema(model, settings.ema)
    if saved:
        ema.load(saved.ema)
        load_optimizer_tensors(optimizer, saved.optimizer)
        if accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(saved.scaler)
    call, prepared = callable_model(model, accelerator, optimizer)

    def step_of(batch: Batch, step: int) -> dict[str, float]:
        return _step(accelerator, call, model, prepared, batch, step, settings)

    return optimizer, ema, step_of


def _state(accelerator: Accelerator, step: int, model: Model, ema: Ema, optimizer: Any) -> State:
    main = accelerator.is_main_process
    scaler = {} if accelerator.scaler is None else accelerator.scaler.state_dict()
    return State(step, gather(model.state_dict(), main), gather(ema.weights, main), gather(optimizer_tensors(optimizer), main), scaler)


def _step(
    accelerator: Accelerator, call: Callable[..., Any], model: Model, optimizer: Any, batch: Batch, step: int, settings: TrainSettings
) -> dict[str, float]:
    """One optimiser step; returns what to log. Refuses to move the weights on a loss or gradient that is not finite."""
    torch.manual_seed(hash_seed(settings.seed, step, accelerator.process_index))  # dropout
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, settings)
    values = _gradients(accelerator, call, model, batch, hash_seed(settings.seed, step, 0), settings.accumulate)
    norm = scalar(accelerator.clip_grad_norm_(model.parameters(), settings.clip_norm))
    values["gradient_norm"] = norm
    # fp16 finds its scale by trying: a step whose gradients overflow is skipped by the scaler, and the next tries half the scale.
    trying = accelerator.scaler is not None and accelerator.scaler.get_scale() > 1
    if not (math.isfinite(values["loss"]) and (trying or math.isfinite(norm))):
        windows = ", ".join(f"{ref.video}:{ref.row}" for ref in batch.refs[:4])
        raise TrainingError(
            f"step {step}: the loss is {values['loss']} (gradient norm {norm}) on windows {windows}, ...: "
            "the weights were not changed; lower train.lr or look at those windows"
        )
    optimizer.step()
    optimizer.zero_grad()
    return values


def _gradients(accelerator: Accelerator, call: Callable[..., Any], model: Model, batch: Batch, seed: int, parts: int) -> dict[str, float]:
    """Add up the gradients of a batch, part by part; returns the loss and what else to log.

    Each part counts what it weighs in the whole batch, so the sum is the gradient of the batch at once, where the loss is one mean (a
    policy's); of a loss of several means each part's are weighed alike.
    """
    values: dict[str, float] = {}
    for part, (piece, share, generator) in enumerate(in_parts(accelerator, model, batch, seed, parts), 1):
        with nullcontext() if part == parts else no_sync(call):
            loss, logs = call(piece, generator)
            accelerator.backward(loss * share)
        for name, value in {"loss": loss.detach(), **logs}.items():
            values[name] = values.get(name, 0.0) + share * float(value)
    return values


def _averaged(accelerator: Accelerator, logs: dict[str, float]) -> dict[str, float]:
    """The mean of each value over the processes."""
    if accelerator.num_processes == 1:
        return logs
    mean = accelerator.reduce(torch.tensor(list(logs.values()), device=accelerator.device), reduction="mean")
    return dict(zip(logs, mean.tolist(), strict=True))


def hash_seed(*parts: int) -> int:
    """A 63-bit seed from integers; nearby inputs give unrelated seeds."""
    return int(fingerprint(*parts), 16) & (2**63 - 1)


def data_fingerprint(groups: Sequence[Sequence[Footage]]) -> str:
    """Twelve hex digits that name what is learned from: videos, row counts, and the sums of rows, of weights and of a few pictures."""
    return fingerprint([[_clip_facts(clip) for clip in group] for group in groups])


def _clip_facts(clip: Footage) -> tuple[str, int, float, float, int]:
    few = clip.frames[:: max(1, len(clip.frames) // 8)]  # all of them would be read from the disk
    return clip.video, len(clip.pads), float(clip.pads.sum()), float(clip.weight.sum()), int(few.sum(dtype=np.int64))


def _run_settings(training: Training[Any]) -> dict[str, Any]:
    return {
        "train": training.train.model_dump(mode="json", exclude=set(RUNTIME_ONLY)),
        "data": training.data.model_dump(mode="json", exclude=set(RUNTIME_ONLY)),
        "shares": list(training.shares),
    }


def _writer(run: Path, first: int) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and only the main process writes

    return SummaryWriter(run / "tensorboard", purge_step=first)

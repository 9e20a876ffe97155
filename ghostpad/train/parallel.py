"""How a model lies in the processes that train it together: a copy in each (DDP), or a shard of every weight in each (FSDP2).

With FSDP2 the weights, gradients, optimiser state and weight average of a process are 1/R of the model's; a layer is whole only while
it computes. Shards are torch's DTensors under the model's own names, so a checkpoint is gathered to the same files whatever wrote it.
accelerate shards on GPUs alone; torch's `fully_shard`, which it calls, also runs on CPUs (gloo), so it is called here.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils.checkpoint import checkpoint

from ghostpad.base.errors import SettingsError
from ghostpad.feed.batch import Batch
from ghostpad.nn.distributed import PartGenerator
from ghostpad.train.model import Model
from ghostpad.train.settings import TrainSettings


def start(settings: TrainSettings) -> Accelerator:
    """The processes of this training, which are this one alone unless torchrun started it. Raises `SettingsError` for no such precision."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()  # accelerate keeps the first training's precision for the life of the process
    cpu = not torch.cuda.is_available()
    if settings.precision == "fp16" and (cpu or settings.parallel == "fsdp"):
        raise SettingsError("train.precision is 'fp16', which needs a GPU and train.parallel=ddp: choose 'bf16'")
    return Accelerator(mixed_precision=settings.precision, cpu=cpu)


def layers(model: nn.Module) -> list[nn.Module]:
    """The layers that repeat: members of a `ModuleList`, or of a `Sequential` that has no torch module in it; no layer within a layer."""
    found: list[nn.Module] = []
    for child in model.children():
        own = [not type(part).__module__.startswith("torch.nn") for part in child.children()]
        repeats = isinstance(child, nn.ModuleList | nn.Sequential) and own and all(own)
        found += list(child.children()) if repeats else layers(child)
    return found


def recompute(model: nn.Module) -> None:
    """Let every layer keep its inputs alone, and compute again what its gradients need."""
    for layer in layers(model):
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)  # type: ignore[method-assign]


def shard(model: nn.Module, accelerator: Accelerator) -> None:
    """Give each process its part of every weight, in place; a layer is gathered whole when it computes."""
    # torch warns of a layer whose output is a view; it matters to one who then writes into it, which nothing here does.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    for layer in layers(model):
        fully_shard(layer, mesh=mesh)
        if callable(getattr(layer, "read", None)):  # what a layer of the denoiser makes of its context, once for all steps
            register_fsdp_forward_method(layer, "read")
    fully_shard(model, mesh=mesh)


def callable_model(model: nn.Module, accelerator: Accelerator, optimizer: Any) -> tuple[Callable[..., Any], Any]:
    """What to call for the loss, and the optimiser to step, of a model that lies where it should."""
    if isinstance(model, FSDPModule):

        def call(*inputs: Any) -> Any:
            with accelerator.autocast():
                return model(*inputs)

        return call, optimizer
    prepared: tuple[Callable[..., Any], Any] = accelerator.prepare(model, optimizer)
    return prepared


def in_parts(accelerator: Accelerator, model: Model, batch: Batch, seed: int, parts: int) -> Iterator[tuple[Batch, float, PartGenerator]]:
    """This process's batch part by part on its device, with the share that each weighs of the whole batch's part, and its chance.

    Chance comes from `seed`, the same in every process. All processes must call it.
    """
    pieces, shares = [batch.part(part, parts) for part in range(parts)], [1.0]
    if parts > 1:
        weights = accelerator.reduce(torch.stack([model.weigh(piece) for piece in pieces]).to(accelerator.device))
        shares = (weights / weights.sum().clamp(min=1e-6)).tolist()
    for part, (piece, share) in enumerate(zip(pieces, shares, strict=True)):
        generator = PartGenerator(accelerator.device)
        generator.manual_seed(seed)
        generator.part, generator.parts = part, parts
        yield piece.to(accelerator.device), share, generator


def no_sync(call: Any) -> AbstractContextManager[None]:
    """The context of a backward pass after which more gradients are added: copies need to exchange only the sum; shards always do."""
    waiting: AbstractContextManager[None] = call.no_sync() if hasattr(call, "no_sync") else nullcontext()
    return waiting


def gather(tensors: Mapping[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Copies on the CPU of tensors that may lie in shards, each whole; nothing unless `keep`. All processes must call it."""
    found = {}
    for name, value in tensors.items():
        gathered = value.full_tensor() if isinstance(value, DTensor) else value
        if keep:
            found[name] = gathered.detach().cpu().contiguous().clone()
    return found


def shard_like(value: Tensor, pattern: Tensor) -> Tensor:
    """`value`, whole on every process, laid out as `pattern` is. All processes must call it."""
    if isinstance(pattern, DTensor):
        return distribute_tensor(value.to(pattern.device), pattern.device_mesh, pattern.placements)
    return value.to(pattern.device)


def scalar(value: Tensor) -> float:
    """A scalar tensor as a number, which with shards is the sum or mean of all of them."""
    return float(value.full_tensor() if isinstance(value, DTensor) else value)

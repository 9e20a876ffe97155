"""A model in several processes that train it together: a copy in each (DDP), or a shard of every weight in each (FSDP2).

With FSDP2 each of R processes has 1/R of the weights, gradients, optimiser state and weight average; a layer is whole only while it
computes. Shards are torch's DTensors under the model's own names, so that checkpoints are the same files as without them. accelerate
shards on GPUs alone; torch's `fully_shard`, which it calls, also runs on CPUs (gloo), so it is called here.
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
    """The processes of this training: one, unless torchrun started it. Raises `SettingsError` for a precision that the machine lacks."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()  # accelerate keeps the first training's precision for the life of the process
    cpu = not torch.cuda.is_available()
    if settings.precision == "fp16" and (cpu or settings.parallel == "fsdp"):
        raise SettingsError("train.precision is 'fp16', which needs a GPU and train.parallel=ddp: choose 'bf16'")
    return Accelerator(mixed_precision=settings.precision, cpu=cpu)


def layers(model: nn.Module) -> list[nn.Module]:
    """The layers that repeat: members of a `ModuleList`, or of a `Sequential` that has no torch module in it; no layer within a layer."""
    repeated: list[nn.Module] = []
    for child in model.children():
        own = [not type(part).__module__.startswith("torch.nn") for part in child.children()]
        repeats = isinstance(child, nn.ModuleList | nn.Sequential) and own and all(own)
        repeated += list(child.children()) if repeats else layers(child)
    return repeated


def recompute(model: nn.Module) -> None:
    """Let every layer keep only its inputs, and compute again what its gradients need."""
    for layer in layers(model):
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)  # type: ignore[method-assign]


def shard(model: nn.Module, accelerator: Accelerator) -> None:
    """Leave each process its part of every weight, in place; a layer is gathered when it computes."""
    # torch warns of layers whose output is a view, which matters only if it is written into.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    for layer in layers(model):
        fully_shard(layer, mesh=mesh)
        if callable(getattr(layer, "read", None)):  # the keys and values of a denoiser's layer, computed outside its forward
            register_fsdp_forward_method(layer, "read")
    fully_shard(model, mesh=mesh)


def callable_model(model: nn.Module, accelerator: Accelerator, optimizer: Any) -> tuple[Callable[..., Any], Any]:
    """What to call for the loss, and the optimiser to step, of a model that is where it trains."""
    if isinstance(model, FSDPModule):

        def call(*inputs: Any) -> Any:
            with accelerator.autocast():
                return model(*inputs)

        return call, optimizer
    prepared: tuple[Callable[..., Any], Any] = accelerator.prepare(model, optimizer)
    return prepared


def in_parts(accelerator: Accelerator, model: Model, batch: Batch, seed: int, parts: int) -> Iterator[tuple[Batch, float, PartGenerator]]:
    """This process's batch part by part on its device: each with its share of the weight of all, and a generator of its random numbers.

    `seed` is the same in every process. All processes must call it.
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
    """The context of a backward pass that is not the last of a step: copies exchange only the sum of gradients; shards always exchange."""
    waiting: AbstractContextManager[None] = call.no_sync() if hasattr(call, "no_sync") else nullcontext()
    return waiting


def gather(tensors: Mapping[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Copies on the CPU of tensors that may be sharded, each whole; nothing unless `keep`. All processes must call it."""
    copies = {}
    for name, value in tensors.items():
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        if keep:
            copies[name] = whole.detach().cpu().contiguous().clone()
    return copies


def shard_like(value: Tensor, pattern: Tensor) -> Tensor:
    """`value`, whole in every process, sharded as `pattern` is. All processes must call it."""
    if isinstance(pattern, DTensor):
        return distribute_tensor(value.to(pattern.device), pattern.device_mesh, pattern.placements)
    return value.to(pattern.device)


def unsharded(value: Tensor) -> Tensor:
    """A scalar tensor; of a sharded one, its sum or mean over the shards."""
    return value.full_tensor() if isinstance(value, DTensor) else value

"""Random draws and weighted means that are the same whether a batch is computed at once, in parts, or by several processes.

Process r of R holds the samples r, r + R, ... of every batch (`ghostpad.feed.dataset.batches`), and part p of P of it every P-th of
these (`Batch.part`). Random numbers are drawn for the whole batch from one seed, and each part keeps its own; a weighted mean is divided
by the weight in all processes. With one process and one part both are torch's own, bit for bit. Cost: R * P times the (small) draws, and
one number sent for each mean.
"""

import torch
import torch.distributed as dist
from torch import Tensor


def rank_and_world() -> tuple[int, int]:
    """(r, R): which process this is, and of how many."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


class PartGenerator(torch.Generator):
    """A generator for part `part` of `parts` of this process's samples. A plain `torch.Generator` is one for all of them."""

    part, parts = 0, 1


def sample_slice(generator: torch.Generator) -> tuple[int, int]:
    """(v, V): the samples v, v + V, ... of the whole batch are those that `generator` is for."""
    rank, ranks = rank_and_world()
    return (rank + ranks * generator.part, ranks * generator.parts) if isinstance(generator, PartGenerator) else (rank, ranks)


def rand(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Uniform 0...1 float32 `shape` on the generator's device; the first axis runs over the samples it is for."""
    first, every = sample_slice(generator)
    return torch.rand((shape[0] * every, *shape[1:]), generator=generator, device=generator.device)[first::every]


def randn(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard normal float32 `shape` on the generator's device; the first axis runs over the samples it is for."""
    first, every = sample_slice(generator)
    return torch.randn((shape[0] * every, *shape[1:]), generator=generator, device=generator.device)[first::every]


def weighted_mean(each: Tensor, weight: Tensor) -> Tensor:
    """The mean of `each` by `weight` (>= 0, of the same shape), a scalar; 0 where all weights are 0.

    With R processes it is R times this one's part of the mean over all. So the average over processes, as distributed training takes of
    gradients, is that mean, however unevenly the weight is spread.
    """
    total = weight.sum()
    if rank_and_world()[1] > 1:
        total = total.detach().clone()
        dist.all_reduce(total)
        total = total / rank_and_world()[1]
    return (weight * each).sum() / total.clamp(min=1e-6)

"""What makes a batch shared by several processes, or computed part by part, the same as one batch at once: chance, and means by weight.

Process r of R holds the samples r, r + R, ... of every batch (`ghostpad.feed.dataset.batches`), and part p of P of it every P-th of
these (`Batch.part`). Chance is drawn for the whole batch from one seed, and each keeps its own rows of it; a mean by weight is divided
by the weight that all processes hold. With one process and one part both are the plain thing, bit for bit. Cost: R * P times the (small)
draws, and one number sent per mean.
"""

import torch
import torch.distributed as dist
from torch import Tensor


def rank_and_world() -> tuple[int, int]:
    """(r, R): which process this is, and of how many."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)


class PartGenerator(torch.Generator):
    """A source of chance for part `part` of `parts` of this process's samples. A plain `torch.Generator` is one for all of them."""

    part, parts = 0, 1


def sample_slice(generator: torch.Generator) -> tuple[int, int]:
    """(v, V): the samples v, v + V, ... of the whole batch are those that `generator` is for."""
    rank, ranks = rank_and_world()
    return (rank + ranks * generator.part, ranks * generator.parts) if isinstance(generator, PartGenerator) else (rank, ranks)


def rand(shape: tuple[int, ...], generator: torch.Generator, axis: int = 0) -> Tensor:
    """Uniform 0...1 float32 `shape` on the generator's device; `axis` runs over the samples it is for."""
    first, every = sample_slice(generator)
    whole = [size * every if index == axis else size for index, size in enumerate(shape)]
    drawn = torch.rand(whole, generator=generator, device=generator.device)
    return drawn.movedim(axis, 0)[first::every].movedim(0, axis)


def randn(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard normal float32 `shape` on the generator's device; the first axis runs over the samples it is for."""
    first, every = sample_slice(generator)
    return torch.randn((shape[0] * every, *shape[1:]), generator=generator, device=generator.device)[first::every]


def weighted_mean(each: Tensor, weight: Tensor) -> Tensor:
    """The mean of `each` by `weight` (>= 0, of the same shape), a scalar; 0 where everything weighs nothing.

    With R processes it is R times this one's part of the mean over all of them, so the average over processes, which is what
    distributed training takes of gradients, is that mean, however unevenly the weight is spread.
    """
    total = weight.sum()
    if rank_and_world()[1] > 1:
        total = total.detach().clone()
        dist.all_reduce(total)
        total = total / rank_and_world()[1]
    return (weight * each).sum() / total.clamp(min=1e-6)

"""What a chunk costs: the reference's way, which repeats at every step what does not change, beside ours, in one process.

    a      vision once; at each of 16 steps the mixer over its tokens, keys and values of every cross-attention, and the denoiser
    ours   vision, mixer, keys and values once; at each step only the denoiser

Both run the same layers on the same weights, frame and noise, so only the schedule differs. They take turns, because a machine's
speed drifts. The reference computes its vision tower once a chunk too; its own code is not run.
"""

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ghostpad.base.errors import SettingsError
from ghostpad.base.progress import Advance
from ghostpad.nn.flow import sample
from ghostpad.nn.frames import SiglipEncoder
from ghostpad.policy.model import Policy

REFERENCE_STEPS = 16
"""Steps of the reference's sampler (the released configuration)."""

OUR_STEPS = (16, 8, 4)
"""Steps that ours is measured at."""


class Spread(NamedTuple):
    """Least, middle and largest of some measurements."""

    min: float
    median: float
    max: float


def time_chunks(policy: Policy, batch: int, repeats: int, advance: Advance, seed: int = 0) -> dict[str, Any]:
    """Times of chunks for `batch` games at once and how far ours end from (a), on the policy's device; JSON-able.

    reference   {"s": spread}
    ours        by steps: {"s": spread, "faster": spread of (a) / ours of the same round, "deviation": {"mean", "max"}}

    deviation is |ours - (a)| over all numbers of the chunks, in the network's own units (a stick's range and a button are 1).
    """
    if not isinstance(policy.encoder, SiglipEncoder):
        raise SettingsError("this policy has a conv encoder: the reference has no such thing to compare with")
    generator, device = torch.Generator().manual_seed(seed), next(policy.parameters()).device
    side = policy.encoder.side_px
    pixels = (2 * torch.rand(batch, 1, 3, side, side, generator=generator) - 1).to(device)
    noise = policy.draw_noise(batch, generator).to(device)
    ways: dict[str, Callable[[], Tensor]] = {"reference": partial(recomputed, policy, pixels, noise, REFERENCE_STEPS)}
    ways |= {str(steps): partial(policy.sample_batch, pixels, noise, steps=steps) for steps in OUR_STEPS}
    chunks, times = {name: way() for name, way in ways.items()}, {name: list[float]() for name in ways}  # the first of each only warms up
    for _ in range(repeats):
        for name, way in ways.items():
            times[name].append(_seconds(way))
            advance(1)
    wanted = times["reference"]
    ours = {
        str(steps): {
            "s": _spread(times[str(steps)])._asdict(),
            "faster": _spread([a / b for a, b in zip(wanted, times[str(steps)], strict=True)])._asdict(),
            "deviation": _deviation(chunks[str(steps)], chunks["reference"]),
        }
        for steps in OUR_STEPS
    }
    return {"batch": batch, "repeats": repeats, "reference": {"steps": REFERENCE_STEPS, "s": _spread(wanted)._asdict()}, "ours": ours}


@torch.no_grad()
def recomputed(policy: Policy, pixels: Tensor, noise: Tensor, steps: int) -> Tensor:
    """Chunks [B, K, slots] as `Policy.sample_batch` makes them, by the reference's schedule."""
    with policy.precision():
        images = policy.look(pixels)

    def velocity(x: Tensor, time: Tensor) -> Tensor:
        with policy.precision():
            return policy.velocity(x, time, policy.read(images))

    return sample(velocity, noise.unsqueeze(1), steps).squeeze(1)


def gpu_memory_mb() -> float | None:
    """The most memory that torch has held on the GPU so far, MB; None without one."""
    return torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_available() else None


def _seconds(way: Callable[[], Tensor]) -> float:
    start = time.perf_counter()
    way().cpu()  # waits for a GPU
    return time.perf_counter() - start


def _spread(values: list[float]) -> Spread:
    return Spread(min(values), median(values), max(values))


def _deviation(found: Tensor, wanted: Tensor) -> dict[str, float]:
    apart = (found.float() - wanted.float()).abs()
    return {"mean": apart.mean().item(), "max": apart.max().item()}

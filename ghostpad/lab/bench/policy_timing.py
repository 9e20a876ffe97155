"""What a chunk costs: the reference's schedule, which repeats at every step what does not change, beside ours, in one process.

    (a)         vision once; at each of 16 steps the mixer over its tokens, keys and values of every cross-attention, and the denoiser
    unpacked    vision, mixer, keys and values once; at each step only the denoiser
    ours        the same, after `Policy.quicken`: packed layers (CPU), or compiled ones

All use the same weights, frame and noise. They take turns, because a machine's speed drifts. The reference computes its vision tower once a
chunk too; (a) is our code in its schedule, not its own code.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ghostpad.base.errors import SettingsError
from ghostpad.base.progress import Advance, progress
from ghostpad.lab.bench.common import ratios, spread
from ghostpad.nn.flow import sample
from ghostpad.nn.frames import SiglipEncoder
from ghostpad.policy.model import Policy

REFERENCE_STEPS = 16
"""Steps of the reference's sampler (the released configuration)."""

OUR_STEPS = (16, 8, 4)
"""Steps at which ours is measured."""


def time_chunks(policy: Policy, batch: int, repeats: int, compile: bool = False, seed: int = 0) -> dict[str, Any]:
    """Times of chunks for `batch` games at once and how far they are from (a), on the policy's device; JSON-able.

    reference   {"steps", "s": spread}
    unpacked    {"steps", "s": spread, "faster": spread of (a) / this of the same round, "deviation": {"mean", "max"}}
    ours        a list of the same, one entry a number of steps

    deviation is |ours - (a)| over all numbers of the chunks, in the network's own units (a stick's range and a button are 1).
    """
    if not isinstance(policy.encoder, SiglipEncoder):
        raise SettingsError("this policy has a conv encoder, which the reference lacks: name a run with a SigLIP encoder")
    generator, device = torch.Generator().manual_seed(seed), policy.device
    side = policy.encoder.side_px
    pixels = (2 * torch.rand(batch, 1, 3, side, side, generator=generator) - 1).to(device)
    noise = policy.draw_noise(batch, generator).to(device)
    quick = _twin(policy).quicken(pack=not (policy.bf16 or compile), bf16=policy.bf16, compile=compile)
    ways: list[Callable[[], Tensor]] = [partial(recomputed, policy, pixels, noise, REFERENCE_STEPS)]
    ways.append(partial(policy.sample_batch, pixels, noise, steps=REFERENCE_STEPS, guidance=0.0))
    ways += [partial(quick.sample_batch, pixels, noise, steps=steps, guidance=0.0) for steps in OUR_STEPS]
    chunks = [way() for way in ways]  # the first of each only warms up
    with progress("measure", repeats * len(ways), "chunks") as advance:
        rounds = [[_seconds(way, advance) for way in ways] for _ in range(repeats)]
    reference_s, *others = zip(*rounds, strict=True)
    ours = []
    for steps, times_s, chunk in zip((REFERENCE_STEPS, *OUR_STEPS), others, chunks[1:], strict=True):
        apart = (chunk.float() - chunks[0].float()).abs()
        deviation = {"mean": apart.mean().item(), "max": apart.max().item()}
        ours.append({"steps": steps, "s": spread(times_s), "faster": ratios(reference_s, times_s), "deviation": deviation})
    reference = {"steps": REFERENCE_STEPS, "s": spread(reference_s)}
    return {"batch": batch, "repeats": repeats, "reference": reference, "unpacked": ours[0], "ours": ours[1:]}


@torch.no_grad()
def recomputed(policy: Policy, pixels: Tensor, noise: Tensor, steps: int) -> Tensor:
    """Chunks [B, K, slots] as `Policy.sample_batch` makes them, by the reference's schedule."""
    images = policy.look(pixels)
    with policy.precision():
        return sample(lambda x, time: policy.velocity(x, time, policy.read(images)), noise.unsqueeze(1), steps).squeeze(1)


def _twin(policy: Policy) -> Policy:
    """Another policy over the same weights, in evaluation mode."""
    twin = Policy.on_meta(policy.settings, policy.facts)
    twin.load_state_dict(policy.state_dict(), assign=True)
    twin.to(policy.device).eval()  # for buffers that no checkpoint holds; the weights are there
    return twin


def _seconds(way: Callable[[], Tensor], advance: Advance) -> float:
    start = time.perf_counter()
    way().cpu()  # waits for a GPU
    advance(1)
    return time.perf_counter() - start

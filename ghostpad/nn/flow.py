"""Flow matching: learn the velocity that carries noise to data along straight lines, then follow it.

The convention: **t = 0 is noise, t = 1 is data**, x_t = (1 - t) noise + t clean, velocity = clean - noise at every t. Source: the reference
policy (NitroGen / GR00T N1), whose training times are (1 - b) * 0.999 with b ~ Beta(1.5, 1), so that the noisy end, where the choice
between actions is made, is seen most. Nothing here has weights.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ghostpad.nn.distributed import rand, sample_slice, weighted_mean

LATEST_TIME = 0.999
"""Training times stay below this (the reference's `noise_s`)."""


def make_path(clean: Tensor, noise: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
    """The point of each path at its time and the target velocity, both shaped like `noise`.

    `clean` and `noise` broadcast against each other; `time`, 0...1, has their leading axes.
    """
    time = time.reshape(time.shape + (1,) * (noise.ndim - time.ndim))
    return torch.lerp(noise, clean.expand_as(noise), time), clean - noise


def velocity_loss(predicted: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean squared error, a scalar: numbers of weight 0 give no gradient; 0 when every weight is 0.

    `weight`, >= 0, broadcasts against the velocities.
    """
    return weighted_mean((predicted - wanted).square(), weight.expand_as(wanted))


def draw_times(shape: tuple[int, ...], alpha: float, generator: torch.Generator, beta: float = 1.0, latest: float = LATEST_TIME) -> Tensor:
    """Training times float32 `shape` in 0...`latest`: (1 - b) * `latest` with b ~ Beta(alpha, beta).

    With `beta` 1, `alpha` 1 is uniform and above 1 prefers the noisy end; a `beta` below 1 prefers it more. On the generator's device.
    """
    if beta == 1:
        uniform = rand(shape, generator)
        return (1 - uniform ** (1 / alpha)) * latest  # u^(1/alpha) is Beta(alpha, 1), by its inverse distribution
    first, every = sample_slice(generator)
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    drawn = np.random.default_rng(seed).beta(alpha, beta, (shape[0] * every, *shape[1:]))[first::every]  # torch's takes no generator
    return torch.as_tensor((1 - drawn) * latest, dtype=torch.float32, device=generator.device)


def sample(velocity: Callable[[Tensor, Tensor], Tensor], noise: Tensor, steps: int) -> Tensor:
    """Follow `velocity(x, time)` from `noise` at t = 0 to t = 1 in `steps` equal Euler steps; shaped like `noise`.

    `time` is a scalar tensor.
    """
    x = noise
    for step in range(steps):
        x = x + velocity(x, torch.full((), step / steps, dtype=noise.dtype, device=noise.device)) / steps
    return x

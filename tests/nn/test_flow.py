"""Flow matching: the path and its velocity, Euler with the exact velocity, the loss against a plain sum, times against their law."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostpad.nn.flow import LATEST_TIME, draw_times, make_path, sample, velocity_loss


def test_a_path_runs_straight_from_noise_to_data() -> None:
    clean, noise = torch.randn(5, 1, 3, 2), torch.randn(5, 4, 3, 2)
    for value, end in ((0.0, noise), (1.0, clean.expand(5, 4, 3, 2))):
        point, _ = make_path(clean, noise, torch.full((5, 4), value))
        assert torch.allclose(point, end)
    time = torch.rand(5, 4)
    (point, velocity), (later, _) = make_path(clean, noise, time), make_path(clean, noise, time + 0.25)
    assert torch.allclose(later, point + 0.25 * velocity, atol=1e-6)
    assert torch.allclose(point[2, 3], (1 - time[2, 3]) * noise[2, 3] + time[2, 3] * clean[2, 0], atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(steps=st.integers(1, 20), seed=st.integers(0, 1000))
def test_euler_with_the_exact_velocity_finds_the_data(steps: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    clean, noise = (torch.randn(3, 4, generator=generator) for _ in range(2))
    # The velocity of the path that ends in `clean`, from wherever x is.
    found = sample(lambda x, time: (clean - x) / (1 - time), noise, steps)
    assert torch.allclose(found, clean, atol=1e-4)


def test_the_sampler_asks_at_equally_spaced_times_from_zero() -> None:
    asked: list[float] = []

    def velocity(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        asked.append(float(time))
        return torch.ones_like(x)

    assert torch.allclose(sample(velocity, torch.zeros(2), 4), torch.ones(2))
    assert asked == [0.0, 0.25, 0.5, 0.75]


def test_the_loss_is_the_weighted_mean_and_weight_zero_has_no_gradient() -> None:
    predicted = torch.randn(4, 6, 3, requires_grad=True)
    wanted, weight = torch.randn(4, 6, 3), torch.rand(4, 1, 3) * torch.tensor([1.0, 0.0, 2.0])
    loss = velocity_loss(predicted, wanted, weight)
    whole = np.broadcast_to(weight.numpy(), (4, 6, 3))
    assert loss.item() == pytest.approx(np.average((predicted.detach() - wanted).numpy() ** 2, weights=whole), rel=1e-5)
    loss.backward()
    assert predicted.grad is not None
    assert not predicted.grad[..., 1].any() and predicted.grad[..., 0].all()


def test_a_batch_that_knows_nothing_costs_nothing() -> None:
    predicted = torch.randn(2, 3, requires_grad=True)
    loss = velocity_loss(predicted, torch.randn(2, 3), torch.zeros(2, 3))
    loss.backward()
    assert loss.item() == 0 and predicted.grad is not None and not predicted.grad.any()


@pytest.mark.parametrize("alpha", [1.0, 1.5, 3.0])
def test_times_follow_the_beta_law_and_the_seed(alpha: float) -> None:
    def draw() -> torch.Tensor:
        return draw_times((100, 200), alpha, torch.Generator().manual_seed(1))

    times = draw()
    reference = (1 - np.random.default_rng(0).beta(alpha, 1, 20_000)) * LATEST_TIME
    ranks = [0.05, 0.25, 0.5, 0.75, 0.95]
    assert np.allclose(np.quantile(times.numpy(), ranks), np.quantile(reference, ranks), atol=0.02)
    assert times.min() >= 0 and times.max() < 1
    assert torch.equal(times, draw())


def test_the_beta_law_with_both_numbers_and_another_latest_time() -> None:
    times = draw_times((100, 200), 1.6, torch.Generator().manual_seed(1), 0.8, 0.9)
    reference = (1 - np.random.default_rng(0).beta(1.6, 0.8, 20_000)) * 0.9
    ranks = [0.05, 0.25, 0.5, 0.75, 0.95]
    assert times.dtype == torch.float32 and times.min() >= 0 and times.max() <= 0.9
    assert np.allclose(np.quantile(times.numpy(), ranks), np.quantile(reference, ranks), atol=0.02)
    assert torch.equal(times, draw_times((100, 200), 1.6, torch.Generator().manual_seed(1), 0.8, 0.9))

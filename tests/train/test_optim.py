"""The schedule and the weight average: pure functions of the step."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ghostpad.train.optim import Ema, learning_rate, load_optimizer_tensors, make_optimizer, optimizer_tensors
from ghostpad.train.settings import TrainSettings


def test_the_rate_warms_up_stays_and_falls() -> None:
    settings = TrainSettings(steps=100, lr=1.0, warmup_steps=10, decay_share=0.2)
    rates = [learning_rate(step, settings) for step in range(100)]
    assert rates[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert rates[10:81] == [1.0] * 71
    assert rates[80:] == pytest.approx([(100 - step) / 20 for step in range(80, 100)])


@given(st.integers(1, 300), st.integers(0, 400), st.floats(0, 1))
def test_the_rate_is_never_zero_nor_above_its_peak(steps: int, warmup: int, decay: float) -> None:
    settings = TrainSettings(steps=steps, lr=0.5, warmup_steps=warmup, decay_share=decay)
    assert all(0 < learning_rate(step, settings) <= 0.5 for step in range(steps))


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_the_average_is_the_recurrence_it_says(decay: float) -> None:
    model = nn.Linear(2, 2)
    ema = Ema(model, decay)
    wanted = model.weight.detach().double().clone()
    for step in range(60):
        with torch.no_grad():
            model.weight.normal_(generator=torch.Generator().manual_seed(step))
        ema.update(model, step)
        share = min(decay, (1 + step) / (10 + step)) if decay else 0.0
        wanted = share * wanted + (1 - share) * model.weight.detach().double()
    torch.testing.assert_close(ema.state(model)["weight"].double(), wanted, atol=1e-5, rtol=0)
    if decay == 0:
        assert torch.equal(ema.state(model)["weight"], model.weight)


def test_the_published_state_has_the_models_buffers_and_frozen_weights() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))
    model[1].bias.requires_grad_(False)
    state = Ema(model, 0.9).state(model)
    assert state.keys() == model.state_dict().keys() and "1.bias" not in Ema(model, 0.9).weights


def test_biases_and_norms_do_not_decay() -> None:
    model = nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 2))
    matrices, rest = make_optimizer(model, TrainSettings(weight_decay=0.1)).param_groups
    assert (len(matrices["params"]), matrices["weight_decay"], len(rest["params"]), rest["weight_decay"]) == (1, 0.1, 3, 0.0)


def test_an_optimizer_goes_on_from_its_tensors_as_if_never_stopped() -> None:
    torch.manual_seed(0)
    model, x = nn.Linear(4, 1), torch.randn(10, 4)

    def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        model(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    optimizer = make_optimizer(model, TrainSettings())
    for _ in range(3):
        step(model, optimizer)
    other = copy.deepcopy(model)
    resumed = make_optimizer(other, TrainSettings())
    load_optimizer_tensors(resumed, {name: value.clone() for name, value in optimizer_tensors(optimizer).items()})  # as read from a file
    for _ in range(3):
        step(model, optimizer)
        step(other, resumed)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))

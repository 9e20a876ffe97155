"""LoRA: nothing changes until it learns, only thin matrices learn, and what it learned becomes part of the ordinary weights."""

import copy

import pytest
import torch
from torch import Tensor, nn

from ghostpad.nn.lora import LoraLinear, add_lora, merged
from ghostpad.nn.transformer import Block


class Quantised(nn.Linear):
    """A linear layer of another kind, whose forward is its own."""


def block() -> Block:
    torch.manual_seed(0)
    return Block(16, 2)


def learn(model: nn.Module, x: Tensor, steps: int = 5) -> None:
    optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], 0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        (model(x) - 1).square().mean().backward()
        optimizer.step()


def test_the_function_is_the_same_until_it_learns() -> None:
    plain, x = block(), torch.randn(2, 5, 16)
    adapted = copy.deepcopy(plain)
    assert add_lora(adapted, 4) == 5  # to_q, to_kv, out and two of the feed-forward
    assert torch.equal(adapted(x), plain(x))
    assert {name: value.shape for name, value in merged(adapted.state_dict()).items()} == {
        name: value.shape for name, value in plain.state_dict().items()
    }


def test_only_thin_matrices_learn_and_what_they_learned_is_merged() -> None:
    plain, x = block(), torch.randn(2, 5, 16)
    adapted = copy.deepcopy(plain)
    add_lora(adapted, 3)
    learned = {name for name, weight in adapted.named_parameters() if weight.requires_grad}
    assert learned == {f"{owner}.{part}" for owner in ("attention.to_q", "attention.to_kv", "attention.out", "feed.0", "feed.2")
                       for part in ("lora_down", "lora_up")}  # fmt: skip
    learn(adapted, x)
    state = adapted.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in plain.state_dict().items())
    together = merged(state)
    change = together["feed.0.weight"] - plain.feed[0].weight
    assert change.abs().max() > 1e-3 and torch.linalg.matrix_rank(change, atol=1e-5) <= 3
    ordinary = block()
    ordinary.load_state_dict(together)
    torch.testing.assert_close(ordinary(x), adapted(x), rtol=1e-5, atol=1e-5)


def test_a_lone_layer_half_precision_and_layers_without_bias() -> None:
    layer = LoraLinear(nn.Linear(6, 4, bias=False).to(torch.bfloat16), 2)
    nn.init.normal_(layer.lora_up)
    state = merged(layer.state_dict())
    assert state.keys() == {"weight"} and state["weight"].dtype == torch.bfloat16
    wanted = layer.weight.float() + layer.lora_up.float() @ layer.lora_down.float()
    torch.testing.assert_close(state["weight"].float(), wanted, rtol=1e-2, atol=1e-2)


def test_layers_of_another_kind_and_states_without_lora_are_left_alone() -> None:
    model = nn.Sequential(Quantised(4, 4), nn.Conv2d(1, 2, 3))
    assert add_lora(model, 2) == 0 and not any(weight.requires_grad for weight in model.parameters())
    state = model.state_dict()
    assert merged(state) == state


@pytest.mark.parametrize("rank", [1, 40])
def test_any_rank_works(rank: int) -> None:
    model = block()
    add_lora(model, rank)
    learn(model, torch.randn(2, 5, 16), 2)
    assert all(torch.isfinite(value).all() for value in merged(model.state_dict()).values())


def test_layers_that_did_not_learn_before_get_none() -> None:
    """Such as the head of a vision tower that nobody reads: weights without a gradient stall distributed training."""
    model = nn.ModuleDict({"read": nn.Linear(4, 4), "unread": nn.Linear(4, 4).requires_grad_(False)})
    assert add_lora(model, 2) == 1
    assert type(model["unread"]) is nn.Linear and isinstance(model["read"], LoraLinear)

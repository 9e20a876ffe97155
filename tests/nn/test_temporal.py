"""Blocks over time reach exactly as far as they say, so a long video can be read in pieces."""

import pytest
import torch
from torch import nn

from ghostpad.nn.temporal import LocalAttention, LocalConv

LENGTH, DIM = 25, 8


def block(kind: str, reach: int) -> nn.Module:
    torch.manual_seed(0)
    return (LocalConv(DIM, reach) if kind == "conv" else LocalAttention(DIM, 2, reach, 0.0)).eval()


@pytest.mark.parametrize("kind", ["conv", "attention"])
@pytest.mark.parametrize("reach", [1, 3, 6])
def test_a_step_depends_on_exactly_reach_steps_each_way(kind: str, reach: int) -> None:
    x = torch.randn(1, LENGTH, DIM, generator=torch.Generator().manual_seed(1), requires_grad=True)
    (of_middle,) = torch.autograd.grad(block(kind, reach)(x)[0, LENGTH // 2].square().sum(), x)
    seen = torch.nonzero(of_middle[0].abs().sum(1)).flatten().tolist()
    assert seen == list(range(LENGTH // 2 - reach, LENGTH // 2 + reach + 1))


@pytest.mark.parametrize("kind", ["conv", "attention"])
def test_the_middle_of_a_long_sequence_is_that_of_a_piece_with_its_reach(kind: str) -> None:
    layer, x = block(kind, 3), torch.randn(2, LENGTH, DIM)
    torch.testing.assert_close(layer(x)[:, 8:15], layer(x[:, 5:18])[:, 3:10])


@pytest.mark.parametrize("kind", ["conv", "attention"])
@pytest.mark.parametrize("length", [1, 2, 4])
def test_sequences_shorter_than_the_reach_work(kind: str, length: int) -> None:
    out = block(kind, 6)(torch.randn(3, length, DIM))
    assert out.shape == (3, length, DIM) and torch.isfinite(out).all()

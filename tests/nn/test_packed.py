"""Packed linear layers: the same sums, the same names, and the plain way wherever packing would be wrong."""

import torch
from torch import nn

from ghostpad.nn.packed import PackedLinear, pack_linears


def test_same_results_for_any_number_of_rows_and_axes() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(48, 80)
    packed = PackedLinear(linear)
    with torch.no_grad():
        for shape in ((1, 48), (8, 48), (18, 48), (2, 3, 50, 48)):
            input = torch.randn(shape)
            assert torch.allclose(packed(input), linear(input), atol=1e-5) and packed(input).shape == (*shape[:-1], 80)
        turned = torch.randn(3, 48, 20).transpose(1, 2)
        assert torch.allclose(packed(turned), linear(turned), atol=1e-5)


def test_gradients_and_half_precision_take_the_plain_way() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(16, 16)
    packed, input = PackedLinear(linear), torch.randn(20, 16)
    packed(input).sum().backward()
    assert packed.weight.grad is not None and packed.weight.grad.any()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert packed(input).dtype == torch.bfloat16


def test_a_stack_keeps_its_names_and_only_plain_layers_are_packed() -> None:
    torch.manual_seed(0)
    stack = nn.ModuleDict({"a": nn.Sequential(nn.Linear(8, 8, bias=False), nn.ReLU(), nn.Linear(8, 4)), "b": nn.MultiheadAttention(8, 2)})
    before, input = {name: value.clone() for name, value in stack.state_dict().items()}, torch.randn(30, 8)
    wanted = stack["a"](input)
    count = pack_linears(stack)
    after = stack.state_dict()
    assert count == (2 if torch.backends.mkldnn.is_available() else 0)
    assert list(before) == list(after) and all(torch.equal(before[name], after[name]) for name in before)
    with torch.no_grad():
        assert torch.allclose(stack["a"](input), wanted, atol=1e-5)

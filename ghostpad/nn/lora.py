"""Low-rank adaptation (LoRA, arXiv:2106.09685): a frozen linear layer to which the product of two thin matrices, learned, is added.

The names of the layer's own weights do not change, so `merged` makes an ordinary state dict of an adapted one. The product is not
scaled (the paper's alpha / rank is 1); the learning rate serves for that.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DOWN, UP = "lora_down", "lora_up"


class LoraLinear(nn.Linear):
    """A frozen linear layer W x + b plus up (down x), which starts at 0; `rank` is the width between the two."""

    def __init__(self, linear: nn.Linear, rank: int):
        super().__init__(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.requires_grad_(False)
        self.lora_down = nn.Parameter(linear.weight.new_empty(rank, linear.in_features))
        self.lora_up = nn.Parameter(linear.weight.new_zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_down, a=math.sqrt(5))  # as torch starts a linear layer

    def forward(self, input: Tensor) -> Tensor:
        """[..., out] from [..., in]."""
        return super().forward(input) + F.linear(F.linear(input, self.lora_down), self.lora_up)


def add_lora(part: nn.Module, rank: int) -> int:
    """Freeze `part` and make every linear layer inside it that was not frozen a `LoraLinear`; returns how many there are."""
    linears = {name: one for name, one in part.named_modules() if name and type(one) is nn.Linear and one.weight.requires_grad}
    part.requires_grad_(False)
    for name, linear in linears.items():
        part.set_submodule(name, LoraLinear(linear, rank))
    return len(linears)


@torch.no_grad()
def merged(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with low-rank products added to the weights; one without any comes back as it is."""
    weights = {name: value for name, value in state.items() if name.rpartition(".")[2] not in (DOWN, UP)}
    for name, up in state.items():
        owner, _, last = name.rpartition(".")
        if last == UP:
            prefix = f"{owner}." if owner else ""
            weight = weights[f"{prefix}weight"]
            weights[f"{prefix}weight"] = (weight + (up.float() @ state[f"{prefix}{DOWN}"].float())).to(weight.dtype)
    return weights

"""Low-rank adaptation (LoRA, arXiv:2106.09685): a linear layer stays as it is and learns the product of two thin matrices beside it.

The names of the layer's own weights do not change, so `merged` makes an ordinary state dict of an adapted one. The product is not
scaled (the paper's alpha / rank is 1): how fast it learns is the learning rate's affair.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DOWN, UP = "lora_down", "lora_up"


class LoraLinear(nn.Linear):
    """A frozen linear layer W x + b and beside it up (down x), which starts at 0; `rank` is the width between the two."""

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
    """Freeze `part` and give every linear layer inside it that learned until now a low-rank companion; returns how many there are."""
    learning = {module for module in part.modules() if type(module) is nn.Linear and module.weight.requires_grad}
    part.requires_grad_(False)
    count = 0
    for module in list(part.modules()):
        for name, child in list(module.named_children()):
            if child in learning:
                setattr(module, name, LoraLinear(child, rank))
                count += 1
    return count


@torch.no_grad()
def merged(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict in which low-rank products are part of the weights; one without any comes back as it is."""
    found = {name: value for name, value in state.items() if name.rpartition(".")[2] not in (DOWN, UP)}
    for name, up in state.items():
        owner, _, last = name.rpartition(".")
        if last == UP:
            prefix = f"{owner}." if owner else ""
            weight = found[f"{prefix}weight"]
            found[f"{prefix}weight"] = (weight + (up.float() @ state[f"{prefix}{DOWN}"].float())).to(weight.dtype)
    return found

"""How pads are scaled in the flow, how rows of them become action tokens, and how tokens become velocities.

Two ways each. The small policy's: every number in -1...1, some rows to a token by one linear layer. The reference's (NitroGen /
GR00T N1): every number in 0...1, a row to a token by three layers, which also read the time, and two layers back.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghostpad.base.pad import BUTTONS
from ghostpad.nn.transformer import angles
from ghostpad.policy.settings import PolicySettings


class ActionSpace(nn.Module):
    """Pad numbers (buttons 0...1, sticks -1...1) of some slots, last axis, to numbers of the flow and back.

    low  the least number of the flow; the largest is 1. At -1 ("signed") buttons are stretched, at 0 ("unit") sticks are squeezed.
    """

    def __init__(self, name: str, slots: list[int]):
        super().__init__()
        self.low = -1 if name == "signed" else 0
        self.register_buffer("button", torch.tensor([slot < len(BUTTONS) for slot in slots]), persistent=False)

    button: Tensor

    def to_flow(self, pads: Tensor) -> Tensor:
        """Numbers of the flow."""
        return torch.where(self.button, 2 * pads - 1, pads) if self.low else torch.where(self.button, pads, (pads + 1) / 2)

    def to_pads(self, values: Tensor) -> Tensor:
        """Pads, float32, from numbers of the flow of any size."""
        values = values.float().clamp(self.low, 1)
        return torch.where(self.button, (values + 1) / 2, values) if self.low else torch.where(self.button, values, 2 * values - 1)


class LinearTokens(nn.Linear):
    """Rows [..., n, numbers] to tokens [..., n, dim] by one layer, which ignores the time."""

    def forward(self, rows: Tensor, ticks: Tensor) -> Tensor:  # type: ignore[override]
        """The tokens."""
        return super().forward(rows)


class TimedTokens(nn.Module):
    """Rows [..., n, numbers] to tokens [..., n, dim] by the reference's three layers; the second also reads sinusoids of the time."""

    def __init__(self, numbers: int, dim: int):
        super().__init__()
        self.rows, self.join, self.out = nn.Linear(numbers, dim), nn.Linear(2 * dim, dim), nn.Linear(dim, dim)

    def forward(self, rows: Tensor, ticks: Tensor) -> Tensor:
        """The tokens; `ticks` [...] is the time in thousandths, or a scalar."""
        tokens = self.rows(rows)
        half = tokens.shape[-1] // 2
        phase = angles(ticks, torch.arange(half, device=ticks.device, dtype=torch.float32) / half)
        waves = torch.cat([phase.sin(), phase.cos()], -1).unsqueeze(-2).to(tokens.dtype).expand_as(tokens)
        return self.out(F.silu(self.join(torch.cat([tokens, waves], -1))))


def make_embedding(settings: PolicySettings, numbers: int) -> LinearTokens | TimedTokens:
    """The layers that make tokens of rows of `numbers`."""
    return LinearTokens(numbers, settings.dim) if settings.action_tokens == "linear" else TimedTokens(numbers, settings.dim)


def make_positions(settings: PolicySettings) -> nn.Parameter | None:
    """Learned positions [n, dim] of the tokens, or None."""
    rows = settings.chunk // settings.token_rows if settings.action_tokens == "linear" else settings.learned_positions
    return nn.Parameter(0.02 * torch.randn(rows, settings.dim)) if rows else None


def make_readout(settings: PolicySettings, numbers: int) -> nn.Module:
    """The layers that make velocities of tokens. The last starts at zero, so that a fresh policy predicts none."""
    last = nn.Linear(settings.dim, numbers)
    nn.init.zeros_(last.weight)
    if settings.action_tokens == "linear":
        return last
    return nn.Sequential(nn.Linear(settings.dim, settings.dim), nn.Linear(settings.dim, settings.dim), nn.ReLU(), last)

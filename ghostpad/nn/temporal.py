"""Blocks over time that see a fixed number of steps each way, so a long sequence can be read in pieces."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LocalConv(nn.Module):
    """A convolution over time that reaches `reach` steps each way: [B, T, dim] -> [B, T, dim]."""

    def __init__(self, dim: int, reach: int):
        super().__init__()
        self.conv = nn.Conv1d(dim, dim, 2 * reach + 1, padding=reach)

    def forward(self, x: Tensor) -> Tensor:
        """The convolved sequence after a GELU, padded with 0 at both ends."""
        return F.gelu(self.conv(x.transpose(1, 2))).transpose(1, 2)


class LocalAttention(nn.Module):
    """A pre-norm transformer layer whose attention reaches `reach` steps each way, with a learned bias for each distance."""

    def __init__(self, dim: int, heads: int, reach: int, dropout: float):
        super().__init__()
        self.heads, self.reach = heads, reach
        self.norm_in, self.norm_mid = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.bias = nn.Parameter(0.5 * torch.randn(heads, 2 * reach + 1))
        self.feed_forward = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, dim] -> [B, T, dim]. Exact for any T; memory grows with T squared, so feed long sequences in pieces."""
        batch, length, dim = x.shape
        q, k, v = self.qkv(self.norm_in(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        place = torch.arange(length, device=x.device)
        apart = place[None] - place[:, None]
        near = apart.abs() <= self.reach
        bias = self.bias[:, apart.clamp(-self.reach, self.reach) + self.reach].masked_fill(~near, float("-inf"))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None].to(q.dtype))
        x = x + self.drop(self.out(mixed.transpose(1, 2).reshape(batch, length, dim)))
        return x + self.drop(self.feed_forward(self.norm_mid(x)))

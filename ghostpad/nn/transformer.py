"""Transformer parts: attention, feed-forward, blocks, and the denoiser that alternates cross- and self-attention.

The denoiser follows the reference policy's DiT: even blocks read the context by cross-attention, odd blocks let the tokens see
each other, and the time enters as the scale and shift of the norm before attention and of the last norm (AdaLN, no gates).

What does not change over the steps of a sampler is computed once: `Denoiser.read` turns the context into the keys and values of
every cross block. The same serves training: several noisy versions of one sample ("draws") share one reading, because to
cross-attention they are just more query tokens.
"""

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KeysValues = tuple[Tensor, Tensor]
"""Keys and values, each [B, heads, n, dim / heads]."""


class Attention(nn.Module):
    """Multi-head attention of tokens [B, n, dim] to keys and values that `read` makes from a context of `context_dim`."""

    def __init__(self, dim: int, heads: int, context_dim: int | None = None):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(dim, dim)
        self.to_kv = nn.Linear(context_dim or dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def read(self, context: Tensor) -> KeysValues:
        """Keys and values of a context [B, n, context_dim]."""
        keys, values = self.to_kv(context).chunk(2, dim=-1)
        return self._split(keys), self._split(values)

    def forward(self, tokens: Tensor, context: KeysValues | None = None) -> Tensor:
        """Attend to `context`, or without it to the tokens themselves; [B, n, dim]."""
        keys, values = self.read(tokens) if context is None else context
        mixed = F.scaled_dot_product_attention(self._split(self.to_q(tokens)), keys, values)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Sequential):
    """Two linear layers with a GELU (tanh form, as in the reference) between them, `expand` times wider inside."""

    def __init__(self, dim: int, expand: int = 4):
        super().__init__(nn.Linear(dim, expand * dim), nn.GELU(approximate="tanh"), nn.Linear(expand * dim, dim))


class Block(nn.Module):
    """A pre-norm self-attention block on tokens [B, n, dim]."""

    def __init__(self, dim: int, heads: int, expand: int = 4):
        super().__init__()
        self.norm_attention, self.norm_feed = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention, self.feed = Attention(dim, heads), FeedForward(dim, expand)

    def forward(self, tokens: Tensor) -> Tensor:
        """The tokens after one block, [B, n, dim]."""
        tokens = tokens + self.attention(self.norm_attention(tokens))
        return tokens + self.feed(self.norm_feed(tokens))


class AdaNorm(nn.Module):
    """A layer norm whose scale and shift come from a condition [..., condition_dim]. It starts as a plain norm."""

    def __init__(self, dim: int, condition_dim: int):
        super().__init__()
        self.modulation = nn.Linear(condition_dim, 2 * dim)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """The normed tokens [..., n, dim], one condition for all n of them."""
        scale, shift = self.modulation(F.silu(condition)).unsqueeze(-2).chunk(2, dim=-1)
        return F.layer_norm(tokens, tokens.shape[-1:]) * (1 + scale) + shift


class TimeEmbedding(nn.Module):
    """A time 0...1 as a vector: sinusoids of 1000 t (cosines first), then two linear layers."""

    def __init__(self, dim: int, waves: int = 128):
        super().__init__()
        self.waves = waves
        self.mlp = nn.Sequential(nn.Linear(2 * waves, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, time: Tensor) -> Tensor:
        """Embeddings [..., dim] of times [...]."""
        exponents = torch.arange(self.waves, device=time.device, dtype=torch.float32) / (self.waves - 1)
        angles = 1000.0 * time.float().unsqueeze(-1) * torch.exp(-math.log(10000.0) * exponents)
        return self.mlp(torch.cat([angles.cos(), angles.sin()], dim=-1))


class DenoiserBlock(nn.Module):
    """One block of the denoiser: attention behind a norm that the condition modulates, then a feed-forward.

    With `context_dim` it attends to a context, without to the tokens themselves.
    """

    def __init__(self, dim: int, heads: int, expand: int, context_dim: int | None):
        super().__init__()
        self.crosses = context_dim is not None
        self.norm = AdaNorm(dim, dim)
        self.attention = Attention(dim, heads, context_dim)
        self.feed = FeedForward(dim, expand)

    def read(self, context: Tensor) -> KeysValues | None:
        """What cross-attention needs of a context [B, n, context_dim]; None for a block of self-attention."""
        return self.attention.read(context) if self.crosses else None

    def forward(self, tokens: Tensor, condition: Tensor, context: KeysValues | None) -> Tensor:
        """Tokens [B, draws, n, dim] after the block; with a context the draws are read as more tokens of one sample."""
        normed = self.norm(tokens, condition)
        flat = normed.flatten(0, 1) if context is None else normed.flatten(1, 2)
        tokens = tokens + self.attention(flat, context).view_as(tokens)
        return tokens + self.feed(F.layer_norm(tokens, tokens.shape[-1:]))


class Denoiser(nn.Module):
    """A stack of `depth` denoiser blocks, cross-attention first, with the norm of its output modulated too."""

    def __init__(self, dim: int, heads: int, depth: int, context_dim: int, expand: int = 4):
        super().__init__()
        self.time = TimeEmbedding(dim)
        blocks = [DenoiserBlock(dim, heads, expand, None if place % 2 else context_dim) for place in range(depth)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = AdaNorm(dim, dim)

    def read(self, context: Tensor) -> list[KeysValues | None]:
        """What every block needs of a context [B, n, context_dim]; give it to each `forward` on that context."""
        return [cast(DenoiserBlock, block).read(context) for block in self.blocks]

    def forward(self, tokens: Tensor, time: Tensor, reading: list[KeysValues | None]) -> Tensor:
        """Normed tokens [B, draws, n, dim] from noisy ones; `time` is [B, draws], or a scalar for all of them."""
        condition = self.time(time)
        for block, context in zip(self.blocks, reading, strict=True):
            tokens = block(tokens, condition, context)
        return self.norm(tokens, condition)

"""Transformer parts: attention, feed-forward, blocks, and the denoiser, which alternates cross- and self-attention.

The denoiser follows the reference policy's DiT: even blocks attend to the context, odd blocks to the tokens themselves, and the time enters
as scale and shift of the norm before attention and of the last norm (AdaLN, no gates). Options (buckets of time, positions in every block,
dropout, masks) are off by default and then cost nothing.

`Denoiser.read` turns the context into the keys and values of every cross block, once for all steps of a sampler. In training, several
noisy versions of one sample ("draws") share them: to cross-attention they are more query tokens.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghostpad.base.errors import SettingsError


class KeysValues(NamedTuple):
    """Keys and values, each [B, heads, n, dim / heads], and a mask of the n that count, bool [B, 1, 1, n], or None for all."""

    keys: Tensor
    values: Tensor
    mask: Tensor | None = None


@dataclass(frozen=True)
class Extras:
    """Options of blocks, as the reference's have; by default none.

    positions      rows of the sinusoid table that is added to the tokens before every attention; 0: none
    dropout        share of numbers dropped after attention and inside the feed-forward
    final_dropout  drop a second time after attention, and at the end of the feed-forward
    """

    positions: int = 0
    dropout: float = 0.0
    final_dropout: bool = False


PLAIN = Extras()
"""Blocks without extras."""


def angles(ticks: Tensor, exponents: Tensor) -> Tensor:
    """Angles float32 [..., e] of numbers [...] at the frequencies 10000^-exponent, for exponents [e] in 0...1."""
    return ticks.float().unsqueeze(-1) * torch.exp(-math.log(10000.0) * exponents)


class Positions(nn.Module):
    """Adds sinusoids of their positions to tokens [..., n, dim], n <= `rows`; sines and cosines alternate.

    The table [1, rows, dim] is a buffer, because the reference's checkpoints hold it.
    """

    table: Tensor

    def __init__(self, rows: int, dim: int):
        super().__init__()
        phase = angles(torch.arange(rows), torch.arange(0, dim, 2) / dim)
        self.register_buffer("table", torch.stack([phase.sin(), phase.cos()], -1).flatten(1)[None])

    def forward(self, tokens: Tensor) -> Tensor:
        """The tokens plus the first rows of the table."""
        return tokens + self.table[:, : tokens.shape[-2]]


class Attention(nn.Module):
    """Multi-head attention of tokens [B, n, dim] to keys and values that `read` makes from a context of `context_dim`.

    Raises `SettingsError` for `heads` that do not divide `dim`.
    """

    def __init__(self, dim: int, heads: int, context_dim: int | None = None):
        super().__init__()
        if dim % heads:
            raise SettingsError(f"{heads} attention heads do not divide a width of {dim}")
        self.heads = heads
        self.to_q = nn.Linear(dim, dim)
        self.to_kv = nn.Linear(context_dim or dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def read(self, context: Tensor, mask: Tensor | None = None) -> KeysValues:
        """Keys and values of a context [B, n, context_dim]; where `mask`, bool [B, n], is False they do not count."""
        keys, values = self.to_kv(context).chunk(2, dim=-1)
        return KeysValues(self._split(keys), self._split(values), None if mask is None else mask[:, None, None])

    def forward(self, tokens: Tensor, context: KeysValues) -> Tensor:
        """[B, n, dim]: the tokens' attention to `context`."""
        mixed = F.scaled_dot_product_attention(self._split(self.to_q(tokens)), context.keys, context.values, context.mask)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Sequential):
    """Two linear layers with a GELU (tanh form, as in the reference) between them, `expand` times wider inside."""

    def __init__(self, dim: int, expand: int = 4, extras: Extras = PLAIN):
        super().__init__(nn.Linear(dim, expand * dim), nn.GELU(approximate="tanh"), nn.Linear(expand * dim, dim))
        self.drop, self.drop_last = _dropouts(extras)

    def forward(self, tokens: Tensor) -> Tensor:
        """The tokens [..., dim] after both layers."""
        return self.drop_last(self[2](self.drop(self[1](self[0](tokens)))))


class Block(nn.Module):
    """A pre-norm self-attention block on tokens [B, n, dim]."""

    def __init__(self, dim: int, heads: int, expand: int = 4, extras: Extras = PLAIN):
        super().__init__()
        self.norm_attention, self.norm_feed = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention, self.feed = Attention(dim, heads), FeedForward(dim, expand, extras)
        self.place = Positions(extras.positions, dim) if extras.positions else nn.Identity()
        self.drop, self.drop_last = _dropouts(extras)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """The tokens [B, n, dim] after the block; those where `mask`, bool [B, n], is False are not attended to."""
        normed = self.place(self.norm_attention(tokens))
        tokens = tokens + self.drop_last(self.drop(self.attention(normed, self.attention.read(normed, mask))))
        return tokens + self.feed(self.norm_feed(tokens))


class Mixer(nn.Sequential):
    """`depth` blocks of self-attention; 0 leave the tokens as they are."""

    def __init__(self, depth: int, dim: int, heads: int, extras: Extras = PLAIN):
        super().__init__(*(Block(dim, heads, extras=extras) for _ in range(depth)))

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """The tokens [B, n, dim] after all blocks; `mask` as in `Block`."""
        for block in self:
            tokens = block(tokens, mask)
        return tokens


class AdaNorm(nn.Module):
    """A layer norm with scale and shift from a condition [..., condition_dim]; untrained, a plain norm."""

    def __init__(self, dim: int, condition_dim: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.modulation = nn.Linear(condition_dim, 2 * dim)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """The normed tokens [..., n, dim], one condition for all n of them."""
        scale, shift = self.modulation(F.silu(condition)).unsqueeze(-2).chunk(2, dim=-1)
        return F.layer_norm(tokens, tokens.shape[-1:], eps=self.eps) * (1 + scale) + shift


class TimeEmbedding(nn.Module):
    """A time 0...1 as a vector: sinusoids of 1000 t (cosines first), then two linear layers.

    With `buckets` the time is rounded down to one of them; the reference has 1000.
    """

    def __init__(self, dim: int, waves: int = 128, buckets: int = 0):
        super().__init__()
        self.waves, self.buckets = waves, buckets
        self.mlp = nn.Sequential(nn.Linear(2 * waves, dim), nn.SiLU(), nn.Linear(dim, dim))

    def ticks(self, time: Tensor) -> Tensor:
        """1000 t, float32, or the number of the bucket: what the sinusoids are of."""
        return (self.buckets * time.float()).floor() if self.buckets else 1000.0 * time.float()

    def forward(self, time: Tensor) -> Tensor:
        """Embeddings [..., dim] of times [...]."""
        exponents = torch.arange(self.waves, device=time.device, dtype=torch.float32) / (self.waves - 1)
        phase = angles(self.ticks(time), exponents)
        return self.mlp(torch.cat([phase.cos(), phase.sin()], dim=-1))


class DenoiserBlock(nn.Module):
    """One block of the denoiser: attention after a norm that the condition modulates, then a feed-forward.

    With `context_dim` it attends to a context, else to the tokens themselves.
    """

    def __init__(self, dim: int, heads: int, expand: int, context_dim: int | None, extras: Extras = PLAIN):
        super().__init__()
        self.crosses = context_dim is not None
        self.norm = AdaNorm(dim, dim)
        self.attention = Attention(dim, heads, context_dim)
        self.feed = FeedForward(dim, expand, extras)
        self.place = Positions(extras.positions, dim) if extras.positions else nn.Identity()
        self.drop, self.drop_last = _dropouts(extras)

    def read(self, context: Tensor, mask: Tensor | None = None) -> KeysValues | None:
        """Keys and values of a context [B, n, context_dim] for cross-attention; None in a block of self-attention."""
        return self.attention.read(context, mask) if self.crosses else None

    def forward(self, tokens: Tensor, condition: Tensor, context: KeysValues | None) -> Tensor:
        """The tokens [B, draws, n, dim] after the block; to a context, all draws are tokens of one sample."""
        normed = self.place(self.norm(tokens, condition))
        flat = normed.flatten(0, 1) if context is None else normed.flatten(1, 2)
        attended = self.attention(flat, self.attention.read(flat) if context is None else context)
        tokens = tokens + self.drop_last(self.drop(attended)).view_as(tokens)
        return tokens + self.feed(F.layer_norm(tokens, tokens.shape[-1:]))


class Denoiser(nn.Module):
    """`depth` denoiser blocks and a last norm that the time modulates too.

    Cross- and self-attention alternate, cross-attention first; without `interleave` all blocks have cross-attention.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        depth: int,
        context_dim: int,
        expand: int = 4,
        *,
        interleave: bool = True,
        buckets: int = 0,
        last_eps: float = 1e-5,
        extras: Extras = PLAIN,
    ):
        super().__init__()
        self.time = TimeEmbedding(dim, buckets=buckets)
        contexts = [None if interleave and place % 2 else context_dim for place in range(depth)]
        self.blocks = nn.ModuleList([DenoiserBlock(dim, heads, expand, context, extras) for context in contexts])
        self.norm = AdaNorm(dim, dim, last_eps)

    def read(self, context: Tensor, mask: Tensor | None = None) -> list[KeysValues | None]:
        """Keys and values of a context [B, n, context_dim] in every block, for each `forward` with that context."""
        return [cast(DenoiserBlock, block).read(context, mask) for block in self.blocks]

    def forward(self, tokens: Tensor, time: Tensor, reading: list[KeysValues | None]) -> Tensor:
        """Normed tokens [B, draws, n, dim] from noisy ones; `time` is [B, draws], or a scalar for all of them."""
        condition = self.time(time)
        for block, context in zip(self.blocks, reading, strict=True):
            tokens = block(tokens, condition, context)
        return self.norm(tokens, condition)


def _dropouts(extras: Extras) -> tuple[nn.Dropout, nn.Dropout]:
    """The dropout after attention and inside the feed-forward, and the final one. A share of 0 draws nothing."""
    return nn.Dropout(extras.dropout), nn.Dropout(extras.dropout if extras.final_dropout else 0.0)

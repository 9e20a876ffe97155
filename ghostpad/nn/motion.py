"""Motion between neighbouring frames as a small map: block matching with a soft, sub-pixel answer.

For every block of the first frame, the mean absolute difference to the second frame is computed at every shift of a search range (a cost
volume); the softmax of the negative costs gives the expected shift and its spread. The map keeps *where* things moved, so expansion
(walking) and rotation (turning) look different, and has six numbers a block instead of a raw volume's sixty-five, which five minutes of
recorded pads overfit. Nothing here is learned, so every player's footage is measured by the same rule. On five minutes of Doom
(docs/results.md): turn R2 0.95 and forward R2 0.86 on unseen episodes of the same player, where raw cost maps gave 0.85 / 0.40.

Cost: about 0.25 ms of CPU a pair at 64x48 with 65 shifts on one core (measured). On a GPU a batch is matched by a few large kernels. Sums
are in float32 whatever precision is asked for: bfloat16 would round away what a block costs more at one shift than at the next. It misses
motion larger than the search range, and matches without learned features.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ghostpad.nn.device import full_precision

BLOCK, STRIDE = 8, 4
"""Side of a block and distance between blocks, pixels of the matched picture (guesses)."""

SHARPNESS, GLOBAL_SHARPNESS = 12.5, 33.0
"""Inverse temperatures of the softmax over shifts, for one block and for the whole picture (guesses that worked)."""

CHANNELS = 6
"""Numbers a block: shift x, shift y, spread x, spread y (pixels), lowest cost, cost of no shift."""

CPU_PAIRS = 4
"""Pairs matched at a time on a CPU: they stay in its cache, and more are slower (measured)."""

GPU_BYTES = 1 << 30
"""Memory that a GPU may give to the pairs matched at a time: 500 of 64x48 with 65 shifts, in one row of kernels (a guess)."""


class MotionMap(nn.Module):
    """The motion map of neighbouring frames, without learned weights.

    search_x_px, search_y_px   largest shift looked for, in pixels of the picture
    """

    shifts_x: Tensor
    shifts_y: Tensor
    pool_x: Tensor

    def __init__(self, width_px: int, height_px: int, search_x_px: int, search_y_px: int):
        super().__init__()
        self.search_x_px, self.search_y_px = search_x_px, search_y_px
        self.width_px, self.height_px = width_px, height_px
        self.register_buffer("shifts_x", torch.arange(-search_x_px, search_x_px + 1.0), persistent=False)
        self.register_buffer("shifts_y", torch.arange(-search_y_px, search_y_px + 1.0), persistent=False)
        # Every second column is enough to match on and is half the work; the search stays at every pixel.
        self.register_buffer("pool_x", _column_means(width_px), persistent=False)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the map."""
        return (self.height_px - BLOCK) // STRIDE + 1, self.pool_x.shape[1]

    def pairs_at_once(self, device: torch.device) -> int:
        """How many pairs are matched at a time."""
        if device.type == "cpu":
            return CPU_PAIRS
        volume = len(self.shifts_x) * len(self.shifts_y) * self.width_px // 2 * self.height_px
        return max(CPU_PAIRS, GPU_BYTES // (5 * volume))  # float32, and a quarter of it for the sums

    @torch.no_grad()
    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Maps [N, 6, h, w] and whole-picture shifts [N, 2] (x, y in pixels) between pictures and the next ones.

        frames   float [2, N, H, W]: N pictures and the N after them, brightness normalised
        """
        with full_precision(frames.device):
            few = frames.float().split(self.pairs_at_once(frames.device), dim=1)
            maps, shifts = zip(*(self._match(*pairs) for pairs in few), strict=True)
        return torch.cat(maps), torch.cat(shifts)

    def _match(self, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
        x, y = self.search_x_px, self.search_y_px
        padded = F.pad(after[:, None], (x, x + x % 2, y, y), mode="replicate")[:, 0]
        kept = before[:, None, None, :, ::2].contiguous()
        cost = before.new_empty(len(before), 2 * y + 1, 2 * x + 1, *self.size)
        # Even and odd shifts need even and odd columns; apart, each is contiguous in memory and the subtraction is vectorised.
        for odd in (0, 1):
            pixels = padded[:, :, odd::2].contiguous()
            shifted = pixels.unfold(1, self.height_px, 1).unfold(2, self.width_px // 2, 1)[:, :, : x + 1 - odd]
            cost[:, :, odd::2] = self._block_means(
                torch.sub(shifted, kept, out=torch.empty_like(shifted, memory_format=torch.contiguous_format)).abs_()
            )
        mean_x, mean_y, spread_x, spread_y = self._moments(cost, SHARPNESS)
        still, best = cost[:, y, x], cost.flatten(1, 2).amin(1)
        whole = self._moments(cost.mean((3, 4), keepdim=True), GLOBAL_SHARPNESS)
        return torch.stack([mean_x, mean_y, spread_x, spread_y, best, still], 1), torch.cat([whole[0], whole[1]], 1)[..., 0].flatten(1)

    def _block_means(self, volume: Tensor) -> Tensor:
        """[n, y, x, H, W/2] -> [n, y, x, h, w]: means over blocks, columns first (1.8 times quicker than rows first: measured)."""
        quarters = volume.unflatten(3, (-1, STRIDE)).sum(4) @ self.pool_x
        return (quarters[:, :, :, :-1] + quarters[:, :, :, 1:]) / BLOCK

    def _moments(self, cost: Tensor, sharpness: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Expected shift x, y and spread x, y of a cost [n, 2y+1, 2x+1, h, w], each [n, h, w]."""
        p = (-sharpness * cost.flatten(1, 2)).softmax(1).unflatten(1, cost.shape[1:3])
        mean_x, square_x = _first_two(p.sum(1), self.shifts_x)
        mean_y, square_y = _first_two(p.sum(2), self.shifts_y)
        return mean_x, mean_y, (square_x - mean_x**2).clamp(min=0).sqrt(), (square_y - mean_y**2).clamp(min=0).sqrt()


def normalise(pictures: Tensor, radius: int = 4) -> Tensor:
    """Pictures float [N, H, W] in 0...1 minus their local mean, over their local contrast: matching then ignores light and fog."""
    rows, columns = (_band_means(size, radius, pictures) for size in pictures.shape[1:])

    def local(values: Tensor) -> Tensor:
        return rows @ values @ columns.T  # two thin products: six times quicker on a CPU than average pooling (measured)

    with full_precision(pictures.device):
        centred = pictures - local(pictures)
        return centred / ((local(centred**2) + 1e-4).sqrt() + 0.02)


def _band_means(size: int, radius: int, like: Tensor) -> Tensor:
    """[size, size]: the mean over `radius` neighbours each way, fewer at the ends."""
    place = torch.arange(size, device=like.device)
    near = ((place[None] - place[:, None]).abs() <= radius).to(like.dtype)
    return near / near.sum(1, keepdim=True)


def _first_two(p: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """First and second moment of `values` [D] under probabilities [n, D, h, w]."""
    return torch.einsum("ndhw,d->nhw", p, values), torch.einsum("ndhw,d->nhw", p, values**2)


def _column_means(size: int) -> Tensor:
    """[size/2, blocks]: averages over blocks of `BLOCK` pixels every `STRIDE`, of a line sampled at every second pixel."""
    blocks = (size - BLOCK) // STRIDE + 1
    means = torch.zeros(size // 2, blocks)
    for block in range(blocks):
        first = block * STRIDE // 2
        means[first : first + BLOCK // 2, block] = 2 / BLOCK
    return means

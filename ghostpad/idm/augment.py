"""What a training clip may look like besides itself, alike over the whole clip: other footage differs in light, place and pace.

Works on the pictures before anything is computed from them. Loss of quality by re-encoding is real footage in the feed
(`data.reencode_crf`), not an imitation here. Sizes are guesses; docs/design.md has what they brought.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ghostpad.feed.batch import Batch
from ghostpad.idm.settings import IdmSettings
from ghostpad.nn.distributed import rand
from ghostpad.nn.frames import shake

LARGEST_MASK = 0.4
"""Longest side of a mask, as a share of the picture's."""


def augment(batch: Batch, settings: IdmSettings, mirror: tuple[Tensor, Tensor], generator: torch.Generator) -> Batch:
    """The batch with each of its clips changed by chance, frames uint8 [B, T+1, H, W, C] and rows alike; frames come back as floats.

    mirror   for each slot the slot it shows when left and right are swapped int64 [25], and its sign float32 [25]
    """
    frames, pads, weight, count = batch.frames, batch.pads, batch.weight, len(batch.frames)

    def chance(*shape: int, axis: int = 0) -> Tensor:
        return rand(shape, generator, axis)

    if settings.mirror:
        flip = chance(count) < 0.5
        source, sign = mirror
        frames = torch.where(flip[:, None, None, None, None], frames.flip(3), frames)
        pads = torch.where(flip[:, None, None], pads[..., source] * sign, pads)
        weight = torch.where(flip[:, None, None], weight[..., source], weight)
    if settings.rate_jitter or settings.repeat:
        frames, pads, weight = _at_another_pace(frames, pads, weight, settings, chance)
    frames = shake(frames, settings.shift_px, settings.light, generator)
    if settings.mask:
        frames = _masked(frames, chance(count) < settings.mask, chance(5, count, axis=1))
    return Batch(frames, pads, weight, batch.refs)


def _at_another_pace(
    frames: Tensor, pads: Tensor, weight: Tensor, settings: IdmSettings, chance: Callable[..., Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Clips played a little faster or slower, and single frames shown twice, as in footage captured at a rate that is not the game's.

    A row keeps the pad in force when its first frame was shown; rows beyond the end of the clip weigh nothing.
    """
    count, length = frames.shape[:2]
    rate = 1 + settings.rate_jitter * (2 * chance(count, 1) - 1)
    at = (torch.arange(length, device=frames.device) * rate).round().long()
    stuck = chance(count, length) < settings.repeat
    stuck[:, 0] = False
    at = torch.where(stuck, at.roll(1, 1), at)
    inside = at[:, :-1] < length - 1
    at = at.clamp(max=length - 1)
    clip, rows = torch.arange(count, device=frames.device)[:, None], at[:, :-1].clamp(max=length - 2)
    return frames[clip, at], pads[clip, rows], weight[clip, rows] * inside[..., None]


def _masked(frames: Tensor, wanted: Tensor, chance: Tensor) -> Tensor:
    """A grey rectangle over the clips that are `wanted` bool [B]; `chance` [5, B] decides its place, size and grey."""
    height, width = frames.shape[2:4]
    for clip in wanted.nonzero()[:, 0].tolist():
        x, y, wide_share, high_share, grey = chance[:, clip].tolist()
        wide, high = max(2, int(wide_share * LARGEST_MASK * width)), max(2, int(high_share * LARGEST_MASK * height))
        left, top = int(x * (width - wide)), int(y * (height - high))
        frames[clip, :, top : top + high, left : left + wide] = 255 * grey
    return frames

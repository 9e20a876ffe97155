"""Augmentation of training clips, the same over all frames of a clip: other footage differs in light, place and pace.

It changes the pictures before anything is computed from them. Loss of quality is not imitated here: the feed gives footage that was
really encoded again (`data.reencode_crf`). Sizes are guesses; docs/results.md has what they brought. All of it is done for a whole batch at
once, where its tensors are, and the host waits for nothing.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ghostpad.corpus.masks import USUAL_MASKS
from ghostpad.feed.batch import Batch
from ghostpad.idm.settings import IdmSettings
from ghostpad.nn.device import send
from ghostpad.nn.distributed import rand
from ghostpad.nn.frames import shake
from ghostpad.video.paint import GREY, Share, covered


def augment(
    batch: Batch, settings: IdmSettings, mirror: tuple[Tensor, Tensor], generator: torch.Generator, covers: Tensor | None = None
) -> Batch:
    """The batch with the frames uint8 [B, T+1, H, W, C] and rows of each clip changed at random; frames come back as floats.

    mirror   for each slot, the slot that it takes its value from when left and right are swapped, int64 [25], and the sign, float32 [25]
    covers   pixels under each mask to draw from, bool [M, H, W] of `mask_covers`; needed where `settings.mask` is above 0
    """
    frames, pads, weight, count = batch.frames, batch.pads, batch.weight, len(batch.frames)

    def chance(*shape: int) -> Tensor:
        return rand(shape, generator)

    if settings.mask and covers is not None:
        wanted = (chance(count) < settings.mask) & send([not ref.masked for ref in batch.refs], frames.device)
        frames = _masked(frames, wanted, chance(count), covers)
    if settings.mirror:
        flip = chance(count) < 0.5
        source, sign = mirror
        frames = torch.where(flip[:, None, None, None, None], frames.flip(3), frames)
        pads = torch.where(flip[:, None, None], pads[..., source] * sign, pads)
        weight = torch.where(flip[:, None, None], weight[..., source], weight)
    if settings.rate_jitter or settings.repeat:
        frames, pads, weight = _at_another_pace(frames, pads, weight, settings, chance)
    frames = shake(frames, settings.shift_px, settings.light, generator)
    return Batch(frames, pads, weight, batch.refs)


def _at_another_pace(
    frames: Tensor, pads: Tensor, weight: Tensor, settings: IdmSettings, chance: Callable[..., Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Clips played a little faster or slower, and single frames shown twice, as in footage captured at a rate that is not the game's.

    A frame shown twice takes the place of one that the game did not finish in time, while the player's pad went on. So frames repeat and
    rows do not: the row between the two equal frames keeps its pad, and the next frame shows what the pads of both rows did. Rows beyond
    the end of the clip weigh nothing.
    """
    count, length = frames.shape[:2]
    rate = 1 + settings.rate_jitter * (2 * chance(count, 1) - 1)
    at = (torch.arange(length, device=frames.device) * rate).round().long()
    stuck = chance(count, length) < settings.repeat
    stuck[:, 0] = False
    shown = torch.where(stuck, at.roll(1, 1), at).clamp(max=length - 1)
    inside = at[:, :-1] < length - 1
    clip, rows = torch.arange(count, device=frames.device)[:, None], at[:, :-1].clamp(max=length - 2)
    return frames[clip, shown], pads[clip, rows], weight[clip, rows] * inside[..., None]


def mask_covers(masks: Sequence[Share], width_px: int, height_px: int) -> Tensor:
    """The pixels of a picture that each mask covers, bool [M, H, W]: of the footage that is learned from, or without any `USUAL_MASKS`."""
    covers = torch.zeros(len(masks or USUAL_MASKS), height_px, width_px, dtype=torch.bool)
    for cover, mask in zip(covers, masks or USUAL_MASKS, strict=True):
        cover[covered(mask, width_px, height_px)] = True
    return covers


def _masked(frames: Tensor, wanted: Tensor, pick: Tensor, covers: Tensor) -> Tensor:
    """The clips, those that are `wanted` bool [B] with one of the masks, chosen by `pick` [B], 0...1.

    It is painted by the same rule and grey as real masks, and before everything else, so that both go through the same changes. A clip
    with a real mask is not wanted, as footage has one box.
    """
    cover = covers[(pick * len(covers)).long().clamp(max=len(covers) - 1)] & wanted[:, None, None]
    return frames.masked_fill(cover[:, None, :, :, None], GREY)

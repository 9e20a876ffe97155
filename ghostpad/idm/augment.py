"""Augmentation of training clips, the same over all frames of a clip: other footage differs in light, place and pace.

It changes the pictures before anything is computed from them. Loss of quality is not imitated here: the feed gives footage that was
really encoded again (`data.reencode_crf`). Sizes are guesses; docs/results.md has what they brought.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ghostpad.corpus.masks import USUAL_MASKS
from ghostpad.feed.batch import Batch, WindowRef
from ghostpad.idm.settings import IdmSettings
from ghostpad.nn.distributed import rand
from ghostpad.nn.frames import shake
from ghostpad.video.paint import GREY, Share, covered


def augment(
    batch: Batch, settings: IdmSettings, mirror: tuple[Tensor, Tensor], generator: torch.Generator, masks: Sequence[Share] = ()
) -> Batch:
    """The batch with the frames uint8 [B, T+1, H, W, C] and rows of each clip changed at random; frames come back as floats.

    mirror   for each slot, the slot that it takes its value from when left and right are swapped, int64 [25], and the sign, float32 [25]
    masks    of the footage that is learned from, to draw from; without any, `USUAL_MASKS`
    """
    frames, pads, weight, count = batch.frames, batch.pads, batch.weight, len(batch.frames)

    def chance(*shape: int) -> Tensor:
        return rand(shape, generator)

    if settings.mask:
        frames = _masked(frames, chance(count) < settings.mask, chance(count), batch.refs, masks or USUAL_MASKS)
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


def _masked(frames: Tensor, wanted: Tensor, pick: Tensor, refs: Sequence[WindowRef], masks: Sequence[Share]) -> Tensor:
    """The clips, those that are `wanted` bool [B] and have no mask yet with one of `masks`, chosen by `pick` [B], 0...1.

    It is painted by the same rule and grey as real masks, and before everything else, so that both go through the same changes. A clip
    with a real mask gets no second, as footage has one box.
    """
    height, width = frames.shape[2:4]
    painted = frames.clone()
    for clip, ref in enumerate(refs):
        if wanted[clip] and not ref.masked:
            rows, columns = covered(masks[int(pick[clip] * len(masks))], width, height)
            painted[clip, :, rows, columns] = GREY
    return painted

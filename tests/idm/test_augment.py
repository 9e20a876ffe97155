"""Augmentation: a clip changes as a whole, its rows with it, and nothing changes where nothing is asked."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ghostpad.base.pad import PAD_DIM, STICKS, mirror_slots, slot
from ghostpad.corpus.masks import USUAL_MASKS
from ghostpad.feed.batch import Batch, WindowRef
from ghostpad.idm.augment import augment, mask_covers
from ghostpad.idm.settings import IdmSettings
from ghostpad.video.paint import Share, paint_resized

ROWS, SIDE = 8, 32
OFF = {"mirror": False, "light": 0.0}


def batch_of(count: int) -> Batch:
    rng = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (count, ROWS + 1, SIDE, SIDE, 1), generator=rng, dtype=torch.uint8)
    pads = torch.rand(count, ROWS, PAD_DIM, generator=rng) * 2 - 1
    pads[..., : -len(STICKS)] = (pads[..., : -len(STICKS)] > 0).float()
    return Batch(frames, pads, torch.rand(count, ROWS, PAD_DIM, generator=rng), tuple(WindowRef("a", row) for row in range(count)))


def changed(batch: Batch, masks: tuple[Share, ...] = (), seed: int = 0, **settings: Any) -> Batch:
    source, sign = mirror_slots()
    mirror = torch.tensor(source), torch.from_numpy(sign)
    return augment(batch, IdmSettings(**(OFF | settings)), mirror, torch.Generator().manual_seed(seed), mask_covers(masks, SIDE, SIDE))


def shown(frames: Tensor, wanted: Tensor) -> list[int]:
    """For each frame the number of the frame of `wanted` that it equals."""
    return [next(index for index, other in enumerate(wanted.float()) if torch.equal(frame, other)) for frame in frames]


def test_mirroring_a_pad_twice_gives_it_back() -> None:
    source, sign = mirror_slots()
    pads = batch_of(1).pads
    once = pads[..., source] * torch.from_numpy(sign)
    assert torch.equal(once[..., source] * torch.from_numpy(sign), pads) and not torch.equal(once, pads)


def test_a_mirrored_clip_has_mirrored_frames_pads_and_weights() -> None:
    batch = batch_of(32)
    seen = changed(batch, mirror=True)
    flipped = [not torch.equal(a, b.float()) for a, b in zip(seen.frames, batch.frames, strict=True)]
    assert 4 < sum(flipped) < 28
    left, right = slot("dpad_left"), slot("dpad_right")
    for clip, flip in enumerate(flipped):
        frames, pads, weight = batch.frames[clip].float(), batch.pads[clip], batch.weight[clip]
        if flip:
            assert torch.equal(seen.frames[clip], frames.flip(2))
            assert torch.equal(seen.pads[clip][:, right], pads[:, left]) and torch.equal(seen.weight[clip][:, left], weight[:, right])
            assert torch.equal(seen.pads[clip][:, slot("right_x")], -pads[:, slot("right_x")])
            assert torch.equal(seen.pads[clip][:, slot("right_y")], pads[:, slot("right_y")])
        else:
            assert torch.equal(seen.pads[clip], pads) and torch.equal(seen.weight[clip], weight)


def test_with_everything_off_a_batch_is_left_alone() -> None:
    batch = batch_of(4)
    seen = changed(batch)
    assert torch.equal(seen.frames, batch.frames.float()) and torch.equal(seen.pads, batch.pads) and torch.equal(seen.weight, batch.weight)


def test_at_another_pace_every_row_keeps_the_pad_of_the_frame_it_starts_at() -> None:
    batch = batch_of(16)
    seen, moved = changed(batch, rate_jitter=0.4), 0
    for clip in range(16):
        order = shown(seen.frames[clip], batch.frames[clip])
        assert order == sorted(order)
        moved += order != list(range(ROWS + 1))
        for row in range(ROWS):
            if seen.weight[clip, row].any():
                assert torch.equal(seen.pads[clip, row], batch.pads[clip, order[row]])
                assert torch.equal(seen.weight[clip, row], batch.weight[clip, order[row]])
            else:
                assert order[row] == ROWS  # the clip has ended
    assert moved > 8


@pytest.mark.parametrize("jitter", [0.0, 0.3])
def test_a_frame_shown_twice_leaves_every_row_at_its_own_time(jitter: float) -> None:
    """Rows say their own number. Frame 4 not ready in time: 3 3 5 is shown, the pads in force meanwhile were 3, then 4, not 3 twice."""
    numbers = torch.arange(ROWS, dtype=torch.float32)[None, :, None].expand(32, ROWS, PAD_DIM) / 10
    plain = replace(batch_of(32), pads=numbers, weight=torch.ones(32, ROWS, PAD_DIM))
    steady, seen = changed(plain, rate_jitter=jitter), changed(plain, rate_jitter=jitter, repeat=0.4)
    assert torch.equal(seen.pads, steady.pads) and torch.equal(seen.weight, steady.weight)
    assert jitter or torch.equal(seen.pads, numbers)
    twice = 0
    for clip in range(32):
        usual, order = (shown(frames[clip], plain.frames[clip]) for frames in (steady.frames, seen.frames))
        assert all(now in (due, before) for now, due, before in zip(order[1:], usual[1:], usual, strict=False))
        twice += sum(now != due for now, due in zip(order, usual, strict=True))
    assert twice > 32


def painted(frames: Tensor, mask: Share) -> Tensor:
    """Frames uint8 [T, H, W, 1] as the feed masks them."""
    left, top, right, bottom = (round(side * 10**6) for side in mask)
    images = [paint_resized(frame.numpy().copy(), [(left, top, right, bottom)], 10**6, 10**6) for frame in frames]
    return torch.stack(list(map(torch.from_numpy, images))).float()


@pytest.mark.parametrize("masks", [(), ((0.75, 0.5, 1.0, 0.875), (0.0125, 0.0, 0.3, 0.4))])
def test_a_random_mask_is_one_that_a_real_mask_could_be(masks: tuple[Share, ...]) -> None:
    batch = batch_of(32)
    seen = changed(batch, masks, mask=0.5)
    found = []
    for clip in range(32):
        equal = [
            number for number, mask in enumerate(masks or USUAL_MASKS) if torch.equal(seen.frames[clip], painted(batch.frames[clip], mask))
        ]
        assert equal or torch.equal(seen.frames[clip], batch.frames[clip].float())
        found += equal[:1]
    assert 8 < len(found) < 24 and len(set(found)) > 1, "about half of the clips, not all alike"


def test_random_masks_go_through_the_same_changes_as_real_ones() -> None:
    plain = batch_of(16)
    mask = (0.5, 0.5, 0.875, 0.75)
    drawn = Batch(torch.stack([painted(clip, mask).byte() for clip in plain.frames]), plain.pads, plain.weight, plain.refs)
    for settings in ({"light": 0.3}, {"shift_px": 2}, {"repeat": 0.3}):
        assert torch.equal(changed(plain, (mask,), mask=1.0, **settings).frames, changed(drawn, (mask,), mask=1.0, **settings).frames)


def test_what_has_a_mask_gets_no_second_one() -> None:
    batch = batch_of(8)
    refs = tuple(replace(ref, masked=row % 2 == 0) for row, ref in enumerate(batch.refs))
    seen = changed(replace(batch, refs=refs), ((0.5, 0.5, 0.75, 0.75),), mask=1.0)
    alone = [torch.equal(one, other.float()) for one, other in zip(seen.frames, batch.frames, strict=True)]
    assert alone == [True, False] * 4


def test_a_shift_moves_all_frames_of_a_clip_alike() -> None:
    batch = batch_of(16)
    seen, moved = changed(batch, shift_px=2), 0
    for clip in range(16):
        inner = seen.frames[clip][:, 2:-2, 2:-2]
        found = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if torch.equal(inner, batch.frames[clip].float()[:, y : y + SIDE - 4, x : x + SIDE - 4])
        ]
        assert len(found) == 1
        moved += found != [(2, 2)]
    assert moved > 8

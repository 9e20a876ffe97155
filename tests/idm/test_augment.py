"""Augmentation: a clip changes as a whole, its rows with it, and nothing changes where nothing is asked."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ghostpad.base.pad import PAD_DIM, STICKS, mirror_slots, slot
from ghostpad.feed.batch import Batch, WindowRef
from ghostpad.idm.augment import LARGEST_MASK, augment
from ghostpad.idm.settings import IdmSettings

ROWS, SIDE = 8, 32
OFF = {"mirror": False, "light": 0.0}


def batch_of(count: int) -> Batch:
    rng = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (count, ROWS + 1, SIDE, SIDE, 1), generator=rng, dtype=torch.uint8)
    pads = torch.rand(count, ROWS, PAD_DIM, generator=rng) * 2 - 1
    pads[..., : -len(STICKS)] = (pads[..., : -len(STICKS)] > 0).float()
    return Batch(frames, pads, torch.rand(count, ROWS, PAD_DIM, generator=rng), tuple(WindowRef("a", row) for row in range(count)))


def changed(batch: Batch, seed: int = 0, **settings: Any) -> Batch:
    source, sign = mirror_slots()
    mirror = torch.tensor(source), torch.from_numpy(sign)
    return augment(batch, IdmSettings(**(OFF | settings)), mirror, torch.Generator().manual_seed(seed))


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


@pytest.mark.parametrize("pace", [{"rate_jitter": 0.4}, {"repeat": 0.4}, {"rate_jitter": 0.3, "repeat": 0.3}])
def test_at_another_pace_every_row_keeps_the_pad_of_the_frame_it_starts_at(pace: dict[str, float]) -> None:
    batch = batch_of(16)
    seen, moved = changed(batch, **pace), 0
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


def test_a_mask_is_one_rectangle_over_all_frames_of_some_clips() -> None:
    batch = batch_of(32)
    seen = changed(batch, mask=0.5)
    masked = 0
    for clip in range(32):
        differs = (seen.frames[clip] != batch.frames[clip].float())[..., 0].any(0)
        if differs.any():
            masked += 1
            rows, columns = differs.any(1).nonzero()[:, 0], differs.any(0).nonzero()[:, 0]
            area = seen.frames[clip][:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert area.unique().numel() == 1
            assert max(area.shape[1:3]) <= LARGEST_MASK * SIDE
    assert 6 < masked < 26


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

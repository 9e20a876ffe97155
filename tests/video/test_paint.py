"""Masks: grey where they stand, before and after the scaler; nothing of what they hide is left beside them."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ghostpad.video.decode import decode_array
from ghostpad.video.paint import GREY
from ghostpad.video.proxy import make_proxy
from ghostpad.video.record import VideoRecorder

BOX = (21, 11, 43, 33)  # left, top, right, bottom


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Black pictures with a box whose brightness changes with every frame."""
    path = tmp_path_factory.mktemp("paint") / "v.mp4"
    with VideoRecorder(path, Fraction(20), crf=1) as recorder:
        for number in range(12):
            image = np.zeros((64, 96, 3), np.uint8)
            image[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 20 * number
            recorder.add(image)
    return path


@pytest.mark.parametrize("gray", [True, False])
def test_what_a_mask_hides_is_gone_before_the_picture_is_made_smaller(video: Path, gray: bool) -> None:
    _, bare = decode_array(video, width_px=24, height_px=16, gray=gray)
    _, masked = decode_array(video, width_px=24, height_px=16, gray=gray, mask=[BOX])
    assert np.ptp(bare.astype(int), axis=0).max() > 100
    assert np.ptp(masked[1:].astype(int), axis=0).max() <= 3, "no pixel follows the box, not even beside the mask"
    assert (masked[:, 3:8, 6:10] == GREY).all()
    assert masked[:, :, :4].max() < 20 and masked[:, :, 13:].max() < 20, "the rest of the picture is as it was"


def test_at_its_own_size_exactly_the_box_is_hidden(video: Path) -> None:
    _, bare = decode_array(video)
    _, masked = decode_array(video, mask=[BOX])
    assert (masked[:, BOX[1] : BOX[3], BOX[0] : BOX[2]] == GREY).all()
    changed = (bare != masked).any(axis=(0, 3))
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert rows.min() >= BOX[1] - 2 and rows.max() < BOX[3] + 2 and columns.min() >= BOX[0] - 2 and columns.max() < BOX[2] + 2


def test_frames_that_are_decoded_from_masked_ones_stay_right(video: Path) -> None:
    """The decoder predicts later frames from earlier ones: painting must not reach its own pictures."""
    _, bare = decode_array(video)
    _, masked = decode_array(video, mask=[(0, 0, 20, 64)])
    np.testing.assert_array_equal(bare[:, :, 24:], masked[:, :, 24:])


def test_a_copy_carries_the_mask(video: Path, tmp_path: Path) -> None:
    make_proxy(video, tmp_path / "p.mp4", px=32, mask=[BOX])
    _, images = decode_array(tmp_path / "p.mp4", gray=True)
    assert images.shape[1:3] == (32, 48) and abs(images[:, 7:15, 12:20].astype(int) - GREY).max() <= 6

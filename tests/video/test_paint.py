"""Masks: grey where they stand, before and after the scaler; nothing of what they hide is left beside them."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ghostpad.video.decode import decode_array
from ghostpad.video.paint import GREY
from ghostpad.video.probe import video_size
from ghostpad.video.proxy import make_proxy
from ghostpad.video.record import VideoRecorder

BOX = (21, 11, 43, 33)  # left, top, right, bottom
EVEN_BOX = (20, 10, 44, 34)  # what is painted for it


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


def coded(path: Path, format: str, codec: str) -> Path:
    """A lossless video of noise in one pixel format."""
    rng = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=20)
        stream.width, stream.height, stream.pix_fmt = 96, 64, format
        for _ in range(2):
            image = np.kron(rng.integers(0, 256, (16, 24, 3), np.uint8), np.ones((4, 4, 1), np.uint8))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=format)))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("format", "codec", "suffix"),
    [
        *((format, "ffv1", ".mkv") for format in ("yuv420p", "yuv420p10le", "yuv422p10le", "yuv444p", "yuv411p", "gray", "gray10le")),
        ("yuvj420p", "libx264", ".mp4"),
        ("gbrp", "utvideo", ".avi"),
        ("nv12", "rawvideo", ".avi"),
        ("yuyv422", "rawvideo", ".avi"),
        ("bgr24", "rawvideo", ".avi"),  # its rows run upwards
        ("rgb24", "qtrle", ".mov"),
        ("rgb8", "gif", ".gif"),
    ],
)
def test_d09_a_mask_changes_nothing_beside_it_in_any_pixel_format(tmp_path: Path, format: str, codec: str, suffix: str) -> None:
    path = coded(tmp_path / f"v{suffix}", format, codec)
    for gray in (False, True):
        _, bare = decode_array(path, gray=gray)
        _, masked = decode_array(path, gray=gray, mask=[BOX])
        assert (masked[:, BOX[1] : BOX[3], BOX[0] : BOX[2]] == GREY).all()
        beside = np.ones(bare.shape[1:3], bool)
        beside[BOX[1] - 2 : BOX[3] + 2, BOX[0] - 4 : BOX[2] + 4] = False
        np.testing.assert_array_equal(bare[:, beside], masked[:, beside])
        assert np.ptp(bare[:, beside].astype(int)) > 200


def test_d08_a_mask_follows_a_change_of_size(growing_video: Any, tmp_path: Path) -> None:
    """Black pictures with a box whose brightness changes with every frame; from the eighth on they are twice as large."""
    images = []
    for number in range(16):
        times = 1 + number // 8
        images.append(np.zeros((64 * times, 96 * times, 3), np.uint8))
        images[-1][BOX[1] * times : BOX[3] * times, BOX[0] * times : BOX[2] * times] = 16 * number
    growing = growing_video(tmp_path / "v.ts", images)
    assert video_size(growing) == (96, 64)
    for size in ({}, {"width_px": 24, "height_px": 16}):
        _, bare = decode_array(growing, **size)  # type: ignore[arg-type]
        _, masked = decode_array(growing, mask=[EVEN_BOX], **size)  # type: ignore[arg-type]
        assert len(masked) == 16 and masked.shape[1:3] == ((16, 24) if size else (64, 96)), "all pictures have the size of the first"
        assert np.ptp(bare.astype(int), axis=0).max() > 150
        assert np.ptp(masked[1:].astype(int), axis=0).max() <= 3, "no pixel follows the box"
    make_proxy(growing, tmp_path / "p.mp4", px=32, mask=[EVEN_BOX], crf=1)
    _, images = decode_array(tmp_path / "p.mp4", gray=True)
    assert images.shape[:3] == (16, 32, 48) and np.ptp(images[1:].astype(int), axis=0).max() <= 8

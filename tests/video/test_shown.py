"""Footage that is stored otherwise than it is seen: turned, mirrored, of more bits, of high dynamic range."""

import gc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc
from numpy.typing import NDArray

from ghostpad.base.errors import MediaError
from ghostpad.video.decode import decode_array, decode_frames, read_window
from ghostpad.video.paint import GREY
from ghostpad.video.probe import probe_video, video_size
from ghostpad.video.proxy import make_proxy


def write(path: Path, frames: Iterable[av.VideoFrame], codec: str, turn: tuple[int, bool] | None = None, **colours: Any) -> Path:
    """A lossless video of frames of one format, 10 a second; `turn`: degrees counterclockwise, and mirrored after it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options={"qp": "0"} if codec == "libx264" else {})
        for number, frame in enumerate(frames):
            if not number:
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
                for name, value in colours.items():
                    setattr(stream.codec_context, name, value)
                if turn:
                    stream.set_display_rotation(turn[0], hflip=turn[1])
            for name, value in colours.items():
                setattr(frame, name, value)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def pictures(count: int = 4) -> NDArray[np.uint8]:
    """uint8 [count, 64, 96, 3], no two parts alike."""
    rng = np.random.default_rng(0)
    return np.kron(rng.integers(0, 256, (count, 8, 12, 3), np.uint8), np.ones((1, 8, 8, 1), np.uint8))


def as_frames(images: NDArray[np.uint8], format: str) -> list[av.VideoFrame]:
    return [av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(format=format) for image in images]


@pytest.fixture(scope="module")
def upright(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("upright") / "v.mp4", as_frames(pictures(), "yuv444p"), "libx264")


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
def test_turned_footage_is_seen_upright_everywhere(upright: Path, tmp_path: Path, degrees: int, mirrored: bool) -> None:
    images = pictures()
    stored = np.rot90(images[:, :, ::-1] if mirrored else images, -degrees // 90, axes=(1, 2))
    path = write(tmp_path / "v.mp4", as_frames(stored, "yuv444p"), "libx264", (degrees, mirrored))
    info = probe_video(path)
    assert (info.width_px, info.height_px) == video_size(path) == (96, 64)
    for settings in ({}, {"mask": [(50, 10, 71, 33)]}, {"width_px": 30, "height_px": 20, "gray": True}):
        stamps, seen = decode_array(path, **settings)  # type: ignore[arg-type]
        np.testing.assert_array_equal(seen, decode_array(upright, **settings)[1])  # type: ignore[arg-type]
    np.testing.assert_array_equal(read_window(path, stamps[1:3]), decode_array(upright)[1][1:3])
    make_proxy(path, tmp_path / "p.mp4", px=32, mask=[(50, 10, 71, 33)])
    make_proxy(upright, tmp_path / "q.mp4", px=32, mask=[(50, 10, 71, 33)])
    assert (tmp_path / "p.mp4").read_bytes() == (tmp_path / "q.mp4").read_bytes()


def test_a_turn_by_no_quarter_is_left_out(tmp_path: Path, upright: Path) -> None:
    path = write(tmp_path / "v.mp4", as_frames(pictures(), "yuv444p"), "libx264", (30, False))
    assert video_size(path) == (96, 64)
    np.testing.assert_array_equal(decode_array(path)[1], decode_array(upright)[1])


def test_a_frame_is_freed_when_it_has_been_seen(upright: Path) -> None:
    """Frames that wait for the collector of cycles hold megabytes each, and new memory for the next ones costs a third of decoding."""
    gc.collect()
    gc.disable()
    try:
        held = [sum(isinstance(one, av.VideoFrame) for one in gc.get_objects()) for _ in decode_frames(upright)]
    finally:
        gc.enable()
    assert 1 <= held[-1] == held[1]


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("full", [False, True])
def test_more_bits_show_the_same_picture(tmp_path: Path, gray: bool, full: bool) -> None:
    colour_range = ColorRange.JPEG if full else ColorRange.MPEG
    seen = []
    for format in ("yuv420p", "yuv420p10le"):
        frames = [frame.reformat(format="yuv420p", dst_color_range=colour_range) for frame in as_frames(pictures(2), "rgb24")]
        if format != "yuv420p":
            frames = [av.VideoFrame.from_ndarray(frame.to_ndarray().astype(np.uint16) * 4, format=format) for frame in frames]
        path = write(tmp_path / f"{format}.mkv", frames, "ffv1", color_range=colour_range)
        seen.append(decode_array(path, gray=gray)[1].astype(int))
    assert abs(seen[0] - seen[1]).max() <= 1


@pytest.mark.parametrize("deep", [False, True])
def test_colours_that_cannot_be_shown_are_a_reason(tmp_path: Path, deep: bool) -> None:
    ictcp = 14  # a colour matrix of HDR for which swscale has no conversion
    path = write(tmp_path / "v.mp4", as_frames(pictures(2), "yuv420p10le" if deep else "yuv420p"), "libx264", colorspace=ictcp)
    for read in (decode_array, lambda path: read_window(path, [0.0]), lambda path: make_proxy(path, tmp_path / "p.mp4"))[: 2 + deep]:
        with pytest.raises(MediaError, match="v.mp4: its colours are coded in a way"):
            read(path)


def pq(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084: code 0...1 of light in nits."""
    power = (nits / 10_000) ** 0.1593017578125
    return np.asarray(((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375)


def hlg(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    """ARIB STD-B67 on a screen of 1000 nits, whose system gamma is 1.2: code 0...1 of grey light in nits."""
    light = (nits / 1000) ** (1 / 1.2)
    return np.asarray(
        np.where(light <= 1 / 12, np.sqrt(3 * light), 0.17883277 * np.log(np.maximum(12 * light - 0.28466892, 1e-9)) + 0.55991073)
    )


@pytest.mark.parametrize(("codes", "transfer"), [(pq, ColorTrc.SMPTE2084), (hlg, ColorTrc.ARIB_STD_B67)])
def test_high_dynamic_range_keeps_its_blacks_dark_and_its_whites_apart(tmp_path: Path, codes: Any, transfer: ColorTrc) -> None:
    nits = np.array([0, 0.1, 1, 10, 50, 100, 203, 500, 1000])
    frame = av.VideoFrame(16 * len(nits), 32, "yuv420p10le")
    levels = np.repeat(np.round(64 + 876 * codes(nits)).astype(np.uint16), 16)
    for plane, values in zip(frame.planes, (levels, 512, 512), strict=True):
        np.frombuffer(plane, np.uint16).reshape(plane.height, -1)[:, : plane.width] = values  # type: ignore[call-overload]
    colours = {"color_trc": transfer, "color_primaries": ColorPrimaries.BT2020, "colorspace": 9, "color_range": ColorRange.MPEG}
    path = write(tmp_path / "v.mkv", [frame], "ffv1", **colours)
    _, ((image),) = decode_array(path, mask=[(0, 0, 16 * len(nits), 16)])
    assert (image[:16] == GREY).all(), "masks are painted in what is seen"
    shades = image[20:].mean((0, 2)).reshape(len(nits), 16)[:, 8]
    assert (np.diff(shades) > 0).all(), "no two of these lights become one"
    assert shades[1] < 12 and shades[2] < 30, "read as ordinary codes, 0.1 and 1 nit of PQ are 15 and 37: pale"
    assert 110 < shades[5] < 150 and 145 < shades[6] < 200 and shades[-1] > 200
    assert np.ptp(image[20:, ::16].astype(int), axis=2).max() <= 3, "grey stays grey"

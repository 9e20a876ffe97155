"""Proxies: small, quick to enter at random, with the time stamps of their source to the last bit."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostpad.base.errors import MediaError, MissingError, SettingsError
from ghostpad.video import proxy
from ghostpad.video.decode import decode_array
from ghostpad.video.probe import probe_video, read_stamps
from ghostpad.video.proxy import make_proxy, proxy_size
from ghostpad.video.record import VideoRecorder

COLOURS = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [220, 220, 220]], np.uint8)


def encode(path: Path, stamps: list[int], time_base: Fraction, *, size: tuple[int, int] = (128, 96), **look: object) -> Path:
    """A source with B-frames; `look` sets properties of the codec context, such as the colour space."""
    with av.open(str(path), "w", options={"movie_timescale": "90000"} if path.suffix == ".mp4" else {}) as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "medium", "crf": "12"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv444p" if size[0] % 2 else "yuv420p"
        stream.codec_context.max_b_frames, stream.codec_context.thread_count = 3, 1
        stream.time_base = stream.codec_context.time_base = time_base
        for name, value in look.items():
            setattr(stream.codec_context, name, value)
        for index, stamp in enumerate(stamps):
            image = np.full((size[1], size[0], 3), 60, np.uint8)
            image[: size[1] // 2] = COLOURS[index % 4]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame = frame.reformat(
                format=stream.pix_fmt, dst_colorspace=look.get("colorspace"), dst_color_range=look.get("color_range"), threads=1
            )
            frame.pts, frame.time_base = stamp, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "time_base", "stamps"),
    [
        ("a.mp4", Fraction(1, 90_000), list(range(0, 120_000, 3003))),
        ("a.mp4", Fraction(1, 30), list(range(40))),
        ("a.mp4", Fraction(1, 16_000), [777, 778, 1500, 20_000, 20_001, 500_000]),
        ("a.mkv", Fraction(1, 1000), [0, 33, 67, 100, 400, 417, 433]),
        ("a.ts", Fraction(1, 90_000), [126_000, 129_003, 132_006, 140_000]),
    ],
)
def test_stamps_are_bit_equal(tmp_path: Path, name: str, time_base: Fraction, stamps: list[int]) -> None:
    source = encode(tmp_path / name, stamps, time_base)
    make_proxy(source, tmp_path / "p.mp4", px=32)
    assert read_stamps(tmp_path / "p.mp4") == read_stamps(source)
    assert decode_array(tmp_path / "p.mp4")[0].tolist() == decode_array(source)[0].tolist()
    after = probe_video(tmp_path / "p.mp4")
    assert (after.width_px, after.height_px, after.frames, after.codec) == (42, 32, len(stamps), "h264")


def test_keyframes_stand_close_and_in_showing_order(tmp_path: Path) -> None:
    make_proxy(encode(tmp_path / "a.mp4", list(range(60)), Fraction(1, 30)), tmp_path / "p.mp4", px=32, gop=15)
    with av.open(str(tmp_path / "p.mp4")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert all(packet.pts == packet.dts for packet in packets)
    keys = [index for index, packet in enumerate(packets) if packet.is_keyframe]
    assert keys[0] == 0 and max(np.diff([*keys, 60])) <= 15


@pytest.mark.parametrize("look", [{}, {"colorspace": 1}, {"color_range": 2}])
def test_colours_are_kept(tmp_path: Path, look: dict[str, object]) -> None:
    """Untagged, BT.709 and full-range sources: the colour tags must reach the decoder of the small copy."""
    source = encode(tmp_path / "a.mp4", list(range(8)), Fraction(1, 30), **look)
    make_proxy(source, tmp_path / "p.mp4", px=48, crf=10)
    for path in (source, tmp_path / "p.mp4"):
        _, images = decode_array(path)
        top = images[:, images.shape[1] // 4, images.shape[2] // 2].astype(int)
        assert np.abs(top - COLOURS[np.arange(8) % 4]).max() <= 9, path


def test_never_enlarged_and_always_even(tmp_path: Path) -> None:
    make_proxy(encode(tmp_path / "a.mp4", [0, 1, 2], Fraction(1, 30), size=(65, 49)), tmp_path / "p.mp4")
    info = probe_video(tmp_path / "p.mp4")
    assert (info.width_px, info.height_px, info.duration_s) == (64, 48, pytest.approx(0.1))


@given(width=st.integers(1, 4000), height=st.integers(1, 4000), px=st.integers(2, 1080))
def test_sizes(width: int, height: int, px: int) -> None:
    made = proxy_size(width, height, px)
    assert all(side % 2 == 0 and side >= 2 for side in made)
    scale = min(px, width, height) / min(width, height)
    assert scale <= 1
    for side, source in zip(made, (width, height), strict=True):
        assert abs(side - source * scale) <= 1 + 1e-9 or side == 2
    assert all(side <= max(2, source) for side, source in zip(made, (width, height), strict=True))


def test_known_sizes() -> None:
    assert proxy_size(1920, 1080, 256) == (456, 256)
    assert proxy_size(1080, 1920, 256) == (256, 456)
    assert proxy_size(160, 120, 256) == (160, 120)


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    """Ten times, and of moving pictures: an encoder that is only mostly repeatable was caught by neither two nor flat ones."""
    ramp = np.add.outer(np.arange(240) * 3, np.arange(320) * 2)[..., None].astype(np.uint8) + np.array([0, 60, 120], np.uint8)
    with VideoRecorder(tmp_path / "a.mp4", Fraction(30)) as recorder:
        for shift in range(40):
            recorder.add(np.roll(ramp, 3 * shift, axis=1))
    files = set()
    for _ in range(10):
        make_proxy(tmp_path / "a.mp4", tmp_path / "p.mp4", px=64)
        files.add((tmp_path / "p.mp4").read_bytes())
    assert len(files) == 1


def test_a_broken_source_leaves_nothing(tmp_path: Path) -> None:
    source = encode(tmp_path / "a.mp4", list(range(60)), Fraction(1, 30))
    make_proxy(source, tmp_path / "whole.mp4", px=64)
    (cut := tmp_path / "cut.mp4").write_bytes((tmp_path / "whole.mp4").read_bytes()[:-600])
    with pytest.raises(MediaError, match="cut off|decoding failed"):
        make_proxy(cut, tmp_path / "out" / "p.mp4", px=32)
    with pytest.raises(MissingError):
        make_proxy(tmp_path / "absent.mp4", tmp_path / "out" / "p.mp4")
    assert list((tmp_path / "out").iterdir()) == []


def test_bad_options(tmp_path: Path) -> None:
    for options in ({"px": 1}, {"gop": 0}, {"crf": 99}):
        with pytest.raises(SettingsError):
            make_proxy(tmp_path / "a.mp4", tmp_path / "p.mp4", **options)


def test_a_copy_whose_stamps_are_not_those_of_its_source_does_not_appear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = encode(tmp_path / "a.mp4", list(range(0, 30_000, 3003)), Fraction(1, 90_000))
    monkeypatch.setattr(proxy, "_ticks_hz", lambda time_base: 10_007)
    with pytest.raises(MediaError, match="time stamps cannot be kept"):
        make_proxy(source, tmp_path / "p.mp4", px=32)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]

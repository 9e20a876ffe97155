"""Decoding: the rate rule on variable frame rates, stretches, sizes, and windows that equal sequential decoding."""

import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostpad.base.errors import MediaError, SettingsError
from ghostpad.video.container import frames_from, needed_frames_from, open_video
from ghostpad.video.decode import _thin, decode_array, decode_frames, read_window, resize_image
from ghostpad.video.record import VideoRecorder


def picture(index: int) -> np.ndarray:
    """A picture that tells its index, by a bright bar, from its neighbours'."""
    image = np.full((32, 64, 3), 40, np.uint8)
    image[:, 4 * (index % 16) : 4 * (index % 16) + 4] = 200
    image[:4] = 3 * (index % 80)
    return image


def encode_with_b_frames(path: Path, stamps: list[int], time_base: Fraction, gop: int = 20) -> None:
    """As a download would be: B-frames, so decoding order is not showing order, and keyframes far apart."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "medium", "crf": "15"})
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = gop, 3
        stream.codec_context.thread_count = 1
        stream.time_base = stream.codec_context.time_base = time_base
        for index, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            frame.pts, frame.time_base = stamp, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module", params=["steady.mp4", "variable.mp4", "variable.mkv", "steady.ts"])
def download(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("download") / request.param
    steps = np.ones(150, int) if "steady" in path.name else np.random.default_rng(0).choice([1, 1, 1, 2, 4, 9], 150)
    encode_with_b_frames(path, [0, *np.cumsum(steps * 3000).tolist()], Fraction(1, 90_000))
    return path


def shown_at(pts: list[Fraction], rate: Fraction, end: Fraction) -> list[Fraction]:
    """The rule read aloud: at each tick the latest frame with pts <= tick, each frame once."""
    kept: list[Fraction] = []
    for k in range(math.ceil(end * rate) + 1):
        shown = [stamp for stamp in pts if stamp <= Fraction(k) / rate]
        if shown and Fraction(k) / rate < end and shown[-1] not in kept:
            kept.append(shown[-1])
    return kept


@settings(max_examples=200, deadline=None)
@given(
    first=st.integers(0, 50),
    steps=st.lists(st.integers(1, 40), max_size=20),
    rate=st.fractions(Fraction(1, 2), 60, max_denominator=7),
)
def test_the_rate_rule_against_its_definition(first: int, steps: list[int], rate: Fraction) -> None:
    pts = [Fraction(int(tick), 100) for tick in np.cumsum([first, *steps])]
    frame = av.VideoFrame(16, 16, "gray")
    frame.duration, frame.time_base = 3, Fraction(1, 100)
    kept = [stamp for stamp, _ in _thin(iter([(stamp, frame) for stamp in pts]), rate)]
    slack = Fraction(1, 2000)
    assert kept == [stamp + slack for stamp in shown_at([stamp - slack for stamp in pts], rate, pts[-1] + Fraction(3, 100) - slack)]


def test_variable_rate_at_a_rate(tmp_path: Path) -> None:
    pts_s = [0.0, 0.02, 0.04, 0.11, 0.12, 0.13, 0.40, 0.41]
    with VideoRecorder(tmp_path / "a.mp4", 100) as video:
        for index, stamp in enumerate(pts_s):
            video.add(picture(index), stamp)
    kept = [round(frame.pts_s, 4) for frame in decode_frames(tmp_path / "a.mp4", rate_hz=20)]
    # ticks 0.00 0.05 0.10 0.15 0.20 ... 0.35 0.40; 0.04 and 0.13 stay on screen over several ticks and come once
    assert kept == [0.0, 0.04, 0.13, 0.40]


@pytest.mark.parametrize("fps", [Fraction(35, 2), Fraction(30000, 1001), Fraction(60)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_source_rate_and_any_above_keep_every_frame(tmp_path: Path, fps: Fraction, suffix: str) -> None:
    clock = fps.numerator if suffix == ".mp4" else 1000
    encode_with_b_frames(tmp_path / f"a{suffix}", [round(index / fps * clock) for index in range(100)], Fraction(1, clock))
    for rate_hz in (float(fps), fps, float(fps) * 1.7):
        assert len(list(decode_frames(tmp_path / f"a{suffix}", gray=True, rate_hz=rate_hz))) == 100


def test_halving_the_rate_keeps_every_second_frame(tmp_path: Path) -> None:
    with VideoRecorder(tmp_path / "a.mp4", Fraction(30000, 1001)) as video:
        for index in range(21):
            video.add(picture(index))
    everything, _ = decode_array(tmp_path / "a.mp4")
    assert decode_array(tmp_path / "a.mp4", rate_hz=Fraction(15000, 1001))[0].tolist() == everything[::2].tolist()


@pytest.mark.parametrize("rate_hz", [None, 7.0, 20.0])
def test_stretches_join_to_the_whole(download: Path, rate_hz: float | None) -> None:
    pts_s, images = decode_array(download, rate_hz=rate_hz)
    starts = sorted([0.0, 0.0333, 1.0, 4.0, float(pts_s[len(pts_s) // 2])])
    parts = [
        frame
        for start_s, end_s in zip(starts, [*starts[1:], None], strict=True)
        for frame in decode_frames(download, rate_hz=rate_hz, start_s=start_s, end_s=end_s)
    ]
    assert [frame.pts_s for frame in parts] == pts_s.tolist()
    assert (np.stack([frame.image for frame in parts]) == images).all()


KINDS = {
    "pyramid.mp4": ("libx264", {"preset": "medium", "x264-params": "bframes=3:b-pyramid=normal:b-adapt=0:keyint=40"}),
    "strict.mkv": ("libx264", {"preset": "medium", "x264-params": "bframes=5:b-pyramid=strict:b-adapt=0:keyint=33"}),
    "flat.mp4": ("libx264", {"preset": "medium", "x264-params": "bframes=16:b-pyramid=none:b-adapt=0:ref=1:keyint=48"}),
    "open.ts": ("libx264", {"preset": "medium", "x264-params": "open-gop=1:bframes=4:b-adapt=0:keyint=12:min-keyint=12"}),
    "no-b.mp4": ("libx264", {"preset": "medium", "x264-params": "bframes=0:keyint=40"}),
    "fields.mp4": ("libx264", {"preset": "medium", "x264-params": "interlaced=1:bframes=3:keyint=40"}),
    "hevc.mp4": ("libx265", {"preset": "fast", "x265-params": "bframes=4:keyint=40:log-level=none:pools=none:frame-threads=1"}),
    "hevc-open.mkv": ("libx265", {"preset": "fast", "x265-params": "open-gop=1:keyint=20:log-level=none:pools=none:frame-threads=1"}),
    "vp9.webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "mpeg4.avi": ("mpeg4", {"bf": "2"}),
}


@pytest.fixture(scope="module", params=[(kind, pace) for kind in KINDS for pace in ("steady", "variable")], ids="-".join)
def coded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 frames of drifting noise, at 60 fps or at a variable rate, as several encoders write them."""
    kind, pace = request.param
    path = tmp_path_factory.mktemp("coded") / kind
    codec, options = KINDS[kind]
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (48, 400), np.uint8)
    stamps = [0, *np.cumsum(np.ones(119, int) if pace == "steady" else rng.choice([1, 1, 1, 2, 5], 119)).tolist()]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=60, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.codec_context.thread_count = 96, 48, "yuv420p", 1
        for index, stamp in enumerate(stamps):
            gray = noise[:, 2 * index : 2 * index + 96]
            frame = av.VideoFrame.from_ndarray(np.repeat(gray[..., None], 3, 2), format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 60)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("rate_hz", [20, 13.0, 41, 2])
def test_thinning_gives_the_frames_of_full_decoding_bit_for_bit(coded: Path, rate_hz: float) -> None:
    pts_s, images = decode_array(coded)
    with open_video(coded) as (container, stream):
        frames = [(stamp, frame) for stamp, frame in frames_from(coded, container, stream, Fraction(0))]
        kept = [float(stamp) for stamp, _ in _thin(frames, Fraction(rate_hz))]
    thin_s, thin = decode_array(coded, rate_hz=rate_hz)
    assert thin_s.tolist() == kept and 0 < len(kept) < len(pts_s)
    assert np.array_equal(thin, images[np.isin(pts_s, kept)])
    for start_s in (0.31, 1.0):
        later_s, later = decode_array(coded, rate_hz=rate_hz, start_s=start_s, end_s=start_s + 0.8)
        inside = (thin_s >= start_s) & (thin_s < start_s + 0.8)
        assert later_s.tolist() == thin_s[inside].tolist() and np.array_equal(later, thin[inside])


def test_frames_that_nobody_needs_are_not_decoded(coded: Path) -> None:
    with open_video(coded) as (container, stream):
        found = list(needed_frames_from(coded, container, stream, Fraction(0), lambda stamp, following: False))
    assert [float(stamp) for stamp, _ in found] == decode_array(coded)[0].tolist()
    skipped = sum(frame is None for _, frame in found)
    assert skipped > 30 if coded.name in ("pyramid.mp4", "strict.mkv", "flat.mp4", "open.ts", "hevc.mp4", "hevc-open.mkv") else skipped == 0


def test_a_frame_reached_by_seeking_is_that_of_sequential_decoding(download: Path) -> None:
    pts_s, images = decode_array(download, width_px=32, height_px=16)
    for index in (77, 0, 1, 19, 20, 21, len(pts_s) - 8, *np.random.default_rng(1).integers(0, len(pts_s), 30)):
        frame = next(decode_frames(download, width_px=32, height_px=16, start_s=pts_s[index] - 0.001))
        assert frame.pts_s == pts_s[index] and (frame.image == images[index]).all()


def test_windows_equal_sequential_decoding(download: Path) -> None:
    pts_s, images = decode_array(download, width_px=32, height_px=16)
    rng = np.random.default_rng(1)
    for index in (0, 1, 19, 20, 21, 77, len(pts_s) - 8):
        assert (read_window(download, pts_s[index : index + 8], width_px=32, height_px=16) == images[index : index + 8]).all()
    for _ in range(5):
        chosen = rng.integers(0, len(pts_s), 6)  # any order, far apart, repeats
        assert (read_window(download, pts_s[chosen], width_px=32, height_px=16) == images[chosen]).all()


def test_windows_take_the_nearest_frame_and_refuse_one_too_far(tmp_path: Path) -> None:
    with VideoRecorder(tmp_path / "a.mp4", 10) as video:
        for index in range(30):
            video.add(picture(index), (index if index < 20 else index + 20) / 10)
    _, images = decode_array(tmp_path / "a.mp4")
    assert (read_window(tmp_path / "a.mp4", [0.51, 0.49, 1.001]) == images[[5, 5, 10]]).all()
    for pts_s in (2.5, 6.0, -0.2):
        with pytest.raises(MediaError, match=f"no frame at {pts_s:.6f} s"):
            read_window(tmp_path / "a.mp4", [0.1, pts_s])


def test_shapes_and_grey(download: Path) -> None:
    frame = next(decode_frames(download, width_px=10, height_px=6, gray=True))
    assert frame.image.shape == (6, 10) and frame.image.dtype == np.uint8
    pts_s, images = decode_array(download, width_px=10, height_px=6, gray=True, end_s=1.0)
    assert images.shape == (len(pts_s), 6, 10, 1) and pts_s.dtype == np.float64
    window = read_window(download, pts_s[:2], width_px=10, height_px=6, gray=True)
    assert window.shape == (2, 6, 10, 1) and (window == images[:2]).all()
    assert decode_array(download, end_s=0.1)[1].shape[1:] == (32, 64, 3)


def test_resizing_averages(tmp_path: Path) -> None:
    checker = (np.indices((64, 64)).sum(0) % 2 * 200).astype(np.uint8)
    with VideoRecorder(tmp_path / "a.mp4", 10, crf=5) as video:
        video.add(np.repeat(checker[..., None], 3, 2))
    _, images = decode_array(tmp_path / "a.mp4", width_px=8, height_px=8, gray=True)
    assert np.abs(images.astype(int) - 100).max() <= 6


def test_bad_arguments_are_refused_at_once(tmp_path: Path) -> None:
    absent = tmp_path / "absent.mp4"
    for arguments in ({"width_px": 8}, {"width_px": 0, "height_px": 8}, {"rate_hz": 0}, {"rate_hz": math.nan}, {"start_s": 2, "end_s": 1}):
        with pytest.raises(SettingsError):
            decode_frames(absent, **arguments)
    for pts_s in ([], [math.nan], [[0.0]]):
        with pytest.raises(SettingsError, match="pts_s"):
            read_window(absent, pts_s)


def test_an_empty_stretch_is_an_error_as_an_array_and_nothing_as_frames(download: Path) -> None:
    assert list(decode_frames(download, start_s=1000)) == []
    with pytest.raises(MediaError, match="no frame between"):
        decode_array(download, start_s=1000)


@pytest.mark.parametrize("gray", [True, False])
def test_a_live_picture_is_resized_as_its_video_is(tmp_path: Path, gray: bool) -> None:
    y, x = np.mgrid[:60, :80]
    image = np.stack([2 * x + y, 3 * y, 255 - 3 * x], axis=-1).clip(0, 255).astype(np.uint8)
    with VideoRecorder(tmp_path / "a.mp4", 20, crf=5) as video:
        for _ in range(3):
            video.add(image)
    decoded = decode_array(tmp_path / "a.mp4", width_px=40, height_px=30, gray=gray)[1]
    live = resize_image(image, 40, 30, gray)
    assert live.shape == (30, 40, 1 if gray else 3) and live.dtype == np.uint8
    assert np.abs(decoded[1].astype(int) - live).mean() < 4  # colour is stored at half the size


def test_an_impossible_live_size_is_refused() -> None:
    with pytest.raises(SettingsError, match="0 x 30"):
        resize_image(picture(0), 0, 30, gray=True)

"""The recorder: exact time stamps, whole files or none, the same bytes twice."""

import hashlib
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostpad.base.errors import MediaError, SettingsError
from ghostpad.video.decode import decode_array
from ghostpad.video.probe import probe_video, read_stamps
from ghostpad.video.record import VideoRecorder, recordable_rate

GREY = np.full((16, 32, 3), 90, np.uint8)


def shade(index: int, height_px: int = 16, width_px: int = 32) -> np.ndarray:
    return np.full((height_px, width_px, 3), 20 + 5 * (index % 40), np.uint8)


@pytest.mark.parametrize("fps", [Fraction(35, 2), Fraction(30000, 1001), Fraction(60), Fraction(7, 3), Fraction(20)])
def test_steps_of_one_over_fps_are_exact(tmp_path: Path, fps: Fraction) -> None:
    with VideoRecorder(tmp_path / "a.mp4", fps) as video:
        for index in range(9):
            video.add(shade(index))
    assert read_stamps(tmp_path / "a.mp4") == [index / fps for index in range(9)]
    info = probe_video(tmp_path / "a.mp4")
    assert (info.fps, info.frames, info.variable_rate) == (fps, 9, False)
    assert info.duration_s == pytest.approx(float(9 / fps), abs=1e-12)


def test_pictures_come_back_in_order_and_in_their_colours(tmp_path: Path) -> None:
    colours = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [250, 250, 250], [5, 5, 5]], np.uint8)
    images = np.broadcast_to(colours[:, None, None], (5, 48, 64, 3))
    with VideoRecorder(tmp_path / "a.mp4", 10, crf=10) as video:
        for image in images:
            video.add(image)
    pts_s, back = decode_array(tmp_path / "a.mp4")
    assert pts_s.tolist() == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert back.shape == images.shape and back.dtype == np.uint8
    assert np.abs(back.astype(int) - images).max() <= 8


@settings(max_examples=25, deadline=None)
@given(
    first_us=st.integers(0, 3_000_000),
    steps_us=st.lists(st.integers(50, 4_000_000), max_size=8),
    preset=st.sampled_from(["ultrafast", "medium"]),
)
def test_free_time_stamps_survive_to_half_a_tick(first_us: int, steps_us: list[int], preset: str) -> None:
    asked = np.cumsum([first_us, *steps_us]) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp4"
        with VideoRecorder(path, Fraction(35, 2), preset=preset) as video:
            for index, pts_s in enumerate(asked):
                video.add(shade(index), float(pts_s))
        stamps = read_stamps(path)
        decoded, _ = decode_array(path)
    assert np.abs(np.array(stamps, float) - asked).max() <= 0.5 / 90_000
    assert decoded.tolist() == [float(stamp) for stamp in stamps]


def test_a_picture_without_a_stamp_follows_the_last_one(tmp_path: Path) -> None:
    with VideoRecorder(tmp_path / "a.mp4", 10) as video:
        for pts_s in (None, 0.5, None):
            video.add(GREY, pts_s)
    assert read_stamps(tmp_path / "a.mp4") == [0, Fraction(1, 2), Fraction(3, 5)]


def test_the_same_pictures_give_the_same_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (30, 64, 96, 3), np.uint8)
    digests = set()
    for name in ("a.mp4", "b.mp4"):
        with VideoRecorder(tmp_path / name, 30, preset="veryfast") as video:
            for image in images:
                video.add(image)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_the_index_stands_before_the_pictures(tmp_path: Path) -> None:
    with VideoRecorder(tmp_path / "a.mp4", 30) as video:
        video.add(GREY)
    data = (tmp_path / "a.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("before", [0, 1, 12])
def test_an_error_inside_the_block_leaves_nothing(tmp_path: Path, before: int) -> None:
    with pytest.raises(ZeroDivisionError), VideoRecorder(tmp_path / "sub" / "a.mp4", 30) as video:
        for index in range(before):
            video.add(shade(index))
        raise ZeroDivisionError
    assert list((tmp_path / "sub").iterdir()) == []


def test_an_older_video_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with VideoRecorder(path, 30) as video:
        video.add(GREY)
    old = path.read_bytes()
    with pytest.raises(ZeroDivisionError), VideoRecorder(path, 30) as video:
        video.add(shade(1))
        raise ZeroDivisionError
    assert path.read_bytes() == old and list(tmp_path.iterdir()) == [path]


def test_no_picture_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no picture was recorded"), VideoRecorder(tmp_path / "a.mp4", 30):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((15, 32, 3), np.uint8), "even width and height, got 32 x 15"),
        (np.zeros((16, 31, 3), np.uint8), "crop or pad"),
        (np.zeros((16, 32), np.uint8), "uint8 \\[H, W, 3\\]"),
        (np.zeros((16, 32, 3), np.float32), "float32"),
        (np.zeros((0, 32, 3), np.uint8), "even"),
    ],
)
def test_pictures_that_cannot_be_video_are_refused(tmp_path: Path, image: np.ndarray, says: str) -> None:
    with pytest.raises(MediaError, match=says), VideoRecorder(tmp_path / "a.mp4", 30) as video:
        video.add(image)


def test_one_size_and_rising_stamps(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="keep one size"), VideoRecorder(tmp_path / "a.mp4", 30) as video:
        video.add(GREY)
        video.add(np.zeros((18, 32, 3), np.uint8))
    for stamps in ([0.5, 0.5], [0.5, 0.1], [-1.0], [float("nan")]):
        with pytest.raises(MediaError, match="time stamp"), VideoRecorder(tmp_path / "a.mp4", 30) as video:
            for pts_s in stamps:
                video.add(GREY, pts_s)


def test_options_out_of_range_are_listed_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        VideoRecorder(tmp_path / "a.mp4", 30, crf=60, preset="ultrafats", gop=0)
    assert len(caught.value.problems) == 3 and "did you mean 'ultrafast'?" in str(caught.value)
    for fps in (0, -1, Fraction(2001, 1)):
        with pytest.raises(SettingsError, match="fps"):
            VideoRecorder(tmp_path / "a.mp4", fps)


@pytest.mark.parametrize("what", ["record", "proxy"])
@pytest.mark.parametrize("room_bytes", [0, 1, 50_000])
def test_d16_a_full_disk_is_an_error_that_names_the_file_and_leaves_nothing(tmp_path: Path, what: str, room_bytes: int) -> None:
    """A limit on the size of files stands for the disk: the same calls fail, also the very first one, at which PyAV used to crash."""
    with VideoRecorder(tmp_path / "a.mp4", 30, crf=1) as video:
        for index in range(60):
            video.add(np.random.default_rng(index).integers(0, 256, (64, 96, 3), np.uint8))
    before = (tmp_path / "a.mp4").read_bytes()
    told = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, what, str(tmp_path), str(room_bytes)], capture_output=True, text=True, timeout=120
    )
    assert told.returncode == 0, told.stderr
    assert "OSError" in told.stdout and "File too large" in told.stdout and ("a.mp4" if what == "record" else "p.mp4") in told.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"] and (tmp_path / "a.mp4").read_bytes() == before


_FULL_DISK = """
import resource, signal, sys
import numpy as np
from ghostpad.video.decode import decode_frames
from ghostpad.video.proxy import make_proxy
from ghostpad.video.record import VideoRecorder, recordable_rate

what, folder, room_bytes = sys.argv[1:]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(room_bytes), int(room_bytes)))
try:
    if what == "proxy":
        make_proxy(f"{folder}/a.mp4", f"{folder}/p.mp4", crf=1)
    else:
        with VideoRecorder(f"{folder}/a.mp4", 30, crf=1) as video:
            for frame in list(decode_frames(f"{folder}/a.mp4")):
                video.add(frame.image)
except OSError as error:
    print("OSError", error)
"""


@given(st.fractions(min_value=0, max_value=5000))
def test_any_mean_rate_has_one_near_it_that_can_be_recorded(fps: Fraction) -> None:
    rate = recordable_rate(fps)
    VideoRecorder("a.mp4", rate)
    assert rate == fps if 0 < fps <= 1000 and fps.numerator <= 1_000_000 else abs(rate - min(fps, 1000)) <= Fraction(1, 1000)

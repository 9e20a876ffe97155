"""The copy that training reads: frames out of ranges of its bytes are those that plain decoding gives, under their own time stamps."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ghostpad.base.errors import FormatError, MediaError, MissingError, SettingsError
from ghostpad.video.decode import Frame, decode_array, decode_frames
from ghostpad.video.probe import read_keyframes, read_stamps
from ghostpad.video.record import VideoRecorder
from ghostpad.video.segments import SegmentDecoder, SegmentIndex, read_segment_index, write_segments


@dataclass(frozen=True)
class Copy:
    """A copy with its index and bytes, the pictures it was made of, and those that plain decoding of it gives."""

    path: Path
    index: SegmentIndex
    data: bytes
    source: NDArray[np.uint8]
    decoded: NDArray[np.uint8]

    def read(self, start: int, stop: int) -> bytes:
        return self.data[start:stop]


def moving(count: int, width_px: int, height_px: int, gray: bool) -> Iterator[Frame]:
    """A smooth picture that moves, and a square that jumps, at 20 Hz."""
    ramp = np.add.outer(np.arange(height_px) * 2, np.arange(width_px) * 3)[..., None] + np.array([0, 60, 120])
    for number in range(count):
        image = (128 + 100 * np.sin((ramp + 7 * number) / 40)).astype(np.uint8)
        top, left = (29 * number) % (height_px // 2), (17 * number) % (width_px // 2)
        image[top : top + 6, left : left + 6] = (200, 40, 5 * number % 256)
        yield Frame(number / 20, np.ascontiguousarray(image[..., 0]) if gray else image)


def make(folder: Path, frames: list[Frame], gray: bool, gop: int = 16, crf: int = 20) -> Copy:
    path = folder / "a.mp4"
    index = write_segments(iter(frames), path, gray=gray, rate_hz=Fraction(20), gop=gop, crf=crf)
    _, decoded = decode_array(path, gray=gray)
    return Copy(path, index, path.read_bytes(), np.stack([frame.image for frame in frames]).reshape(decoded.shape), decoded)


@pytest.fixture(scope="module", params=[False, True], ids=["rgb", "gray"])
def copy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    gray = bool(request.param)
    return make(tmp_path_factory.mktemp("copy"), list(moving(45, 96, 64, gray)), gray, gop=8)


@example(wanted=[0])
@example(wanted=[7, 8])  # both sides of the edge of a segment
@example(wanted=[0, 0, 15, 16, 16, 44, 44])
@given(wanted=st.lists(st.integers(0, 44), max_size=40).map(sorted))
def test_any_frames_are_those_of_plain_decoding_bit_for_bit(copy: Copy, wanted: list[int]) -> None:
    found = SegmentDecoder().frames(copy.index, copy.read, np.array(wanted, np.int64))
    assert found.dtype == np.uint8 and np.array_equal(found, copy.decoded[wanted])


def test_one_decoder_serves_copies_of_other_sizes_by_turns(tmp_path: Path) -> None:
    copies = []
    for number, size in enumerate([(64, 48), (48, 64), (32, 32), (33, 21), (80, 16), (16, 80)]):
        (tmp_path / str(number)).mkdir()
        copies.append(make(tmp_path / str(number), list(moving(20, *size, gray := bool(number % 2))), gray, gop=4))
    decoder, rng = SegmentDecoder(), np.random.default_rng(0)
    for which in rng.integers(0, len(copies), 40):
        wanted = np.sort(rng.integers(0, 20, 5))
        assert np.array_equal(decoder.frames(copies[which].index, copies[which].read, wanted), copies[which].decoded[wanted])


def test_only_the_segments_that_are_needed_are_read_neighbours_at_once(copy: Copy) -> None:
    ranges = []

    def read(start: int, stop: int) -> bytes:
        ranges.append((start, stop))
        return copy.data[start:stop]

    SegmentDecoder().frames(copy.index, read, np.array([9, 10, 17, 18, 41]))
    at = copy.index.offsets
    assert ranges == [(at[8], at[19]), (at[40], at[42])]


def test_the_loss_is_small_and_gray_has_no_bias(copy: Copy) -> None:
    error = copy.decoded.astype(float) - copy.source
    assert 10 * np.log10(255**2 / (error**2).mean()) > (38 if copy.index.gray else 33)
    assert abs(error.mean()) < (0.1 if copy.index.gray else 1.5)


def test_gray_values_of_every_level_survive(tmp_path: Path) -> None:
    """Also black and white, which video of limited range cuts off."""
    image = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16), 8, axis=0).repeat(8, axis=1)
    copy = make(tmp_path, [Frame(0.0, image), Frame(1.0, image)], gray=True, crf=1)
    assert np.abs(copy.decoded.astype(int) - copy.source).max() <= 1


def test_it_is_an_ordinary_video_of_closed_segments(copy: Copy) -> None:
    assert copy.index.keys.tolist() == [0, 8, 16, 24, 32, 40]
    assert read_keyframes(copy.path) == [Fraction(number, 20) for number in (0, 8, 16, 24, 32, 40)]
    assert [float(stamp) for stamp in read_stamps(copy.path)] == copy.index.pts_s.tolist() == [number / 20 for number in range(45)]
    assert 0 < copy.data.index(b"moov") < copy.data.index(b"mdat")
    for key in (8, 40):  # from a keyframe on, nothing before it is needed
        tail = decode_array(copy.path, gray=copy.index.gray, start_s=key / 20)[1]
        assert np.array_equal(tail, copy.decoded[key:])
    assert (copy.index.width_px, copy.index.height_px) == (96, 64)


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    files = set()
    for _ in range(10):
        write_segments(moving(40, 128, 96, gray=True), tmp_path / "a.mp4", gray=True, rate_hz=None)
        files.add((tmp_path / "a.mp4").read_bytes())
    assert len(files) == 1


@settings(max_examples=40)
@given(
    ticks_hz=st.sampled_from([1, 30, 1000, 12_800, 16_000, 90_000, 60_000, 1_000_000]),
    first=st.integers(0, 40_000),
    steps=st.lists(st.integers(1, 10_000), max_size=12),
    rate_hz=st.sampled_from([None, Fraction(20), Fraction(30000, 1001)]),
)
def test_time_stamps_of_any_clock_are_kept_bit_for_bit(ticks_hz: int, first: int, steps: list[int], rate_hz: Fraction | None) -> None:
    stamps = [float(Fraction(int(tick), ticks_hz)) for tick in np.cumsum([first, *steps])]
    frames = (Frame(stamp, np.full((16, 16), number, np.uint8)) for number, stamp in enumerate(stamps))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp4"
        index = write_segments(frames, path, gray=True, rate_hz=rate_hz)
        assert index.pts_s.tolist() == [float(stamp) for stamp in read_stamps(path)] == stamps
        again = SegmentIndex.from_bytes(index.to_bytes())
    assert again.pts_s.tolist() == stamps


def test_a_copy_of_thinned_footage_keeps_what_thinning_it_again_would(tmp_path: Path) -> None:
    with VideoRecorder(tmp_path / "v.mp4", 35) as video:
        for frame in moving(70, 64, 48, gray=False):
            video.add(frame.image)
    frames = decode_frames(tmp_path / "v.mp4", width_px=32, height_px=24, gray=True, rate_hz=20)
    index = write_segments(frames, tmp_path / "a.mp4", gray=True, rate_hz=Fraction(20))
    assert index.pts_s.tolist() == [frame.pts_s for frame in decode_frames(tmp_path / "a.mp4", rate_hz=20)]
    assert len(index.pts_s) == 40


def test_the_index_is_read_from_the_file_and_from_its_bytes(copy: Copy) -> None:
    for index in (read_segment_index(copy.path), SegmentIndex.from_bytes(copy.index.to_bytes())):
        for name in ("pts_s", "offsets", "keys"):
            found, expected = getattr(index, name), getattr(copy.index, name)
            assert found.dtype == expected.dtype and np.array_equal(found, expected)
        for name in ("extradata", "gray", "width_px", "height_px"):
            assert getattr(index, name) == getattr(copy.index, name)
    assert len(copy.index.to_bytes()) < 8 * 45


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_bytes_that_are_no_index_are_told(copy: Copy, keep: int) -> None:
    for body in (copy.index.to_bytes()[:keep], copy.data[:keep]):
        with pytest.raises(FormatError, match="no index of segments"):
            SegmentIndex.from_bytes(body)


def test_a_damaged_index_is_told(copy: Copy) -> None:
    """Unless the damaged bit is one of the few that mean nothing."""
    data, rng, told = copy.index.to_bytes(), np.random.default_rng(1), 0
    for _ in range(200):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << rng.integers(8)
        try:
            assert SegmentIndex.from_bytes(bytes(damaged)).to_bytes() == data
        except FormatError:
            told += 1
    assert told > 190


def test_damaged_bytes_name_the_file_and_the_time_and_harm_no_later_read(copy: Copy) -> None:
    decoder, all_frames = SegmentDecoder(), np.arange(45)
    zeroed = bytearray(copy.data)
    zeroed[copy.index.offsets[20] + 8 : copy.index.offsets[21]] = bytes(copy.index.offsets[21] - copy.index.offsets[20] - 8)
    with pytest.raises(MediaError, match=r"x\.mp4: decoding failed at 1\.000 s"):
        decoder.frames(copy.index, lambda start, stop: bytes(zeroed[start:stop]), all_frames, "x.mp4")
    with pytest.raises(MediaError, match="cut off at 0.000 s"):
        decoder.frames(copy.index, lambda start, stop: copy.data[: len(copy.data) - 9][start:stop], all_frames, "x.mp4")
    rng = np.random.default_rng(2)
    with pytest.raises(MediaError, match="decoding failed"):
        decoder.frames(copy.index, lambda start, stop: rng.bytes(stop - start), all_frames, "x.mp4")
    assert np.array_equal(decoder.frames(copy.index, copy.read, all_frames), copy.decoded)


def test_an_index_of_another_file_is_told(copy: Copy, tmp_path: Path) -> None:
    other = make(tmp_path, list(moving(45, 32, 32, copy.index.gray)), copy.index.gray)
    with pytest.raises(MediaError, match="decoding failed"):
        SegmentDecoder().frames(replace(copy.index, extradata=other.index.extradata), copy.read, np.arange(45))


@pytest.mark.parametrize("wanted", [[-1], [45], [3, 2]])
def test_frames_that_are_not_there_are_a_bug_of_the_caller(copy: Copy, wanted: list[int]) -> None:
    with pytest.raises(IndexError, match="45"):
        SegmentDecoder().frames(copy.index, copy.read, np.array(wanted))


def test_files_that_are_no_copies_are_told(copy: Copy, tmp_path: Path) -> None:
    with VideoRecorder(tmp_path / "v.mp4", 20) as video:
        for frame in moving(9, 64, 48, gray=False):
            video.add(frame.image)
    with pytest.raises(MediaError, match="not a copy for training"):
        read_segment_index(tmp_path / "v.mp4")
    (tmp_path / "cut.mp4").write_bytes(copy.data[:-30])
    with pytest.raises(MediaError, match="cut off at 2.200 s"):
        read_segment_index(tmp_path / "cut.mp4")
    with av.open(str(copy.path)) as source, av.open(str(tmp_path / "sound.mp4"), "w") as mixed:
        mixed.metadata["comment"] = source.metadata["comment"]
        track, sound = mixed.add_stream_from_template(source.streams.video[0]), mixed.add_stream("aac", rate=8000)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = track
                mixed.mux(packet)
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                silence.sample_rate = 8000
                mixed.mux(sound.encode(silence))
        mixed.mux(sound.encode(None))
    with pytest.raises(MediaError, match="not a copy for training"):
        read_segment_index(tmp_path / "sound.mp4")
    with pytest.raises(MissingError):
        read_segment_index(tmp_path / "gone.mp4")


def grays(*stamps: float, size: int = 16) -> Iterator[Frame]:
    return (Frame(stamp, np.zeros((size, size), np.uint8)) for stamp in stamps)


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        ([], "holds no frame"),
        ([*grays(0.0), *grays(1.0, size=32)], "picture at 1.000 s is"),
        ([*grays(-0.5, 0.0)], "cannot be kept"),
        ([*grays(0.0, 1.0, 1.0)], "cannot be kept"),
        ([*grays(0.0, 0.1234567890123456789, 1e6 + 0.9876543210987)], "cannot be kept"),
    ],
)
def test_frames_that_make_no_copy_leave_nothing(tmp_path: Path, frames: list[Frame], says: str) -> None:
    with pytest.raises(MediaError, match=says):
        write_segments(frames, tmp_path / "a.mp4", gray=True, rate_hz=None)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_source_leaves_nothing(tmp_path: Path) -> None:
    def frames() -> Iterator[Frame]:
        yield from grays(0.0, 1.0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_segments(frames(), tmp_path / "a.mp4", gray=True, rate_hz=None)
    with pytest.raises(SettingsError, match="crf is 99"):
        write_segments(frames(), tmp_path / "a.mp4", gray=True, rate_hz=None, crf=99)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("room_bytes", [0, 1, 30_000, 70_000])
def test_a_full_disk_is_an_error_that_leaves_nothing(tmp_path: Path, room_bytes: int) -> None:
    """A limit on the size of files stands for the disk, at the first write, in the middle, and when all is encoded."""
    told = subprocess.run([sys.executable, "-c", _FULL_DISK, str(tmp_path), str(room_bytes)], capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr
    assert "OSError" in told.stdout and "File too large" in told.stdout
    assert list(tmp_path.iterdir()) == []


_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from ghostpad.video.decode import Frame
from ghostpad.video.segments import write_segments

folder, room_bytes = sys.argv[1:]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(room_bytes), int(room_bytes)))
rng = np.random.default_rng(0)
try:
    frames = (Frame(n / 10, rng.integers(0, 256, (64, 96), np.uint8)) for n in range(30))
    write_segments(frames, Path(folder, "a.mp4"), gray=True, rate_hz=None)
except OSError as error:
    print(type(error).__mro__, error)
"""

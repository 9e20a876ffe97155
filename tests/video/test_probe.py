"""Probing: what a file holds, and a clear sentence for every file that is no whole video."""

import os
import socket
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ghostpad.base.errors import MediaError, MissingError
from ghostpad.video.decode import decode_array, decode_frames
from ghostpad.video.probe import probe_video, read_keyframes, read_stamps
from ghostpad.video.record import VideoRecorder


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 frames of noise at 30 fps: large frames, so that a cut falls among the pictures."""
    path = tmp_path_factory.mktemp("noise") / "noise.mp4"
    rng = np.random.default_rng(0)
    with VideoRecorder(path, 30, gop=30) as video:
        for _ in range(90):
            video.add(rng.integers(0, 256, (48, 64, 3), np.uint8))
    return path


def remux(source: Path, target: Path) -> Path:
    with av.open(str(source)) as before, av.open(str(target), "w") as after:
        stream = after.add_stream_from_template(before.streams.video[0])
        for packet in before.demux(before.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                after.mux(packet)
    return target


def sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_whole_file(noise: Path) -> None:
    info = probe_video(noise)
    assert (info.path, info.width_px, info.height_px, info.fps, info.frames) == (noise, 64, 48, 30, 90)
    assert (info.duration_s, info.codec, info.variable_rate) == (3.0, "h264", False)


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".flv"])
def test_other_containers_keep_frames_and_times_to_their_clock(noise: Path, tmp_path: Path, suffix: str) -> None:
    info = probe_video(remux(noise, tmp_path / f"a{suffix}"))
    assert info.frames == 90 and float(info.fps) == pytest.approx(30, rel=1e-3)
    assert not info.variable_rate and info.duration_s == pytest.approx(3.0, abs=0.002)
    assert len(decode_array(tmp_path / f"a{suffix}", width_px=8, height_px=6)[0]) == 90


def test_a_variable_rate_is_seen_and_averaged_exactly(tmp_path: Path) -> None:
    shown = [0, 1, 2, 5, 6, 10]
    with VideoRecorder(tmp_path / "a.mp4", 30) as video:
        for tick in shown:
            video.add(np.zeros((16, 16, 3), np.uint8), tick / 30)
    info = probe_video(tmp_path / "a.mp4")
    assert info.variable_rate and info.frames == 6
    assert info.duration_s == pytest.approx(11 / 30, abs=1e-5)
    assert info.fps in (Fraction(5 * 30, 10), Fraction(6 * 30, 11))  # from the first stamp to the last, or to the end


def test_one_frame(tmp_path: Path) -> None:
    with VideoRecorder(tmp_path / "a.mp4", Fraction(35, 2)) as video:
        video.add(np.zeros((16, 16, 3), np.uint8), 3.0)
    info = probe_video(tmp_path / "a.mp4")
    assert (info.frames, info.fps, info.variable_rate) == (1, Fraction(35, 2), False)
    assert info.duration_s == pytest.approx(2 / 35)


def test_stamps_equal_those_of_decoding(noise: Path) -> None:
    assert [float(stamp) for stamp in read_stamps(noise)] == [frame.pts_s for frame in decode_frames(noise)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_keyframes(noise: Path, tmp_path: Path, suffix: str) -> None:
    path = remux(noise, tmp_path / f"a{suffix}")
    first_s = float(read_stamps(path)[0])
    assert [float(stamp) - first_s for stamp in read_keyframes(path)] == pytest.approx([0, 1, 2], abs=0.001)


def broken(kind: str, noise: Path, folder: Path) -> Path:
    path, data = folder / "a.mp4", noise.read_bytes()
    match kind:
        case "empty":
            path.write_bytes(b"")
        case "garbage":
            path.write_bytes(np.random.default_rng(1).bytes(5000))
        case "text":
            (path := folder / "a.txt").write_text("hello\n" * 200)
        case "playlist":
            (path := folder / "a.m3u8").write_text(f"#EXTM3U\n#EXTINF:1,\n{noise}\n")
        case "picture":
            from PIL import Image

            Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path := folder / "a.png")
        case "folder":
            path.mkdir()
        case "sound":
            sound(path)
        case "no index":
            path.write_bytes(data[:500])
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("empty", "is empty"),
        ("garbage", "is not a video"),
        ("text", "is not a video"),
        ("playlist", "is not a video"),
        ("picture", "is not a video"),
        ("folder", "is not a file"),
        ("sound", "holds no pictures, only sound"),
        ("no index", "cut off before its index"),
    ],
)
def test_what_is_no_video_says_so(noise: Path, tmp_path: Path, kind: str, says: str) -> None:
    path = broken(kind, noise, tmp_path)
    with pytest.raises(MediaError, match=says) as caught:
        probe_video(path)
    assert str(path) in str(caught.value)
    with pytest.raises(MediaError, match=says):
        next(decode_frames(path))


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="does not exist"):
        probe_video(tmp_path / "a.mp4")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.8])
def test_a_file_that_is_cut_off_says_where(noise: Path, tmp_path: Path, suffix: str, kept: float) -> None:
    data = remux(noise, tmp_path / f"whole{suffix}").read_bytes() if suffix != ".mp4" else noise.read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(MediaError, match="cut off at"):
        probe_video(path)
    seen = []
    with pytest.raises(MediaError, match="decoding failed after the frame at|cut off at") as caught:
        for frame in decode_frames(path):
            seen.append(frame.pts_s)
    assert str(path) in str(caught.value) and 0 < len(seen) < 90


def test_a_cut_between_two_frames_is_seen_too(noise: Path, tmp_path: Path) -> None:
    with av.open(str(noise)) as container:
        ends = sorted(entry.pos + entry.size for entry in container.streams.video[0].index_entries)
    (path := tmp_path / "cut.mp4").write_bytes(noise.read_bytes()[: ends[-2]])
    seen = []
    with pytest.raises(MediaError, match="cut off at 2.967 s: 1 frames"):
        for frame in decode_frames(path):
            seen.append(frame)
    assert len(seen) == 89


def old_kind(path: Path, kind: str) -> bytes:
    """A file of an older kind: 60 frames of noise."""
    codec = {"avi": "mpeg4", "vcd": "mpeg1video"}.get(kind, "mpeg2video")
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 192, 128, "yuv420p", 4_000_000
        for _ in range(60):  # each picture larger than a packet of 2 KB: FFmpeg stamps packets
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rng.integers(0, 255, (128, 192, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["avi", "mpeg", "vob", "dvd", "vcd", "svcd"])
def test_d11_an_avi_or_mpeg_that_is_cut_off_says_so_and_a_whole_one_is_taken(tmp_path: Path, kind: str) -> None:
    data = old_kind(path := tmp_path / "whole.bin", kind)
    assert probe_video(path).frames == 60
    path.write_bytes(data + b"\0\0\1\xb9" * (kind != "avi"))  # with the end code, which FFmpeg leaves out
    assert probe_video(path).frames == 60
    for kept in (0.3, 0.5, 0.9, (len(data) - 30) / len(data)):
        (cut := tmp_path / "cut.bin").write_bytes(data[: int(len(data) * kept) | 1])  # between packets nothing shows
        with pytest.raises(MediaError, match="cut off at .* bytes are missing") as caught:
            probe_video(cut)
        assert str(cut) in str(caught.value)
        with pytest.raises(MediaError, match="decoding failed after the frame at|cut off at"):
            list(decode_frames(cut))


def test_an_avi_that_was_written_to_a_pipe_states_no_size(tmp_path: Path) -> None:
    data = bytearray(old_kind(path := tmp_path / "a.avi", "avi"))
    data[4:8] = bytes(4)
    path.write_bytes(data)
    assert probe_video(path).frames == 60


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "socket", "device"])
def test_what_is_no_regular_file_is_refused_without_waiting_for_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.mp4"
    if "pipe" in kind:
        os.mkfifo(tmp_path / "pipe" if "link" in kind else path)
    if "link" in kind:
        path.symlink_to(tmp_path / "pipe")
    elif kind == "device":
        path.symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        if kind == "socket":
            server.bind(str(path))
        code = f"from ghostpad.video.probe import probe_video; probe_video({str(path)!r})"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert f"MediaError: {path} is not a file" in told.stderr


def test_the_part_before_the_cut_can_still_be_read(noise: Path, tmp_path: Path) -> None:
    (path := tmp_path / "cut.mp4").write_bytes(noise.read_bytes()[:-2000])
    assert len(decode_array(path, end_s=1.0)[0]) == 30


def test_video_code_needs_no_torch() -> None:
    code = "import sys, ghostpad.video.decode, ghostpad.video.proxy, ghostpad.corpus; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"

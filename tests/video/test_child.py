"""The child that reads footage: the same results as here, its limits, and that it outlives nobody."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ghostpad.base.errors import MediaError, MissingError, NoMemoryError, SettingsError
from ghostpad.lab.made_up.small_videos import write_video
from ghostpad.video.child import Limits, VideoChild
from ghostpad.video.damage import Gap
from ghostpad.video.decode import decode_frames
from ghostpad.video.probe import probe_video, read_stamps, video_size


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds with a changing rate, larger than what the pipe holds."""
    steps = np.random.default_rng(0).choice([1, 1, 2], 299)
    return write_video(tmp_path_factory.mktemp("child") / "naïve 日本.mp4", stamps=[0, *np.cumsum(steps).tolist()], clock_hz=45)


@pytest.fixture
def child() -> Iterator[VideoChild]:
    with VideoChild() as child:
        yield child


def running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends(pid: int) -> bool:
    """Whether a process ends, for which it has 30 seconds."""
    deadline_s = time.monotonic() + 30
    while running(pid) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return not running(pid)


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"width_px": 128, "height_px": 96, "gray": True},
        {"width_px": 16, "height_px": 12, "rate_hz": 7.3, "start_s": 1.1, "end_s": 4.2},
        {"rate_hz": Fraction(30000, 1001), "mask": [(10, 10, 40, 30)], "end_s": 2.0},
        {"start_s": 1000.0},
    ],
)
def test_the_child_gives_what_reading_here_gives(child: VideoChild, video: Path, wanted: dict) -> None:
    here, there = list(decode_frames(video, **wanted)), list(child.frames(video, **wanted))
    assert [frame.pts_s for frame in here] == [frame.pts_s for frame in there]
    assert all(np.array_equal(one.image, other.image) and one.image.dtype == other.image.dtype for one, other in zip(here, there))  # noqa: B905


def test_facts_and_stamps_are_equal_too(child: VideoChild, video: Path) -> None:
    assert child.probe(video) == probe_video(video) and child.size(video) == video_size(video)
    assert child.stamps(video) == read_stamps(video)


def test_gaps_come_before_the_frames_behind_them(child: VideoChild, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.ts", "mpeg2", stamps=range(120), size_px=(160, 96))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = np.random.default_rng(0).bytes(3000)
    path.write_bytes(data)
    here: list[Gap] = []
    stamps_s, gaps = [frame.pts_s for frame in decode_frames(path, gaps=here)], []
    for frame, pts_s in zip(child.frames(path, gaps=gaps), stamps_s, strict=True):
        assert frame.pts_s == pts_s and all(gap in gaps for gap in here if gap.end_s <= pts_s)
    assert gaps == here and gaps


def test_errors_are_those_of_reading_here(child: VideoChild, video: Path, tmp_path: Path) -> None:
    (text := tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(MissingError, match="does not exist"):
        child.probe(tmp_path / "absent.mp4")
    with pytest.raises(MediaError, match="is not a video"):
        child.stamps(text)
    with pytest.raises(SettingsError, match="both width_px and height_px"):
        child.frames(video, width_px=8)
    with pytest.raises(SettingsError, match="needs memory and time"):
        VideoChild(Limits(stall_s=0))
    pid = child.pid
    assert child.probe(video).frames == 300 and child.pid == pid


def test_leaving_frames_early_leaves_the_child_usable(child: VideoChild, video: Path) -> None:
    whole = [frame.pts_s for frame in decode_frames(video)]
    pids = set()
    for count in (0, 1, 50, 0, 299):
        frames = child.frames(video)
        assert [next(frames).pts_s for _ in range(count)] == whole[:count]
        pids.add(child.pid)
    assert child.probe(video).frames == 300 and len(pids) == 1
    with pytest.raises(RuntimeError, match="left for another request"):
        next(frames)


def test_a_hang_is_an_error_and_the_next_call_works(video: Path) -> None:
    with VideoChild(Limits(stall_s=2)) as child:
        frames, pid = child.frames(video), child.pid
        assert pid
        next(frames)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(MediaError, match=r"gave no frame for 2 s"):
            list(frames)
        assert not running(pid)
        assert child.probe(video).frames == 300 and child.pid != pid


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_crash_is_an_error_and_the_next_call_works(child: VideoChild, video: Path, number: signal.Signals) -> None:
    frames, pid = child.frames(video), child.pid
    assert pid
    os.kill(pid, number)
    with pytest.raises(MediaError, match=rf"crashed \(signal {number.value}\)"):
        list(frames)
    assert len(list(child.frames(video))) == 300
    assert child.pid and child.pid != pid
    os.kill(child.pid, number)  # while nobody asks it for anything
    assert ends(child.pid)
    assert child.probe(video).frames == 300


def test_too_much_memory_is_an_error_that_names_the_limit(tmp_path: Path) -> None:
    large = write_video(tmp_path / "large.mkv", "ffv1", size_px=(4096, 4096), stamps=[0])
    small = write_video(tmp_path / "small.mp4")
    with VideoChild(Limits(memory_bytes=100_000_000)) as child:
        assert child.probe(small).frames == 60
        with pytest.raises(NoMemoryError, match=r"large\.mkv needs more than 0\.1 GB of memory"):
            list(child.frames(large))
        assert len(list(child.frames(small))) == 60
    with VideoChild() as child:
        assert len(list(child.frames(large, width_px=16, height_px=16))) == 1


def test_a_slow_reader_is_no_hang(video: Path) -> None:
    with VideoChild(Limits(stall_s=2)) as child:
        frames = child.frames(video)
        next(frames)
        time.sleep(2.5)
        assert len(list(frames)) == 299


@pytest.mark.parametrize("stopped", [False, True])
def test_the_child_of_a_killed_parent_dies(video: Path, stopped: bool) -> None:
    code = "import sys; from ghostpad.video.child import VideoChild; child = VideoChild(); frames = child.frames(sys.argv[1]); next(frames)"
    code += "; print(child.pid, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code, video], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert running(pid)
        if stopped:
            os.kill(pid, signal.SIGSTOP)
        parent.kill()
    assert ends(pid)


def test_the_child_ends_with_its_input_and_when_it_is_closed(video: Path) -> None:
    child = VideoChild()
    child.probe(video)
    pid = child.pid
    assert pid and child._process and child._process.stdin
    child._process.stdin.close()
    assert child._process.wait(10) == 0
    child.close()
    with VideoChild() as other:
        other.probe(video)
        pid = other.pid
        assert pid and running(pid)
    assert not running(pid) and other.pid is None


def test_the_child_loads_no_torch() -> None:
    code = "import sys, ghostpad.video.child; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"

"""Decoding on behind damage: which frames come, which stretches are named, at any rate and from any start."""

from pathlib import Path

import numpy as np
import pytest

from ghostpad.base.errors import MediaError
from ghostpad.lab.made_up.small_videos import write_video
from ghostpad.video.damage import Gap
from ghostpad.video.decode import Frame, decode_frames, parts

FILES = {"a.mp4": "mpeg4", "a.mkv": "h264-cavlc", "a.ts": "mpeg2", "b.ts": "h264-cavlc"}
"""Codings in which hardly any damage passes for a sound picture, in containers that keep each frame's own stamp."""
LENGTH, GOP_S = 120, 0.5


@pytest.fixture(scope="module", params=FILES)
def sound(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[float, np.ndarray]]:
    """Four seconds with a keyframe every half second, and their frames by stamp."""
    path = tmp_path_factory.mktemp("sound") / request.param
    write_video(path, FILES[request.param], size_px=(160, 96), stamps=range(LENGTH))
    return path, {frame.pts_s: frame.image for frame in decode_frames(path)}


def overwritten(path: Path, share: float, seed: int, count: int = 3000) -> Path:
    """A copy of a file with other bytes from `share` of its length on."""
    data = bytearray(path.read_bytes())
    at = int(len(data) * share)
    data[at : at + count] = np.random.default_rng(seed).bytes(count)
    (broken := path.with_name(f"broken{path.suffix}")).write_bytes(data)
    return broken


def covered(frames: list[Frame], gaps: list[Gap], whole: dict[float, np.ndarray]) -> None:
    """Every frame that comes is one of the sound file, bit for bit, and every other one lies in a gap."""
    for frame in frames:
        assert np.array_equal(frame.image, whole[frame.pts_s])
        assert not any(gap.start_s < frame.pts_s < gap.end_s for gap in gaps)
    lost = set(whole) - {frame.pts_s for frame in frames}
    assert lost and all(any(gap.start_s <= pts_s <= gap.end_s for gap in gaps) for pts_s in lost)
    assert all(gap.start_s < gap.end_s and gap.reason for gap in gaps)
    assert [gap.start_s for gap in gaps] == sorted(gap.start_s for gap in gaps)


@pytest.mark.parametrize("seed", range(3))
def test_what_lies_around_damage_is_that_of_the_sound_file(sound: tuple[Path, dict[float, np.ndarray]], seed: int) -> None:
    path, whole = sound
    broken, gaps = overwritten(path, 0.28 + 0.2 * seed, seed), []
    frames = list(decode_frames(broken, gaps=gaps))
    covered(frames, gaps, whole)
    assert len(frames) > LENGTH / 2 and sum(gap.end_s - gap.start_s for gap in gaps) < 3 * GOP_S


def test_parts_are_the_frames_between_gaps(sound: tuple[Path, dict[float, np.ndarray]]) -> None:
    path, whole = sound
    gaps: list[Gap] = []
    found = [[frame.pts_s for frame in part] for part in parts(decode_frames(overwritten(path, 0.5, 0), gaps=gaps), gaps)]
    assert len(found) >= 2 and [part[0] for part in found[1:]] == [gap.end_s for gap in gaps]
    assert [part[-1] for part in found[:-1]] == [gap.start_s for gap in gaps]
    assert [[pts_s] for pts_s in whole] != found and len(list(parts(decode_frames(path, gaps=(none := [])), none))) == 1


@pytest.mark.parametrize("rate_hz", [10, 7.0])
def test_a_rate_keeps_the_frames_of_the_sound_file_outside_of_gaps(sound: tuple[Path, dict[float, np.ndarray]], rate_hz: float) -> None:
    path, whole = sound
    kept = [frame.pts_s for frame in decode_frames(path, rate_hz=rate_hz)]
    broken, gaps = overwritten(path, 0.5, 1), []
    thin = list(decode_frames(broken, rate_hz=rate_hz, gaps=gaps))
    assert all(np.array_equal(frame.image, whole[frame.pts_s]) for frame in thin)
    stamps_s = {frame.pts_s for frame in thin}
    edges = {gap.start_s for gap in gaps}  # on screen for longer, if the frames behind are gone
    assert gaps and stamps_s - edges <= set(kept) and len(thin) > len(kept) / 2
    assert all(any(gap.start_s < pts_s <= gap.end_s for gap in gaps) for pts_s in kept if pts_s not in stamps_s)


def test_gaps_are_those_of_the_stretch_asked_for(sound: tuple[Path, dict[float, np.ndarray]]) -> None:
    path, whole = sound
    broken, every = overwritten(path, 0.5, 2), []
    frames = list(decode_frames(broken, gaps=every))
    (middle_s,) = {(every[0].start_s + every[0].end_s) / 2}
    for start_s, end_s in ((0.0, every[0].start_s - 0.2), (every[-1].end_s + 0.01, None), (middle_s, every[0].end_s + 0.3)):
        gaps: list[Gap] = []
        found = list(decode_frames(broken, start_s=start_s, end_s=end_s, gaps=gaps))
        inside = [frame.pts_s for frame in frames if start_s <= frame.pts_s < (end_s or 1e9)]
        assert [frame.pts_s for frame in found] == inside
        assert [(gap.start_s, gap.end_s) for gap in gaps] == ([(middle_s, every[0].end_s)] if start_s == middle_s else [])
    gaps = []
    assert list(decode_frames(broken, start_s=middle_s, end_s=middle_s + 0.01, gaps=gaps)) == []
    assert [(gap.start_s, gap.end_s) for gap in gaps] == [(middle_s, middle_s + 0.01)]


def test_the_rest_of_a_cut_file_is_a_gap_to_its_stated_end(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", stamps=range(LENGTH), options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    gaps: list[Gap] = []
    frames = list(decode_frames(path, gaps=gaps))
    assert len(gaps) == 1 and (gaps[0].start_s, gaps[0].end_s) == (frames[-1].pts_s, 4.0)
    with pytest.raises(MediaError):
        list(decode_frames(path))


def test_a_picture_that_is_marked_damaged_is_an_error_where_no_gaps_are_asked_for(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.ts", "mpeg2", size_px=(160, 96), stamps=range(LENGTH))
    with pytest.raises(MediaError, match=r"decoding failed after the frame at 1\.\d+ s \(damaged data\)"):
        list(decode_frames(overwritten(path, 0.4, 0)))


def test_gaps_of_an_earlier_file_stay(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", size_px=(160, 96), stamps=range(LENGTH))
    gaps = [earlier := Gap(1.0, 2.0, "another file")]
    list(decode_frames(overwritten(path, 0.5, 0), start_s=0.7, gaps=gaps))
    assert gaps[0] is earlier and len(gaps) > 1

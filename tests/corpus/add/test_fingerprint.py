"""Fingerprints: the same pictures encoded anew are found, other episodes on the same ground are not."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ghostpad.base.errors import MediaError
from ghostpad.corpus.add import fingerprint
from ghostpad.corpus.add.fingerprint import PRINT, fingerprint_video, likeness
from ghostpad.corpus.add.similar import SimilarIndex, codes_of
from ghostpad.games.episode import record_episode
from ghostpad.games.spec import make_game, make_player
from ghostpad.video.decode import decode_frames
from ghostpad.video.probe import probe_video


def play(path: Path, seed: int, frames: int, player: str = "expert") -> Path:
    with make_game("doom-defend") as engine:
        record_episode(engine, make_player("doom-defend", player), seed, path, max_frames=frames)
    return path


def anew(source: Path, path: Path, *, scale: float = 0.5, every: int = 1, crf: int = 36, start: Fraction = Fraction(0)) -> Path:
    """The film encoded again, smaller, with every nth frame, from another time stamp on."""
    frames = list(decode_frames(source))
    with av.open(str(path), "w") as container:
        rate = probe_video(source).fps
        stream = container.add_stream("libx264", rate=rate / every, options={"crf": str(crf), "preset": "veryfast"})
        high, wide = (round(side * scale / 2) * 2 for side in frames[0].image.shape[:2])
        stream.width, stream.height, stream.pix_fmt = wide, high, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 35_000)
        for index in range(0, len(frames), every):
            frame = av.VideoFrame.from_ndarray(frames[index].image, format="rgb24").reformat(wide, high, "yuv420p")
            frame.time_base, frame.pts = Fraction(1, 35_000), int((index / rate + start) * 35_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def episodes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("episodes")
    return [play(folder / f"{seed}.mp4", seed, 210) for seed in (1, 2, 3)]


@pytest.mark.parametrize(
    "name, how",
    [
        ("small.mp4", {}),
        ("slow.mkv", {"every": 2, "scale": 1.0, "crf": 38}),
        ("late.ts", {"start": Fraction(7, 2), "scale": 0.8, "crf": 36}),
    ],
)
def test_the_same_encoded_anew_is_the_same(name: str, how: dict, episodes: list[Path], tmp_path: Path) -> None:
    found = likeness(fingerprint_video(episodes[0]), fingerprint_video(anew(episodes[0], tmp_path / name, **how)))
    assert 0 < found <= 1


def test_other_episodes_of_a_level_are_others(episodes: list[Path]) -> None:
    prints = [fingerprint_video(path) for path in episodes]
    assert [len(one) for one in prints] == [11, 11, 11]
    for a in range(3):
        assert likeness(prints[a], prints[a]) > 0.3
        for b in range(a):
            assert likeness(prints[a], prints[b]) < -0.2
            assert likeness(prints[a], prints[b]) == likeness(prints[b], prints[a])


def test_encodings_are_found_among_other_videos(episodes: list[Path], tmp_path: Path) -> None:
    known = {path.stem: fingerprint_video(path) for path in episodes}
    index = SimilarIndex()
    index.add(list(known), [12.0] * len(known), [codes_of(prints) for prints in known.values()])
    for episode in episodes:
        again = fingerprint_video(anew(episode, tmp_path / episode.name, every=2, crf=40))
        assert index.same(again, 12.0, known.get) == episode.stem
    assert index.same(fingerprint_video(play(tmp_path / "other.mp4", 4, 210)), 12.0, known.get) is None


def test_a_shared_beginning_is_no_shared_video(episodes: list[Path]) -> None:
    one, other = (fingerprint_video(path) for path in episodes[:2])
    mixed = one.copy()
    mixed[8:] = other[8:]
    assert likeness(one, mixed) < 0
    assert likeness(one, one[:7]) > 0.3, "one that ends earlier is the same as far as it goes"


def film(path: Path, seconds: int, moving: bool = True, every: int = 40) -> Path:
    """8 frames a second, with a keyframe at every so many."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"preset": "ultrafast", "g": str(every)})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        still = rng.integers(0, 255, (32, 32, 3), np.uint8)
        for _ in range(8 * seconds):
            picture = np.kron(rng.integers(0, 255, (4, 4, 3)), np.ones((8, 8, 1))).astype(np.uint8) if moving else still
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_what_is_too_short_or_stands_still_is_never_the_same(tmp_path: Path) -> None:
    short, still = fingerprint_video(film(tmp_path / "short.mp4", 4)), fingerprint_video(film(tmp_path / "still.mp4", 10, moving=False))
    assert likeness(short, short) == likeness(still, still) == -2 and len(still) == 9
    nothing = fingerprint_video(film(tmp_path / "nothing.mp4", 1))
    assert len(nothing) == 0 and nothing.dtype == PRINT and likeness(nothing, still) == -2
    (tmp_path / "torn.mp4").write_bytes((tmp_path / "still.mp4").read_bytes()[:900])
    with pytest.raises(MediaError):
        fingerprint_video(tmp_path / "torn.mp4")


def test_seconds_of_a_long_video_are_those_of_a_short_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "long.mp4", 400)
    sought = fingerprint_video(path)
    assert sought["second"].tolist() == list(range(0, 399, 32)), "24 at most, a power of two apart"
    monkeypatch.setattr(fingerprint, "_SEEK_SAVES_S", 1000)
    assert (fingerprint_video(path) == sought).all(), "reached by seeking or in passing, they are the same"
    monkeypatch.setattr(fingerprint, "MOST_SECONDS", 1000)
    every = fingerprint_video(path)
    assert len(every) == 399 and (every[::32] == sought).all() and likeness(every, sought) > 0.3


def test_what_one_keyframe_begins_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(fingerprint, "decode_frames", lambda path, **how: opened.append(how) or decode_frames(path, **how))
    fingerprint_video(film(tmp_path / "often.mp4", 200, every=16))
    assert len(opened) == 13, "a second in 16 of a video with a keyframe every 2 s"
    opened.clear()
    fingerprint_video(film(tmp_path / "once.mp4", 200, every=10_000))
    assert len(opened) == 1

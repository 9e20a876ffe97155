"""Broken and odd videos of every kind, and sound ones beside them: each comes to what is said of it, read through the child."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ghostpad.base.errors import GhostpadError
from ghostpad.lab.made_up.broken_videos import LIMITS, MadeVideo, make_broken_videos, make_good_videos
from ghostpad.video.child import VideoChild
from ghostpad.video.damage import Gap
from ghostpad.video.decode import decode_frames


@pytest.fixture(scope="module")
def child() -> Iterator[VideoChild]:
    with VideoChild(LIMITS) as child:
        yield child


def error_of(child: VideoChild, video: MadeVideo) -> str:
    """The message that probing raises, "" for none."""
    try:
        child.probe(video.path)
    except GhostpadError as error:
        return str(error)
    return ""


def wrong(child: VideoChild, video: MadeVideo) -> str:
    """What reading a video came to, if that is not what was said of it; "" if it is."""
    gaps: list[Gap] = []
    stamps_s, failed, refused = [], "", error_of(child, video)
    try:
        for frame in child.frames(video.path, width_px=32, height_px=24, gray=True, gaps=gaps):
            stamps_s.append(frame.pts_s)
            assert frame.image.shape == (24, 32)
    except GhostpadError as error:
        failed = str(error)
    match video.outcome:
        case "good":
            right = not refused and not failed and not gaps and len(stamps_s) == video.frames == child.probe(video.path).frames
        case "parts":
            from_s, to_s = video.damaged_s
            inside = [from_s <= gap.start_s - stamps_s[0] and gap.end_s - stamps_s[0] <= to_s for gap in gaps if stamps_s]
            apart = not any(gap.start_s < pts_s < gap.end_s for gap in gaps for pts_s in stamps_s)
            said = re.search(video.reason, refused) if video.reason else not refused
            right = bool(said and not failed and stamps_s and inside and all(inside) and apart)
        case "broken":
            right = bool(failed and re.search(video.reason, refused or failed))
            right = right and str(video.path) in failed
    rising = all(before < after for before, after in pairwise(stamps_s))
    return "" if right and rising else f"{video}\nprobing: {refused}\nframes: {len(stamps_s)}, {gaps}\ndecoding: {failed}"


def test_every_broken_video_comes_to_what_is_said_of_it(child: VideoChild, tmp_path: Path) -> None:
    videos = make_broken_videos(tmp_path)
    counts = Counter(video.outcome for video in videos)
    assert counts["broken"] + counts["parts"] >= 40 and counts["good"] >= 15 and len({video.name for video in videos}) == len(videos)
    found = [text for video in videos if (text := wrong(child, video))]
    assert not found, "\n\n".join(found)


def test_sound_videos_are_whole_with_and_without_looking_for_damage(child: VideoChild, tmp_path: Path) -> None:
    videos = make_good_videos(tmp_path, 40)
    found = [text for video in videos if (text := wrong(child, video))]
    assert not found, "\n\n".join(found)
    for video in videos:
        plain, watched = list(decode_frames(video.path)), list(decode_frames(video.path, gaps=[]))
        assert [frame.pts_s for frame in plain] == [frame.pts_s for frame in watched]
        assert all(np.array_equal(one.image, other.image) for one, other in zip(plain, watched, strict=True))


def test_the_same_call_makes_the_same_pictures(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    for one, other in zip(make_good_videos(tmp_path / "a", 4), make_good_videos(tmp_path / "b", 4), strict=True):
        before, after = (list(decode_frames(video.path)) for video in (one, other))
        assert all(np.array_equal(x.image, y.image) and x.pts_s == y.pts_s for x, y in zip(before, after, strict=True))

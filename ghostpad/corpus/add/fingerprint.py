"""Whether two videos show the same pictures in different encodings: how a few seconds of each change, compared one by one.

Of a second of video, counted from the first frame, a fingerprint holds how a picture of 16 x 12 gray blocks changes between quarters of a
second (means of their frames), less the mean change of all blocks. So size, quality, frame rate, brightness and what stands still (a
level's walls, a score) do not count, and two episodes of one level differ. Up to 24 seconds are compared, spread over the video at a
distance that is a power of two, so that videos of other lengths have seconds in common.

Cost: decoding all of a video up to about a minute and a half, and of a longer one what lies between the last keyframe before each compared
second and its end: 0.7 CPU-seconds for four minutes of 640 x 360 at 30 fps with a keyframe every 2 s, 1.3 for 20 minutes (measured). Every
frame counts: without those to which no other refers, or with eight a second, half the rate at crf 38 is found in 12 or 13 of 21 cases
instead of 21; without the deblocking filter in 21, but for 8 % of the time only (measured).
"""

import os
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import MediaError
from ghostpad.video.child import VideoChild
from ghostpad.video.decode import Frame, decode_frames
from ghostpad.video.probe import read_keyframes, read_stamps

_CHANGES, _LEAST = (2.0, 6.0), (0.35, 0.65)
"""The least agreement of the same pictures, by their change (levels of 0...255; linear in between): noise of the encoding weighs more where
little changes. Chosen on seeds 60 to 79 of doom, doom-defend and racing, 10 to 43 s, re-encoded (x264, veryfast) at half size and crf 36,
half the rate and crf 38, crf 44, and half of both and crf 40. 99 of 100 single seconds agree by 0.36 or more at 2 levels, and by 0.76 or
more from 6 on. So 236 of the 240 encodings are found, all but four of doom-defend at crf 44, and of 1770 pairs of episodes none is the
same, the nearest by -0.47."""

LEAST_SECONDS = 4
"""Seconds with change that two videos must have in common (a guess)."""

MOST_SECONDS = 24
"""Seconds that are compared in a long video. Of the encodings above, 48, at twice the cost of a long video, find the same; 16 miss one
more (measured)."""

_QUARTERS, _WIDE, _HIGH = 4, 16, 12

BLOCKS = (_HIGH, _WIDE)
"""Blocks of a picture, down and across."""

_STILL = 1.5
"""Change of a second, in levels of 0...255, below which noise of the encoding is larger (measured on the same videos)."""

_TENTH = 0.1  # of the seconds may agree less than the likeness: a shared beginning or screen is no shared video

_SEEK_SAVES_S = 1.0
"""What is not decoded for a seek: opening the file again costs less than decoding a second of any size (measured: 5 ms)."""

PRINT = np.dtype([("second", np.int32), ("change", np.float32), ("blocks", np.int8, (_QUARTERS * _HIGH * _WIDE,))])
"""One compared second: which, how much it changes (root mean square, levels), and how, scaled to -127...127."""

Prints = NDArray[np.void]
"""A fingerprint: `PRINT` [n], by second."""


def fingerprint_video(path: str | os.PathLike[str], child: VideoChild | None = None) -> Prints:
    """The fingerprint of a video, read by `child` if there is one, empty where it lasts less than a second and a quarter.

    Damaged stretches are left out. Raises as `decode_frames`, and `MediaError` where no frame can be decoded.
    """
    stamps = child.stamps(path) if child else read_stamps(path)
    first_s, duration_s = float(stamps[0]), float(stamps[-1] - stamps[0])
    step = 1
    while duration_s / step > MOST_SECONDS:
        step *= 2
    seconds = range(0, max(0, int(duration_s - 0.25)), step)
    prints = []
    for second, quarters in _quarters(_frames(path, child, first_s, seconds), first_s, seconds):
        changes = np.diff(quarters, axis=0)
        changes -= changes.mean((1, 2), keepdims=True)
        scaled = np.rint(changes * (127 / max(1e-6, np.abs(changes).max()))).astype(np.int8)
        prints.append((second, np.sqrt(np.mean(changes**2)), scaled.ravel()))
    if seconds and not prints:
        raise MediaError(f"{path}: no frame of it can be decoded: fetch or record it again")
    return np.array(prints, PRINT)


def likeness(a: Prints, b: Prints) -> float:
    """-2...1, above 0 for the same pictures; -2 for too few seconds with change.

    The agreement of a second that both have is the correlation of how their blocks change, -1...1; its likeness is the agreement less the
    least one of the same pictures. The videos' likeness is what nine tenths of the seconds reach.
    """
    _, at_a, at_b = np.intersect1d(a["second"], b["second"], assume_unique=True, return_indices=True)
    change = np.maximum(a["change"][at_a], b["change"][at_b])
    moving = change >= _STILL
    if moving.sum() < LEAST_SECONDS:
        return -2.0
    x, y = (prints["blocks"][at[moving]].astype(np.float32) for prints, at in ((a, at_a), (b, at_b)))
    length = np.sqrt((x * x).sum(1) * (y * y).sum(1))
    agreement = (x * y).sum(1) / np.maximum(length, 1e-6)
    return float(np.quantile(agreement - least_agreement(change[moving]), _TENTH))


def least_agreement(change: NDArray[np.float32]) -> NDArray[np.float64]:
    """The agreement from which on seconds that change so much, in levels, show the same pictures."""
    return np.interp(change, _CHANGES, _LEAST)


def _frames(path: str | os.PathLike[str], child: VideoChild | None, first_s: float, seconds: range) -> Iterator[Frame]:
    """Frames with those of each second and the quarter after it. What lies between is not decoded where a keyframe allows that."""
    keyframes = (child.keyframes if child else read_keyframes)(path) if seconds.step > 2 else []
    keyframes_s = np.array(keyframes, np.float64) - first_s
    stretches: list[list[float]] = []
    for second in seconds:
        begun_s = keyframes_s[keyframes_s <= second].max(initial=0.0)
        if stretches and begun_s < stretches[-1][1] + _SEEK_SAVES_S:
            stretches[-1][1] = second + 1.25
        else:
            stretches.append([second, second + 1.25])
    decode = child.frames if child else decode_frames
    for start, end in stretches:
        yield from decode(path, width_px=_WIDE, height_px=_HIGH, gray=True, start_s=first_s + start, end_s=first_s + end, gaps=[])


def _quarters(frames: Iterable[Frame], first_s: float, seconds: range) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Each second with the mean pictures of its four quarters and the next, float32 [5, 12, 16]; a quarter without a frame repeats the one
    before, a second without one is left out."""
    sums, counts = np.zeros((len(seconds), _QUARTERS + 1, _HIGH, _WIDE), np.float32), np.zeros((len(seconds), _QUARTERS + 1), np.int64)
    for frame in frames:
        second, quarter = divmod(int((frame.pts_s - first_s) * _QUARTERS + 1e-3), _QUARTERS)  # containers round stamps to a millisecond
        for at, part in ((second, quarter), (second - 1, _QUARTERS + quarter)):
            if at in seconds and part <= _QUARTERS:
                sums[seconds.index(at), part] += frame.image
                counts[seconds.index(at), part] += 1
    for second, total, count in zip(seconds, sums, counts, strict=True):
        shown = np.flatnonzero(count)
        if len(shown):
            sources = shown[np.maximum(0, np.searchsorted(shown, np.arange(_QUARTERS + 1), "right") - 1)]
            yield second, (total[sources] / count[sources, None, None]).astype(np.float32)

"""Frames of a video by time stamp: in sequence from any moment, thinned to a rate, or those at given stamps.

Reads one local file. Decoding with resizing to 256 x 256 costs about 1 CPU-second for 190 frames of 1080p H.264 or 350 of 720p
(measured, PyAV 18.1). swscale's AREA is the fastest kernel there and does not alias. Frames are named by time stamp, never by index.
"""

import math
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from ghostpad.base.errors import MediaError, SettingsError
from ghostpad.video.container import OnPacket, frames_from, needed_frames_from, open_video
from ghostpad.video.damage import DamageWatch, Gap
from ghostpad.video.paint import Boxes, paint_resized
from ghostpad.video.shown import Viewer, showing

Images = NDArray[np.uint8]
"""uint8 [N, H, W, C], C is 3 (RGB) or 1 (gray)."""

_SLACK = Fraction(1, 2000)
"""Half a millisecond: Matroska, WebM and FLV round stamps to 1 ms, so a frame may be stamped that much after its true time."""

_SEEK_GAP_S = 2.0
"""Wanted frames further apart than this are reached by another seek, not by decoding those in between (a guess)."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture: its presentation time in seconds and uint8 [H, W, 3] RGB, or [H, W] when decoded gray."""

    pts_s: float
    image: NDArray[np.uint8]


def decode_frames(
    path: str | os.PathLike[str],
    *,
    width_px: int | None = None,
    height_px: int | None = None,
    gray: bool = False,
    rate_hz: float | Fraction | None = None,
    start_s: float = 0.0,
    end_s: float | None = None,
    mask: Boxes = (),
    gaps: list[Gap] | None = None,
    on_packet: OnPacket = lambda: None,
) -> Iterator[Frame]:
    """Frames with `start_s <= pts < end_s` in order, reached by seeking; a `start_s` of 0 or less begins at the first frame.

    Pictures come as a viewer sees them, see `ghostpad.video.shown`, all at one size: `width_px` x `height_px`, or the video's own, which
    `video_size` gives, if both are None. `rate_hz` thins: at each tick k / rate_hz (k = 0, 1, ...; seconds of the
    video's own clock) the frame on screen is kept, which is the latest with `pts <= tick`, and a frame on screen over several
    ticks comes once. So a video slower than the rate keeps every frame, and reading it in stretches changes nothing. A
    frame counts as on screen half a millisecond before its stamp, because common containers round stamps to 1 ms. A rate is
    read as the nearest fraction with a denominator up to 10,000, so 29.97002997 means 30000/1001. H.264 and HEVC frames that are not
    kept, and to which no other frame refers, are not decoded: the same frames in less time. The boxes of `mask`, in pixels of the
    video's own size, are painted grey before resizing and again after it, see `ghostpad.video.paint`.

    With a list of `gaps` decoding goes on behind damage. Frames from the damage to the next keyframe are left out, and each such stretch is
    added to `gaps` before the first frame behind it comes (see `ghostpad.video.damage`); `parts` splits the frames there. `on_packet` is
    called for every packet read, and shows that reading goes on while no frame is wanted.

    Raises `SettingsError` for impossible arguments, at once; `MissingError`; `MediaError` for a file that is no video, and,
    naming the file and time stamp, where decoding fails early or a picture is marked as damaged. With `gaps` damage raises it only if no
    frame of the whole file is good.
    """
    resize = _Resize(width_px, height_px, gray)
    rate = None if rate_hz is None else _rate(rate_hz)
    if not math.isfinite(start_s) or (end_s is not None and not end_s > start_s):
        raise SettingsError(f"nothing lies between start_s {start_s} and end_s {end_s}: end_s must be after start_s")
    return _decode(path, resize, mask, rate, start_s, math.inf if end_s is None else end_s, gaps, on_packet)


def parts(frames: Iterable[Frame], gaps: Sequence[Gap]) -> Iterator[Iterator[Frame]]:
    """The frames of `decode_frames(..., gaps=gaps)` as one iterator for each stretch without a gap, to be used up one after the other."""
    return (part for _, part in groupby(frames, lambda frame: bisect_right(gaps, frame.pts_s, key=lambda gap: gap.end_s)))


def decode_array(
    path: str | os.PathLike[str],
    *,
    width_px: int | None = None,
    height_px: int | None = None,
    gray: bool = False,
    rate_hz: float | Fraction | None = None,
    start_s: float = 0.0,
    end_s: float | None = None,
    mask: Boxes = (),
) -> tuple[NDArray[np.float64], Images]:
    """`decode_frames` as arrays, for short videos: time stamps float64 [N] in seconds and images uint8 [N, H, W, C].

    C is 3, or 1 if `gray`. All of it is in memory at once. Raises as `decode_frames`; `MediaError` if the stretch has no frame.
    """
    frames = list(
        decode_frames(path, width_px=width_px, height_px=height_px, gray=gray, rate_hz=rate_hz, start_s=start_s, end_s=end_s, mask=mask)
    )
    if not frames:
        raise MediaError(f"{path} has no frame between {start_s} s and {'its end' if end_s is None else f'{end_s} s'}")
    images = np.stack([frame.image for frame in frames])
    return np.array([frame.pts_s for frame in frames], np.float64), images[..., None] if gray else images


def read_window(
    path: str | os.PathLike[str],
    pts_s: Sequence[float] | NDArray[np.float64],
    *,
    width_px: int | None = None,
    height_px: int | None = None,
    gray: bool = False,
) -> Images:
    """The frames shown at the stamps `pts_s` (any order, repeats allowed), uint8 [T, H, W, C] in the order asked for.

    Seeks to the keyframe before and decodes forward, so it is quick on a proxy and slow on a long-GOP original. Each stamp
    takes the frame nearest to it, at most half a mean frame away. Raises `MediaError` if there is none, and as `decode_frames`.
    """
    wanted = np.asarray(pts_s, np.float64)
    if wanted.ndim != 1 or not len(wanted) or not np.isfinite(wanted).all():
        raise SettingsError(f"pts_s must be one or more finite time stamps, not {pts_s!r}")
    resize = _Resize(width_px, height_px, gray)
    stamps, order = np.unique(wanted, return_inverse=True)
    images: list[NDArray[np.uint8]] = []
    with open_video(path) as (container, stream):
        rate, viewer = stream.average_rate or stream.guessed_rate, Viewer(stream)
        tolerance_s = float(1 / (2 * rate)) if rate else float(_SLACK)
        for stretch in np.split(stamps, np.flatnonzero(np.diff(stamps) > _SEEK_GAP_S) + 1):
            frames = frames_from(path, container, stream, Fraction(stretch[0]))
            images += _nearest(path, frames, stretch.tolist(), tolerance_s, lambda frame: resize(frame, viewer))
    window = np.stack(images)[order]
    return window[..., None] if gray else window


def resize_image(image: NDArray[np.uint8], width_px: int, height_px: int, gray: bool) -> NDArray[np.uint8]:
    """Resize one picture, uint8 [H, W, 3] RGB to uint8 [height_px, width_px, C], by the scaler that decoding uses, so that a model sees
    a running game as it saw videos of it.

    C is 3, or 1 if `gray`. About 0.2 ms for 320 x 240 to 96 x 72 (measured). Raises `SettingsError` for an impossible size.
    """
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    resized = _Resize(width_px, height_px, gray).scaled(frame, width_px, height_px)
    return resized[..., None] if gray else resized


class _Resize:
    """Turns decoder frames into arrays of one size. The scaler runs on one thread; PyAV's default takes every core."""

    def __init__(self, width_px: int | None, height_px: int | None, gray: bool):
        if (width_px is None) != (height_px is None):
            raise SettingsError("give both width_px and height_px, or neither")
        if width_px is not None and height_px is not None and min(width_px, height_px) < 1:
            raise SettingsError(f"a picture of {width_px} x {height_px} pixels is impossible: both must be 1 or more")
        self._width_px, self._height_px, self._format = width_px, height_px, "gray" if gray else "rgb24"
        self._scaler = VideoReformatter()

    def __call__(self, frame: av.VideoFrame, viewer: Viewer) -> NDArray[np.uint8]:
        """The frame as seen, masked; at the video's own size if none was given."""
        shown = viewer(frame)
        width_px, height_px = viewer.size_px
        image = self.scaled(shown, self._width_px or width_px, self._height_px or height_px)
        return paint_resized(image, viewer.mask, width_px, height_px)

    def scaled(self, frame: av.VideoFrame, width_px: int, height_px: int) -> NDArray[np.uint8]:
        made = self._scaler.reformat(frame, width_px, height_px, self._format, interpolation="AREA", threads=1)
        return np.ascontiguousarray(made.to_ndarray(), np.uint8)


def _rate(rate_hz: float | Fraction) -> Fraction:
    if not 0 < rate_hz < math.inf:
        raise SettingsError(f"rate_hz is {rate_hz}: it must be above 0")
    rate = Fraction(rate_hz)
    return rate if isinstance(rate_hz, Fraction) else rate.limit_denominator(10_000) or rate


def _decode(
    path: str | os.PathLike[str],
    resize: _Resize,
    mask: Boxes,
    rate: Fraction | None,
    start_s: float,
    end_s: float,
    gaps: list[Gap] | None,
    on_packet: OnPacket,
) -> Iterator[Frame]:
    def wanted(stamp: Fraction) -> bool:
        return float(stamp) >= start_s or start_s <= 0

    def needed(stamp: Fraction, following: Fraction) -> bool:
        return wanted(stamp) and (rate is None or _on_tick(stamp, following, rate))

    watch = None if gaps is None else DamageWatch(gaps, start_s if start_s > 0 else -math.inf, end_s)
    with open_video(path) as (container, stream):
        viewer = Viewer(stream, mask)
        # None if every frame is needed: then nothing waits in the look-ahead.
        skippable = None if rate is None and start_s <= 0 else needed
        frames = needed_frames_from(path, container, stream, Fraction(start_s), skippable, watch=watch, on_packet=on_packet)
        for stamp, frame in frames if rate is None else _thin(frames, rate):
            if float(stamp) >= end_s:
                if watch:
                    watch.end(end_s)
                return
            if frame is not None and wanted(stamp):
                with showing(path):
                    image = resize(frame, viewer)
                yield Frame(float(stamp), image)
    if watch and watch.good_s is None and start_s <= 0:
        raise MediaError(f"{path}: no frame can be decoded: fetch or record it again")


def _thin(frames: Iterable[tuple[Fraction, av.VideoFrame | None]], rate: Fraction) -> Iterator[tuple[Fraction, av.VideoFrame | None]]:
    """The frames with a tick while they are on screen: from their own stamp to the next one, or to their end for the last."""
    held: tuple[Fraction, av.VideoFrame | None] | None = None
    step = 1 / rate
    for stamp, frame in frames:
        if held is not None:
            step = stamp - held[0]
            if _on_tick(held[0], stamp, rate):
                yield held
        held = stamp, frame
    if held is not None:
        stamp, frame = held
        shown_s = frame.duration * frame.time_base if frame and frame.duration and frame.time_base else step
        if _on_tick(stamp, stamp + shown_s, rate):
            yield held


def _on_tick(stamp: Fraction, following: Fraction, rate: Fraction) -> bool:
    """Whether a frame on screen from `stamp` to `following` shows at a tick of the rate."""
    return _first_tick(stamp, rate) < _first_tick(following, rate)


def _first_tick(stamp: Fraction, rate: Fraction) -> int:
    return math.ceil((stamp - _SLACK) * rate)


def _nearest(
    path: str | os.PathLike[str],
    frames: Iterator[tuple[Fraction, av.VideoFrame]],
    wanted: list[float],
    tolerance_s: float,
    picture: Callable[[av.VideoFrame], NDArray[np.uint8]],
) -> list[NDArray[np.uint8]]:
    """One image for each ascending stamp in `wanted`: of the frames around it the nearer one."""
    images: list[NDArray[np.uint8]] = []
    before: tuple[float, av.VideoFrame] | None = None

    def take(around: list[tuple[float, av.VideoFrame]]) -> None:
        pts_s, frame = min(around, key=lambda one: abs(one[0] - wanted[len(images)]), default=(math.inf, None))
        if frame is None or abs(pts_s - wanted[len(images)]) > tolerance_s:
            raise MediaError(f"{path} has no frame at {wanted[len(images)]:.6f} s: ask for a time stamp of this video")
        with showing(path):
            images.append(picture(frame))

    for stamp, frame in frames:
        now = float(stamp), frame
        while len(images) < len(wanted) and wanted[len(images)] <= now[0]:
            take([one for one in (before, now) if one])
        if len(images) == len(wanted):
            return images
        before = now
    while len(images) < len(wanted):
        take([before] if before else [])
    return images

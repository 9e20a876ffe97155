"""The copy of a video that training reads: a playable mp4 at the model's size, any frames of which are decoded out of a few of its bytes.

Written in one pass over a stream of frames, with a scratch file beside it; read by ranges of bytes, from wherever they lie. H.264 in closed
groups of `gop` frames, each of which begins with a keyframe; no B-frames, so packets stand in the order of their frames. Full-range
colour, so gray values and the way back to RGB cost no scaling.

Measured (PyAV 18.1; Doom, the busiest footage here, and racing; the defaults). 256 x 256 RGB: 5.6 and 2.9 KB a frame, about 1.5 ms of CPU
to write one; of windows of 33 frames 3,800 and 5,400 frames are read a CPU-second, of windows of 2 frames 1,900 and 3,000. x264's usual
entropy coder and deblocking filter would save 9 % of the bytes and halve these rates.
"""

import math
import struct
import zlib
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from ghostpad.base.errors import FormatError, MediaError
from ghostpad.base.files import atomic_path, scratch_path
from ghostpad.base.places import AnyPlace
from ghostpad.video.complete import check_complete
from ghostpad.video.container import open_video
from ghostpad.video.decode import Frame
from ghostpad.video.record import H264Writer, check_encoding, new_mp4

GOP = 4
"""Frames of a group, from one keyframe to the next. Beside 16 it takes 12 % more bytes and delivers twice the frames a CPU-second in
windows of two frames, 1,900 instead of 920 in Doom at 256 x 256 RGB, as less is decoded in vain; in windows of 33 frames 3,800 instead of
3,400 (measured). 8 takes 4 % more, 32 takes 2 % fewer."""

CRF = 20
"""x264's quality: 39 dB in Doom and 47 dB in racing at 128 x 96 gray, 36 and 42 dB at 256 x 256 RGB, where halving the resolution of colour
alone leaves 45 dB (measured). An IDM read the turn as well from footage at crf 32 as at 23."""

_PRESET = "veryfast"
"""At the same error 5 to 15 % fewer bytes than "ultrafast", for 0.4 ms more a frame at 256 x 256 RGB (measured)."""

_X264 = "cabac=0:no-deblock=1:weightp=0:scenecut=0:no-psy=1:aq-mode=0"
"""What is quick to decode, groups of one length, and the least error for the bytes rather than the best look (5 to 10 % fewer bytes)."""

_NOMINAL_HZ = 25
"""The rate at which x264 treats all frames alike, whatever their time stamps."""

_MOST_TICKS_HZ = 2**31 - 1
"""Most ticks a second that an mp4 can count."""

_GRAY, _COLOUR = "ghostpad segments, gray", "ghostpad segments, colour"

_AGAIN = "remove it and make it again with 'ghostpad corpus proxy'"

_MAGIC = b"ghostpad segments 1\n"

_HEAD = struct.Struct("<qqqqqHHH")
"""Frames, keyframes, ticks a second, first tick, first byte, then width, height and whether it is gray."""

_DECODERS = 4
"""Decoders kept for other extradata: as many sizes and sorts of pictures as one process is likely to read by turns (a guess)."""


@dataclass(frozen=True, eq=False)
class SegmentIndex:
    """What must be known of a copy to read any of its frames by ranges of bytes.

    pts_s       float64 [N], the time stamps of its frames in seconds
    offsets     int64 [N + 1]: bytes offsets[i] to offsets[i + 1] of the file hold frame i; to decode it, those before it in its group
                are needed
    keys        int64 [K], the numbers of the keyframes, with which the groups begin; keys[0] is 0
    extradata   what the decoder needs before the first of them
    gray        whether its pictures have one channel
    """

    pts_s: NDArray[np.float64]
    offsets: NDArray[np.int64]
    keys: NDArray[np.int64]
    extradata: bytes
    gray: bool
    width_px: int
    height_px: int

    def to_bytes(self) -> bytes:
        """About 2 bytes a frame, which `from_bytes` reads."""
        clock = _clock(self.pts_s)
        if clock is None:
            raise MediaError("an index has time stamps that no mp4 can keep")
        ticks, ticks_hz = clock
        size = self.width_px, self.height_px
        head = _HEAD.pack(len(ticks), len(self.keys), ticks_hz, ticks[0], self.offsets[0], *size, self.gray)
        steps = (np.diff(ticks).astype("<i8"), np.diff(self.offsets).astype("<u4"), np.diff(self.keys).astype("<u4"))
        return _MAGIC + zlib.compress(head + b"".join(each.tobytes() for each in steps) + self.extradata)

    @classmethod
    def from_bytes(cls, data: bytes) -> "SegmentIndex":
        """The index in `data`. Raises `FormatError` for other bytes, and for damaged ones."""
        try:
            if not data.startswith(_MAGIC):
                raise ValueError("it begins otherwise")
            return _unpacked(zlib.decompress(data[len(_MAGIC) :]))
        except (ValueError, struct.error, zlib.error) as error:
            raise FormatError(f"this is no index of segments of this version, or a damaged one ({error}): {_AGAIN}") from None


def _unpacked(body: bytes) -> SegmentIndex:
    frames, keys, ticks_hz, tick, offset, width_px, height_px, gray = _HEAD.unpack_from(body)
    if not 1 <= keys <= frames or ticks_hz < 1 or min(tick, offset) < 0 or not width_px or not height_px or gray > 1:
        raise ValueError("its numbers cannot be")
    steps, at = [], _HEAD.size
    for first, count, kind in ((tick, frames - 1, "<i8"), (offset, frames, "<u4"), (0, keys - 1, "<u4")):
        step = np.frombuffer(body, kind, count, at)
        if count and not step.min() > 0:
            raise ValueError("its numbers do not rise")
        steps.append(np.concatenate([[first], step]).cumsum(dtype=np.int64))
        at += step.nbytes
    ticks, offsets, key = steps
    if key[-1] >= frames:
        raise ValueError("it has a keyframe behind its frames")
    return SegmentIndex(ticks / ticks_hz, offsets, key, body[at:], bool(gray), width_px, height_px)


def write_segments(
    frames: Iterable[Frame], target: AnyPlace, *, gray: bool, rate_hz: Fraction | None, gop: int = GOP, crf: int = CRF
) -> SegmentIndex:
    """Write the `frames` (uint8 [H, W] if `gray`, else [H, W, 3] RGB) as `target`, which appears when it is whole; the index of it.

    Time stamps are kept bit for bit, which is checked before the file appears. The last frame lasts for one step of `rate_hz`, or for None
    as long as the one before. The same frames give the same bytes. Raises `SettingsError` for options that x264 does not have; `MediaError`
    for no frame, pictures of several sizes, or time stamps that an mp4 cannot keep (negative ones, or on no clock of at most 2 GHz);
    `OSError` where the disk is full; and what the frames raise.
    """
    check_encoding(crf, _PRESET, gop)
    with scratch_path(target) as coded, atomic_path(target) as temporary:
        pts_s = _encode(frames, coded, str(target), gray, gop, crf)
        clock = _clock(pts_s) if pts_s[0] >= 0 and (np.diff(pts_s) > 0).all() else None
        if clock is not None:
            _stamp(coded, temporary, *clock, rate_hz, _GRAY if gray else _COLOUR)
            index = read_segment_index(temporary)
        if clock is None or not np.array_equal(index.pts_s, pts_s):
            raise MediaError(f"{target}: its time stamps cannot be kept in an mp4: re-encode its source first with `ffmpeg -i IN OUT.mp4`")
    return index


def _encode(frames: Iterable[Frame], path: Path, name: str, gray: bool, gop: int, crf: int) -> NDArray[np.float64]:
    """Encode the frames under made-up time stamps, since the clock that has all of theirs is known only in the end; theirs are returned."""
    writer, scaler, stamps = None, VideoReformatter(), array("d")
    shape: tuple[int, ...] = ()
    try:
        for frame in frames:
            if writer is None:
                shape = frame.image.shape
                height_px, width_px = shape[:2]
                # Halved colour needs even sides.
                pix_fmt = "yuv444p" if height_px % 2 or width_px % 2 else "yuv420p"
                writer = H264Writer(
                    path, width_px=width_px, height_px=height_px, rate=Fraction(_NOMINAL_HZ), ticks_hz=_NOMINAL_HZ,
                    crf=crf, preset=_PRESET, gop=gop, pix_fmt=pix_fmt, colorspace=Colorspace.ITU601.value,
                    color_range=ColorRange.JPEG.value, x264=_X264,
                )  # fmt: skip
            if frame.image.shape != shape:
                raise MediaError(f"{name}: the picture at {frame.pts_s:.3f} s is {list(frame.image.shape)}, the first {list(shape)}")
            picture = av.VideoFrame.from_ndarray(frame.image, format="gray" if gray else "rgb24")
            picture.color_range = ColorRange.JPEG
            coloured = scaler.reformat(
                picture, format=pix_fmt, dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.JPEG, interpolation="AREA", threads=1
            )
            writer.add(coloured, len(stamps), 1)
            stamps.append(frame.pts_s)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise MediaError(f"{name}: its source holds no frame: fetch or record it again")
    return np.array(stamps)


def _clock(pts_s: NDArray[np.float64]) -> tuple[NDArray[np.int64], int] | None:
    """Ticks int64 [N] and how many make a second, such that ticks / ticks_hz are the time stamps bit for bit; None if there are none."""
    ticks_hz = 1
    while ticks_hz <= _MOST_TICKS_HZ:
        ticks = np.rint(pts_s * ticks_hz)
        others = pts_s[ticks / ticks_hz != pts_s]
        if not len(others):
            while ticks_hz < 10_000:  # else the mp4 writer would double it
                ticks, ticks_hz = 2 * ticks, 2 * ticks_hz
            return ticks.astype(np.int64), ticks_hz
        ticks_hz = math.lcm(ticks_hz, _simplest(float(others[0])).denominator)
    return None


def _simplest(number: float) -> Fraction:
    """A fraction with a small denominator that rounds to a number, or the number itself."""
    exact = Fraction(number)
    near = (exact.limit_denominator(10**digits) for digits in range(1, 10))
    return next((fraction for fraction in near if float(fraction) == number), exact)


def _stamp(coded: Path, path: Path, ticks: NDArray[np.int64], ticks_hz: int, rate_hz: Fraction | None, comment: str) -> None:
    """Copy the packets of an mp4 into another, under their own time stamps."""
    steps = np.diff(ticks) if len(ticks) > 1 else np.array([ticks_hz // _NOMINAL_HZ])
    last = max(1, round(ticks_hz / rate_hz)) if rate_hz else steps[-1]
    with open_video(coded) as (source, stream), new_mp4(path, ticks_hz, comment) as container:
        track = container.add_stream_from_template(stream)
        track.time_base = Fraction(1, ticks_hz)
        packets = (packet for packet in source.demux(stream) if packet.size)
        for packet, tick, end in zip(packets, ticks, np.append(ticks[1:], ticks[-1] + last), strict=True):
            packet.stream, packet.time_base = track, track.time_base
            packet.pts = packet.dts = int(tick)
            packet.duration = int(end - tick)
            container.mux(packet)


def read_segment_index(path: Path) -> SegmentIndex:
    """The index of a copy, read from the mp4's own: nothing is decoded.

    Raises `MissingError`, and `MediaError` if it is not a file of `write_segments`, or is cut off.
    """
    with open_video(path) as (container, stream):
        comment = container.metadata.get("comment")
        entries = ((entry.pos, entry.size, entry.timestamp, entry.is_keyframe) for entry in stream.index_entries)
        at, sizes, ticks, key = np.fromiter(entries, np.dtype((np.int64, 4))).T
        check_complete(path, container, stream, Fraction(0))
        offsets, keys = np.append(at, at[-1:] + sizes[-1:]), np.flatnonzero(key)
        regular = len(at) and (at + sizes == offsets[1:]).all() and (np.diff(ticks) > 0).all() and keys[:1].tolist() == [0]
        if comment not in (_GRAY, _COLOUR) or stream.codec_context.name != "h264" or not regular or not stream.time_base:
            raise MediaError(f"{path} is not a copy for training: {_AGAIN}")
        pts_s = ticks * stream.time_base.numerator / stream.time_base.denominator
        extradata = stream.codec_context.extradata or b""
        return SegmentIndex(pts_s, offsets, keys, extradata, comment == _GRAY, stream.width, stream.height)


class SegmentDecoder:
    """Decodes frames out of the bytes of copies. For one thread at a time; it holds no file open, only a few decoders."""

    def __init__(self) -> None:
        self._decoders: OrderedDict[bytes, av.VideoCodecContext] = OrderedDict()
        self._scaler = VideoReformatter()

    def frames(
        self, index: SegmentIndex, read: Callable[[int, int], bytes], wanted: NDArray[np.int64], name: str = "a copy for training"
    ) -> NDArray[np.uint8]:
        """The frames with the numbers `wanted`, int64 [n], ascending, repeats allowed: uint8 [n, H, W, C], as `decode_frames` gives them.

        `read(start, stop)` gives these bytes of the file `name`, at once for neighbouring groups. Each group is decoded up to its last
        wanted frame. Raises `IndexError` for numbers that are not the file's or do not ascend; `MediaError` for bytes that are not such a
        file's, as far as H.264, which has no checksums, shows it; and what `read` raises.
        """
        if len(wanted) and not (wanted[0] >= 0 and wanted[-1] < len(index.pts_s) and (np.diff(wanted) >= 0).all()):
            raise IndexError(f"{name}: frames must be asked for in ascending order, and be of its {len(index.pts_s)}")
        images = np.empty((len(wanted), index.height_px, index.width_px, 1 if index.gray else 3), np.uint8)
        done = end = -1  # the frame decoded last, and the last of which there are bytes
        for row, (want, key, last) in enumerate(_plan(index, wanted)):
            if want == done:
                images[row] = images[row - 1]
                continue
            if key > end:
                first, end, packets = key, last, _packets(index, read, key, last, name)
            for number in range(max(key, done + 1), want + 1):
                frame = self._decode(index, packets[number - first], number, name)
            done = want
            images[row] = self._picture(frame, index.gray)
        return images

    def _decode(self, index: SegmentIndex, packet: bytes, number: int, name: str) -> av.VideoFrame:
        try:
            frames = self._decoder(index.extradata).decode(av.Packet(packet))
        except av.FFmpegError as error:
            frames, why = [], str(error.strerror)
        else:
            why = "damaged data"
        if len(frames) != 1 or frames[0].is_corrupt or (frames[0].width, frames[0].height) != (index.width_px, index.height_px):
            del self._decoders[index.extradata]  # it is in a state of which nothing is known
            raise MediaError(f"{name}: decoding failed at {index.pts_s[number]:.3f} s ({why}): {_AGAIN}")
        return frames[0]

    def _decoder(self, extradata: bytes) -> av.VideoCodecContext:
        if extradata not in self._decoders:
            while len(self._decoders) >= _DECODERS:
                self._decoders.popitem(last=False)
            self._decoders[extradata] = decoder = av.VideoCodecContext.create("h264", "r")
            decoder.extradata, decoder.thread_count = extradata, 1
        self._decoders.move_to_end(extradata)
        return self._decoders[extradata]

    def _picture(self, frame: av.VideoFrame, gray: bool) -> NDArray[np.uint8]:
        """uint8 [H, W, C], good until the frame is gone. Full-range luma is the gray picture, bit for bit."""
        channels = 1 if gray else 3
        shown = frame if gray else self._scaler.reformat(frame, format="rgb24", interpolation="AREA", threads=1)
        plane = shown.planes[0]
        lines = np.frombuffer(memoryview(plane), np.uint8).reshape(shown.height, plane.line_size)
        return lines[:, : shown.width * channels].reshape(shown.height, shown.width, channels)


def _plan(index: SegmentIndex, wanted: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """For each wanted frame its number, that of its keyframe, and the last one wanted in the neighbouring groups, read at once."""
    group = np.searchsorted(index.keys, wanted, "right") - 1
    ends = np.append(np.flatnonzero(np.diff(group) > 1), len(wanted) - 1)
    last = wanted[ends[np.searchsorted(ends, np.arange(len(wanted)))]]
    return zip(wanted.tolist(), index.keys[group].tolist(), last.tolist(), strict=True)


def _packets(index: SegmentIndex, read: Callable[[int, int], bytes], first: int, last: int, name: str) -> list[bytes]:
    """The packets of the frames `first` to `last`."""
    start, *stops = index.offsets[first : last + 2].tolist()
    body = read(start, stops[-1])
    if len(body) != stops[-1] - start:
        raise MediaError(f"{name} is cut off at {index.pts_s[first]:.3f} s: {_AGAIN}")
    return [body[here - start : there - start] for here, there in pairwise([start, *stops])]

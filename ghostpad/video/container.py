"""Opening video files and walking through their frames: the one place that talks to the demuxer and the decoder.

Reads one local file; never a playlist, a picture or an address. Time is the presentation time stamp (pts) of the container as
an exact `Fraction` of a second, never index / fps. One decoder thread: a second one never raised frames per CPU-second
(measured, PyAV 18.1: 189 -> 171 at 1080p), so run more processes instead.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from heapq import heappop, heappush
from itertools import pairwise
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from ghostpad.base.errors import MediaError, MissingError
from ghostpad.video.complete import check_complete

_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,flv,gif,ogg,asf,mpeg"
"""The demuxers in use. Without such a list a text file, a picture or a playlist naming other files opens as a video."""

_LEAD_S = 10
"""How far before the first frame to seek for it: MPEG-TS, asked for the first stamp itself, goes to the second keyframe."""

_SKIPPING = ("h264", "hevc")
"""Decoders that can skip single frames to which no other frame refers, packet by packet (tested)."""

_LOOK_AHEAD, _LOOK_BACK = 4, 20
"""Packets after and before a packet that are searched for the stamp of the frame shown next: B-frames come in any order after the frames
they refer to, of which H.264 allows 16. Too few would only skip less."""

Needed = Callable[[Fraction, Fraction], bool]
"""Whether a frame on screen from the first time stamp to the second is needed; if not, it must not be for a shorter time either."""


@contextmanager
def open_video(path: str | os.PathLike[str]) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The open container and its first video stream (cover pictures do not count), decoding on one thread.

    Raises `MissingError` if there is no such file and `MediaError` if it is not a video, is cut off before its index, or
    holds sound only.
    """
    file = Path(path)
    if not file.exists():
        raise MissingError(f"{file} does not exist")
    if not file.is_file():
        raise MediaError(f"{file} is not a file: name one video file")
    if file.stat().st_size == 0:
        raise MediaError(f"{file} is empty: fetch or record it again")
    try:
        container = av.open(str(file.absolute()), options={"format_whitelist": _CONTAINERS})
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{file} is not a video, or is cut off before its index ({_reason(error)}): fetch or record it again") from None
    with container:
        streams = [stream for stream in container.streams.video if not stream.disposition & av.stream.Disposition.attached_pic]
        if not streams:
            raise MediaError(f"{file} holds no pictures, only {_contents(container)}: name a file with a video stream")
        streams[0].codec_context.thread_count = 1
        yield container, streams[0]


def frames_from(
    path: str | os.PathLike[str], container: InputContainer, stream: VideoStream, start: Fraction
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Decoded frames with their time stamps in seconds, in order, up to the end of the file.

    The first is a keyframe at or before `start` (0 or less: the first frame of the file). Raises `MediaError`, with the file and
    time stamp, where decoding fails, for a file that ends too early, and for stamps that are missing or do not rise.
    Damage that the decoder conceals raises nothing.
    """
    return ((stamp, frame) for stamp, frame in needed_frames_from(path, container, stream, start, None) if frame is not None)


def needed_frames_from(
    path: str | os.PathLike[str], container: InputContainer, stream: VideoStream, start: Fraction, needed: Needed | None
) -> Iterator[tuple[Fraction, av.VideoFrame | None]]:
    """`frames_from`, where a frame that is not `needed` (None: all are) may come as its time stamp alone, without being decoded.

    No other frame refers to it, so the others are the same bit for bit.
    """
    first_s = (stream.start_time or 0) * _time_base(path, stream)
    back = Fraction(0)
    while start > max(first_s, Fraction(0)):
        # Containers index decoding time, which may be earlier than presentation time: a keyframe can come out after `start`.
        at_first = start - back <= first_s
        sought = first_s - _LEAD_S if at_first else start - back
        try:
            container.seek(int(sought // _time_base(path, stream)), stream=stream)
        except av.FFmpegError:
            if not at_first:
                raise
            container.seek(int(first_s // _time_base(path, stream)), stream=stream)  # AVI refuses to go before its start
        frames = _forward(path, container, stream, needed)
        first = next(frames, None)
        if first is not None and (first[0] <= start or at_first):
            yield first
            yield from frames
            return
        if at_first:
            return
        back = max(Fraction(1), 2 * back)
    yield from _forward(path, container, stream, needed)


def demux_stamps(path: str | os.PathLike[str], container: InputContainer, stream: VideoStream) -> list[tuple[int, int]]:
    """(pts, duration) in time base units of every frame that will be shown, by pts, without decoding (22 ms for 504 packets).

    Raises `MediaError` for a file that breaks off, holds no frame, or whose stamps are missing or do not rise.
    """
    stamps, end_s = [], Fraction(0)
    try:
        for packet in container.demux():
            end_s = max(end_s, _packet_end_s(packet))
            if packet.stream_index == stream.index and packet.size and not packet.is_discard:
                if packet.pts is None:
                    raise _no_stamps(path)
                stamps.append((packet.pts, packet.duration or 0))
    except av.FFmpegError as error:
        raise MediaError(f"{path} cannot be read past {float(end_s):.3f} s ({_reason(error)}): fetch or record it again") from None
    check_complete(path, container, stream, end_s)
    if not stamps:
        raise MediaError(f"{path} holds no frame: fetch or record it again")
    stamps.sort()
    for (pts, _), (following, _) in pairwise(stamps):
        if pts == following:
            raise _non_monotonic(path, pts * _time_base(path, stream))
    return stamps


def _forward(
    path: str | os.PathLike[str], container: InputContainer, stream: VideoStream, needed: Needed | None
) -> Iterator[tuple[Fraction, av.VideoFrame | None]]:
    last: Fraction | None = None
    skipper = _PacketSkipper(stream, needed)
    try:
        for packet in skipper.packets_for_decoder(container.demux()):
            for frame in packet.decode():
                assert isinstance(frame, av.VideoFrame)
                if frame.pts is None:
                    raise _no_stamps(path)
                stamp = frame.pts * (frame.time_base or _time_base(path, stream))
                yield from ((earlier, None) for earlier in skipper.skipped_before(stamp) if last is not None and earlier > last)
                if last is not None and stamp <= last:
                    raise _non_monotonic(path, stamp)
                last = stamp
                # A field-coded picture is two packets, which must be decoded together.
                skipper.may_skip = not frame.interlaced_frame
                yield stamp, frame
    except av.FFmpegError as error:
        after = "at its first frame" if last is None else f"after the frame at {float(last):.3f} s"
        raise MediaError(f"{path}: decoding failed {after} ({_reason(error)}): fetch or record it again") from None
    yield from ((stamp, None) for stamp in skipper.skipped_before(None))
    check_complete(path, container, stream, skipper.end_s)


class _PacketSkipper:
    """Passes the packets of one stream to a decoder, and says for each whether its frame may be skipped.

    A packet waits until `_LOOK_AHEAD` more were read, so that the stamp of the frame shown next is known; if it is not, a later stamp is
    used, which can only decode a frame more. `end_s` is the end of the packets seen so far.
    """

    def __init__(self, stream: VideoStream, needed: Needed | None):
        self.end_s = Fraction(0)
        self.may_skip = False  # not before the first frame has come out
        self._stream = stream
        self._needed = needed if stream.codec_context.codec.name in _SKIPPING else None
        self._skipped: list[Fraction] = []  # a heap of the stamps of frames that the decoder may have skipped

    def packets_for_decoder(self, packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
        """The packets of the stream in order, the decoder's skip flag set before each."""
        waiting: deque[av.Packet] = deque()
        around: deque[int] = deque(maxlen=_LOOK_BACK + _LOOK_AHEAD)
        for packet in packets:
            self.end_s = max(self.end_s, _packet_end_s(packet))
            if packet.stream_index != self._stream.index:
                continue
            if self._needed is None:
                yield packet
                continue
            waiting.append(packet)
            if packet.pts is not None and not packet.is_discard:
                around.append(packet.pts)
            if len(waiting) > _LOOK_AHEAD:
                yield self._flagged(waiting.popleft(), around)
        for packet in waiting:
            yield self._flagged(packet, around)

    def skipped_before(self, stamp: Fraction | None) -> Iterator[Fraction]:
        """Stamps before that of a frame (None: before the end) whose frames were skipped."""
        while self._skipped and (stamp is None or self._skipped[0] < stamp):
            yield heappop(self._skipped)
        if self._skipped and self._skipped[0] == stamp:
            heappop(self._skipped)  # other frames refer to it, so it was decoded

    def _flagged(self, packet: av.Packet, around: Iterable[int]) -> av.Packet:
        skip = False
        if self.may_skip and self._needed and packet.pts is not None and packet.time_base and not packet.is_discard:
            following = min((pts for pts in around if pts > packet.pts), default=None)
            stamp = packet.pts * packet.time_base
            skip = following is not None and not self._needed(stamp, following * packet.time_base)
            if skip:
                heappush(self._skipped, stamp)
        self._stream.codec_context.skip_frame = "NONREF" if skip else "DEFAULT"
        return packet


def _packet_end_s(packet: av.Packet) -> Fraction:
    if packet.pts is None or packet.time_base is None:
        return Fraction(0)
    return (packet.pts + (packet.duration or 0)) * packet.time_base


def _time_base(path: str | os.PathLike[str], stream: VideoStream) -> Fraction:
    if not stream.time_base:
        raise _no_stamps(path)
    return stream.time_base


def _no_stamps(path: str | os.PathLike[str]) -> MediaError:
    return MediaError(f"{path} has frames without time stamps: add them with `ffmpeg -fflags +genpts -i IN -c copy OUT.mkv`")


def _non_monotonic(path: str | os.PathLike[str], stamp: Fraction) -> MediaError:
    return MediaError(f"{path}: non-monotonic time stamps at {float(stamp):.3f} s: re-encode it with `ffmpeg -i IN OUT.mp4`")


def _contents(container: InputContainer) -> str:
    return ", ".join(sorted({"sound" if stream.type == "audio" else stream.type for stream in container.streams})) or "nothing"


def _reason(error: OSError | av.FFmpegError) -> str:
    return (error.strerror or str(error)).rstrip(".").lower()

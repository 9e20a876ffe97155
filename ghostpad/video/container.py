"""Opening video files and walking through their frames: the one place that talks to the demuxer and the decoder.

Reads one local file; never a playlist, a picture or an address. Time is the presentation time stamp (pts) of the container as
an exact `Fraction` of a second, never index / fps. One decoder thread: a second one never raised frames per CPU-second
(measured, PyAV 18.1: 189 -> 171 at 1080p), so run more processes instead.
"""

import os
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from heapq import heappop, heappush
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ghostpad.base.errors import MediaError, MissingError, NoMemoryError
from ghostpad.video.complete import check_complete
from ghostpad.video.damage import DamageWatch, packet_stamp

_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,flv,gif,ogg,asf,mpeg"
"""The demuxers in use. Without such a list a text file, a picture or a playlist naming other files opens as a video."""

_LEAD_S = 10
"""How far before the first frame to seek for it: MPEG-TS, asked for the first stamp itself, goes to the second keyframe."""

_SKIPPING = ("h264", "hevc")
"""Decoders that can skip single frames to which no other frame refers, packet by packet (tested)."""

_LOOK_AHEAD, _LOOK_BACK = 4, 20
"""Packets after and before a packet that are searched for the stamp of the frame shown next: B-frames come in any order after the frames
they refer to, of which H.264 allows 16. Too few would only skip less."""

_FAILURES = 100
"""How often reading may fail in one file before the rest counts as lost (a guess)."""

OnPacket = Callable[[], None]
"""Called for every packet read, to show that reading goes on."""

Needed = Callable[[Fraction, Fraction], bool]
"""Whether a frame on screen from the first time stamp to the second is needed; if not, it must not be for a shorter time either."""


@contextmanager
def open_video(path: str | os.PathLike[str]) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The open container and its first video stream (cover pictures do not count), decoding on one thread.

    Raises `MissingError` if there is no such file and `MediaError` if it is not a video, is cut off before its index, holds sound only, or
    has no decoder; `NoMemoryError` as all that read it.
    """
    file = Path(path)
    if not file.exists():
        raise MissingError(f"{file} does not exist")
    if not file.is_file():
        raise MediaError(f"{file} is not a file: name one video file")
    if file.stat().st_size == 0:
        raise MediaError(f"{file} is empty: fetch or record it again")
    try:
        container = av.open(str(file.absolute()), options={"format_whitelist": _CONTAINERS}, metadata_errors="replace")
    except MemoryError:
        raise _no_memory(file) from None
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{file} is not a video, or is cut off before its index ({_reason(error)}): fetch or record it again") from None
    with container:
        streams = [stream for stream in container.streams.video if not stream.disposition & av.stream.Disposition.attached_pic]
        if not streams:
            raise MediaError(f"{file} holds no pictures, only {_contents(container)}: name a file with a video stream")
        if not streams[0].codec_context:  # PyAV's types do not know that
            raise MediaError(f"{file} is in a format for which there is no decoder: convert it with `ffmpeg -i IN OUT.mp4`")
        streams[0].codec_context.thread_count = 1
        yield container, streams[0]


def frames_from(
    path: str | os.PathLike[str], container: InputContainer, stream: VideoStream, start: Fraction
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Decoded frames with their time stamps in seconds, in order, up to the end of the file.

    The first is a keyframe at or before `start` (0 or less: the first frame of the file). Raises `MediaError`, with the file and
    time stamp, where decoding fails, for a file that ends too early, and for stamps that are missing or do not rise.
    Damage that the decoder conceals is seen only where it marks the picture, as H.264's and MPEG-2's often do.
    """
    return ((stamp, frame) for stamp, frame in needed_frames_from(path, container, stream, start, None) if frame is not None)


def needed_frames_from(
    path: str | os.PathLike[str],
    container: InputContainer,
    stream: VideoStream,
    start: Fraction,
    needed: Needed | None,
    *,
    watch: DamageWatch | None = None,
    on_packet: OnPacket = lambda: None,
) -> Iterator[tuple[Fraction, av.VideoFrame | None]]:
    """`frames_from`, where a frame that is not `needed` (None: all are) may come as its time stamp alone, without being decoded.

    No other frame refers to it, so the others are the same bit for bit. With a `watch` decoding goes on behind damage, and a frame that it
    does not trust comes as its time stamp alone.
    """

    def forward() -> Iterator[tuple[Fraction, av.VideoFrame | None]]:
        return _forward(path, container, stream, needed, watch, on_packet)

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
        frames = forward()
        first = next(frames, None)
        if first is not None and (first[0] <= start or at_first):
            yield first
            yield from frames
            return
        if at_first:
            return
        back = max(Fraction(1), 2 * back)
    yield from forward()


def demux_stamps(
    path: str | os.PathLike[str], container: InputContainer, stream: VideoStream, on_packet: OnPacket = lambda: None
) -> tuple[NDArray[np.int64], int]:
    """The pts int64 [N] of every frame that will be shown, ascending, and the duration of the last one, in time base units.

    Decodes nothing; 22 ms for 504 packets and 16 bytes of memory a frame. Raises `MediaError` for a file that breaks off, holds no frame,
    or whose stamps are missing or do not rise.
    """
    stamps, durations, end_s = array("q"), array("q"), Fraction(0)
    try:
        for packet in container.demux():
            on_packet()
            end_s = max(end_s, _packet_end_s(packet))
            if packet.stream_index == stream.index and packet.size and not packet.is_discard:
                if packet.pts is None:
                    if packet.is_corrupt:
                        continue  # what is left of one whose beginning was lost
                    raise _no_stamps(path)
                stamps.append(packet.pts)
                durations.append(packet.duration or 0)
    except MemoryError:
        raise _no_memory(path) from None
    except av.FFmpegError as error:
        raise MediaError(f"{path} cannot be read past {float(end_s):.3f} s ({_reason(error)}): fetch or record it again") from None
    check_complete(path, container, stream, end_s)
    if not stamps:
        raise MediaError(f"{path} holds no frame: fetch or record it again")
    unsorted = np.frombuffer(stamps, np.int64)
    pts = np.sort(unsorted)
    repeated = np.flatnonzero(pts[1:] == pts[:-1])
    if len(repeated):
        raise _non_monotonic(path, int(pts[repeated[0]]) * _time_base(path, stream))
    return pts, durations[int(unsorted.argmax())]


def _forward(
    path: str | os.PathLike[str],
    container: InputContainer,
    stream: VideoStream,
    needed: Needed | None,
    watch: DamageWatch | None,
    on_packet: OnPacket,
) -> Iterator[tuple[Fraction, av.VideoFrame | None]]:
    last: Fraction | None = None
    skipper = _PacketSkipper(stream, needed)
    if watch:
        watch.begin()
    try:
        for packet in skipper.packets_for_decoder(_packets(container, stream, watch, on_packet)):
            for frame in _decoded(packet, watch):
                if frame.pts is None:
                    if watch is None:
                        raise _no_stamps(path)
                    watch.damage("frames have no time stamp", None)
                    continue
                stamp = frame.pts * (frame.time_base or _time_base(path, stream))
                yield from ((earlier, None) for earlier in skipper.skipped_before(stamp) if last is not None and earlier > last)
                trusted = watch is None or watch.trusts(frame, stamp)
                if last is not None and stamp <= last:
                    if trusted:
                        raise _non_monotonic(path, stamp)
                    continue
                if watch is None and frame.is_corrupt and last is not None:
                    raise MediaError(
                        f"{path}: decoding failed after the frame at {float(last):.3f} s (damaged data): fetch or record it again"
                    )
                last = stamp
                # A field-coded picture is two packets, which must be decoded together.
                skipper.may_skip = not frame.interlaced_frame
                yield stamp, frame if trusted else None
    except MemoryError:
        raise _no_memory(path) from None
    except av.FFmpegError as error:
        after = "at its first frame" if last is None else f"after the frame at {float(last):.3f} s"
        raise MediaError(f"{path}: decoding failed {after} ({_reason(error)}): fetch or record it again") from None
    yield from ((stamp, None) for stamp in skipper.skipped_before(None))
    try:
        check_complete(path, container, stream, skipper.end_s)
    except MediaError:
        if watch is None:
            raise
        watch.end(_stated_end(container, stream, skipper.end_s), "the file is cut off")
    else:
        if watch:
            watch.end(skipper.end_s)


def _packets(container: InputContainer, stream: VideoStream, watch: DamageWatch | None, on_packet: OnPacket) -> Iterator[av.Packet]:
    """The packets of all streams in order; with a `watch` reading goes on where it failed."""
    failures = 0
    while True:
        try:
            for packet in container.demux():
                on_packet()
                if watch and packet.stream_index == stream.index and packet.size:
                    watch.packet(packet)
                yield packet
            return
        except av.FFmpegError as error:
            failures += 1
            if watch is None or isinstance(error, MemoryError) or failures > _FAILURES:
                raise
            watch.damage("the file cannot be read", None)


def _decoded(packet: av.Packet, watch: DamageWatch | None) -> list[av.VideoFrame]:
    """The frames that come out of the decoder for a packet: none, with a `watch`, where it fails."""
    if watch and packet.is_keyframe:
        watch.keyframe(packet)
        if not watch.trusting:
            packet.stream.codec_context.flush_buffers()  # AV1's goes on failing for longer otherwise
    try:
        return packet.decode()
    except av.FFmpegError as error:
        if watch is None or isinstance(error, MemoryError):
            raise
        watch.damage("the decoder fails", packet_stamp(packet))
        return []
    finally:
        if watch:
            watch.log("the decoder finds damage", packet_stamp(packet))


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


def _stated_end(container: InputContainer, stream: VideoStream, read: Fraction) -> Fraction:
    """Where the video ends by its header, in seconds, if that is later than what was `read`."""
    if stream.duration and stream.time_base:
        return max(read, ((stream.start_time or 0) + stream.duration) * stream.time_base)
    if container.duration:
        return max(read, Fraction((container.start_time or 0) + container.duration, av.time_base))
    return read


def _packet_end_s(packet: av.Packet) -> Fraction:
    if packet.pts is None or packet.time_base is None:
        return Fraction(0)
    return (packet.pts + (packet.duration or 0)) * packet.time_base


def _time_base(path: str | os.PathLike[str], stream: VideoStream) -> Fraction:
    if not stream.time_base:
        raise _no_stamps(path)
    return stream.time_base


def _no_memory(path: str | os.PathLike[str]) -> NoMemoryError:
    return NoMemoryError(f"{path} needs more memory than there is: free some and try again, or leave it out")


def _no_stamps(path: str | os.PathLike[str]) -> MediaError:
    return MediaError(f"{path} has frames without time stamps: add them with `ffmpeg -fflags +genpts -i IN -c copy OUT.mkv`")


def _non_monotonic(path: str | os.PathLike[str], stamp: Fraction) -> MediaError:
    return MediaError(f"{path}: non-monotonic time stamps at {float(stamp):.3f} s: re-encode it with `ffmpeg -i IN OUT.mp4`")


def _contents(container: InputContainer) -> str:
    return ", ".join(sorted({"sound" if stream.type == "audio" else stream.type for stream in container.streams})) or "nothing"


def _reason(error: OSError | av.FFmpegError) -> str:
    return (error.strerror or str(error)).rstrip(".").lower()

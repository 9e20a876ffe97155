"""Copies the encoded pictures of a file, all of them or those of a few stretches, so that the first frame is at 0 s.

Reads a file or an open stream, writes an mp4 without sound; nothing is decoded or encoded. Cutting with forced keyframes would shift time
stamps, so whole groups of pictures, from one keyframe to the next, are kept with the original's time between them.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from ghostpad.base.errors import MediaError
from ghostpad.base.files import atomic_path
from ghostpad.corpus.fetch.errors import disk_error
from ghostpad.corpus.fetch.stretches import Span
from ghostpad.video.container import open_video
from ghostpad.video.decode import decode_frames

_MARK = "ghostpad: stretches of "
_HOLE_S = 0.5  # more than this between frames separates two stretches (a guess; margins and keyframes make it far more)
_EARLY_S = 0.5  # how long before a stretch to look for a keyframe: containers index decoding times, which are earlier than stamps


def at_zero(path: Path) -> Path:
    """The file, or a copy beside it where its clock does not begin at 0 or its format has no index for seeking (MPEG-TS).

    Raises `MediaError` if it is no video.
    """
    with open_video(path) as (container, stream):
        if container.format.name != "mpegts" and abs((stream.start_time or 0) * (stream.time_base or Fraction(1))) < Fraction(1, 1000):
            return path
        target = path.with_name(f"{path.stem}.at-zero.mp4")
        if not target.exists():
            copy_pictures(container, stream, target)
    return target


def copy_pictures(
    container: InputContainer, stream: VideoStream, target: Path, spans: Sequence[Span] | None = None, part_of_s: float | None = None
) -> None:
    """Copy to `target`, whole or not at all; with `spans` only these, by seeking, and always the first group of pictures.

    `part_of_s`, the length of the original, marks a file that holds only stretches of it. Raises `MediaError` for frames without
    time stamps or a codec that an mp4 cannot hold, and what reading the container raises.
    """
    groups = _groups(container.demux(stream)) if spans is None else _groups_in(container, stream, spans)
    base, origin, last = stream.time_base or Fraction(1), 0, None
    with atomic_path(target) as temporary:
        try:
            with av.open(str(temporary), "w", format="mp4") as out:
                if part_of_s is not None:
                    out.metadata["comment"] = f"{_MARK}{part_of_s:.3f} s"
                copy = out.add_stream_from_template(stream)
                for group in groups:
                    stamps = [packet.pts for packet in group if packet.pts is not None]
                    if len(stamps) < len(group):
                        raise MediaError(f"{target.name} has frames without time stamps")
                    origin = min(stamps) if last is None else origin
                    # Pictures shown before the keyframe they follow refer to what was left out.
                    hole = part_of_s is not None and last is not None and (min(stamps) - last) * base > _HOLE_S
                    for packet, pts, dts in zip(group, stamps, _decoding_times(group, stamps), strict=True):
                        if not hole or pts >= stamps[0]:
                            packet.pts, packet.dts = pts - origin, dts - origin
                            packet.stream = copy
                            out.mux(packet)
                    last = max(stamps)
        except (av.FFmpegError, ValueError) as error:
            if full := disk_error(error):
                raise full from None
            raise MediaError(f"{target.name} cannot be made into an mp4 ({error})") from None
        if last is None:
            raise MediaError(f"{target.name} holds no frame")


def _decoding_times(group: Sequence[av.Packet], stamps: Sequence[int]) -> list[int]:
    """The decoding times of packets. Matroska has none: then the stamps in order, all earlier by as much as the frames need."""
    if all(packet.dts is not None for packet in group):
        return [packet.dts or 0 for packet in group]
    in_order = sorted(stamps)
    ahead = max(at - stamp for at, stamp in zip(in_order, stamps, strict=True))
    return [at - ahead for at in in_order]


def _groups(packets: Iterable[av.Packet], end: int | None = None) -> Iterator[list[av.Packet]]:
    """Groups of pictures, each from its keyframe on; with `end` up to the first keyframe at or after it, beyond which nothing is read."""
    group: list[av.Packet] = []
    for packet in packets:
        if packet.size and packet.is_keyframe and group:
            yield group
            group = []
            if end is not None and packet.pts is not None and packet.pts >= end:
                return
        group += [packet] if packet.size else []
    if group:
        yield group


def _groups_in(container: InputContainer, stream: VideoStream, spans: Sequence[Span]) -> Iterator[list[av.Packet]]:
    """The first group, then those that touch a span, each once."""
    base = stream.time_base or Fraction(1)
    first = next(_groups(container.demux(stream)), None)
    if first is None:
        return
    yield first
    origin, last = min(packet.pts or 0 for packet in first), first[-1].dts or 0
    for start_s, end_s in spans:
        container.seek(origin + int(max(0.0, start_s - _EARLY_S) / base), stream=stream)
        for group in _groups(container.demux(stream), origin + int(end_s / base)):
            if (dts := group[0].dts) is None or dts > last:
                last = group[-1].dts or last
                yield group


def part_of_s(path: str | os.PathLike[str]) -> float | None:
    """The length in seconds of the original of a file that holds only stretches of it; None for a whole one."""
    with open_video(path) as (container, _):
        comment = container.metadata.get("comment", "")
    return float(comment[len(_MARK) : -2]) if comment.startswith(_MARK) else None


def rate_within(stamps_s: Sequence[Fraction]) -> Fraction:
    """Frames a second within the stretches of a file: a usual rate where the time stamps agree with it, else the measured one."""
    steps = [after - before for before, after in pairwise(stamps_s)]
    within = [step for step in steps if step <= _HOLE_S]
    if not within:
        return Fraction(1)
    span, runs = sum(within, Fraction(0)), 1 + len(steps) - len(within)
    measured = len(within) / span
    usual = min(Fraction(round(measured)), Fraction(round(measured * 1001 / 1000) * 1000, 1001), key=lambda rate: abs(rate - measured))
    near = usual > 0 and abs(len(within) / usual - span) <= Fraction(runs, 1000)  # Matroska rounds stamps to 1 ms
    return usual if near else measured.limit_denominator(1001)


def shown_across_holes(path: Path, stamps_s: Sequence[Fraction]) -> bool:
    """Whether a decoder shows the frames of the file and no others around every hole: in open groups of pictures, whose frames refer to
    earlier groups, it invents what is missing. Decodes two groups of pictures a hole.
    """
    for before, after in pairwise(stamps_s):
        if after - before > _HOLE_S:
            end_s = after + Fraction(1, 4)
            shown = [
                frame.pts_s
                for frame in decode_frames(path, gray=True, width_px=16, height_px=16, start_s=float(before), end_s=float(end_s))
            ]
            if shown != [float(stamp) for stamp in stamps_s if before <= stamp < end_s]:
                return False
    return True


def uncovered(stamps_s: Sequence[Fraction], spans: Iterable[Span], length_s: float) -> Span | None:
    """The first span (up to the end of the video) in which more than a second has no frame; None if all have them."""
    holes = [Span(float(before), float(after)) for before, after in pairwise([*stamps_s, Fraction(length_s)]) if after - before > 1]
    for span in spans:
        if any(min(hole.end_s, span.end_s, length_s) - max(hole.start_s, span.start_s) > 1 for hole in holes):
            return span
    return None

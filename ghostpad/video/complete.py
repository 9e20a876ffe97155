"""Whether a video file is as long as it says it is, by what each container writes about itself.

Reads the header, the index or the last packets of one local file; decodes nothing. MPEG-TS, Ogg and GIF do not say how long they are, so
one that was cut between two packets is taken as whole.
"""

import os
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from ghostpad.base.errors import MediaError

_SHORT_S = 0.5
"""How much earlier than its header says a Matroska or FLV file may end; a guess, above the rounding of every muxer seen."""

_SHORT_BYTES = 8
"""How much shorter than its header says an AVI may be: some writers count the 8 bytes of the header itself (a guess)."""

_TAIL_BYTES = 1 << 18
"""End of an MPEG program stream that is searched for its last pack, of at most 64 KB a packet; muxers write packs of 2 KB."""

_PACK, _START = b"\0\0\1\xba", b"\0\0\1"


def check_complete(path: str | os.PathLike[str], container: InputContainer, stream: VideoStream, end_s: Fraction) -> None:
    """Raise `MediaError`, naming the time, for a file that was read to `end_s` and is shorter than it says.

    An mp4 is measured by its index, Matroska and FLV by their duration, AVI by the sizes of its parts, an MPEG program stream by its last
    packet: FFmpeg writes no end code, so one that was cut between two packets (of 2 KB; copies often stop there) is taken as whole.
    """
    if lack := _lack(Path(path), container, stream, end_s):
        raise MediaError(f"{path} is cut off at {lack}: fetch or record it again")


def _lack(path: Path, container: InputContainer, stream: VideoStream, end_s: Fraction) -> str:
    """The time at which a file breaks off, and what is missing; "" if nothing is."""
    kind = container.format.name
    if kind.startswith("mov"):
        size, time_base = path.stat().st_size, stream.time_base or Fraction(0)
        cut = [entry.timestamp for entry in stream.index_entries if entry.pos + entry.size > size]
        return f"{float(min(cut) * time_base):.3f} s: {len(cut)} frames of its index are missing" if cut else ""
    if kind.startswith("matroska") or kind == "flv":
        stated_s = (container.duration or 0) / av.time_base
        return f"{float(end_s):.3f} s of {stated_s:.3f} s" if float(end_s) < stated_s - _SHORT_S else ""
    missing = _missing_of_avi(path) if kind == "avi" else _missing_of_mpeg(path) if kind == "mpeg" else 0
    return f"{float(end_s):.3f} s: at least {missing} bytes are missing" if missing else ""


def _missing_of_avi(path: Path) -> int:
    """Bytes that the parts of an AVI (one each GB or so) say they have beyond the end of the file; 0 if a writer stated no size."""
    size, at = path.stat().st_size, 0
    with open(path, "rb") as file:
        while at < size:
            file.seek(at)
            head = file.read(8)
            length = int.from_bytes(head[4:], "little")
            if head[:4] != b"RIFF" or not length:
                return 0
            at += 8 + length + length % 2
    return at - size if at - size > _SHORT_BYTES else 0


def _missing_of_mpeg(path: Path) -> int:
    """Bytes by which the last packet of an MPEG program stream reaches beyond the end of the file."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        tail = file.read()
    at = tail.rfind(_PACK)
    if at < 0:
        return 0
    first = tail[at + 4 : at + 5]
    stuffing = tail[at + 13 : at + 14]
    at += 12 if first and first[0] >> 6 == 0 else 14 + (stuffing[0] & 7 if stuffing else 0)
    while at < len(tail):
        left = tail[at : at + 6]
        if not left.startswith(_START[: len(left)]) or left[3:4] == b"\xb9":
            return 0  # the end code, or bytes that are not of the stream
        at += 6 + int.from_bytes(left[4:], "big") if len(left) == 6 else 6
    return at - len(tail)

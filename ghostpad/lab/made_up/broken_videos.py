"""Videos that are broken or odd, each in one way that footage from the internet is, and what reading each must come to.

Writes about 70 small files into a folder, 2 MB and some seconds of CPU. Some are no files at all: a pipe, a socket, links to nothing.
"""

import os
import socket
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np

from ghostpad.lab.made_up.small_videos import FPS, FRAMES, write_sound, write_video
from ghostpad.video.child import Limits

Outcome = Literal["good", "parts", "broken"]
"""Every frame can be read; the frames outside of gaps can be read; nothing can be read."""

LIMITS = Limits(memory_bytes=500_000_000, stall_s=30)
"""The limits of the child in which the files come to what is said of them."""

LENGTH_S = FRAMES / FPS
"""Length of the videos that are broken."""


@dataclass(frozen=True)
class MadeVideo:
    """One file, and what reading it must come to.

    `frames` is the number of frames of a good video. In a video that is good in parts every gap lies within `damaged_s` (seconds from its
    first good frame's stamp). `reason` is a regular expression in the message of the error for a broken one, and of the error of probing
    one that is good in parts ("": probing raises none).
    """

    name: str
    path: Path
    outcome: Outcome
    frames: int = FRAMES
    damaged_s: tuple[float, float] = (0.0, LENGTH_S)
    reason: str = ""


def make_good_videos(folder: Path, count: int = 40) -> list[MadeVideo]:
    """`count` different sound videos in turn of every codec and container in use. The folder must exist."""
    kinds = [
        ("h264", ".mp4"), ("h264", ".mkv"), ("h264", ".ts"), ("h264", ".flv"), ("h264-no-b", ".mov"), ("h264-10-bit", ".mp4"),
        ("hevc", ".mp4"), ("hevc", ".ts"), ("vp8", ".webm"), ("vp9", ".webm"), ("vp9", ".mp4"), ("av1", ".mp4"), ("av1", ".mkv"),
        ("mpeg4", ".mp4"), ("mpeg4", ".avi"), ("mpeg2", ".mpg"), ("mpeg2", ".ts"), ("mjpeg", ".avi"), ("ffv1", ".mkv"), ("gif", ".gif"),
    ]  # fmt: skip
    made = []
    for index in range(count):
        coding, suffix = kinds[index % len(kinds)]
        size_px = (64 + 16 * (index % 4), 64 + 16 * (index % 3))  # AV1 wants 64 or more
        path = write_video(folder / f"good-{index:03d}-{coding}{suffix}", coding, seed=index, size_px=size_px)
        made.append(MadeVideo(path.name, path, "good"))
    return made


def make_broken_videos(folder: Path) -> list[MadeVideo]:
    """Every broken or odd kind once. The folder must exist; names of files in it are the names of the kinds."""
    return [*_odd(folder), *_cut(folder), *_damaged(folder), *_clocks(folder), *_no_videos(folder), *_no_files(folder), *_bombs(folder)]


def _odd(folder: Path) -> list[MadeVideo]:
    """Files that are odd and sound."""

    def good(name: str, coding: str = "h264", frames: int = FRAMES, **how: object) -> MadeVideo:
        seed = zlib.crc32(name.encode())  # pictures of its own: `corpus add` keeps the same ones once
        return MadeVideo(name, write_video(folder / name, coding, seed=seed, **how), "good", frames)  # type: ignore[arg-type]

    steps = np.random.default_rng(0).choice([1, 1, 1, 2, 5], FRAMES - 1)
    made = [
        good("mkv-called.mp4", container="matroska"),
        good("mp4-called.mkv", container="mp4"),
        good("no-suffix", container="mp4"),
        good("variable-rate.mp4", stamps=[0, *np.cumsum(steps).tolist()], clock_hz=60),
        good("variable-rate.mkv", stamps=[0, *np.cumsum(steps).tolist()], clock_hz=60),
        good("ten-bit.mp4", "h264-10-bit"),
        good("hdr.mp4", "hevc-hdr"),
        good("one-frame.mp4", stamps=[0], frames=1),
        good("tiny.mp4", size_px=(16, 16)),
        good("in-pieces.mp4", options={"movflags": "frag_keyframe+empty_moov"}),
        good("begins-late.mp4", stamps=range(90, 90 + FRAMES)),
        good("long-name-" + 200 * "n" + ".mp4"),
        good("naïve 日本 $(x);'.mp4"),
    ]
    titled = good("name-in-latin-1.mkv")  # of the writing program, which is no UTF-8
    _patch(titled.path, titled.path.read_bytes().rindex(b"Lavf"), "Mäx".encode("latin-1"))
    turned = good("rotated.mp4")
    matrix = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 64 << 16, 0, 1 << 30)
    _patch(turned.path, turned.path.read_bytes().index(b"tkhd") + 44, matrix)
    edited = good("edit-list.mp4", "h264-no-b", frames=FRAMES - 10)  # shows from the 11th frame on, which is no keyframe
    at, hertz = edited.path.read_bytes().index(b"elst") + 16, av.open(str(edited.path)).streams.video[0].time_base
    assert hertz
    _patch(edited.path, at, struct.pack(">i", int(10 / FPS / hertz)))
    return [*made, titled, turned, edited]


def _cut(folder: Path) -> list[MadeVideo]:
    """Files that end too early. MPEG-TS says nowhere how long it is, so a cut one is a shorter video."""

    def cut(name: str, coding: str, outcome: Outcome, reason: str, share: float = 0.6, **how: object) -> MadeVideo:
        path = write_video(folder / name, coding, **how)  # type: ignore[arg-type]
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        return MadeVideo(name, path, outcome, damaged_s=(LENGTH_S * share - 0.8, LENGTH_S + 0.2), reason=reason)

    return [
        cut("cut-index-behind.mp4", "h264", "broken", "cut off before its index"),
        cut("cut-index-behind.mov", "mpeg4", "broken", "cut off before its index", 0.9),
        cut("cut.mp4", "h264", "parts", "cut off at", options={"movflags": "faststart"}),
        cut("cut-hevc.mp4", "hevc", "parts", "cut off at", options={"movflags": "faststart"}),
        cut("cut.mkv", "h264", "parts", "cut off at"),
        cut("cut.webm", "vp9", "parts", "cut off at"),
        cut("cut.flv", "h264", "parts", "cut off at"),
        cut("cut.avi", "mpeg4", "parts", "cut off at"),
        cut("cut.mpg", "mpeg2", "parts", "cut off at", 0.61),  # its packets have 2 KB: not between two of them
        cut("cut-in-header.mkv", "h264", "broken", "is not a video|cut off", 0.02),
        cut("cut-in-header.avi", "mpeg4", "broken", "is not a video|no frame", 0.01),
    ]


def _damaged(folder: Path) -> list[MadeVideo]:
    """Files whose bytes in the middle are other ones. The codecs are those whose decoder can see that."""

    def damaged(name: str, coding: str, share: float = 0.5, count: int = 4000, reason: str = "") -> MadeVideo:
        path = write_video(folder / name, coding, size_px=(160, 96))
        _patch(path, int(path.stat().st_size * share), np.random.default_rng(0).bytes(count))
        return MadeVideo(name, path, "parts", damaged_s=(LENGTH_S * share - 0.8, LENGTH_S * share + 1.2), reason=reason)

    made = [
        damaged("damaged.mp4", "h264"),
        damaged("damaged-early.mp4", "h264", 0.3),
        damaged("damaged.mkv", "h264"),
        damaged("damaged.ts", "h264"),
        damaged("damaged.flv", "h264"),
        damaged("damaged-10-bit.mp4", "h264-10-bit"),
        damaged("damaged-hevc.ts", "hevc", reason="without time stamps"),
        damaged("damaged-av1.mp4", "av1", count=400),
        damaged("damaged-mpeg4.avi", "mpeg4"),
        damaged("damaged-mpeg2.mpg", "mpeg2"),
        damaged("damaged-mpeg2.ts", "mpeg2"),
    ]
    nothing = write_video(folder / "pictures-zeroed.mp4", options={"movflags": "faststart"})
    data = nothing.read_bytes()
    start = data.index(b"mdat") + 4
    nothing.write_bytes(data[:start] + bytes(len(data) - start))
    return [*made, MadeVideo(nothing.name, nothing, "broken", reason="no frame|decoding failed")]


def _clocks(folder: Path) -> list[MadeVideo]:
    """Files whose clock is odd or does not go on."""

    def ts(name: str, first: int, coding: str = "h264-no-b", size_px: tuple[int, int] = (96, 64)) -> Path:
        return write_video(folder / name, coding, stamps=range(first, first + FRAMES), size_px=size_px)

    def joined(name: str, second_first: int, size_px: tuple[int, int] = (96, 64)) -> Path:
        (other := folder / "second.ts").unlink(missing_ok=True)
        path = ts(name, 0)
        path.write_bytes(path.read_bytes() + ts(other.name, second_first, size_px=size_px).read_bytes())
        other.unlink()
        return path

    wraps = int(2**33 / 90_000 * FPS) - FRAMES // 2
    late = ts("begins-mid-picture.ts", 0, "h264")
    late.write_bytes(late.read_bytes()[188 * 40 :])
    repeated, back = (write_video(folder / name, "h264-no-b") for name in ("stamps-repeat.flv", "stamps-run-back.flv"))
    for path, later_ms in ((repeated, -33), (back, -300)):
        _shift_flv_tags(path, 30, later_ms)
    unordered = write_video(folder / "b-frames-h264.avi", "h264")
    long = write_video(folder / "says-11-days.mkv")
    _patch(long, long.read_bytes().index(b"\x44\x89\x88") + 3, struct.pack(">d", 1e9))
    return [
        MadeVideo("clock-begins-late.ts", ts("clock-begins-late.ts", 36_000 * FPS), "good"),
        MadeVideo("clock-wraps.ts", ts("clock-wraps.ts", wraps), "good"),
        # Where two MPEG-TS files meet, the count of packets does not go on: the last frame before could be damaged.
        MadeVideo("clock-jumps.ts", joined("clock-jumps.ts", 1000 * FPS), "parts", damaged_s=(1.8, 1000.1)),
        MadeVideo("size-changes.ts", joined("size-changes.ts", FRAMES, (64, 48)), "parts", damaged_s=(1.8, 2.1)),
        MadeVideo("clock-runs-back.ts", joined("clock-runs-back.ts", FRAMES // 2), "parts", damaged_s=(1.8, 2.1), reason="non-monotonic"),
        MadeVideo(late.name, late, "parts", damaged_s=(-1.0, 0.0)),
        MadeVideo(repeated.name, repeated, "broken", reason="non-monotonic"),
        MadeVideo(back.name, back, "broken", reason="non-monotonic"),
        MadeVideo(unordered.name, unordered, "broken", reason="non-monotonic"),
        MadeVideo(long.name, long, "parts", damaged_s=(LENGTH_S - 0.1, 2e6), reason="cut off at"),
    ]


def _no_videos(folder: Path) -> list[MadeVideo]:
    """Files that hold no video, whatever they are called."""
    rng = np.random.default_rng(0)
    contents = {
        "empty.mp4": b"",
        "one-byte.mp4": b"\0",
        "zeros.mp4": bytes(20_000),
        "noise.mp4": rng.bytes(20_000),
        "noise-behind-a-header.mp4": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + rng.bytes(20_000),
        "noise.mkv": b"\x1a\x45\xdf\xa3" + rng.bytes(20_000),
        "text.mp4": b"this is a list of my videos\n" * 200,
        "page.mp4": b"<!DOCTYPE html><html><body>404 not found</body></html>\n" * 20,
        "playlist.mp4": b"#EXTM3U\n#EXTINF:1,\nother.mp4\n",
        "archive.mp4": b"PK\3\4" + rng.bytes(5000),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    made = [MadeVideo(name, folder / name, "broken", reason="is not a video|is empty|no pictures|no frame") for name in contents]
    picture = write_video(folder / "picture.mp4", "mjpeg", stamps=[0], container="image2")
    made.append(MadeVideo(picture.name, picture, "broken", reason="is not a video"))
    sounds = {"sound.m4a": None, "sound.mp4": None, "sound.mkv": None, "sound-called.avi": "mp4"}
    for blocks, (name, container) in enumerate(sounds.items(), 40):  # no two with the same bytes
        made.append(MadeVideo(name, write_sound(folder / name, blocks, container), "broken", reason="no pictures, only sound"))
    unknown = write_video(folder / "unknown-codec.mp4")
    _patch(unknown, unknown.read_bytes().index(b"avc1", 100), b"zzzz")
    made.append(MadeVideo(unknown.name, unknown, "broken", reason="no decoder|is not a video|no pictures"))
    return made


def _no_files(folder: Path) -> list[MadeVideo]:
    """Names that stand for no ordinary file."""
    os.mkfifo(folder / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(folder, os.O_RDONLY)  # the path of a socket may have 107 characters
        server.bind(f"/proc/self/fd/{here}/socket.mp4")
        os.close(here)
    (folder / "folder.mp4").mkdir()
    links = {"link-to-nothing.mp4": "nowhere.mp4", "link-to-itself.mp4": "link-to-itself.mp4", "link-to-zeros.mp4": "/dev/zero"}
    for name, target in links.items():
        (folder / name).symlink_to(target)
    names = ["pipe.mp4", "socket.mp4", "folder.mp4", *links]
    return [MadeVideo(name, folder / name, "broken", reason="not a file|does not exist|cannot be read") for name in names]


def _bombs(folder: Path) -> list[MadeVideo]:
    """Small files whose pictures are large by their header: 4 gigapixels, which FFmpeg refuses, and 0.25 gigapixels, 1 GB each."""
    made = []
    for name, side, reason in (("bomb.gif", 65_000, "without a size"), ("large.gif", 16_000, "GB of memory")):
        path = write_video(folder / name, "gif", stamps=range(3))
        _patch(path, 6, struct.pack("<HH", side, side))
        made.append(MadeVideo(name, path, "broken", reason=reason))
    return made


def _patch(path: Path, at: int, data: bytes) -> None:
    """Overwrite bytes of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def _shift_flv_tags(path: Path, index: int, later_ms: int) -> None:
    """Move the stamp of the picture with this index, and of no other."""
    data, at = bytearray(path.read_bytes()), 13
    while at < len(data):
        kind, size = data[at], int.from_bytes(data[at + 1 : at + 4], "big")
        if kind == 9 and data[at + 12] == 1:  # a picture, not a header of the codec
            if index == 0:
                stamp = int.from_bytes(data[at + 4 : at + 7], "big") + later_ms
                data[at + 4 : at + 7] = stamp.to_bytes(3, "big")
            index -= 1
        at += 11 + size + 4
    path.write_bytes(data)

"""Small videos in many codecs and containers, of moving patterns: sound files to test with, and to break.

Writes files; 60 frames of 96 x 64 cost 0.02 (MPEG-4) to 0.3 (AV1) CPU-seconds. The same arguments give the same pictures.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

FRAMES, FPS, GOP = 60, 30, 15
"""Frames of a video, frames a second, and frames from one keyframe to the next, unless told otherwise."""


@dataclass(frozen=True)
class Coding:
    """How a video is encoded: the name of FFmpeg's encoder, its options, the format of its pixels, and B-frames in a row."""

    encoder: str
    options: Mapping[str, str] = field(default_factory=dict)
    pixels: str = "yuv420p"
    b_frames: int = 0


_X264 = "asm=0:min-keyint=15:scenecut=0"  # with its assembly, the macroblock tree gives other bytes now and then
_X265 = "log-level=none:pools=none:frame-threads=1:min-keyint=15"

CODINGS: dict[str, Coding] = {
    "h264": Coding("libx264", {"preset": "medium", "x264-params": _X264}, b_frames=2),
    "h264-no-b": Coding("libx264", {"preset": "veryfast", "x264-params": _X264}),
    "h264-cavlc": Coding("libx264", {"preset": "medium", "x264-params": f"{_X264}:cabac=0"}, b_frames=2),
    "h264-10-bit": Coding("libx264", {"preset": "veryfast", "x264-params": "asm=0"}, "yuv420p10le"),
    "hevc": Coding("libx265", {"preset": "ultrafast", "x265-params": _X265}),
    "hevc-hdr": Coding(
        "libx265",
        {"preset": "ultrafast", "x265-params": f"{_X265}:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:hdr10=1"},
        "yuv420p10le",
    ),
    "vp8": Coding("libvpx", {"deadline": "realtime", "cpu-used": "8"}),
    "vp9": Coding("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "av1": Coding("libsvtav1", {"preset": "11", "svtav1-params": "lp=1"}),
    "mpeg4": Coding("mpeg4", b_frames=2),
    "mpeg2": Coding("mpeg2video", b_frames=2),
    "mpeg1": Coding("mpeg1video"),
    "mjpeg": Coding("mjpeg", pixels="yuvj420p"),
    "ffv1": Coding("ffv1"),
    "gif": Coding("gif", pixels="rgb8"),
}
"""The codings in use, by name."""


def write_video(
    path: Path,
    coding: str = "h264",
    *,
    seed: int = 0,
    size_px: tuple[int, int] = (96, 64),
    stamps: Sequence[int] = range(FRAMES),
    clock_hz: int = FPS,
    container: str | None = None,
    options: Mapping[str, str] | None = None,
) -> Path:
    """A video with a frame at each of `stamps` / `clock_hz` seconds. The container is named, or follows from the file's name."""
    how = CODINGS[coding]
    os.environ.setdefault("SVT_LOG", "1")  # or the encoder of AV1 prints its settings, and has no other way to be told
    with av.open(str(path), "w", format=container, options=dict(options or {})) as out:
        stream = out.add_stream(how.encoder, rate=FPS, options=dict(how.options))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size_px, how.pixels
        stream.time_base = stream.codec_context.time_base = Fraction(1, clock_hz)
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = GOP, how.b_frames
        stream.codec_context.thread_count, stream.codec_context.bit_rate = 1, 500_000
        for stamp, image in zip(stamps, _pictures(seed, size_px), strict=False):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=how.pixels, threads=1)
            frame.pts, frame.time_base = stamp, Fraction(1, clock_hz)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def write_sound(path: Path, blocks: int = 44, container: str | None = None) -> Path:
    """A file with silence, 23 ms a block, and no picture."""
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream("aac", rate=44100, layout="mono")
        for index in range(blocks):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 44100, 1024 * index, Fraction(1, 44100)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def _pictures(seed: int, size_px: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Coarse noise that drifts 3 pixels a frame, uint8 [H, W, 3], without end."""
    wide, high = size_px
    noise = np.random.default_rng(seed).integers(0, 256, (-(-high // 4), -(-wide // 4), 3), np.uint8).repeat(4, 0).repeat(4, 1)
    index = 0
    while True:
        yield np.ascontiguousarray(np.roll(noise, 3 * index, 1)[:high, :wide])
        index += 1

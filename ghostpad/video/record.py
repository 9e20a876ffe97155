"""Writing H.264 with exact time stamps: the recorder for games, and the stream writer that it shares with the proxy.

Writes one mp4, index first (faststart), that appears under its name only when it is whole. One encoder thread and no dates
inside, so the same frames give the same bytes. No B-frames: decoding order is display order, and seeking costs less.
"""

import math
import os
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray

from ghostpad.base.errors import MediaError, SettingsError, nearest
from ghostpad.base.files import atomic_path

PRESETS: tuple[str, ...] = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
"""x264's presets, quickest first."""

_MIN_TICKS_HZ = 90_000
"""Fewest ticks a second of a recording's clock: MPEG's own 90 kHz, so that free time stamps are off by at most 6 microseconds."""


_MOST_HZ, _MOST_NUMERATOR = 1000, 1_000_000
"""Bounds of a recording's rate, which keep its clock within the 32 bits that an mp4 has for it."""


class H264Writer:
    """An mp4 file with one H.264 stream, time stamps in ticks of 1 / `ticks_hz` second. `close` finishes the file.

    `path` is written in place, so callers pass a temporary name. `rate` guides the encoder only; `x264` are x264's own options where they
    differ from the preset. Raises `SettingsError` for impossible options, and
    `OSError` where the disk is full or cannot be written to; the writer is to be closed then too.
    """

    def __init__(
        self, path: Path, *, width_px: int, height_px: int, rate: Fraction, ticks_hz: int, crf: int, preset: str, gop: int,
        pix_fmt: str = "yuv420p", colorspace: int | None = None, color_range: int | None = None, x264: str = "",
    ):  # fmt: skip
        check_encoding(crf, preset, gop)
        self._container = new_mp4(path, ticks_hz)
        # x264's macroblock tree gives other bytes now and then, even with one thread: 1 to 30 of 100 files, by picture, and none with
        # the tree or its assembly off (measured, PyAV 18.1). It is off in the ultrafast preset anyway.
        options = {"crf": str(crf), "preset": preset, "x264-params": f"mbtree=0{x264 and ':'}{x264}"}
        self._stream = self._container.add_stream("libx264", rate=rate, options=options)
        self._time_base, self._broken = Fraction(1, ticks_hz), False
        self._stream.width, self._stream.height, self._stream.pix_fmt = width_px, height_px, pix_fmt
        self._stream.time_base = self._stream.codec_context.time_base = self._time_base
        self._stream.codec_context.gop_size = gop
        self._stream.codec_context.max_b_frames = 0
        self._stream.codec_context.thread_count = 1
        if colorspace is not None:
            self._stream.codec_context.colorspace = colorspace
        if color_range is not None:
            self._stream.codec_context.color_range = color_range

    def add(self, frame: av.VideoFrame, ticks: int, duration_ticks: int) -> None:
        """Append a frame of the writer's `pix_fmt`, shown from `ticks` on; stamps must rise. The last frame's duration ends the video."""
        frame.pts, frame.time_base, frame.duration = ticks, self._time_base, duration_ticks
        frame.pict_type = av.video.frame.PictureType.NONE  # the source's keyframes must not decide where ours are
        self._write(frame)

    def close(self) -> None:
        """Flush the encoder and write the index, unless writing has failed already."""
        with self._container:
            if not self._broken:
                self._write(None)

    def _write(self, frame: av.VideoFrame | None) -> None:
        self._broken = True  # PyAV crashes if it writes once more after the header could not be written, as on a full disk
        self._container.mux(self._stream.encode(frame))
        self._broken = False


def new_mp4(path: Path, ticks_hz: int, comment: str = "") -> OutputContainer:
    """An mp4 to be filled, index first and without dates, with time stamps in ticks of 1 / `ticks_hz` second."""
    # The movie clock times the gap before the first frame; its default of 1 kHz would round that to a millisecond.
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    options |= {"movie_timescale": str(ticks_hz), "video_track_timescale": str(ticks_hz)}
    container = av.open(str(path), "w", format="mp4", options=options)
    if comment:
        container.metadata["comment"] = comment
    return container


class VideoRecorder:
    """Record pictures as an H.264 mp4 that appears at `path` when the `with` block ends without an error, and never otherwise.

        with VideoRecorder("run.mp4", Fraction(35, 2)) as video:
            video.add(image)

    `fps` is exact: steps of 1 / fps are whole ticks of the file's clock. `crf` 0-51 is x264's quality (lower is better),
    `preset` its speed, `gop` the most frames between keyframes. Raises `SettingsError` for options out of range. Leaving the
    block without a frame raises `MediaError`.
    """

    def __init__(self, path: str | os.PathLike[str], fps: Fraction | int, *, crf: int = 23, preset: str = "ultrafast", gop: int = 60):
        check_encoding(crf, preset, gop)
        self.path, self.fps = Path(path), Fraction(fps)
        if not 0 < self.fps <= _MOST_HZ or self.fps.numerator > _MOST_NUMERATOR:
            raise SettingsError(f"fps is {fps}: give an exact fraction above 0, up to {_MOST_HZ}, such as 35/2 or 30000/1001")
        self.frames = 0
        self._crf, self._preset, self._gop = crf, preset, gop
        self._ticks_hz = self.fps.numerator * math.ceil(Fraction(_MIN_TICKS_HZ, self.fps.numerator))
        self._step = int(self._ticks_hz / self.fps)
        self._next = 0
        self._size: tuple[int, ...] | None = None
        self._writer: H264Writer | None = None
        self._stack = ExitStack()
        self._temporary: Path | None = None

    def __enter__(self) -> "VideoRecorder":
        self._temporary = self._stack.enter_context(atomic_path(self.path))
        self._stack.push(self._finish)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, image: NDArray[np.uint8], pts_s: float | None = None) -> None:
        """Append a picture uint8 [H, W, 3] RGB shown from `pts_s` seconds on (None: one step of 1 / fps after the last, first 0).

        All pictures have one size, width and height even, because H.264 video stores colour for blocks of 2 x 2 pixels;
        an odd size is refused rather than padded, so that no picture is changed. Stamps are rounded
        to the file's clock (at least 90,000 ticks a second), must be 0 or more and rise. Raises `MediaError` otherwise.
        """
        if self._temporary is None:
            raise RuntimeError("a VideoRecorder records inside its `with` block only")
        self._check_image(image)
        ticks = self._next if pts_s is None else self._ticks(pts_s)
        if self._writer is None:
            height_px, width_px, _ = image.shape
            self._writer = H264Writer(
                self._temporary, width_px=width_px, height_px=height_px, rate=self.fps, ticks_hz=self._ticks_hz,
                crf=self._crf, preset=self._preset, gop=self._gop,
            )  # fmt: skip
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        self._writer.add(frame.reformat(format="yuv420p", threads=1), ticks, self._step)
        self._next = ticks + self._step
        self.frames += 1

    def _check_image(self, image: NDArray[np.uint8]) -> None:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise MediaError(f"{self.path}: a picture must be uint8 [H, W, 3], this one is {image.dtype} {list(image.shape)}")
        if self._size is None:
            height_px, width_px, _ = image.shape
            if not width_px or not height_px or width_px % 2 or height_px % 2:
                raise MediaError(
                    f"{self.path}: H.264 needs an even width and height, got {width_px} x {height_px}: crop or pad the picture"
                )
            self._size = image.shape
        if image.shape != self._size:
            raise MediaError(
                f"{self.path}: picture {self.frames} is {list(image.shape)}, the ones before {list(self._size)}: keep one size"
            )

    def _ticks(self, pts_s: float) -> int:
        if not math.isfinite(pts_s) or pts_s < 0:
            raise MediaError(f"{self.path}: time stamp {pts_s} s must be 0 or more")
        ticks = round(Fraction(pts_s) * self._ticks_hz)
        last = self._next - self._step
        if self.frames and ticks <= last:
            raise MediaError(f"{self.path}: time stamp {pts_s} s does not come after {last / self._ticks_hz:.6f} s")
        return ticks

    def _finish(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        writer, self._writer, self._temporary = self._writer, None, None
        if writer is not None:
            writer.close()
        elif kind is None:
            raise MediaError(f"{self.path}: no picture was recorded, so there is no video")


def recordable_rate(fps: Fraction) -> Fraction:
    """The rate nearest to `fps` that a `VideoRecorder` takes: the mean of a variable rate may be too fine a fraction for its clock."""
    rate = min(fps, Fraction(_MOST_HZ))
    return rate if 0 < rate.numerator <= _MOST_NUMERATOR else max(Fraction(1, 1000), rate.limit_denominator(_MOST_NUMERATOR // _MOST_HZ))


def check_encoding(crf: int, preset: str, gop: int) -> None:
    """Raise `SettingsError`, listing every problem, unless these are options of x264."""
    problems = [] if 0 <= crf <= 51 else [f"crf is {crf}: it must lie in 0...51"]
    if preset not in PRESETS:
        problems.append(f"no preset called '{preset}': {nearest(preset, PRESETS)}")
    if gop < 1:
        problems.append(f"gop is {gop}: it must be 1 or more frames")
    if problems:
        raise SettingsError(problems)

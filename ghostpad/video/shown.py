"""Decoded frames as a viewer sees them: turned upright, of 8 bits, and high dynamic range brought to the range of an ordinary screen.

Phones store pictures as the sensor lies and say how to turn them; consoles record HDR, whose codes look pale and dark when they are read
as ordinary ones. A wide gamut without HDR is shown as coded, a little pale. FFmpeg's filters do it, on frames that need it only: all
others pass untouched. Reads and writes no files. Cost: nothing for ordinary footage. HDR: 5 CPU-seconds each time that a video is opened,
in which swscale computes its table of colours, and 55 ms a frame of 1080p (measured, FFmpeg 8.1).
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import cast

import av
import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import SideDataContainer
from av.video.reformatter import ColorTrc
from av.video.stream import VideoStream

from ghostpad.base.errors import MediaError
from ghostpad.video.paint import Boxes, painted

_TURNS = {
    (-1, 0, 0, 1): "hflip",
    (1, 0, 0, -1): "transpose=cclock_flip,transpose=cclock",  # FFmpeg's vflip makes rows that run upwards
    (-1, 0, 0, -1): "transpose=clock,transpose=clock",
    (0, 1, -1, 0): "transpose=clock",
    (0, -1, 1, 0): "transpose=cclock",
    (0, 1, 1, 0): "transpose=cclock_flip",
    (0, -1, -1, 0): "transpose=clock_flip",
}
"""FFmpeg's filters by the signs of a, b, c, d in a display matrix: a stored point (x, y) is shown at (a x + c y, b x + d y)."""

_HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
"""The transfer characteristics of HDR: PQ and HLG."""

_TO_SDR = "scale=out_primaries=bt709:out_transfer=bt709:out_color_matrix=bt709:out_range=tv:intent=perceptual,format=yuv420p"
"""Tone and gamut mapping by swscale. Perceptual: highlights are compressed (white at 203 nits becomes 155 of 255), where the other intents
cut off all above 203 nits. The brightest light is what the video states, 10,000 nits if it states nothing, so such a video comes out
rather dark than burnt out."""


_side_data = cast(Callable[[av.VideoFrame], Mapping[str, bytes]], SideDataContainer)
"""Instead of `VideoFrame.side_data`, which a frame keeps and which keeps the frame: decoding took a third longer, for memory freed late."""

_DEEP = re.compile(r"(yuva?4..p|gbra?p|gray)(9|1[0246])(le|be)")
"""Pixel formats of more than 8 bits, whose first part names the same of 8 bits."""


class Viewer:
    """Makes frame after frame of a video what a viewer sees, with the boxes of `mask` grey; without one ordinary frames pass unchanged.

    mask      boxes in pixels of `size_px`
    size_px   width and height of the video as seen: what its header says, turned as the latest frame
    """

    def __init__(self, stream: VideoStream, mask: Boxes = ()):
        self.mask, self.size_px = tuple(mask), (0, 0)
        self._stored_px = stream.width, stream.height  # before decoding, which changes them where the size changes
        self._graph = Graph()
        self._key: tuple[object, ...] | None = None

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame upright, in ordinary colours, and masked. Turns that are not by quarters are left out."""
        self.size_px = shown_size(frame, *self._stored_px)
        filters = ",".join(filter(None, (_to_ordinary(frame), _turn(frame))))
        if filters:
            key = frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range, frame.color_trc, filters
            if key != self._key:
                self._graph, self._key = _built(frame, filters), key
            self._graph.push(frame)
            frame = self._graph.vpull()
        return painted(frame, self.mask, self.size_px)


@contextmanager
def showing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns an error of FFmpeg's in the conversion of a picture of `path` into a `MediaError`: rare colour matrices have no conversion."""
    try:
        yield
    except MemoryError:
        raise  # it says nothing about the file
    except av.FFmpegError as error:
        reason = (error.strerror or str(error)).lower()
        raise MediaError(
            f"{path}: its colours are coded in a way that FFmpeg cannot show ({reason}): convert it with another tool"
        ) from None


def shown_size(frame: av.VideoFrame, width_px: int, height_px: int) -> tuple[int, int]:
    """Width and height as seen of a video that is stored as `width_px` x `height_px` and has this frame."""
    return (height_px, width_px) if _turn(frame).count("transpose") == 1 else (width_px, height_px)


def _to_ordinary(frame: av.VideoFrame) -> str:
    if frame.color_trc in _HDR:
        return _TO_SDR
    # swscale spreads colour over its edges by other rules where there are more bits: a model would see another picture.
    return f"format={deep[1]}" if (deep := _DEEP.fullmatch(frame.format.name)) else ""


def _turn(frame: av.VideoFrame) -> str:
    try:
        matrix = bytes(_side_data(frame)["DISPLAYMATRIX"])
    except (KeyError, ValueError):  # ValueError: PyAV lists no side data at all if it does not know one kind
        return ""
    a, b, _, c, d = np.round(np.frombuffer(matrix[:20], np.int32) / 65536).tolist()
    return _TURNS.get((a, b, c, d), "")


def _built(frame: av.VideoFrame, filters: str) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base={frame.time_base}"
    nodes = [graph.add("buffer", f"{source}:colorspace={frame.colorspace}:range={frame.color_range}")]
    for step in filters.split(","):
        name, _, settings = step.partition("=")
        nodes.append(graph.add(name, settings))
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    return graph

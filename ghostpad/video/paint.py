"""Grey boxes over parts of decoded frames: before the scaler, so that nothing bleeds into neighbouring pixels, and again after it.

FFmpeg's drawbox filter copies a frame that others still refer to, so the decoder's own pictures never change. Reads and writes no
files; costs one copy of the frame.
"""

import math
from collections.abc import Sequence

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels; right and bottom are exclusive."""

Boxes = Sequence[Box]
"""Boxes of one frame, which may overlap."""

Share = tuple[float, float, float, float]
"""A box as shares of a picture's width and height, 0...1: left, top, right, bottom."""

GREY = 128
"""Brightness of the boxes, 0...255 (a guess: a medium grey gives the least away)."""

_ROUNDING_PX = 1e-6  # what rounding may add to a share


class Painter:
    """Paints the same boxes onto frame after frame; without boxes frames pass unchanged."""

    def __init__(self, boxes: Boxes):
        self._boxes, self._graph = tuple(boxes), Graph()
        self._key: tuple[int, int, str] | None = None

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame with grey boxes, enlarged to even numbers, because most videos have one colour for 2 x 2 pixels."""
        if not self._boxes:
            return frame
        key = frame.width, frame.height, frame.format.name
        if key != self._key:
            self._graph, self._key = self._built(frame), key
        self._graph.push(frame)
        painted = self._graph.pull()
        assert isinstance(painted, av.VideoFrame)
        painted.colorspace, painted.color_range = frame.colorspace, frame.color_range  # the filter may drop them
        return painted

    def _built(self, frame: av.VideoFrame) -> Graph:
        graph = Graph()
        last = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
        for left, top, right, bottom in self._boxes:
            x, y = left // 2 * 2, top // 2 * 2
            wide, high = min(frame.width, (right + 1) // 2 * 2) - x, min(frame.height, (bottom + 1) // 2 * 2) - y
            box = graph.add("drawbox", f"x={x}:y={y}:w={wide}:h={high}:color=0x{GREY:02x}{GREY:02x}{GREY:02x}:t=fill")
            last.link_to(box)
            last = box
        last.link_to(graph.add("buffersink"))
        graph.configure()
        return graph


def paint_resized(image: NDArray[np.uint8], boxes: Boxes, width_px: int, height_px: int) -> NDArray[np.uint8]:
    """`image` uint8 [H, W] or [H, W, C], in place, with the boxes of a picture of `width_px` x `height_px` grey at its own size.

    Every pixel that a box touches is painted.
    """
    high, wide = image.shape[:2]
    for left, top, right, bottom in boxes:
        image[covered((left / width_px, top / height_px, right / width_px, bottom / height_px), wide, high)] = GREY
    return image


def covered(share: Share, width_px: int, height_px: int) -> tuple[slice, slice]:
    """Rows and columns of a picture of this size that a box touches: equal boxes paint equal pixels."""
    left, top, right, bottom = share
    rows = slice(math.floor(top * height_px + _ROUNDING_PX), math.ceil(bottom * height_px - _ROUNDING_PX))
    return rows, slice(math.floor(left * width_px + _ROUNDING_PX), math.ceil(right * width_px - _ROUNDING_PX))

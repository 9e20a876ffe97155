"""Grey boxes over parts of decoded frames: before the scaler, so that nothing bleeds into neighbouring pixels, and again after it.

The bytes of the boxes are written into the planes of the frame, in whatever format the decoder gives, so every other byte stays what it
was. Reads and writes no files; costs one copy of a frame that the decoder still refers to.
"""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import cast

import av
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange
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


def painted(frame: av.VideoFrame, boxes: Boxes, of_px: tuple[int, int]) -> av.VideoFrame:
    """The frame itself with boxes grey that were measured in a picture of width and height `of_px`; the decoder's pictures never change.

    In a frame of another size each box covers the same part of the picture. It is enlarged to whole pixels and to even numbers, because
    most videos have one colour for 2 x 2 pixels. Nothing outside changes.
    """
    if not boxes:
        return frame
    frame.make_writable()
    if frame.format.has_palette or frame.format.is_bit_stream or any(plane.line_size <= 0 for plane in frame.planes):
        frame = frame.reformat(format="rgb24", threads=1)  # a pixel is less than a byte, or the rows run upwards
    grey = _grey(frame.format.name, frame.color_range)
    for left, top, right, bottom in (_within(box, of_px, frame.width, frame.height) for box in boxes):
        for plane, (pattern, across, down) in zip(frame.planes, grey, strict=True):
            rows = _bytes_of(plane).reshape(plane.height, plane.line_size)
            first, last = left // across * len(pattern), -(-right // across) * len(pattern)
            rows[top // down : -(-bottom // down), first:last] = np.tile(pattern, max(0, last - first) // len(pattern))
    return frame


def _within(box: Box, of_px: tuple[int, int], width_px: int, height_px: int) -> Box:
    """A box of a picture of `of_px` in one of another size, clipped to it."""
    left, top, right, bottom = box
    x, y = left * width_px // of_px[0] // 2 * 2, top * height_px // of_px[1] // 2 * 2
    right, bottom = -(-right * width_px // of_px[0]), -(-bottom * height_px // of_px[1])
    return max(0, x), max(0, y), min(width_px, (right + 1) // 2 * 2), min(height_px, (bottom + 1) // 2 * 2)


@lru_cache
def _grey(name: str, color_range: int) -> list[tuple[NDArray[np.uint8], int, int]]:
    """For each plane of a pixel format: the bytes of a grey pixel, and how many pixels of the picture they stand for across and down."""
    gray = av.VideoFrame.from_ndarray(np.full((16, 16, 3), GREY, np.uint8), format="rgb24")
    frame = gray.reformat(format=name, dst_color_range=ColorRange(color_range), threads=1)
    return list(_pixels(frame))


def _pixels(frame: av.VideoFrame) -> Iterator[tuple[NDArray[np.uint8], int, int]]:
    for index, plane in enumerate(frame.planes):
        parts = [part for part in frame.format.components if part.plane == index]
        if len(frame.planes) == 1 and len(parts) > 1:
            size, across, down = frame.format.padded_bits_per_pixel // 8, 1, 1
        else:
            size, across, down = sum(-(-part.bits // 8) for part in parts), frame.width // parts[0].width, frame.height // parts[0].height
        yield _bytes_of(plane)[:size].copy(), across, down


def _bytes_of(plane: VideoPlane) -> NDArray[np.uint8]:
    return np.frombuffer(cast(bytearray, plane), np.uint8)


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

"""The places that the leak probe reads: strips beside a mask, and their controls. Boxes in pixels of the picture; pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ghostpad.corpus.masks import USUAL_MASKS
from ghostpad.video.paint import Box, covered

RING_SHARE, RING_LEAST_PX = 1 / 40, 4
"""Width of a ring as a share of the picture's width (8 px at 320), and its least (guesses)."""

OUTER = (2, 3)
"""Rings further out, in widths of a ring, as controls: they show the same game but nothing drawn."""

_THINNEST_PX = 2

Named = Mapping[str, tuple[Box, ...]]
"""Boxes that are read as one, by name."""


@dataclass(frozen=True)
class Places:
    """Boxes by name: places to `read`, controls `beside` and `elsewhere`, and all that is `near`, for the picture.

    each_other   the places are each other's controls
    """

    read: Named
    beside: Named
    elsewhere: Named
    near: tuple[Box, ...]
    each_other: bool = False

    def all(self) -> Named:
        """Every box that is read, by name."""
        return {**self.read, **self.beside, **self.elsewhere}


def around(mask: Box, width_px: int, height_px: int) -> Places:
    """The four sides of a mask, clipped to the picture; rings further out; and the same sides elsewhere, mirrored."""
    ring_px = _ring_px(width_px)
    read = {name: (box,) for name, box in _sides(mask, ring_px, width_px, height_px)}
    elsewhere = {}
    for number, place in enumerate(_mirrored(mask, width_px, height_px, 2 * ring_px)):
        for name, box in _sides(place, ring_px, width_px, height_px):
            if not _meet(box, _grown(mask, 2 * ring_px)):
                elsewhere[f"{name} {number}"] = (box,)
    near = tuple(box for _, box in _sides(mask, 2 * ring_px, width_px, height_px))
    return Places(read, _outer(mask, ring_px, width_px, height_px), elsewhere, near)


def whole_box(box: Box, width_px: int, height_px: int) -> Places:
    """A box that nothing masks, rings around it, and the same box elsewhere."""
    ring_px = _ring_px(width_px)
    mirrored = enumerate(_mirrored(box, width_px, height_px, 0))
    elsewhere = {f"box {number}": (place,) for number, place in mirrored if not _meet(place, box)}
    return Places({"box": (box,)}, _outer(box, ring_px, width_px, height_px), elsewhere, (box,))


def corners(width_px: int, height_px: int) -> Places:
    """The corners of a picture without a known controller, each as large as the largest usual mask."""
    read = {}
    for left, top, right, bottom in USUAL_MASKS[-4:]:
        rows, columns = covered((left, top, right, bottom), width_px, height_px)
        name = f"{'top' if top + bottom < 1 else 'bottom'}-{'left' if left + right < 1 else 'right'}"
        read[name] = ((columns.start, rows.start, min(width_px, columns.stop), min(height_px, rows.stop)),)
    return Places(read, {}, {}, tuple(box for boxes in read.values() for box in boxes), each_other=True)


def _ring_px(width_px: int) -> int:
    return max(RING_LEAST_PX, round(width_px * RING_SHARE))


def _sides(box: Box, ring_px: int, width_px: int, height_px: int) -> Iterator[tuple[str, Box]]:
    """The strips along the sides of a box, corners included, clipped; thinner ones than 2 px are left out."""
    left, top, right, bottom = box
    strips = {
        "top": (left - ring_px, top - ring_px, right + ring_px, top),
        "bottom": (left - ring_px, bottom, right + ring_px, bottom + ring_px),
        "left": (left - ring_px, top - ring_px, left, bottom + ring_px),
        "right": (right, top - ring_px, right + ring_px, bottom + ring_px),
    }
    for name, strip in strips.items():
        clipped = max(0, strip[0]), max(0, strip[1]), min(width_px, strip[2]), min(height_px, strip[3])
        if min(clipped[2] - clipped[0], clipped[3] - clipped[1]) >= _THINNEST_PX:
            yield name, clipped


def _outer(box: Box, ring_px: int, width_px: int, height_px: int) -> Named:
    rings = {times: _sides(_grown(box, times * ring_px), ring_px, width_px, height_px) for times in OUTER}
    found = {f"ring {times}": tuple(box for _, box in sides) for times, sides in rings.items()}
    return {name: boxes for name, boxes in found.items() if boxes}


def _mirrored(box: Box, width_px: int, height_px: int, apart_px: int) -> list[Box]:
    """The box mirrored left to right, top to bottom, and both, where that is at least `apart_px` from the box."""
    left, top, right, bottom = box
    across, down = (width_px - right, width_px - left), (height_px - bottom, height_px - top)
    places = [(across[0], top, across[1], bottom), (left, down[0], right, down[1]), (across[0], down[0], across[1], down[1])]
    return [place for place in places if not _meet(place, _grown(box, apart_px))]


def _grown(box: Box, by_px: int) -> Box:
    return box[0] - by_px, box[1] - by_px, box[2] + by_px, box[3] + by_px


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]

"""Where a controller drawn into a video lies in the frames that are here: the mask that hides it.

The dataset gives the box in pixels of the rendition that it annotated, and the footage may have another size; boxes may overflow the
picture, by 5 to 125 pixels (measured by others). A mask a few pixels too small gives the answers away, one a few too large costs nothing:
so the box is scaled, given a margin, rounded outwards and clipped. What is no box is refused with a reason.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import replace

from ghostpad.base.errors import MediaError, MissingError, SettingsError, nearest
from ghostpad.base.records import Video
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.nitrogen.videos import BY_HAND
from ghostpad.video.child import VideoChild
from ghostpad.video.paint import Box, Share
from ghostpad.video.probe import video_size

MARGIN_PX = 8
"""Pixels of the footage between box and edge of the mask: a block of the codec, in which a change of one pixel shows in all. Measured at
crf 32: a trigger could be read 4 to 6 pixels above the box (AUC 0.96), and no longer beyond 8 (others: 4 or more)."""

LARGEST_SHARE = 0.6
"""A mask over a larger part of the picture would leave no game to see (a guess)."""

_SMALLEST_PX = 2
_USUAL_WIDTHS, _USUAL_ASPECT, _USUAL_MARGIN = (0.15, 0.2, 0.25), 0.66 * 16 / 9, 0.02  # of a controller in a picture of 16:9


USUAL_MASKS: tuple[Share, ...] = tuple(
    (left, top, left + wide, top + high)
    for wide, high in ((wide, wide * _USUAL_ASPECT) for wide in _USUAL_WIDTHS)
    for left in (_USUAL_MARGIN, 1 - _USUAL_MARGIN - wide)
    for top in (_USUAL_MARGIN, 1 - _USUAL_MARGIN - high)
)
"""Masks like those of creators' controllers, for footage without one: three sizes in each corner (a guess; the dataset card's
example is 19 % of the width)."""


def mask_box(overlay_px: Sequence[float], of_px: Sequence[int], width_px: int, height_px: int, *, margin_px: int = MARGIN_PX) -> Box:
    """The mask in a frame of `width_px` x `height_px` for the box x, y, width, height in a picture of `of_px` = (width, height).

    `margin_px` may be negative, to make a mask too small on purpose. Raises `MediaError`, saying why, for a box that is empty, not
    finite, outside the picture, or so large that nothing would be left.
    """
    x, y, wide, high = (float(value) for value in overlay_px)
    if not all(map(math.isfinite, (x, y, wide, high))) or wide <= 0 or high <= 0 or min(of_px) <= 0:
        raise MediaError(f"its overlay box {list(overlay_px)} of a picture of {list(of_px)} is empty or no box")
    across, down = width_px / of_px[0], height_px / of_px[1]
    left, top = max(0, math.floor(x * across) - margin_px), max(0, math.floor(y * down) - margin_px)
    right = min(width_px, math.ceil((x + wide) * across) + margin_px)
    bottom = min(height_px, math.ceil((y + high) * down) + margin_px)
    if right - left < _SMALLEST_PX or bottom - top < _SMALLEST_PX:
        raise MediaError(f"its overlay box {list(overlay_px)} lies outside the picture of {list(of_px)}")
    if (share := (right - left) * (bottom - top) / (width_px * height_px)) > LARGEST_SHARE:
        raise MediaError(f"its overlay box {list(overlay_px)} covers {share:.0%} of the picture: nothing would be left to see")
    return left, top, right, bottom


def video_mask(
    video: Video, path: str | os.PathLike[str], *, margin_px: int = MARGIN_PX, child: VideoChild | None = None
) -> tuple[Box, ...]:
    """The masks of a video in pixels of its file at `path`, which is read by the `child` if there is one; none where nothing is drawn into
    it.

    Raises `MissingError` or `MediaError` for a file that cannot be read, and as `mask_box`.
    """
    if video.overlay_px is None:
        return ()
    width_px, height_px = child.size(path) if child else video_size(path)
    try:
        return (mask_box(video.overlay_px, video.overlay_of_px or (width_px, height_px), width_px, height_px, margin_px=margin_px),)
    except MediaError as error:
        raise MediaError(f"{path}: {error}") from None


def mask_shares(video: Video, path: str | os.PathLike[str]) -> tuple[Share, ...]:
    """The masks of a video as shares of its picture, for pictures of another size. Raises as `video_mask`."""
    if not (boxes := video_mask(video, path)):
        return ()
    width_px, height_px = video_size(path)
    return tuple((left / width_px, top / height_px, right / width_px, bottom / height_px) for left, top, right, bottom in boxes)


def set_masks(corpus: Corpus, ids: Sequence[str], box: tuple[float, float, float, float] | None, of_px: tuple[int, int] | None) -> None:
    """Write the box of a controller (None: there is none) into the rows of videos, all or none of them; no later index changes it.

    Raises one `SettingsError` for every unknown id and every picture that the box does not fit.
    """
    problems, known = list[str](), list[str]()
    for id, video in corpus.each_of(dict.fromkeys(ids)):
        if video is None:
            known = known or corpus.ids()
            problems.append(f"no video called '{id}': {nearest(id, known)}")
        elif box is not None:
            try:
                _check_box(video, _size_px(corpus, video), box, of_px)
            except (MediaError, MissingError) as error:
                problems.append(f"{id}: {error}")
    if problems:
        raise SettingsError(problems)
    corpus.change(ids, lambda old: replace(old, overlay_px=box, overlay_of_px=of_px, overlay_by=BY_HAND))


def _size_px(corpus: Corpus, video: Video) -> tuple[int, int]:
    """Width and height of a video by its file, else by its row; 0 where neither is known."""
    try:
        with corpus.footage(video) as path:
            return video_size(path)
    except MissingError:
        return video.width_px or 0, video.height_px or 0


def _check_box(video: Video, size: tuple[int, int], box: tuple[float, float, float, float], of_px: tuple[int, int] | None) -> None:
    width_px, height_px = of_px or size
    if not width_px or not height_px:
        raise MissingError("the size of its picture is not known: fetch it first, or say --of WIDTH HEIGHT")
    x, y, wide, high = box
    if x < 0 or y < 0 or x + wide > width_px or y + high > height_px:
        raise MediaError(f"the box {list(box)} reaches beyond a picture of {width_px} x {height_px}: --of says what it was measured in")
    mask_box(box, (width_px, height_px), *(size if all(size) else (width_px, height_px)))

"""One row of the table of videos from the chunks of a video.

Game, site and boxes are mostly the same in all chunks of a video (measured by others). Where they are not, the game is that of most chunks,
and the overlay box the smallest one that holds all boxes: a mask that is too large costs little, one too small gives the answers away.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from statistics import multimode
from typing import Any

from ghostpad.base.records import Video
from ghostpad.corpus.nitrogen.timeline import kept_rows, stretches_of

NOT_FETCHED = "not fetched yet"
"""Why a video whose labels were indexed is missing."""

NO_GOOD_CHUNK = "none of its chunks can be read"
"""Why a video is broken; the chunks' own reasons are in the table of chunks."""

LICENCE = "labels CC BY-NC 4.0 (NitroGen)"
"""Of the labels; the footage stays with its owners."""

BY_HAND = "hand"
"""What `overlay_by` says of a box that `ghostpad corpus set-mask` gave or removed."""

SLACK_S = 2.0
"""How much shorter than its labels footage may be: sites round lengths to seconds (a guess)."""


def video_row(id: str, chunks: Sequence[dict[str, Any]], labels: str) -> Video:
    """A row of the table of videos from the rows of its chunks; frames and duration are those that labels cover, each once."""
    good = [chunk for chunk in chunks if chunk["status"] == "ok"]
    known = good or chunks
    rates = {chunk["rate"] for chunk in good}
    kept = kept_rows(stretches_of(good))
    size = _most(known, lambda chunk: (chunk["width_px"], chunk["height_px"]) if chunk["width_px"] else None)
    overlay = overlay_px([chunk for chunk in known if chunk["overlay_px"]], size) if size else None
    return Video(
        id=id,
        game=_most(known, lambda chunk: chunk["game"]),
        source=_most(known, lambda chunk: chunk["source"]),
        url=_most(known, lambda chunk: chunk["url"]),
        fps=rates.pop() if len(rates) == 1 else None,
        frames=sum(kept.values()) if good else None,
        duration_s=float(sum(kept[chunk["chunk"]] / Fraction(chunk["rate"]) for chunk in good)) if good else None,
        width_px=size[0] if size else None,
        height_px=size[1] if size else None,
        licence=LICENCE,
        labels=labels,
        overlay_px=overlay,
        overlay_of_px=size if overlay else None,
        status="missing" if good else "broken",
        reason=NOT_FETCHED if good else NO_GOOD_CHUNK,
    )


def keep_footage(old: Video, new: Video) -> Video:
    """The new row; for a video whose fetch was tried, the old one with the new row's facts about labels. A box set by hand stays."""
    if old.reason not in (NOT_FETCHED, NO_GOOD_CHUNK):
        return with_labels_of(old, new)
    return with_overlay_of(new, old) if old.overlay_by == BY_HAND else new


def with_labels_of(video: Video, labelled: Video) -> Video:
    """`video` with the facts about labels of another row of it, where that one has them; a box set by hand in either stays."""
    known = replace(video, game=labelled.game or video.game, labels=labelled.labels or video.labels)
    told = labelled.overlay_by == BY_HAND or (labelled.overlay_px is not None and video.overlay_by != BY_HAND)
    return with_overlay_of(known, labelled) if told else known


def with_overlay_of(video: Video, other: Video) -> Video:
    """`video` with the box of another row of it, or with none."""
    return replace(video, overlay_px=other.overlay_px, overlay_of_px=other.overlay_of_px, overlay_by=other.overlay_by)


def overlay_px(chunks: Sequence[dict[str, Any]], size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """The smallest box, in a picture of `size` (width, height), that holds the overlay boxes of all chunks; None for no box."""
    corners = []
    for chunk in chunks:
        x, y, width, height = chunk["overlay_px"]
        across, down = size[0] / chunk["width_px"], size[1] / chunk["height_px"]
        corners.append((x * across, y * down, (x + width) * across, (y + height) * down))
    if not corners:
        return None
    lefts, tops, rights, bottoms = zip(*corners, strict=True)
    return min(lefts), min(tops), max(rights) - min(lefts), max(bottoms) - min(tops)


def _most(chunks: Sequence[dict[str, Any]], value_of: Callable[[dict[str, Any]], Any]) -> Any:
    """The most frequent value that is not null, of equally frequent ones the least; None if there is none."""
    return min(multimode(value for chunk in chunks if (value := value_of(chunk)) is not None), default=None)

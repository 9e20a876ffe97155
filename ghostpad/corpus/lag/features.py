"""The motion features that a lag is measured from: small gray pictures without repeats, and the motion between them.

`features_of` decodes a video once and caches its features in `cache/lag/<id>.npz` of the corpus until the file changes: about 5 MB for a
minute at 30 Hz (a guess from the size of the pictures). A controller drawn into the picture is painted grey first, or its lag would be
measured instead of the game's.

Cost: about 0.8 ms of CPU a frame of 320x240, most of it block matching (measured).
"""

import math
import zipfile
import zlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ghostpad.base.files import atomic_path, safe_name
from ghostpad.base.places import file_mark
from ghostpad.base.records import Video
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.lag.motion import HEIGHT_PX, WIDTH_PX, motion
from ghostpad.corpus.masks import video_mask
from ghostpad.video.decode import decode_array
from ghostpad.video.paint import Box

MOST_S = 180.0
"""The most footage of a video that is read, seconds (a guess: a minute of play is enough in the games here)."""

_VERSION = 2
"""Version of the cached features: others are extracted again."""

_STILL, _COPIES, _LONGEST_COPY = 0.25, 0.1, 3  # see `distinct`; guesses


@dataclass(frozen=True, eq=False)
class MotionFeatures:
    """Motion in a video.

    pts_s      float64 [N]            of the pictures that are not repeats, seconds
    signals    float32 [N-1, S]       motion between them
    copies     0 to 1                 share of repeats
    pictures   uint8 [N, 48, 64]      the pictures, gray
    """

    pts_s: NDArray[np.float64]
    signals: NDArray[np.float32]
    copies: float
    pictures: NDArray[np.uint8]


def extract(path: Path, start_s: float, mask: tuple[Box, ...] = ()) -> MotionFeatures:
    """The features of `MOST_S` seconds of the video at `path`. Raises `MediaError` if it cannot be decoded or ends before."""
    end_s = start_s + MOST_S
    pts_s, frames = decode_array(path, width_px=WIDTH_PX, height_px=HEIGHT_PX, gray=True, start_s=start_s, end_s=end_s, mask=mask)
    return extract_from(pts_s, frames[..., 0])


def extract_from(pts_s: NDArray[np.float64], frames: NDArray[np.uint8]) -> MotionFeatures:
    """The features of pictures uint8 [N, 48, 64] at pts_s [N] seconds."""
    changes = np.array([np.abs(after.astype(np.int16) - before).mean() for before, after in pairwise(frames)], np.float32)
    keep = distinct(changes)
    return MotionFeatures(pts_s[keep], motion(frames[keep]), float(1 - keep.mean()), frames[keep])


def distinct(changes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which pictures [N] are not repeats, from the mean absolute change [N-1] between neighbours.

    Up to three pictures in a row without change, amid change, are repeats if a tenth or more of the pictures are: then the game was drawn
    at a lower rate than the file's. A game that stands still for longer shows no repeats.
    """
    moving = np.flatnonzero(changes > _STILL)
    repeats = np.zeros(len(changes), bool)
    gaps = np.diff(moving)
    for start, gap in zip(moving[:-1], gaps, strict=True):
        if 1 < gap <= _LONGEST_COPY + 1:
            repeats[start + 1 : start + gap] = True
    within = gaps[gaps <= _LONGEST_COPY + 1].sum()
    keep = np.concatenate([[True], ~repeats])
    return keep if within and repeats.sum() / within >= _COPIES else np.ones(len(changes) + 1, bool)


def first_needed_s(rows: pa.Table) -> float:
    """The time from which footage is needed, seconds: one before the first row, inf without rows."""
    return max(0.0, rows.column("pts_s")[0].as_py() - 1.0) if rows.num_rows else math.inf


def features_of(corpus: Corpus, video: Video, start_s: float) -> MotionFeatures:
    """The features of a video of a corpus from `start_s` on; extracted once and cached.

    Raises `MissingError` if the file is gone and `MediaError` if it cannot be decoded or ends before.
    """
    kept = corpus.cache / "lag" / f"{safe_name(video.id)}.npz"
    made_of = repr((_VERSION, file_mark(corpus.path_of(video)), start_s, video.overlay_px, video.overlay_of_px))
    if (earlier := _kept(kept, made_of)) is not None:
        return earlier
    with corpus.footage(video) as path:
        features = extract(path, start_s, mask=video_mask(video, path))
    with atomic_path(kept) as temporary:
        np.savez_compressed(temporary, made_of=made_of, **vars(features))
    return features


def _kept(path: Path, made_of: str) -> MotionFeatures | None:
    try:
        with open(path, "rb") as file, np.load(file) as kept:
            if str(kept["made_of"]) == made_of:
                return MotionFeatures(kept["pts_s"], kept["signals"], float(kept["copies"]), kept["pictures"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        pass  # derived, and not there or damaged: it is made again
    return None

"""Opens the footage of a corpus for a model: pictures at its size, and rows under them.

Rows are found by time stamp: the pad at a kept frame is the row in force at its pts, whatever the rate at which frames are kept.
Recorded rows are first moved by the lag of their video (`ghostpad corpus align`; unknown counts as none). A video that cannot be read is
left out and reported, never replaced; the corpus stays as it is.

Reads the corpus; writes what is derived, pictures and packs of rows, where they are missing or of other footage. Where they are there, a
video takes the reading of one head.
"""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import FormatError, MediaError, MissingError
from ghostpad.base.pad import PAD_DIM
from ghostpad.base.places import Place, is_remote
from ghostpad.base.progress import progress
from ghostpad.base.records import Video, pads_of
from ghostpad.base.settings import fingerprint
from ghostpad.corpus.folder import Corpus, unreadable_lines
from ghostpad.corpus.lag.align import on_pictures
from ghostpad.feed.footage import Footage, clip_facts
from ghostpad.feed.packs import VERSION, Head, Pack, PackedPads, PackedWeights, read_head, sure_bytes, write_pack
from ghostpad.feed.pictures import ArrayStore, Pictures, PictureStore
from ghostpad.feed.ranges import Ranges
from ghostpad.feed.rows import Rows, RowSource
from ghostpad.feed.segments import SegmentStore
from ghostpad.feed.settings import DataSettings
from ghostpad.feed.window import WindowSpec


def load_footage(
    corpus: Corpus,
    videos: Sequence[str],
    source: RowSource,
    spec: WindowSpec,
    data: DataSettings = DataSettings(),  # noqa: B008  (frozen)
    crf: int | None = None,
) -> list[Footage]:
    """The footage of those `videos` that have rows; one that is gone or cannot be decoded, or whose rows are no rows, is left out and
    reported on stderr.

    With `crf` the pictures are those of the video encoded once more at that quality (x264's 0...51). Confidence becomes a weight of 1 on
    average over the rows of the source. With an average below 1 the recorded share of a batch would weigh more than the setting says: in
    racing, 10 % of a novice's recorded pads beside pseudo-labels of weight 0.6 cost a third of the return (380 instead of 574, measured).
    """
    store, unreadable = picture_store(corpus, spec, data, crf), dict[str, str]()
    found: list[tuple[Video, Place, Head]] = []
    with progress(f"read {corpus.root.name}", len(videos), "videos") as advance:
        for id, video in corpus.each_of(videos):
            try:
                if video is not None and (pack := packed(corpus, video, source, spec, store)) is not None:
                    found.append((video, *pack))
            except (MediaError, MissingError, FormatError) as error:
                unreadable[id] = str(error)
            advance(1)
    if unreadable:
        print("\n".join(unreadable_lines(corpus.root, unreadable)), file=sys.stderr)
    weights = _weights([head for _, _, head in found], data.confidence_power)
    return [_footage(store, video, path, head, weights, data.targets == "hard") for video, path, head in found if head.rows]


def picture_store(corpus: Corpus, spec: WindowSpec, data: DataSettings, crf: int | None = None) -> PictureStore:
    """Where the pictures of a corpus come from for a window: its segments if it has some, else arrays in its cache."""
    if crf is None and data.pictures != "arrays":
        store = segment_store(corpus, spec, data)
        if data.pictures == "segments" or store.exists():
            return store
    return ArrayStore(corpus, spec, _ranges(corpus, data), crf)


def segment_store(corpus: Corpus, spec: WindowSpec, data: DataSettings) -> SegmentStore:
    """The segments of a corpus for a window, whether or not there are any."""
    return SegmentStore(corpus, spec, _ranges(corpus, data))


def _ranges(corpus: Corpus, data: DataSettings) -> Ranges:
    return Ranges(corpus.cache / "blocks", int(data.cache_gb * 1e9))


def packed(corpus: Corpus, video: Video, source: RowSource, spec: WindowSpec, store: PictureStore) -> tuple[Place, Head] | None:
    """A video's pack and its head, made if it is not there; None for a video without rows.

    Its name says what it is made of: a training that runs goes on with the rows that it began with. Raises `MediaError` and `MissingError`
    where there are no pictures, and `FormatError` for rows that are none.
    """
    if (mark := source.mark(corpus, video.id)) is None:
        return None
    made_of = repr((store.mark(video), mark, video.lag_ms))
    folder = store.folder / f"{source.name}-{fingerprint(VERSION, spec.row_offsets, spec.inside)[:6]}"
    path = folder / f"{video.id}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}.rows"
    try:
        if (head := read_head(path, store.ranges)).made_of == made_of and store.has(video):
            return path, head
    except (MissingError, FormatError):
        pass  # derived: it is made again
    if (rows := source.read(corpus, video.id)) is None:
        return None
    shown = store.pictures(video)
    _write(path, shown, _on_pictures(rows, video.lag_ms), spec, made_of)
    store.ranges.forget(path)  # a damaged one may be open
    return path, read_head(path, store.ranges)


def _write(path: Place, shown: Pictures, rows: Rows, spec: WindowSpec, made_of: str) -> None:
    """Pack the rows of a video under its frames."""
    pads, known = pads_of(rows.table)
    sure = np.full(len(pads), 255, np.uint8) if rows.confidence is None else sure_bytes(rows.confidence)
    kept = sure if rows.kept is None else np.where(rows.kept, sure, 0)
    at = rows_under(shown.pts_s, rows.table.column("pts_s").to_numpy())
    under, there = at.clip(0), at >= 0
    if not len(pads):
        pads, known, kept = np.zeros((1, PAD_DIM), np.float32), np.zeros((1, PAD_DIM), np.bool_), np.zeros(1, np.uint8)
    pads, known, learned = pads[under], known[under] & there[:, None], np.where(there, kept[under], 0).astype(np.uint8)
    facts = clip_facts(shown.pts_s, pads, (known * learned[:, None]).astype(np.float32), spec, shown.keys, made_of)
    sureness = np.zeros(0, np.int64) if rows.confidence is None else np.bincount(sure, minlength=256)
    write_pack(path, pads, known, learned, facts, shown.masks, sureness)


def rows_under(frame_pts_s: NDArray[np.float64], row_pts_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number of the row in force at each frame but the last, int64 [frames - 1], -1 where there is none.

    A frame more than 1.5 median row steps after its row is in a hole between a dataset's chunks and has none.
    """
    steps_s = np.diff(row_pts_s) if len(row_pts_s) > 1 else np.ones(1)
    half_s, far_s = 0.5 * float(np.min(steps_s)), 1.5 * float(np.median(steps_s))
    at = np.searchsorted(row_pts_s, frame_pts_s[:-1] + 1e-6, side="right") - 1
    if not len(row_pts_s):
        return at
    inside = (at >= 0) & (frame_pts_s[:-1] <= row_pts_s[-1] + half_s) & (frame_pts_s[:-1] - row_pts_s[at] < far_s)
    return np.where(inside, at, -1)


def _on_pictures(rows: Rows, lag_ms: float | None) -> Rows:
    """Recorded rows moved by their lag and half a row, so that each meets its nearest frame: a lag is no whole number of frames."""
    row_pts_s = rows.table.column("pts_s").to_numpy()
    if not rows.recorded or lag_ms is None or len(row_pts_s) < 2:
        return rows
    return replace(rows, table=on_pictures(rows.table, lag_ms - 500 * float(np.min(np.diff(row_pts_s)))))


def _weights(heads: Sequence[Head], power: float) -> NDArray[np.float32]:
    """The loss weight float32 [256] of each byte of confidence, 1 on average; all the same where every row is sure."""
    weights = (np.arange(256) / 255).astype(np.float32) ** power
    weights[0] = 0
    counts = sum((head.sureness for head in heads if len(head.sureness)), np.zeros(256, np.int64))
    return weights / np.float32(max(1e-6, (counts @ weights) / counts.sum())) if counts.any() else weights


def _footage(store: PictureStore, video: Video, path: Place, head: Head, weights: NDArray[np.float32], hard: bool) -> Footage:
    pack = Pack(path, store.ranges, head.rows, head.begin, weights, hard)
    pts_s, frames = store.opened(video, head.rows + 1)
    # By what is in them: a copy of the corpus has files of other times, and a training goes on with it.
    mark = fingerprint(head.content, video.sha256, head.masks, store.name)
    facts = replace(head.facts, mark=mark)
    return Footage(
        video.id,
        pts_s,
        frames,
        PackedPads(pack),
        PackedWeights(pack),
        video.game or "",
        head.masks,
        store.name == "segments",
        is_remote(path),
        facts,
    )

"""Segments: the copy of a corpus that training reads where decoded arrays would be too large, 0.25 GB an hour at 256 px instead of 21.

Reads footage, in a child with limits; writes `segments/<picture>/<video>-<hash>.mp4`, an ordinary video at a model's size and clock with a
keyframe every few frames and drawn controllers masked, and `<video>.index`, which says where in it each frame lies. A training reads byte
ranges of it and decodes what it needs (`ghostpad.video.segments`). `ghostpad corpus proxy` makes them, each whole or not at all; they
are made again when the video is another file or its mask another box.
"""

import hashlib
import json
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import FormatError, MissingError
from ghostpad.base.files import atomic_path
from ghostpad.base.places import Place, file_mark
from ghostpad.base.records import Video
from ghostpad.corpus.folder import Corpus, names_in
from ghostpad.corpus.masks import mask_shares, video_mask
from ghostpad.feed.footage import ArrayLike
from ghostpad.feed.packs import ONE_CONTENT
from ghostpad.feed.pictures import Pictures
from ghostpad.feed.ranges import Ranges
from ghostpad.feed.window import WindowSpec
from ghostpad.video.child import VideoChild
from ghostpad.video.paint import GREY, Share, covered
from ghostpad.video.segments import SegmentDecoder, SegmentIndex, write_segments

MOST_INDEXES = 64  # indexes that a process keeps at once: 16 bytes a frame


@dataclass(frozen=True, eq=False)
class Opened:
    """The index of a video's segments, what they are made of, the masks over their pictures, and their file with its size."""

    index: SegmentIndex
    made_of: str
    masks: tuple[Share, ...]
    mp4: Place
    size_bytes: int


class SegmentStore:
    """The segments of a corpus for a model's pictures; see `ghostpad.feed.pictures.PictureStore`."""

    name = "segments"

    def __init__(self, corpus: Corpus, spec: WindowSpec, ranges: Ranges):
        self.folder: Place = corpus.root / "segments" / spec.picture
        self.ranges, self._corpus, self._spec = ranges, corpus, spec
        self._opened, self._decoder = OrderedDict[str, Opened](), SegmentDecoder()

    def __reduce__(self) -> tuple[Any, ...]:
        return SegmentStore, (self._corpus, self._spec, self.ranges)

    def exists(self) -> bool:
        """Whether there are any."""
        return any(name.endswith(".index") for name in names_in(self.folder))

    def mark(self, video: Video) -> str:
        """See `PictureStore`; a file that is listed with its checksum is not looked at."""
        return repr((video.sha256 or file_mark(self._corpus.path_of(video)), video.overlay_px, video.overlay_of_px))

    def is_made(self, video: Video) -> bool:
        """Whether a video has whole segments of its file and mask; the size of the mp4 is asked for, it is not opened."""
        try:
            opened = self._open(video)
            return opened.made_of == self.mark(video) and opened.mp4.stat().st_size == opened.size_bytes
        except (FormatError, MissingError, FileNotFoundError):
            return False

    def make(self, video: Video, child: VideoChild) -> None:
        """Make the segments of a video. Raises `MediaError` and `MissingError` where it cannot be read to its end."""
        spec, mark = self._spec, self.mark(video)
        before, mp4 = self._mp4_before(video), self.folder / f"{video.id}-{hashlib.sha256(mark.encode()).hexdigest()[:8]}.mp4"
        with self._corpus.footage(video) as source:
            mask = video_mask(video, source, child=child)
            shares = mask_shares(video, source)
            index = write_segments(spec.frames_of(source, child, mask), mp4, gray=spec.gray, rate_hz=None)
        if before is not None and before != mp4:  # first, lest a kill leave it without an index that names it
            with suppress(FileNotFoundError):
                before.unlink()
        head = {"made_of": mark, "masks": shares, "mp4": mp4.name, "size_bytes": mp4.stat().st_size}
        with atomic_path(self._index_path(video), derived=True) as temporary:
            temporary.write_bytes(json.dumps(head).encode() + b"\n" + index.to_bytes())
        self._opened.pop(video.id, None)
        self.ranges.forget(mp4)

    def has(self, video: Video) -> bool:
        """See `PictureStore`: what was packed with segments had them, and whether they are still there is seen when they are read."""
        return True

    def pictures(self, video: Video) -> Pictures:
        """See `PictureStore`; segments are not made here."""
        opened = self._current(video)
        return Pictures(opened.index.pts_s, opened.masks, opened.index.keys)

    def opened(self, video: Video, count: int) -> tuple[ArrayLike, ArrayLike]:
        """See `PictureStore`."""
        return _Part(self, video, count, self.stamps), _Part(self, video, count, self.frames)

    def stamps(self, video: Video, wanted: NDArray[np.int64]) -> NDArray[np.float64]:
        """The time stamps of frames in seconds."""
        return self._current(video).index.pts_s[wanted]

    def frames(self, video: Video, wanted: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Frames of ascending numbers, uint8 [n, H, W, C]. Raises `MediaError` where they are damaged."""
        opened = self._current(video)
        name, read = str(opened.mp4), self.ranges.read
        frames = self._decoder.frames(opened.index, lambda start, stop: read(opened.mp4, start, stop, ONE_CONTENT), wanted, name)
        for mask in opened.masks:  # which the codec blurs at its edge
            rows, columns = covered(mask, opened.index.width_px, opened.index.height_px)
            frames[:, rows, columns] = GREY
        return frames

    def _current(self, video: Video) -> Opened:
        """The segments of a video. Raises `MissingError` where it has none, or those of other footage."""
        if video.id in self._opened:
            self._opened.move_to_end(video.id)
            return self._opened[video.id]
        opened = self._open(video)
        if opened.made_of != self.mark(video):
            raise MissingError(f"the segments of {video.id} are of other footage or another mask: run 'ghostpad corpus proxy' again")
        self._opened[video.id] = opened
        if len(self._opened) > MOST_INDEXES:
            self._opened.popitem(last=False)
        return opened

    def _open(self, video: Video) -> Opened:
        path = self._index_path(video)
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise MissingError(f"{video.id} has no segments in {self.folder}: run 'ghostpad corpus proxy' again") from None
        line, _, rest = data.partition(b"\n")
        try:
            head = json.loads(line)
            masks = tuple((left, top, right, bottom) for left, top, right, bottom in head["masks"])
            return Opened(SegmentIndex.from_bytes(rest), head["made_of"], masks, self.folder / head["mp4"], int(head["size_bytes"]))
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(f"{path} is no index of segments ({error}): remove it, and run 'ghostpad corpus proxy' again") from None

    def _mp4_before(self, video: Video) -> Place | None:
        try:
            return self._open(video).mp4
        except (FormatError, MissingError):
            return None

    def _index_path(self, video: Video) -> Place:
        return self.folder / f"{video.id}.index"


class _Part:
    """Stamps or frames of a video's segments, read like an array."""

    def __init__(self, store: SegmentStore, video: Video, count: int, read: Any):
        self._store, self._video, self._count, self._read = store, video, count, read

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        wanted = np.arange(self._count)[index]
        if wanted.ndim == 1 and (np.diff(wanted) >= 0).all():
            return self._read(self._video, wanted)
        numbers, at = np.unique(wanted, return_inverse=True)
        return self._read(self._video, numbers)[at.reshape(wanted.shape)]

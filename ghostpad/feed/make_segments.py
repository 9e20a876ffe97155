"""Makes the segments of a corpus, with rows packed beside them: all that a training reads.

Reads footage and recorded rows; writes `segments/<picture>/` in the corpus, one whole file at a time (`ghostpad.feed.segments`,
`ghostpad.feed.packs`). Re-run to resume: a video's segments are made again only if its file or its mask is another, or they are not whole.
A video that cannot be read is reported and stops no other.
"""

from dataclasses import dataclass, field

import pyarrow.compute as pc

from ghostpad.base.engines.results import results
from ghostpad.base.engines.settings import EngineSettings
from ghostpad.base.errors import GhostpadError
from ghostpad.base.progress import progress
from ghostpad.base.records import Video
from ghostpad.corpus.folder import Corpus
from ghostpad.feed.load import packed, segment_store
from ghostpad.feed.rows import RecordedRows
from ghostpad.feed.settings import DataSettings
from ghostpad.feed.window import WindowSpec
from ghostpad.video.child import VideoChild


@dataclass
class SegmentCounts:
    """What a run made of the videos whose status was "ok" when it began."""

    made: int = 0
    present: int = 0
    minutes: float = 0.0  # of those made now
    unreadable: dict[str, str] = field(default_factory=dict)  # video id -> why it cannot be read


class _Maker:
    """Makes segments of single videos in this process."""

    def __init__(self, corpus: Corpus, spec: WindowSpec, data: DataSettings):
        self._corpus, self._spec, self._store = corpus, spec, segment_store(corpus, spec, data)
        self._child = VideoChild()

    def __call__(self, video: Video) -> bool:
        """Whether the segments of a video had to be made; its recorded rows are packed with either."""
        if make := not self._store.is_made(video):
            self._store.make(video, self._child)
        pack = packed(self._corpus, video, RecordedRows(), self._spec, self._store)
        if pack is not None and pack[0].stat().st_size != pack[1].size_bytes:  # cut off, which its head does not show
            pack[0].unlink()
            self._store.ranges.forget(pack[0])
            packed(self._corpus, video, RecordedRows(), self._spec, self._store)
        return make

    def close(self) -> None:
        """End the child that decodes."""
        self._child.close()


def make_segments(corpus: Corpus, spec: WindowSpec, engine: EngineSettings = EngineSettings()) -> SegmentCounts:  # noqa: B008  (frozen)
    """Give every ok video segments for a model's window, and pack the recorded rows under them; shows its progress in minutes of footage.

    Raises what no other video could be made with either, such as a full disk.
    """
    data, counts = DataSettings(pictures="segments"), SegmentCounts()
    length_s = sum(pc.sum(table.column("duration_s")).as_py() or 0.0 for table in corpus.scan(["duration_s"], "ok"))
    with progress(f"segments of {spec.picture}", length_s / 60, "min") as advance:
        for video, outcome in results(engine, _Maker, (corpus, spec, data), corpus.each("ok")):
            if isinstance(outcome, GhostpadError):
                counts.unreadable[video.id] = str(outcome)
            elif isinstance(outcome, Exception):
                raise outcome
            elif outcome:
                counts.made, counts.minutes = counts.made + 1, counts.minutes + video.minutes
            else:
                counts.present += 1
            advance(video.minutes)
    return counts

"""What one worker labels at a time: a video, or a stretch of a long one; and which units of a corpus there are to do.

Stretches are cut at fixed time stamps of the video's clock. So they are the same for every engine, machine and run. Reads the catalogue
twice, in tables of some thousand videos; memory: 20 bytes a video for the names of those that are labelled.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from ghostpad.base.engines.settings import Share
from ghostpad.base.errors import SettingsError
from ghostpad.base.places import is_remote
from ghostpad.base.records import Video, ends_whole
from ghostpad.corpus.failures import Failures, retried
from ghostpad.corpus.folder import Corpus, name_array

STRETCH_S = 600.0
"""Length of a stretch (a guess): some seconds of overlap are little of it, and a 10-hour video still makes 60 of them."""


@dataclass(frozen=True)
class Unit:
    """Stretch `number` of `count` of a video, 0...count - 1."""

    video: Video
    number: int
    count: int
    stretch_s: float
    replace: bool = False  # write over the rows that the video has

    @property
    def name(self) -> str:
        """Its name in the corpus."""
        return self.video.id if self.count == 1 else f"{self.video.id} {self.number + 1}/{self.count}"

    @property
    def start_s(self) -> float:
        """Its rows begin here; 0: with the first of the video."""
        return self.number * self.stretch_s

    @property
    def end_s(self) -> float | None:
        """Its rows end before; None: with the last of the video."""
        return None if self.number + 1 == self.count else (self.number + 1) * self.stretch_s

    @property
    def minutes(self) -> float:
        """How much video it is."""
        return (self.video.minutes * 60 - self.start_s if self.end_s is None else self.stretch_s) / 60


def units_of(video: Video, stretch_s: float, replace: bool = False) -> list[Unit]:
    """The stretches of a video in order, all of this length but the last, which is up to twice as long."""
    count = max(1, int((video.duration_s or 0.0) // stretch_s))
    return [Unit(video, number, count, stretch_s, replace) for number in range(count)]


@dataclass
class Todo:
    """The units of a corpus that a run is to do, in the order of the videos, and what it leaves out.

    Raises `SettingsError` for a stretch that has no length and a `retry` that no reason contains.
    """

    corpus: Corpus
    source: str
    stretch_s: float = STRETCH_S
    retry: str | None = None
    share: Share | None = None
    present: int = 0  # videos labelled before
    skipped: dict[str, str] = field(default_factory=dict)  # video -> why it could not be labelled before
    videos: int = 0  # to do; with a share: of which it has a unit
    units: int = 0
    minutes: float = 0.0
    read_bytes: float = 0.0  # as far as the catalogue says

    def __post_init__(self) -> None:
        if not self.stretch_s > 0:
            raise SettingsError(f"stretch_s is {self.stretch_s}: a stretch must have a length above 0 s")
        self.failures = Failures(self.corpus, self.source)
        self.known = self.failures.known()
        asked = retried(self.retry, (failure.reason for failure in self.known.values()))
        self._again = {id for id, failure in self.known.items() if failure.passing or asked(failure.reason)}
        self._stale = set[str]()  # videos whose rows are written over
        self._present = name_array(filter(self._is_present, self.corpus.each_with_rows(self.source)))
        for table in self.corpus.scan(["id"], "ok"):
            self.present += pc.sum(pc.is_in(table.column("id"), self._present)).as_py() or 0
        for video, units in self._wanted(["id", "duration_s", "sha256", "size_bytes"]):
            self.videos, self.units = self.videos + 1, self.units + len(units)
            self.minutes += sum(unit.minutes for unit in units)
            self.read_bytes += (video.size_bytes or 0) * len(units) / units[0].count

    def __iter__(self) -> Iterator[Unit]:
        for _, units in self._wanted(None):
            yield from units

    def has_rows(self) -> pa.ChunkedArray:
        """The ids of the videos that are labelled and stay as they are."""
        return self._present

    def _is_present(self, id: str) -> bool:
        """Whether a video's rows may stay: what an address holds is never cut off, and looking at a million files there takes hours."""
        stays = id not in self._again and (is_remote(self.corpus.root) or ends_whole(self.corpus.actions_path(self.source, id)))
        if not stays:
            self._stale.add(id)
        return stays

    def _wanted(self, columns: Sequence[str] | None) -> Iterator[tuple[Video, list[Unit]]]:
        """The videos with these columns of which there are units to do, and these."""
        for table in self.corpus.scan(columns, "ok"):
            left = table.filter(pc.invert(pc.is_in(table.column("id"), self._present)))
            for video in map(Video.of, left.to_pylist()):
                failure = self.known.get(video.id)
                if failure and video.id not in self._again and failure.sha256 == video.sha256:
                    self.skipped[video.id] = failure.reason
                    continue
                units = units_of(video, self.stretch_s, video.id in self._stale)
                if units := [unit for unit in units if self.share is None or self.share.has(unit.name)]:
                    yield video, units

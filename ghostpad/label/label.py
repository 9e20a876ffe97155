"""Write an IDM's rows under every video of a corpus: one video, one file, whole or not at all.

Reads videos and an IDM; writes `actions/idm-<fingerprint>/<video>.parquet` with calibrated probabilities, means and spreads as
predicted, never thresholded. Re-run to resume: a video that has its file is left alone, and another IDM writes to a folder of its own. A
video that cannot be read is reported with the reason and stops no other.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from ghostpad.base.errors import MediaError, MissingError
from ghostpad.base.progress import progress
from ghostpad.base.records import Video
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.masks import video_mask
from ghostpad.idm import load
from ghostpad.idm.model import Idm
from ghostpad.train.checkpoint import run_fingerprint


@dataclass(frozen=True)
class Labelled:
    """What a run did: the source written, videos labelled now and before, why others cannot be read, minutes labelled now."""

    source: str
    made: int
    present: int
    unreadable: dict[str, str]
    minutes: float


def label_source_of(run: str | Path) -> str:
    """The source of the rows that the IDM of a run writes: `idm-<fingerprint>`."""
    return f"idm-{run_fingerprint(run)}"


def label_corpus(corpus: Corpus, run: Path, *, workers: int = 0) -> Labelled:
    """Label every readable video of a corpus, in this process (`workers` 0) or in a pool of processes.

    Raises `MissingError` or `FormatError` if the run holds no finished IDM of this pad layout.
    """
    idm = load(run)
    source = label_source_of(run)
    wanted = [video for video in corpus.list_videos() if video.status == "ok"]
    todo = [video for video in wanted if not corpus.actions_path(source, video.id).exists()]
    unreadable = {}
    with progress("label", sum(video.minutes for video in todo), "minutes") as advance:
        for video, reason in zip(todo, _results(_Labeller(corpus, run, source, idm), todo, workers), strict=True):
            if reason is not None:
                unreadable[video.id] = reason
            advance(video.minutes)
    made = [video for video in todo if video.id not in unreadable]
    return Labelled(source, len(made), len(wanted) - len(todo), unreadable, sum(video.minutes for video in made))


class _Labeller:
    """Labels videos of a corpus."""

    def __init__(self, corpus: Corpus, run: Path, source: str, idm: Idm):
        self.corpus, self.run, self.source, self.idm = corpus, run, source, idm
        self.facts = {"run": run.name, "slots": ",".join(idm.facts["slots"]), "licences": "; ".join(idm.facts.get("licences", []))}

    def label(self, video: Video) -> str | None:
        """Write the rows of a video; why it could not be read, or None."""
        path = self.corpus.path_of(video)
        try:
            table = self.idm.label(path, game=video.game, mask=video_mask(video, path))
        except (MediaError, MissingError) as error:
            return str(error)
        self.corpus.write_actions(self.source, video.id, table, self.facts)
        return None


def _results(labeller: _Labeller, videos: list[Video], workers: int) -> Iterator[str | None]:
    if not videos or workers == 0:
        yield from map(labeller.label, videos)
        return
    start = labeller.corpus, labeller.run, labeller.source
    with ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, start) as pool:
        yield from pool.map(_label_in_worker, videos)


_worker: list[_Labeller] = []  # the one of this worker process: a pool has no other place for what is loaded once


def _start_worker(corpus: Corpus, run: Path, source: str) -> None:
    _worker.append(_Labeller(corpus, run, source, load(run)))


def _label_in_worker(video: Video) -> str | None:
    return _worker[0].label(video)

"""Write an IDM's rows under every video of a corpus: one video, one file, whole or not at all.

Reads videos and an IDM; writes `actions/idm-<fingerprint>/<video>.parquet` with calibrated probabilities, means and spreads as
predicted, never thresholded. Where a video is damaged in the middle, the good parts are labelled and the fact "gaps" says which stretches
have no rows. Re-run to resume: a video that has its whole file is left alone, and another IDM writes to a folder of its own. A video that
cannot be read stops no other: it is a row of the corpus's failures (`ghostpad.corpus.failures`).

Footage is decoded in a child process with limits (`ghostpad.video.child`). Memory: one video's rows, and the ids of the videos.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import astuple, dataclass, field
from pathlib import Path

import pyarrow.compute as pc

from ghostpad.base.errors import GhostpadError, MediaError, MissingError, PlaceError, SettingsError
from ghostpad.base.places import is_remote, place_error, place_errors
from ghostpad.base.progress import progress
from ghostpad.base.records import Video, ends_whole
from ghostpad.corpus.failures import Failures, retried
from ghostpad.corpus.folder import Corpus, name_array
from ghostpad.corpus.masks import video_mask
from ghostpad.idm import load
from ghostpad.idm.model import Idm
from ghostpad.label.workers import Workers
from ghostpad.train.checkpoint import run_fingerprint
from ghostpad.video.child import VideoChild
from ghostpad.video.damage import Gap

IN_PARTS = "labelled in parts: "
"""How the reason begins for a video that is damaged in the middle; then come the stretches without rows."""


@dataclass
class Labelled:
    """What a run did."""

    source: str
    made: int = 0
    present: int = 0  # labelled before
    minutes: float = 0.0  # of those labelled now
    unreadable: dict[str, str] = field(default_factory=dict)  # video -> why it could not be labelled now
    skipped: dict[str, str] = field(default_factory=dict)  # video -> why it could not be labelled before, and was not tried again
    in_parts: dict[str, str] = field(default_factory=dict)  # video labelled now -> the stretches without rows


def label_source_of(run: str | Path) -> str:
    """The source of the rows that the IDM of a run writes: `idm-<fingerprint>`."""
    return f"idm-{run_fingerprint(run)}"


def label_corpus(corpus: Corpus, run: Path, *, workers: int = 0, retry: str | None = None) -> Labelled:
    """Label every readable video of a corpus, in this process (`workers` 0) or in a pool of processes.

    Videos whose footage failed before are left out, unless the footage is another now or the reason contains `retry`. Raises
    `MissingError` or `FormatError` if the run holds no finished IDM of this pad layout, and `SettingsError` for a negative number of
    workers or a `retry` that no reason contains.
    """
    if workers < 0:
        raise SettingsError(f"workers is {workers}: it must be 0, to label in this process, or more")
    idm = load(run)
    done = Labelled(label_source_of(run))
    failures = Failures(corpus, done.source)
    known = failures.known()
    again = retried(retry, (failure.reason for failure in known.values()))

    def wanted(video: Video) -> bool:
        failure = known.get(video.id)
        if failure and not failure.passing and failure.sha256 == video.sha256 and not again(failure.reason):
            done.skipped[video.id] = failure.reason
            return False
        return True

    todo, minutes = _todo(corpus, done, {id for id, failure in known.items() if failure.passing or again(failure.reason)})
    with progress("label", minutes, "minutes") as advance:
        for video, outcome in _outcomes(corpus, run, idm, filter(wanted, todo), workers):
            if isinstance(outcome, Exception):
                done.unreadable[video.id] = str(outcome)
                failures.note(video, outcome)
            else:
                done.made, done.minutes = done.made + 1, done.minutes + video.minutes
                if outcome:
                    stretches = (f"{gap.start_s:.3f} to {gap.end_s:.3f} s, {gap.reason}" for gap in outcome)
                    done.in_parts[video.id] = IN_PARTS + "; ".join(stretches)
                    failures.note(video, MediaError(done.in_parts[video.id]))
                elif video.id in known:
                    failures.clear(video)
            advance(video.minutes)
    return done


def _todo(corpus: Corpus, done: Labelled, retried: set[str]) -> tuple[Iterator[Video], float]:
    """The videos without a whole file of rows and the `retried` ones, and their minutes; the others are counted."""

    def is_present(id: str) -> bool:  # what an address holds is never cut off, and looking at a million files there takes hours
        return id not in retried and (is_remote(corpus.root) or ends_whole(corpus.actions_path(done.source, id)))

    present = name_array(filter(is_present, corpus.each_with_rows(done.source)))
    minutes = 0.0
    for table in corpus.scan(["id", "duration_s"], "ok"):
        labelled = pc.is_in(table.column("id"), present)
        done.present += pc.sum(labelled).as_py() or 0
        minutes += (pc.sum(table.filter(pc.invert(labelled)).column("duration_s")).as_py() or 0.0) / 60

    def todo() -> Iterator[Video]:
        for table in corpus.scan(status="ok"):
            yield from map(Video.of, table.filter(pc.invert(pc.is_in(table.column("id"), present))).to_pylist())

    return todo(), minutes


class _Labeller:
    """Labels videos of a corpus with an IDM in this process."""

    def __init__(self, corpus: Corpus, run: Path, idm: Idm | None = None):
        self._corpus, self._idm, self._source = corpus, idm or load(run), label_source_of(run)
        facts = self._idm.facts
        self._facts = {"run": run.name, "slots": ",".join(facts["slots"]), "licences": "; ".join(facts.get("licences", []))}
        self._child = VideoChild()

    def __call__(self, video: Video) -> list[Gap] | Exception:
        """Write the rows of a video: the stretches that have none, or why it could not be labelled.

        Raises `OSError` where they cannot be written: the next video's could not either, and the run ends.
        """
        gaps: list[Gap] = []
        try:
            with self._corpus.footage(video) as path:
                mask = video_mask(video, path, child=self._child)
                table = self._idm.label(path, game=video.game, mask=mask, child=self._child, gaps=gaps)
        except (MediaError, MissingError, PlaceError) as error:
            return error
        except place_errors() as error:
            if (told_error := place_error(error)) is None:
                raise
            return told_error
        told = {"gaps": json.dumps([list(astuple(gap)) for gap in gaps])} if gaps else {}
        self._corpus.write_actions(self._source, video.id, table, self._facts | told)
        return gaps

    def close(self) -> None:
        """End the child that decodes."""
        self._child.close()


def _outcomes(corpus: Corpus, run: Path, idm: Idm, videos: Iterator[Video], workers: int) -> Iterator[tuple[Video, list[Gap] | Exception]]:
    """Each video with the stretches that have no rows, or why it could not be labelled."""
    if workers:
        for video, outcome in Workers(workers, _Labeller, corpus, run).results(videos):
            if isinstance(outcome, Exception) and not isinstance(outcome, GhostpadError):
                raise outcome
            yield video, outcome
        return
    with closing(_Labeller(corpus, run, idm)) as label:
        for video in videos:
            yield video, label(video)

"""Write an IDM's rows under every video of a corpus: one video, one file, whole or not at all.

Reads videos and an IDM; writes `actions/idm-<fingerprint>/<video>.parquet` with calibrated probabilities, means and spreads as
predicted, never thresholded. Where a video is damaged in the middle, the good parts are labelled and the fact "gaps" says which stretches
have no rows. Re-run to resume: a video that has its whole file is left alone, as is a long video's stretch that is done, and another IDM
writes to a folder of its own. A video that cannot be read stops no other: it becomes a row of `ghostpad.corpus.failures`.

The work is done by an engine (`ghostpad.base.engines`), unit by unit (`ghostpad.label.units`); several processes and machines may label one
corpus at once. Memory here: a little for each video that failed, see `ghostpad.label.units` for the others.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from ghostpad.base.engines.results import results
from ghostpad.base.engines.settings import Share
from ghostpad.base.errors import GhostpadError, MediaError
from ghostpad.base.progress import progress
from ghostpad.corpus.folder import Corpus
from ghostpad.idm import load
from ghostpad.label.labeller import Labeller, Outcome, label_source_of
from ghostpad.label.parts import clear_left
from ghostpad.label.settings import LabelSettings
from ghostpad.label.units import STRETCH_S, Todo, Unit

IN_PARTS = "labelled in parts: "
"""How the reason begins for a video that is damaged in the middle; then come the stretches without rows."""

_BATCHES = 4
"""Units that a worker with several videos at once is given, for each of these: at the end of the last ones its batches are smaller."""

_COMMON, _REASON_SIGNS = 3, 60
"""Reasons of failures, and signs of each, that are shown while the work goes on."""


@dataclass
class Labelled:
    """What a run did."""

    source: str
    made: int = 0
    present: int = 0  # labelled before
    meanwhile: int = 0  # units that somebody else had done by the time, or a worker that was killed before it could say so
    minutes: float = 0.0  # labelled now
    unreadable: dict[str, str] = field(default_factory=dict)  # video -> why it could not be labelled now
    skipped: dict[str, str] = field(default_factory=dict)  # video -> why it could not be labelled before, and was not tried again
    in_parts: dict[str, str] = field(default_factory=dict)  # video labelled now -> the stretches without rows

    def failures(self) -> str:
        """How many videos could not be labelled now, and the commonest reasons, such as "3 failed (2 is not a video, ...)"."""
        reasons = Counter(_kind(id, reason) for id, reason in self.unreadable.items())
        common = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(_COMMON))
        return f"{len(self.unreadable)} failed ({common}{', ...' if len(reasons) > _COMMON else ''})" if reasons else ""


def label_corpus(
    corpus: Corpus,
    run: Path,
    settings: LabelSettings = LabelSettings(),  # noqa: B008  (frozen)
    *,
    retry: str | None = None,
    share: Share | None = None,
    stretch_s: float = STRETCH_S,
) -> Labelled:
    """Label every readable video of a corpus, or a share of its units.

    Videos whose footage failed before are left out, unless the footage is another now or the reason contains `retry`. Raises
    `MissingError` or `FormatError` if the run holds no finished IDM of this pad layout, `SettingsError` for a `retry` that no reason
    contains, and as the engine (`ghostpad.base.engines.results`).
    """
    idm = load(run)
    todo = Todo(corpus, label_source_of(run), stretch_s, retry, share)
    clear_left(corpus, todo.source, todo.has_rows())
    done = Labelled(todo.source, present=todo.present, skipped=todo.skipped)
    words = (corpus, run, settings, idm) if settings.placed == "here" else (corpus, run, settings)
    units = (unit for unit in todo if unit.video.id not in done.unreadable)
    at_once = settings.at_once(idm)
    with progress("label", todo.minutes, "minutes", note=done.failures) as advance:
        for some, outcomes in results(settings, Labeller, words, _batched(units, 1 if at_once == 1 else _BATCHES * at_once)):
            for number, unit in enumerate(some):
                _note(done, todo, unit, outcomes if isinstance(outcomes, Exception) else outcomes[number])
                advance(unit.minutes)
    return done


def _batched(units: Iterator[Unit], count: int) -> Iterator[tuple[Unit, ...]]:
    """The units, `count` at a time."""
    while some := tuple(islice(units, count)):
        yield some


def _note(done: Labelled, todo: Todo, unit: Unit, outcome: Outcome | Exception) -> None:
    """Count what came of a unit, and keep or clear what the corpus knows of its video's failure."""
    video = unit.video
    if isinstance(outcome, Exception):
        if not isinstance(outcome, GhostpadError):
            raise outcome
        if video.id not in done.unreadable:
            done.unreadable[video.id] = str(outcome)
            todo.failures.note(video, outcome)
        return
    done.minutes += unit.minutes * outcome.labelled
    done.meanwhile += not outcome.labelled and not outcome.finished
    if not outcome.finished:
        return
    done.made += 1
    if outcome.gaps:
        stretches = (f"{gap.start_s:.3f} to {gap.end_s:.3f} s, {gap.reason}" for gap in outcome.gaps)
        done.in_parts[video.id] = IN_PARTS + "; ".join(stretches)
        todo.failures.note(video, MediaError(done.in_parts[video.id]))
    elif video.id in todo.known:
        todo.failures.clear(video)


def _kind(id: str, reason: str) -> str:
    """What a reason has in common with those of other videos: its beginning without the file and the numbers."""
    words = (word for word in reason.split() if id not in word and not any(sign.isdigit() for sign in word))
    return " ".join(words)[:_REASON_SIGNS]

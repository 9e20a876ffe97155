"""One worker's work: label units with an IDM, and write the rows of each once.

Footage is decoded in child processes with limits (`ghostpad.video.child`), one for each video that is open. On a GPU the pieces of several
videos are one batch, which their children decode side by side. Each worker copies footage at an address to its machine once for all
stretches of a video that follow each other. Memory: the rows of the units that are open, and all of a long video's where its parts are
joined.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import pyarrow as pa

from ghostpad.base.errors import FormatError, MediaError, MissingError, NoRowsError, PlaceError
from ghostpad.base.places import place_error, place_errors
from ghostpad.base.records import LABELS, Video
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.masks import video_mask
from ghostpad.idm import load
from ghostpad.idm.model import Idm
from ghostpad.idm.stream import Job, label_together
from ghostpad.label.parts import Parts, write_rows
from ghostpad.label.settings import LabelSettings
from ghostpad.label.units import Unit
from ghostpad.train.checkpoint import run_fingerprint
from ghostpad.video.child import VideoChild
from ghostpad.video.damage import Gap

_USUAL_HZ = 30.0
"""Frames a second of a video whose row does not say (a guess: too few frames are read again)."""


def label_source_of(run: str | Path) -> str:
    """The source of the rows that the IDM of a run writes: `idm-<fingerprint>`."""
    return f"idm-{run_fingerprint(run)}"


@dataclass(frozen=True)
class Outcome:
    """What came of a unit."""

    labelled: bool = False  # now, and not before or by somebody else
    finished: bool = False  # its video's file was written now
    gaps: list[Gap] = field(default_factory=list)  # of the video, if it is finished


class Labeller:
    """Labels units of a corpus with an IDM in this process."""

    def __init__(self, corpus: Corpus, run: Path, settings: LabelSettings, idm: Idm | None = None):
        self._corpus, self._idm, self._source = corpus, idm or load(run), label_source_of(run)
        self._idm.quicken(bf16=settings.bf16(self._idm), compile=settings.compile)
        facts = self._idm.facts
        self._facts = {"run": run.name, "slots": ",".join(facts["slots"]), "licences": "; ".join(facts.get("licences", []))}
        if self._idm.bf16:
            self._facts["precision"] = "bf16"
        self._children = [VideoChild() for _ in range(settings.at_once(self._idm))]
        self._footage = _Footage(corpus)

    def __call__(self, units: Sequence[Unit]) -> list[Outcome | Exception]:
        """Write the rows of each unit, or say why it could not be labelled.

        Raises `OSError` where they cannot be written: the next unit's could not either, and the run ends.
        """
        missing = [unit for unit in units if not self._is_done(unit)]
        rest = [unit for unit in missing if unit.count == 1 or not Parts(self._corpus, self._source, unit).has_own()]
        outcomes = {unit.name: self._finished(unit) for unit in missing if unit not in rest}
        for unit, rows, gaps in self.label(rest):
            outcomes[unit.name] = rows if isinstance(rows, Exception) else self._written(unit, rows, gaps)
        return [outcomes.get(unit.name, Outcome()) for unit in units]

    def label(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, pa.Table | Exception, list[Gap]]]:
        """Each unit with its rows, or with why it could not be labelled, and the stretches that have none; as they are finished."""
        waiting = [_Reading(unit, self._idm) for unit in units]
        while waiting:
            readings, waiting = waiting, []
            failed = list[tuple[_Reading, Exception]]()
            jobs, free = dict[int, _Reading](), list(self._children)
            for job, rows in label_together(self._idm, self._jobs(readings, jobs, free, failed), videos_at_once=len(self._children)):
                reading = jobs.pop(id(job))
                assert job.child is not None
                free.append(job.child)
                if isinstance(rows, NoRowsError) and reading.unit.count > 1:
                    rows = LABELS.empty_table()
                if isinstance(rows, Exception):
                    yield reading.unit, _told(rows), reading.gaps
                elif (own := reading.own(rows)) is None:
                    waiting.append(reading)
                else:
                    yield reading.unit, own, reading.gaps
            yield from ((reading.unit, error, reading.gaps) for reading, error in failed)
        self._footage.keep_only(units[-1:])

    def close(self) -> None:
        """End the children that decode, and let go of the footage."""
        for child in self._children:
            child.close()
        self._footage.keep_only(())

    def _jobs(
        self,
        readings: Sequence["_Reading"],
        jobs: dict[int, "_Reading"],
        free: list[VideoChild],
        failed: list[tuple["_Reading", Exception]],
    ) -> Iterator[Job]:
        """A job for each reading, with a child that is free by then; those whose footage cannot be had are added to `failed`."""
        for reading in readings:
            video = reading.unit.video
            try:
                path = self._footage.of(video)
                mask = video_mask(video, path, child=free[-1])
            except (MediaError, MissingError, PlaceError) as error:
                failed.append((reading, error))
                continue
            except place_errors() as error:
                failed.append((reading, _told(error)))
                continue
            start_s, end_s = reading.span_s
            job = Job(path, video.game, mask, start_s, end_s, reading.gaps, free.pop())
            jobs[id(job)] = reading
            yield job

    def _is_done(self, unit: Unit) -> bool:
        return not unit.replace and self._corpus.actions_path(self._source, unit.video.id).exists()

    def _written(self, unit: Unit, rows: pa.Table, gaps: list[Gap]) -> Outcome | Exception:
        """Write the rows of a unit, and its video's file if it is the last one."""
        if unit.count == 1:
            written = write_rows(self._corpus, self._source, unit, rows, self._facts, gaps)
            return Outcome(written, written, gaps)
        Parts(self._corpus, self._source, unit).write_own(rows, gaps)
        return self._finished(unit, labelled=True)

    def _finished(self, unit: Unit, labelled: bool = False) -> Outcome | Exception:
        """Make the file of a video whose stretch is labelled, if the others are too."""
        try:
            joined = Parts(self._corpus, self._source, unit).join(self._facts)
        except (NoRowsError, FormatError) as error:
            return error
        return Outcome(labelled, joined is not None, joined or [])


def _told(error: Exception) -> Exception:
    """The error as a user can be told it. Raises it, if it is a bug."""
    if isinstance(error, MediaError | MissingError | PlaceError):
        return error
    if not isinstance(error, place_errors()) or (told := place_error(error)) is None:
        raise error
    return told


class _Footage:
    """The files of videos on this machine, until others are asked for."""

    def __init__(self, corpus: Corpus):
        self._corpus, self._kept = corpus, dict[str, tuple[Path, ExitStack]]()

    def of(self, video: Video) -> Path:
        """A video's file. Raises as `Corpus.footage`."""
        if video.id not in self._kept:
            stack = ExitStack()
            self._kept[video.id] = stack.enter_context(self._corpus.footage(video)), stack
        return self._kept[video.id][0]

    def keep_only(self, units: Sequence[Unit]) -> None:
        """Let go of those of all videos but these: the next unit may be of the last video."""
        for id in self._kept.keys() - {unit.video.id for unit in units}:
            self._kept.pop(id)[1].close()


class _Reading:
    """What is read of a video for a unit: for a stretch more on either side, until it holds all that its rows depend on, so that these are
    as labelling the whole video gives them."""

    def __init__(self, unit: Unit, idm: Idm):
        self.unit, self.gaps, self._reach = unit, list[Gap](), idm.reach
        own_hz = float(Fraction(unit.video.fps)) if unit.video.fps else _USUAL_HZ
        self._lead_s = self._trail_s = 2 * (idm.reach + 2) / min(own_hz, idm.window.rate_hz or math.inf)

    @property
    def span_s(self) -> tuple[float, float | None]:
        """From where on, and up to where; None: to the end."""
        start_s = max(0.0, self.unit.start_s - self._lead_s) if self.unit.start_s else 0.0
        end_s = math.inf if self.unit.end_s is None else self.unit.end_s + self._trail_s
        return start_s, None if end_s > self.unit.video.minutes * 60 else end_s

    def own(self, rows: pa.Table) -> pa.Table | None:
        """The unit's own among the rows of the span; None where more must be read for them, and the span is wider now."""
        if self.unit.count == 1:
            return rows
        (start_s, end_s), gaps, pts_s = self.span_s, self.gaps, rows.column("pts_s").to_numpy()
        first_s, behind_s = (self.unit.start_s or -math.inf), (self.unit.end_s or math.inf)
        cut_off = any(gap.start_s <= start_s for gap in gaps)  # damage that began before, or a decoder that needs the keyframe before
        leads = (pts_s < first_s).sum() >= self._reach or any(gap.start_s < first_s for gap in gaps)
        trails = (pts_s >= behind_s).sum() >= self._reach or any(gap.end_s > behind_s for gap in gaps)
        if start_s > 0 and (cut_off or not leads):
            self._lead_s *= 8
        elif end_s is not None and not trails:
            self._trail_s *= 8
        else:
            return rows.filter(pa.array((pts_s >= first_s) & (pts_s < behind_s)))
        del self.gaps[:]
        return None

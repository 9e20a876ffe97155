"""One worker's work: label a unit with an IDM, and write its rows once.

Footage is decoded in a child process with limits (`ghostpad.video.child`). Each worker copies footage at an address to its machine once for
all stretches of a video that follow each other. Memory: one unit's rows, and all of a long video's where its parts are joined.
"""

import math
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
from ghostpad.label.parts import Parts, write_rows
from ghostpad.label.units import Unit
from ghostpad.train.checkpoint import run_fingerprint
from ghostpad.video.child import VideoChild
from ghostpad.video.damage import Gap
from ghostpad.video.paint import Boxes

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

    def __init__(self, corpus: Corpus, run: Path, idm: Idm | None = None):
        self._corpus, self._idm, self._source = corpus, idm or load(run), label_source_of(run)
        facts = self._idm.facts
        self._facts = {"run": run.name, "slots": ",".join(facts["slots"]), "licences": "; ".join(facts.get("licences", []))}
        self._child = VideoChild()
        self._kept, self._here = ExitStack(), dict[str, Path]()  # the footage of the last video

    def __call__(self, unit: Unit) -> Outcome | Exception:
        """Write the rows of a unit, or say why it could not be labelled.

        Raises `OSError` where they cannot be written: the next unit's could not either, and the run ends.
        """
        if not unit.replace and self._corpus.actions_path(self._source, unit.video.id).exists():
            return Outcome()
        return self._video(unit) if unit.count == 1 else self._part(unit)

    def label(self, unit: Unit, gaps: list[Gap]) -> pa.Table | Exception:
        """The rows of a unit, with the stretches that have none in `gaps`; or why it could not be labelled."""
        try:
            path = self._footage(unit.video)
            mask = video_mask(unit.video, path, child=self._child)
            if unit.count == 1:
                return self._idm.label(path, game=unit.video.game, mask=mask, child=self._child, gaps=gaps)
            return self._stretch(unit, path, mask, gaps)
        except (MediaError, MissingError, PlaceError) as error:
            return error
        except place_errors() as error:
            if (told_error := place_error(error)) is None:
                raise
            return told_error

    def close(self) -> None:
        """End the child that decodes, and let go of the last footage."""
        self._child.close()
        self._kept.close()

    def _video(self, unit: Unit) -> Outcome | Exception:
        """Label a video that is one unit."""
        rows = self.label(unit, gaps := list[Gap]())
        if isinstance(rows, Exception):
            return rows
        written = write_rows(self._corpus, self._source, unit, rows, self._facts, gaps)
        return Outcome(written, written, gaps)

    def _part(self, unit: Unit) -> Outcome | Exception:
        """Label a stretch, unless its rows are there, and make the video's file if it was the last one."""
        parts = Parts(self._corpus, self._source, unit)
        if missing := not parts.has_own():
            rows = self.label(unit, gaps := list[Gap]())
            if isinstance(rows, Exception):
                return rows
            parts.write_own(rows, gaps)
        try:
            joined = parts.join(self._facts)
        except (NoRowsError, FormatError) as error:
            return error
        return Outcome(missing, joined is not None, joined or [])

    def _footage(self, video: Video) -> Path:
        """Its file on this machine, until another video's is asked for."""
        if video.id not in self._here:
            self._kept.close()
            self._here = {}
            self._here = {video.id: self._kept.enter_context(self._corpus.footage(video))}
        return self._here[video.id]

    def _stretch(self, unit: Unit, path: Path, mask: Boxes, gaps: list[Gap]) -> pa.Table:
        """The rows of a stretch as labelling the whole video gives them: more is read on either side, until it holds all they depend on."""
        first_s, behind_s = (unit.start_s or -math.inf), (unit.end_s or math.inf)
        lead_s = trail_s = 2 * (self._idm.reach + 2) / self._rate_hz(unit.video)
        while True:
            start_s, end_s = max(0.0, first_s - lead_s), behind_s + trail_s
            if end_s > unit.video.minutes * 60:
                end_s = math.inf
            del gaps[:]
            table = self._read(unit, path, mask, gaps, start_s, end_s)
            pts_s = table.column("pts_s").to_numpy()
            cut_off = any(gap.start_s <= start_s for gap in gaps)  # damage that began before, or a decoder that needs the keyframe before
            leads = (pts_s < first_s).sum() >= self._idm.reach or any(gap.start_s < first_s for gap in gaps)
            trails = (pts_s >= behind_s).sum() >= self._idm.reach or any(gap.end_s > behind_s for gap in gaps)
            if start_s > 0 and (cut_off or not leads):
                lead_s *= 8
            elif end_s < math.inf and not trails:
                trail_s *= 8
            else:
                return table.filter(pa.array((pts_s >= first_s) & (pts_s < behind_s)))

    def _read(self, unit: Unit, path: Path, mask: Boxes, gaps: list[Gap], start_s: float, end_s: float) -> pa.Table:
        """The rows between two moments, none where no two frames after each other can be read."""
        until_s = None if end_s == math.inf else end_s
        try:
            return self._idm.label(path, game=unit.video.game, mask=mask, child=self._child, gaps=gaps, start_s=start_s, end_s=until_s)
        except NoRowsError:
            return LABELS.empty_table()

    def _rate_hz(self, video: Video) -> float:
        """Rows a second of a video, about."""
        own_hz = float(Fraction(video.fps)) if video.fps else _USUAL_HZ
        return min(own_hz, self._idm.window.rate_hz or math.inf)

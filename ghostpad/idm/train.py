"""Train an IDM on every recorded row of some corpora, then calibrate it on the videos kept out.

Reads corpora; writes a run (see `ghostpad.train.checkpoint`) and `calibration.json`, the last file of a finished IDM.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ghostpad.base.errors import MissingError
from ghostpad.base.pad import SLOTS
from ghostpad.corpus.folder import Corpus
from ghostpad.feed.footage import Footage, load_footage, truth_rows
from ghostpad.feed.split import split_videos
from ghostpad.idm.calibrate import Calibration, fit_calibration
from ghostpad.idm.model import Idm, idm_window
from ghostpad.idm.settings import IdmRun
from ghostpad.idm.stream import predict_rows
from ghostpad.train.facts import corpus_facts
from ghostpad.train.loop import Training, train


@dataclass(frozen=True)
class TrainedIdm:
    """What a training saw: minutes learned from, minutes held out, and the held-out R2 of each stick (None without held-out videos)."""

    train_minutes: float
    held_out_minutes: float
    r2: dict[str, float]


def train_idm(corpora: Sequence[Path], out: Path, run: IdmRun) -> TrainedIdm:
    """Train to the end, or go on where an earlier process stopped; see `ghostpad.train.loop.train` for the errors."""
    opened = [Corpus.open(path) for path in corpora]
    learned: list[Footage] = []
    held_out: list[Footage] = []
    spec = idm_window(run.model)
    for corpus in opened:
        recorded = set(corpus.labelled_ids("recorded"))
        kept, tested = split_videos([id for id in corpus.ok_ids() if id in recorded], run.data.validation_share)
        learned += load_footage(corpus, kept, truth_rows, spec)
        held_out += load_footage(corpus, tested, truth_rows, spec)
    if not learned:
        raise MissingError(f"no video of {', '.join(map(str, corpora))} has recorded pads to learn from: 'ghostpad record' makes some")
    facts = corpus_facts(opened) | {"slots": known_slots(learned)}
    model = train(Training("idm", run.model, facts, [learned], [1.0], run.data, run.train, out))
    assert isinstance(model, Idm)
    calibration, r2 = calibrate(model, held_out)
    calibration.save(out)
    return TrainedIdm(_minutes(learned), _minutes(held_out), r2)


def known_slots(footage: Sequence[Footage]) -> list[str]:
    """The slots that any row of `footage` knows, in order."""
    weighed = np.any([clip.weight.any(axis=0) for clip in footage], axis=0)
    return [name for name, known in zip(SLOTS, weighed, strict=True) if known]


def calibrate(model: Idm, held_out: Sequence[Footage]) -> tuple[Calibration, dict[str, float]]:
    """Fit the calibration on held-out footage; also the R2 of each stick there."""
    if not held_out:
        return Calibration({}, {}, 0), {}
    # Piece by piece: attention over a whole video at once needs memory by the square of its length (7 GB at 20 minutes).
    read = [belief for clip in held_out for belief in predict_rows(model, clip.frames)]
    pads, spreads = (np.concatenate([belief[part] for belief in read]) for part in (0, 1))
    truth = np.concatenate([clip.pads for clip in held_out])
    known = np.concatenate([clip.weight > 0 for clip in held_out])
    return fit_calibration(pads, spreads, truth, known, model.facts["slots"]), _r2(model, pads, truth, known)


def _r2(model: Idm, pads: np.ndarray, truth: np.ndarray, known: np.ndarray) -> dict[str, float]:
    found = {}
    for index in model.sticks:
        rows = known[:, index]
        variance = truth[rows, index].var() if rows.any() else 0.0
        if variance > 0:
            found[SLOTS[index]] = float(1 - np.mean((pads[rows, index] - truth[rows, index]) ** 2) / variance)
    return found


def _minutes(footage: Sequence[Footage]) -> float:
    return float(sum(clip.pts_s[-1] - clip.pts_s[0] for clip in footage) / 60)

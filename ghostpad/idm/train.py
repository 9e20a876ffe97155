"""Train an IDM on every recorded row of some corpora, then calibrate it on the videos kept out.

Reads corpora; writes a run (see `ghostpad.train.checkpoint`), `risk.json` (thresholds that keep a promise, `ghostpad.measure.risk`) and
`calibration.json`, the last file of a finished IDM. With `data.labels` an earlier IDM's rows under videos without recorded
pads are learned from as well: a round of self-training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ghostpad.base.errors import MissingError
from ghostpad.base.files import write_json
from ghostpad.base.pad import SLOTS
from ghostpad.corpus.folder import Corpus
from ghostpad.feed.footage import Footage, first_minutes, label_source, labelled_rows, load_footage, truth_rows
from ghostpad.feed.split import split_videos
from ghostpad.feed.window import WindowSpec
from ghostpad.idm.calibrate import Calibration, fit_calibration
from ghostpad.idm.model import Idm, idm_window
from ghostpad.idm.settings import IdmRun
from ghostpad.idm.stream import predict_rows
from ghostpad.measure.match import Matched, aligned, pool
from ghostpad.measure.risk import choose
from ghostpad.train.facts import corpus_facts
from ghostpad.train.loop import Training, train
from ghostpad.video.paint import Share

RISK = 0.02
"""The share of wrong presses that the thresholds in `risk.json` promise to stay below."""

MASKS_MOST = 32
"""How many masks of its footage an IDM remembers: their distribution, not each (a guess)."""


@dataclass(frozen=True)
class TrainedIdm:
    """What a training saw: minutes learned from with true pads and with labels, minutes held out, and the held-out R2 of each stick."""

    train_minutes: float
    label_minutes: float
    held_out_minutes: float
    r2: dict[str, float]


def train_idm(corpora: Sequence[Path], out: Path, run: IdmRun) -> TrainedIdm:
    """Train to the end, or go on where an earlier process stopped; see `ghostpad.train.loop.train` for the errors."""
    opened = [Corpus.open(path) for path in corpora]
    learned: list[Footage] = []
    held_out: list[Footage] = []
    labelled: list[Footage] = []
    spec = idm_window(run.model)
    for corpus in opened:
        recorded, ok = set(corpus.labelled_ids("recorded")), corpus.ok_ids()
        kept, tested = split_videos([id for id in ok if id in recorded], run.data.validation_share)
        for crf in (None, *run.data.reencode_crf):
            learned += load_footage(corpus, kept, truth_rows, spec, crf)
        held_out += load_footage(corpus, tested, truth_rows, spec)
        labelled += _labelled(corpus, [id for id in ok if id not in recorded], run, spec)
    if not learned:
        raise MissingError(f"no video of {', '.join(map(str, corpora))} has recorded pads to learn from: 'ghostpad record' makes some")
    groups, shares = [learned], [1.0]
    if labelled:
        groups, shares = [learned, labelled], [run.data.truth_share, 1 - run.data.truth_share]
    facts = corpus_facts(opened) | {"slots": known_slots(learned), "by_game": slots_by_game(learned), "labels": run.data.labels}
    facts |= {"masks": masks_of([*learned, *labelled])}
    model = train(Training(Idm, run.model, facts, groups, shares, run.data, run.train, out))
    calibration, rows, r2 = calibrate(model, held_out)
    if rows is not None:
        write_json(out / "risk.json", choose(rows, RISK))
    calibration.save(out)
    return TrainedIdm(minutes(learned), minutes(labelled), minutes(held_out), r2)


def known_slots(footage: Sequence[Footage]) -> list[str]:
    """The slots that any row of `footage` knows, in order."""
    weighed = np.any([clip.weight.any(axis=0) for clip in footage], axis=0)
    return [name for name, known in zip(SLOTS, weighed, strict=True) if known]


def masks_of(footage: Sequence[Footage]) -> list[Share]:
    """The masks of `footage` as often as each comes, at most `MASKS_MOST`, evenly chosen by place and size."""
    found = sorted(mask for clip in footage for mask in clip.masks)
    return found if len(found) <= MASKS_MOST else [found[at * len(found) // MASKS_MOST] for at in range(MASKS_MOST)]


def calibrate(
    model: Idm, held_out: Sequence[Footage], before: Calibration | None = None
) -> tuple[Calibration, Matched | None, dict[str, float]]:
    """Fit the calibration on held-out footage; also its calibrated rows beside the truth, and the R2 of each stick there.

    What the footage says nothing about is left as `before` has it.
    """
    before = before or Calibration({}, {}, 0)
    if not held_out:
        return before, None, {}
    read = [_read(model, clip) for clip in held_out]
    pads, spreads = (np.concatenate([belief[part] for belief in read]) for part in (0, 1))
    truth = np.concatenate([clip.pads for clip in held_out])
    known = np.concatenate([clip.weight > 0 for clip in held_out])
    calibration = before.updated(fit_calibration(pads, spreads, truth, known, model.facts["slots"]))
    rows = [
        aligned(clip.pts_s[:-1], *calibration.apply(*belief), clip.pads, clip.weight > 0, 1 / float(np.median(np.diff(clip.pts_s))))
        for clip, belief in zip(held_out, read, strict=True)
    ]
    return calibration, pool(rows), _r2(model, pads, truth, known)


def _read(model: Idm, clip: Footage) -> tuple[np.ndarray, np.ndarray]:
    """Beliefs [n, 25] and stick spreads [n, 4] of a clip, piece by piece: at once, 20 minutes need 7 GB for attention."""
    read = list(predict_rows(model, clip.frames, game=clip.game))
    return np.concatenate([pads for pads, _ in read]), np.concatenate([spreads for _, spreads in read])


def _labelled(corpus: Corpus, videos: Sequence[str], run: IdmRun, spec: WindowSpec) -> list[Footage]:
    """Footage with an IDM's rows in the place of recorded pads, if labels are asked for."""
    source = label_source(corpus, run.data.labels) if videos else None
    if source is None:
        return []
    return first_minutes(load_footage(corpus, videos, labelled_rows(corpus, source, run.data), spec), run.data.label_minutes)


def slots_by_game(footage: Sequence[Footage]) -> dict[str, list[str]]:
    """The slots that each game's footage knows."""
    games = sorted({clip.game for clip in footage if clip.game})
    return {game: known_slots([clip for clip in footage if clip.game == game]) for game in games}


def _r2(model: Idm, pads: np.ndarray, truth: np.ndarray, known: np.ndarray) -> dict[str, float]:
    found = {}
    for index in model.sticks:
        rows = known[:, index]
        variance = truth[rows, index].var() if rows.any() else 0.0
        if variance > 0:
            found[SLOTS[index]] = float(1 - np.mean((pads[rows, index] - truth[rows, index]) ** 2) / variance)
    return found


def minutes(footage: Sequence[Footage]) -> float:
    """How long `footage` lasts."""
    return float(sum(clip.pts_s[-1] - clip.pts_s[0] for clip in footage) / 60)

"""Train an IDM on every recorded row of some corpora, then calibrate it on the held-out videos.

Reads corpora; writes a run (see `ghostpad.train.checkpoint`), `risk.json` (thresholds that bound a risk, `ghostpad.measure.risk`) and
`calibration.json`, the last file of a finished IDM. With `data.labels` it also learns from an earlier IDM's pseudo-labels of videos
without recorded pads: a round of self-training. It may start from a finished run (`ghostpad.idm.tune`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ghostpad.base.errors import MissingError
from ghostpad.base.files import write_json
from ghostpad.base.pad import SLOTS
from ghostpad.base.places import AnyPlace
from ghostpad.corpus.folder import Corpus
from ghostpad.feed.footage import Footage
from ghostpad.feed.gather import corpus_facts, gather, known_slots, slots_by_game
from ghostpad.idm.calibrate import MIN_ROWS, Calibration, fit_calibration
from ghostpad.idm.model import Idm, idm_window
from ghostpad.idm.predict import predict_rows
from ghostpad.idm.settings import FinetuneRun, IdmRun, TuneSettings
from ghostpad.idm.tune import apply_tuning, finetune_facts, load_init
from ghostpad.measure.match import Matched, aligned, pool
from ghostpad.measure.risk import choose
from ghostpad.measure.slots import r2
from ghostpad.train.checkpoint import load_model
from ghostpad.train.loop import Training, train
from ghostpad.video.paint import Share

RISK = 0.02
"""The share of wrong presses below which the thresholds in `risk.json` are to stay."""

MASKS_MOST = 32
"""Masks of its footage that an IDM keeps, at most: their distribution, not each (a guess)."""

READ_FRAMES = 256  # frames of held-out footage that are read at once (a guess)


@dataclass(frozen=True)
class TrainedIdm:
    """What a training saw: minutes learned from by recorded pads and by pseudo-labels, minutes held out, the held-out R2 of each stick.

    new_slots   slots that the run it started from did not predict
    calibrated  whether enough was held out to calibrate on
    """

    learned_minutes: float
    pseudo_label_minutes: float
    held_out_minutes: float
    r2: dict[str, float]
    new_slots: list[str]
    calibrated: bool


def train_idm(corpora: Sequence[AnyPlace], out: Path, run: IdmRun, init: Path | None = None) -> TrainedIdm:
    """Train to the end, or go on where an earlier process stopped.

    With `init` it starts from that finished IDM, whose settings of the model `run` must have (`ghostpad.idm.tune.finetune_settings`), and
    keeps its calibration, slots and licences where the footage has none. Raises `MissingError` for no recorded pads, `SettingsError`
    where `out` is `init`, and as `ghostpad.feed.gather.gather` and `ghostpad.train.loop.train` do.
    """
    opened = [Corpus.open(path) for path in corpora]
    base = load_model(init, Idm) if init is not None else None
    before = Calibration.load(init) if init is not None else Calibration({}, {}, 0)
    footage = gather(opened, run.data, idm_window(run.model))
    if not footage.recorded:
        raise MissingError(f"no video of {', '.join(map(str, corpora))} has recorded pads to learn from: 'ghostpad record' makes some")
    facts = corpus_facts(opened) | {"slots": known_slots(footage.recorded), "by_game": slots_by_game(footage.recorded)}
    facts |= {"labels": run.data.labels, "masks": masks_of([*footage.recorded, *footage.pseudo])} | footage.minutes
    tune = run.tune if isinstance(run, FinetuneRun) else TuneSettings()
    if init is not None:
        facts = finetune_facts(init, out, facts, tune)

    def prepare(model: Idm) -> None:
        if base is not None:
            load_init(model, base)
            apply_tuning(model, tune)

    model = train(Training(Idm, run.model, facts, footage, run.data, run.train, out, prepare))
    calibration, rows, stick_r2 = calibrate(model, footage.held_out, before)
    if rows is not None:
        write_json(out / "risk.json", choose(rows, RISK))
    calibration.save(out)
    new = [name for name in facts["slots"] if base is not None and name not in base.facts["slots"]]
    enough = sum(len(clip.pads) for clip in footage.held_out) >= MIN_ROWS
    return TrainedIdm(**footage.minutes, r2=stick_r2, new_slots=new, calibrated=enough)


def masks_of(footage: Sequence[Footage]) -> list[Share]:
    """The masks of `footage` as often as each comes, at most `MASKS_MOST`, evenly chosen by place and size."""
    masks = sorted(mask for clip in footage for mask in clip.masks)
    return masks if len(masks) <= MASKS_MOST else [masks[at * len(masks) // MASKS_MOST] for at in range(MASKS_MOST)]


def calibrate(model: Idm, held_out: Sequence[Footage], before: Calibration) -> tuple[Calibration, Matched | None, dict[str, float]]:
    """Fit the calibration on held-out footage; also its calibrated rows beside the recorded ones, and the R2 of each stick.

    Slots that the footage does not show stay as in `before`.
    """
    if not held_out:
        return before, None, {}
    predicted = [_predict(model, clip) for clip in held_out]
    pads, spreads = map(np.concatenate, zip(*predicted, strict=True))
    truth = np.concatenate([clip.pads[:] for clip in held_out])
    known = np.concatenate([clip.weight[:] > 0 for clip in held_out])
    calibration = before.updated(fit_calibration(pads, spreads, truth, known, model.facts["slots"]))
    videos = [
        aligned(clip.pts_s[:-1], *calibration.apply(*rows), clip.pads[:], clip.weight[:] > 0, 1 / float(np.median(np.diff(clip.pts_s[:]))))
        for clip, rows in zip(held_out, predicted, strict=True)
    ]
    matched = pool(videos)
    sticks = {SLOTS[index]: r2(*matched.columns(index)) for index in model.sticks}
    return calibration, matched, {name: value for name, value in sticks.items() if value is not None}


def _predict(model: Idm, clip: Footage) -> tuple[np.ndarray, np.ndarray]:
    """Pads [n, 25] and stick spreads [n, 4] of a clip, piece by piece: at once, 20 minutes need 7 GB for attention."""
    frames = (frame for at in range(0, len(clip.frames), READ_FRAMES) for frame in clip.frames[at : at + READ_FRAMES])
    pads, spreads = zip(*predict_rows(model, frames, game=clip.game), strict=True)
    return np.concatenate(pads), np.concatenate(spreads)

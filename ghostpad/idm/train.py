"""Train an IDM on every recorded row of some corpora, then calibrate it on the videos kept out.

Reads corpora; writes a run (see `ghostpad.train.checkpoint`), `risk.json` (thresholds that keep a promise, `ghostpad.measure.risk`) and
`calibration.json`, the last file of a finished IDM. With `data.labels` an earlier IDM's rows under videos without recorded
pads are learned from as well: a round of self-training. It may start from a finished run (`ghostpad.idm.tune`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ghostpad.base.errors import MissingError
from ghostpad.base.files import write_json
from ghostpad.base.pad import SLOTS
from ghostpad.corpus.folder import Corpus
from ghostpad.feed.footage import Footage
from ghostpad.feed.gather import gather, known_slots, slots_by_game
from ghostpad.idm.calibrate import MIN_ROWS, Calibration, fit_calibration
from ghostpad.idm.model import Idm, idm_window
from ghostpad.idm.settings import FinetuneRun, IdmRun, TuneSettings
from ghostpad.idm.stream import predict_rows
from ghostpad.idm.tune import apply_tuning, finetune_facts, load_init
from ghostpad.measure.match import Matched, aligned, pool
from ghostpad.measure.risk import choose
from ghostpad.measure.slots import r2
from ghostpad.train.checkpoint import load_model
from ghostpad.train.facts import corpus_facts
from ghostpad.train.loop import Training, train
from ghostpad.video.paint import Share

RISK = 0.02
"""The share of wrong presses that the thresholds in `risk.json` promise to stay below."""

MASKS_MOST = 32
"""How many masks of its footage an IDM remembers: their distribution, not each (a guess)."""


@dataclass(frozen=True)
class TrainedIdm:
    """What a training saw: minutes learned from by recorded pads and by pseudo-labels, minutes held out, the held-out R2 of each stick.

    new_slots   slots that the run it started from did not know
    calibrated  whether enough was held out to calibrate on
    """

    learned_minutes: float
    pseudo_label_minutes: float
    held_out_minutes: float
    r2: dict[str, float]
    new_slots: list[str]
    calibrated: bool


def train_idm(corpora: Sequence[Path], out: Path, run: IdmRun, init: Path | None = None) -> TrainedIdm:
    """Train to the end, or go on where an earlier process stopped.

    With `init` it starts from that finished IDM, whose settings of the model `run` must have (`ghostpad.idm.tune.finetune_settings`);
    what it knew and the footage says nothing about is kept, calibration, slots and licences. Raises `MissingError` for no recorded pads,
    as `ghostpad.feed.gather.gather` and `ghostpad.train.loop.train` do, and `SettingsError` where `out` is `init`.
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
    found = sorted(mask for clip in footage for mask in clip.masks)
    return found if len(found) <= MASKS_MOST else [found[at * len(found) // MASKS_MOST] for at in range(MASKS_MOST)]


def calibrate(model: Idm, held_out: Sequence[Footage], before: Calibration) -> tuple[Calibration, Matched | None, dict[str, float]]:
    """Fit the calibration on held-out footage; also its calibrated rows beside the truth, and the R2 of each stick there.

    What the footage says nothing about is left as `before` has it.
    """
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
    matched = pool(rows)
    sticks = {SLOTS[index]: r2(*matched.columns(index)) for index in model.sticks}
    return calibration, matched, {name: value for name, value in sticks.items() if value is not None}


def _read(model: Idm, clip: Footage) -> tuple[np.ndarray, np.ndarray]:
    """Beliefs [n, 25] and stick spreads [n, 4] of a clip, piece by piece: at once, 20 minutes need 7 GB for attention."""
    read = list(predict_rows(model, clip.frames, game=clip.game))
    return np.concatenate([pads for pads, _ in read]), np.concatenate([spreads for _, spreads in read])

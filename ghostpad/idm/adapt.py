"""Adapt an IDM to another game with a few minutes of labels: its eyes stay, what it concludes from them is learned anew.

Reads a finished run and footage with pads; writes another run, complete in itself (see `ghostpad.train.checkpoint`), with
`calibration.json` as its last file, and for video files a corpus `labelled/` in it. What looks at motion and pictures is frozen
(convolutions, batch norms, a SigLIP tower; with `adapt.eyes=learn` the batch norms alone); what makes row vectors of it, relates rows
and concludes from them learns, and so does the game's own row of the binding embedding (docs/design.md has what that brings). Cost:
35 s of one core with default settings, whatever the minutes (measured).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ghostpad.base.errors import MissingError, SettingsError
from ghostpad.base.files import write_json
from ghostpad.base.pad import SLOTS
from ghostpad.corpus.add.strict import take_files
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.feed.footage import Footage, load_footage, truth_rows
from ghostpad.feed.split import split_videos
from ghostpad.idm.calibrate import MIN_ROWS, Calibration
from ghostpad.idm.model import Idm
from ghostpad.idm.settings import AdaptRun
from ghostpad.idm.train import RISK, calibrate, known_slots, masks_of, minutes, slots_by_game
from ghostpad.measure.risk import choose
from ghostpad.nn.frames import SiglipEncoder
from ghostpad.train.checkpoint import load_model, run_fingerprint
from ghostpad.train.facts import corpus_facts
from ghostpad.train.loop import Training, train


@dataclass(frozen=True)
class AdaptedIdm:
    """What an adaptation saw: minutes learned from and held out, slots new to the IDM, the held-out R2 of each stick, and whether
    there was enough held out to calibrate on."""

    train_minutes: float
    held_out_minutes: float
    new_slots: list[str]
    r2: dict[str, float]
    calibrated: bool


def adapt_idm(base_run: Path, labelled: Sequence[Path], out: Path, run: AdaptRun, game: str | None = None) -> AdaptedIdm:
    """Adapt the IDM of `base_run` to corpora or video files with pads, or go on where an earlier process stopped.

    `game` names the game of the files (default: each file's name). Raises `MissingError`, `FormatError` or `MediaError` for a run,
    corpus or file that cannot be used, `SettingsError` for what does not fit together, and as `ghostpad.train.loop.train` does.
    """
    base, kept = load_model(base_run, Idm), Calibration.load(base_run)
    if Path(out).resolve() == Path(base_run).resolve():
        raise SettingsError(f"--out is {out}, the run to start from, which stays as it is: choose another folder")
    if run.data.labels != "none":
        raise SettingsError(f"data.labels is '{run.data.labels}': adapting learns from recorded pads alone")
    learned: list[Footage] = []
    held_out: list[Footage] = []
    chosen = _labelled(labelled, out / "labelled", game)
    for corpus, videos in chosen:
        few, tested = split_videos(videos, run.data.validation_share)
        for crf in (None, *run.data.reencode_crf):
            learned += load_footage(corpus, few, truth_rows, base.window, crf)
        held_out += load_footage(corpus, tested, truth_rows, base.window)
    if not learned:
        raise MissingError(f"nothing to learn from in {', '.join(map(str, labelled))}: no video of more than a frame could be read")
    facts = _facts(base, run_fingerprint(base_run), [corpus for corpus, _ in chosen], learned, run)

    def prepare(model: Idm) -> None:
        inherit(model, base)
        model.freeze(*_frozen(model, run))

    model = train(Training(Idm, base.settings, facts, [learned], [1.0], run.data, run.train, out, prepare))
    calibration, rows, r2 = calibrate(model, held_out, kept)
    if rows is not None:
        write_json(out / "risk.json", choose(rows, RISK))
    calibration.save(out)
    new = [name for name in model.facts["slots"] if name not in base.facts["slots"]]
    return AdaptedIdm(minutes(learned), minutes(held_out), new, r2, sum(len(clip.pads) for clip in held_out) >= MIN_ROWS)


@torch.no_grad()
def inherit(model: Idm, base: Idm) -> None:
    """Give `model` the weights of `base`, which may know fewer slots and games: a slot that is new keeps its fresh rows in the heads,
    a game that is new starts as a game that `base` has not met."""
    old = base.state_dict()
    games = [base.games.index(game) if game in base.games else len(base.games) for game in [*model.games, None]]
    for name, value in model.state_dict().items():
        part = name.partition(".")[0]
        if part == "binding":
            value.copy_(torch.zeros_like(value) if base.binding is None else old[name][games])
        elif part == "button_head":
            _move(value, old.get(name), model.buttons, base.buttons, (1, -1, 1))
        elif part == "event_head":
            _move(value, old.get(name), model.buttons, base.buttons, (2, -1, 1))
        elif part == "stick_head":
            _move(value, old.get(name), model.sticks, base.sticks, (1, -1, model.settings.bins))
        else:
            value.copy_(old[name])


def _frozen(model: Idm, run: AdaptRun) -> list[nn.Module]:
    """What stays: batch norms, which few labels would only unsettle, and unless the eyes learn, all that looks at pictures and motion
    but the linear layers that make row vectors of it."""
    kinds: tuple[type[nn.Module], ...] = (nn.BatchNorm1d, nn.BatchNorm2d)
    if run.adapt.eyes == "frozen":
        kinds += (nn.Conv2d, SiglipEncoder)
    eyes = [eye for eye in (model.motion, model.picture) if eye is not None]
    return [part for eye in eyes for part in eye.modules() if isinstance(part, kinds)]


def _move(new: Tensor, old: Tensor | None, slots: list[int], before: list[int], shape: tuple[int, int, int]) -> None:
    """Copy rows of a head by slot; `shape` says what a head's rows run over, -1 being its slots in pad order."""
    if old is not None:
        shared = [index for index in slots if index in before]
        moved = old.unflatten(0, shape)[:, [before.index(index) for index in shared]]
        new.unflatten(0, shape)[:, [slots.index(index) for index in shared]] = moved


def _labelled(paths: Sequence[Path], folder: Path, game: str | None) -> list[tuple[Corpus, list[str]]]:
    """Corpora and their videos with recorded pads; video files are gathered in a corpus at `folder`."""
    if not paths:
        raise SettingsError("--labelled names nothing: give corpus folders with recorded pads, or video files with pads beside them")
    files = [path for path in paths if not path.is_dir()]
    if game is not None and not files:
        raise SettingsError(f"--game is '{game}', but a corpus says itself which games it holds: leave --game out")
    chosen = []
    for path in paths:
        if path.is_dir():
            corpus = Corpus.open(path)
            recorded = set(corpus.labelled_ids(RECORDED))
            chosen.append((corpus, [id for id in corpus.ok_ids() if id in recorded]))
            if not chosen[-1][1]:
                raise MissingError(f"no video of {path} has recorded pads to learn from: 'ghostpad record' makes some")
    if files:
        corpus = Corpus.create(folder)
        chosen.append((corpus, take_files(corpus, files, game)))
    return chosen


def _facts(base: Idm, fingerprint: str, corpora: Sequence[Corpus], learned: Sequence[Footage], run: AdaptRun) -> dict[str, Any]:
    """What `base` knew and what is new: nothing is forgotten, licences least of all."""
    facts = dict(base.facts)
    for name, found in corpus_facts(corpora).items():
        facts[name] = sorted({*facts.get(name, ()), *found})
    by_game = dict(facts.get("by_game", {}))
    for game, slots in slots_by_game(learned).items():
        by_game[game] = _in_order(slots, by_game.get(game, ()))
    slots = _in_order(facts["slots"], known_slots(learned))
    facts |= {"masks": masks_of(learned) or facts.get("masks", [])}
    return facts | {"slots": slots, "by_game": by_game, "adapted_from": fingerprint, "adapted": run.adapt.model_dump(mode="json")}


def _in_order(*slots: Iterable[str]) -> list[str]:
    return sorted({name for some in slots for name in some}, key=SLOTS.index)

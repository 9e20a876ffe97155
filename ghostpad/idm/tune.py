"""Fine-tuning: an IDM that starts from a finished one and learns another game from a few minutes of recorded pads.

The encoders of motion and pictures are frozen (convolutions, batch norms, a SigLIP tower; with `tune.encoder=trainable` the batch norms
alone), but for the linear layers that make row vectors of them. These, all layers over time, the heads and the game's own row of the
binding embedding learn. New slots get heads of their own. docs/results.md has what that brings. Cost with default settings: 35 s of one
core, whatever the minutes (measured).
"""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ghostpad.base.pad import SLOTS
from ghostpad.idm.model import Idm
from ghostpad.idm.settings import CHANGEABLE, FinetuneRun, TuneSettings
from ghostpad.nn.frames import SiglipEncoder
from ghostpad.train.checkpoint import read_run
from ghostpad.train.finetune import finetune_run, inherited_facts

finetune_settings = partial(finetune_run, FinetuneRun, "idm", CHANGEABLE)
"""The settings of a training that starts from the IDM of a run, a recipe and flags: see `ghostpad.train.finetune.finetune_run`."""


def finetune_facts(init: Path, out: Path, facts: dict[str, Any], tune: TuneSettings) -> dict[str, Any]:
    """The facts of an IDM that starts from `init`: slots and games of both, and masks and labels of `init` where the footage has none.

    Raises as `ghostpad.train.finetune.inherited_facts` does.
    """
    old: dict[str, Any] = read_run(init, "idm")["facts"]
    games: dict[str, list[str]] = old.get("by_game", {})
    by_game = games | {game: _in_order(slots, games.get(game, ())) for game, slots in facts["by_game"].items()}
    own = {"slots": _in_order(old["slots"], facts["slots"]), "by_game": by_game, "masks": facts["masks"] or old.get("masks", [])}
    labels = old.get("labels", "none") if facts["labels"] == "none" else facts["labels"]
    return inherited_facts(init, out, "idm", facts) | own | {"labels": labels, "tuned": tune.model_dump(mode="json")}


@torch.no_grad()
def load_init(model: Idm, init: Idm) -> None:
    """Give `model` the weights of `init`, which may have fewer slots and games: a new slot keeps its fresh rows in the heads, a new game
    starts as any other game in `init`. Both have the same settings but for `CHANGEABLE` ones."""
    old = init.state_dict()
    games = [init.games.index(game) if game in init.games else len(init.games) for game in [*model.games, None]]
    for name, value in model.state_dict().items():
        match name.partition(".")[0]:
            case "binding":
                value.copy_(torch.zeros_like(value) if init.binding is None else old[name][games])
            case "button_head":
                _move(value, old.get(name), model.buttons, init.buttons, (1, -1, 1))
            case "event_head":
                _move(value, old.get(name), model.buttons, init.buttons, (2, -1, 1))
            case "stick_head":
                _move(value, old.get(name), model.sticks, init.sticks, (1, -1, model.settings.bins))
            case _:
                value.copy_(old[name])


def apply_tuning(model: Idm, tune: TuneSettings) -> None:
    """Freeze batch norms, whose statistics a few minutes would only disturb, and, unless they are to be trainable, the encoders."""
    kinds: tuple[type[nn.Module], ...] = (nn.BatchNorm1d, nn.BatchNorm2d)
    if tune.encoder == "frozen":
        kinds += (nn.Conv2d, SiglipEncoder)
    encoders = [encoder for encoder in (model.motion, model.picture) if encoder is not None]
    model.freeze(*(part for encoder in encoders for part in encoder.modules() if isinstance(part, kinds)))


def _move(new: Tensor, old: Tensor | None, slots: list[int], before: list[int], shape: tuple[int, int, int]) -> None:
    """Copy the rows of a head by slot; `shape` is that of its rows, with -1 for its slots in pad order."""
    if old is not None:
        shared = [index for index in slots if index in before]
        moved = old.unflatten(0, shape)[:, [before.index(index) for index in shared]]
        new.unflatten(0, shape)[:, [slots.index(index) for index in shared]] = moved


def _in_order(*slots: Iterable[str]) -> list[str]:
    return sorted(set().union(*slots), key=SLOTS.index)

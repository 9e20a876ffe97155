"""Fine-tuning: a policy that starts from the weights of a finished run, all of which learn, or some only a little or not at all.

Reads a run folder of a policy, trained here or imported from NitroGen. Its settings of the model stay, but for those that only say how
it learns or plays (`CHANGEABLE`); the facts of the new run keep those of the old, licences among them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ghostpad.base.errors import FormatError, SettingsError
from ghostpad.base.settings import build_settings, given_values
from ghostpad.nn.lora import add_lora
from ghostpad.policy.settings import CHANGEABLE, FinetuneRun, TuneSettings
from ghostpad.train.checkpoint import load_weights, read_run, run_fingerprint
from ghostpad.train.model import Model


def finetune_settings(init: Path, recipe: Path | None, overrides: Sequence[str]) -> FinetuneRun:
    """The settings of a training that starts from the run `init`: its own of the model, and what a recipe and overrides say.

    Raises `SettingsError` for a setting of the model that its weights do not allow, and for all problems that `load_settings` tells.
    """
    values = given_values(recipe, overrides)
    built = read_run(init, "policy")["model"]
    asked = values.get("model", {})
    if isinstance(asked, dict):
        wrong = [name for name, value in asked.items() if name in built and name not in CHANGEABLE and value != built[name]]
        if wrong:
            raise SettingsError(
                [
                    f"model.{name} is {asked[name]!r}, but {init} was built with {built[name]!r}: leave it out to start there"
                    for name in wrong
                ]
            )
        values = values | {"model": built | asked}
    return build_settings(FinetuneRun, values, str(recipe or "--set"))


def inherited_facts(init: Path, out: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """The facts of a run that starts from `init`: what that one knew, and what is new; it plays the slots that `init` plays.

    Raises `SettingsError` where the new footage knows slots that `init` does not play, or `out` is `init`.
    """
    if out.resolve() == init.resolve():
        raise SettingsError(f"--out is {out}, the run to start from, which stays as it is: choose another folder")
    old: dict[str, Any] = read_run(init, "policy")["facts"]
    if new := [name for name in facts["slots"] if name not in old["slots"]]:
        raise SettingsError(f"{init} does not play {', '.join(new)}, which the footage uses: train a policy of its own, without --init")
    together = {name: sorted({*old.get(name, ()), *facts[name]}) for name in ("games", "players", "fps", "sources", "licences")}
    labels = [*old.get("labels", ()), *facts["labels"]]
    return old | facts | together | {"slots": old["slots"], "labels": labels, "started_from": run_fingerprint(init)}


def start_from(model: Model, init: Path) -> None:
    """Give `model` the weights of `init`. Raises `FormatError` naming what does not fit."""
    try:
        model.load_state_dict(load_weights(init))
    except RuntimeError as error:
        raise FormatError(f"the weights of {init} do not fit these settings: {' '.join(str(error).split())}") from None


def hold_back(model: Model, tune: TuneSettings) -> None:
    """Freeze parts of the model, or let them learn low-rank additions alone. Raises `SettingsError` for a part without linear layers."""
    parts = {name: getattr(model, name) for name in tune.parts}
    if tune.how == "freeze":
        model.freeze(*parts.values())
    if tune.how == "lora":
        without = [name for name, part in parts.items() if not add_lora(part, tune.rank)]
        if without:
            raise SettingsError(
                f"the {' and '.join(without)} of this policy has no linear layers for LoRA: leave it out of tune.parts, or freeze it"
            )

"""Fine-tuning: a policy that starts from the weights of a finished run, of which parts may be frozen or learn by LoRA.

Reads a run folder of a policy, trained here or imported from NitroGen. The model's settings stay, except for `CHANGEABLE` ones; the new
run keeps the facts of the old, licences included.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ghostpad.base.errors import FormatError, SettingsError
from ghostpad.nn.lora import add_lora
from ghostpad.policy.settings import CHANGEABLE, FinetuneRun, TuneSettings
from ghostpad.train.checkpoint import load_weights, read_run
from ghostpad.train.finetune import finetune_run, inherited_facts
from ghostpad.train.model import Model


def finetune_settings(init: Path, recipe: Path | None, flags: Mapping[str, Any]) -> FinetuneRun:
    """The settings of a training that starts from the run `init`. Errors as `ghostpad.train.finetune.finetune_run`."""
    return finetune_run(FinetuneRun, "policy", CHANGEABLE, init, recipe, flags)


def finetune_facts(init: Path, out: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """The facts of a policy that starts from `init`: the old and the new ones; it plays the slots that `init` plays.

    Raises `SettingsError` where the new footage has slots that `init` does not play, and as `ghostpad.train.finetune.inherited_facts`.
    """
    both, old = inherited_facts(init, out, "policy", facts), read_run(init, "policy")["facts"]
    if new := [name for name in facts["slots"] if name not in old["slots"]]:
        raise SettingsError(f"{init} does not play {', '.join(new)}, which the footage uses: train a policy of its own, without --init")
    return both | {"slots": old["slots"], "labels": [*old.get("labels", ()), *facts["labels"]]}


def load_init(model: Model, init: Path) -> None:
    """Give `model` the weights of `init`. Raises `FormatError` naming what does not fit."""
    try:
        model.load_state_dict(load_weights(init))
    except RuntimeError as error:
        raise FormatError(f"the weights of {init} do not fit these settings: {' '.join(str(error).split())}") from None


def apply_tuning(model: Model, tune: TuneSettings) -> None:
    """Freeze parts of the model, or add LoRA to them. Raises `SettingsError` for LoRA in a part without linear layers."""
    parts = {name: getattr(model, name) for name in tune.parts}
    if tune.how == "freeze":
        model.freeze(*parts.values())
    if tune.how == "lora":
        without = [name for name, part in parts.items() if not add_lora(part, tune.rank)]
        if without:
            raise SettingsError(
                f"the {' and '.join(without)} of this policy has no linear layers for LoRA: leave it out of tune.parts, or freeze it"
            )

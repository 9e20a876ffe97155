"""`ghostpad train idm` and `ghostpad train policy`."""

import os
from pathlib import Path
from typing import Annotated

import tyro

from ghostpad.base.errors import SettingsError
from ghostpad.base.places import Place
from ghostpad.base.settings import load_settings
from ghostpad.cli.arguments import PlacePath
from ghostpad.cli.flags import Flags, SettingFlags
from ghostpad.idm.settings import FinetuneRun, IdmRun
from ghostpad.policy.settings import PolicyRun

_Corpora = Annotated[
    list[PlacePath],
    tyro.conf.Positional,
    tyro.conf.arg(metavar="CORPUS...", help="One or more corpora: folders or addresses.", help_behavior_hint="(required)"),
]
_Recipe = Annotated[Path | None, tyro.conf.arg(metavar="FILE", help="A TOML file of settings ('ghostpad settings' prints one).")]
_IDM_FLAGS, _POLICY_FLAGS = Flags(FinetuneRun(train=IdmRun().train)), Flags(PolicyRun())
"""The settings of each training, those of fine-tuning included, with the defaults of a training from scratch."""


def train_idm(
    corpora: _Corpora,
    *,
    out: Path,
    init: Path | None = None,
    recipe: _Recipe = None,
    settings: SettingFlags = _IDM_FLAGS,
) -> None:
    """Train an inverse dynamics model (IDM) on recorded gamepads.

    Writes the run folder --out: run.json (settings and facts), model.safetensors, calibration.json, validation.json and TensorBoard
    curves. Safe to interrupt: re-run to resume from the last checkpoint. Every setting below can also stand in a recipe; a flag overrides
    it. With --init, a few minutes of recorded gamepads and less than a minute of training teach a trained IDM another game and its buttons.

    Args:
        out: The run folder to write.
        init: A trained IDM to fine-tune, e.g. for another game. Its model settings stay; the others have the defaults of
            'settings finetune-idm'.
    """
    _check_named(corpora)
    if init is None:
        if "tune" in settings.values:
            raise SettingsError("--tune says which parts of a trained IDM learn: name the IDM to start from, --init RUN")
        run = load_settings(IdmRun, recipe, settings.values)
    else:
        from ghostpad.idm.tune import finetune_settings  # here, because torch takes seconds to import

        run = finetune_settings(init, recipe, settings.values)
    from ghostpad.idm.train import train_idm as work  # here, because torch takes seconds to import

    trained = work(corpora, out, run, init)
    if not _is_first():
        return
    pseudo = f" and {trained.pseudo_label_minutes:.1f} min of pseudo-labels" if trained.pseudo_label_minutes else ""
    new = f"; new: {', '.join(trained.new_slots)}" if trained.new_slots else ""
    print(f"{out}: IDM trained on {trained.learned_minutes:.1f} min of recorded pads{pseudo}{new}")
    held_out = ", ".join(f"{name} R2 {value:.3f}" for name, value in trained.r2.items()) or "nothing to measure on"
    print(f"  on {trained.held_out_minutes:.1f} min held out: {held_out}")
    if not trained.calibrated:
        kept = f"slots that {init} knew keep its calibration, new ones have none" if init else "its confidence is not calibrated"
        print(f"  too little held out to calibrate on: {kept}")


def train_policy(
    corpora: _Corpora,
    *,
    out: Path,
    init: Path | None = None,
    recipe: _Recipe = None,
    oracle: Path | None = None,
    settings: SettingFlags = _POLICY_FLAGS,
) -> None:
    """Train an agent on recorded gamepads, on an IDM's pseudo-labels, or on both, mixed by --data.truth-share.

    Writes the run folder --out: run.json (settings and facts), model.safetensors and TensorBoard curves. Safe to interrupt: re-run to
    resume from the last checkpoint, even with another --data.workers or, under torchrun, another number of processes. Every setting
    below can also stand in a recipe; a flag overrides it. With --init, --tune.how says which parts of the policy learn.

    Args:
        out: The run folder to write.
        init: A trained policy to fine-tune, e.g. NitroGen's. Its model settings stay; the others have the defaults of
            'settings finetune-policy'.
        oracle: A folder of withheld gamepads to learn from in place of pseudo-labels, as an upper bound for these.
    """
    _check_named(corpora)
    if init is None:
        run = load_settings(PolicyRun, recipe, settings.values)
    else:
        from ghostpad.policy.tune import finetune_settings  # here, because torch takes seconds to import

        run = finetune_settings(init, recipe, settings.values)
    from ghostpad.policy.train import train_policy as work  # here, because torch takes seconds to import

    trained = work(corpora, out, run, oracle, init)
    if not _is_first():
        return
    pseudo = (
        f" and {trained.pseudo_label_minutes:.1f} min of {', '.join(dict.fromkeys(trained.sources))}"
        if trained.pseudo_label_minutes
        else ""
    )
    print(
        f"{out}: policy trained on {trained.learned_minutes:.1f} min of recorded pads{pseudo}; {trained.held_out_minutes:.1f} min held out"
    )


def _is_first() -> bool:
    """Whether this is the process that prints, of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def _check_named(corpora: list[Place]) -> None:
    if not corpora:
        raise SettingsError("no CORPUS is named: name one or more corpus folders to learn from")

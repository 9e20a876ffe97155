"""`ghostpad train idm` and `ghostpad train policy`."""

import os
from pathlib import Path
from typing import Annotated

import tyro

from ghostpad.base.settings import load_settings
from ghostpad.idm.settings import IdmRun
from ghostpad.policy.settings import FinetuneRun

CorpusPaths = Annotated[list[Path], tyro.conf.Positional, tyro.conf.arg(metavar="CORPUS...", help="One or more corpus folders.")]
"""Corpora to learn from."""

Overrides = Annotated[
    tuple[str, ...],
    tyro.conf.arg(name="set", metavar="NAME=VALUE...", help="Settings that differ, e.g. train.steps=200 ('ghostpad settings' lists them)."),
]
"""Settings by name."""


def train_idm(corpora: CorpusPaths, *, out: Path, init: Path | None = None, recipe: Path | None = None, overrides: Overrides = ()) -> None:
    """Train an inverse dynamics model on the recorded pads of some corpora.

    Writes the run folder --out: run.json (settings and facts), model.safetensors, calibration.json and tensorboard curves.
    Stopped, the same command goes on from the last checkpoint.

    Args:
        out: The run folder to write.
        init: A finished IDM to start from, to teach it another game from a few minutes of recorded pads in less than a minute. The
            settings of the model are then its own, and the other defaults those of 'ghostpad settings finetune-idm'.
        recipe: A TOML file of settings that differ from the defaults.
    """
    run = load_settings(IdmRun, recipe, overrides) if init is None else _finetune_idm(init, recipe, overrides)
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
        kept = f"what {init} knew keeps its calibration, what is new has none" if init else "its confidence is not calibrated"
        print(f"  too little held out to calibrate on: {kept}")


def _finetune_idm(init: Path, recipe: Path | None, overrides: tuple[str, ...]) -> IdmRun:
    from ghostpad.idm.tune import finetune_settings  # here, because torch takes seconds to import

    return finetune_settings(init, recipe, overrides)


def train_policy(
    corpora: CorpusPaths,
    *,
    out: Path,
    init: Path | None = None,
    recipe: Path | None = None,
    overrides: Overrides = (),
    oracle: Path | None = None,
) -> None:
    """Train an agent on recorded pads, on an IDM's labels, or on both mixed by data.truth_share.

    Writes the run folder --out: run.json (settings and facts), model.safetensors and tensorboard curves. Stopped, the same
    command goes on from the last checkpoint, also with other data.workers or, under torchrun, another number of processes.

    Args:
        out: The run folder to write.
        init: A finished policy to start from, trained here or imported from NitroGen. The settings of the model are then its own, the
            other defaults those of 'ghostpad settings finetune', and tune.how says whether all of it learns.
        recipe: A TOML file of settings that differ from the defaults.
        oracle: A folder of withheld pads to learn from in the place of labels: the bound that no labels can beat.
    """
    from ghostpad.policy.settings import PolicyRun

    run: PolicyRun = load_settings(PolicyRun, recipe, overrides) if init is None else _finetune_settings(init, recipe, overrides)
    from ghostpad.policy.train import train_policy as work  # here, because torch takes seconds to import

    trained = work(corpora, out, run, oracle, init)
    if not _is_first():
        return
    pseudo = f" and {trained.pseudo_label_minutes:.1f} min of {', '.join(trained.sources)}" if trained.pseudo_label_minutes else ""
    print(
        f"{out}: policy trained on {trained.learned_minutes:.1f} min of recorded pads{pseudo}; {trained.held_out_minutes:.1f} min held out"
    )


def _finetune_settings(init: Path, recipe: Path | None, overrides: tuple[str, ...]) -> FinetuneRun:
    from ghostpad.policy.tune import finetune_settings  # here, because torch takes seconds to import

    return finetune_settings(init, recipe, overrides)


def _is_first() -> bool:
    """Whether this process speaks for those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"

"""`ghostpad adapt idm`: teach an IDM another game from a few minutes of known pads."""

from pathlib import Path
from typing import Annotated

import tyro

from ghostpad.base.settings import load_settings
from ghostpad.cli.arguments import RunPath
from ghostpad.cli.train import Overrides

Labelled = Annotated[
    tuple[Path, ...],
    tyro.conf.arg(metavar="PATH...", help="Corpus folders with recorded pads, or video files with <same name>.parquet beside them."),
]
"""Footage of the other game."""


def adapt_idm(
    run: RunPath, *, labelled: Labelled, out: Path, game: str | None = None, recipe: Path | None = None, overrides: Overrides = ()
) -> None:
    """Adapt an IDM to another game: a few minutes of known pads, less than a minute of training.

    Writes the run folder --out, complete in itself; RUN stays as it is. What looks at the pictures is kept; what is concluded from
    it is learned anew, and buttons that RUN did not know are added. Of video files, copies with their pads lie in --out/labelled.
    Stopped, the same command goes on from the last checkpoint.

    Args:
        out: The run folder to write.
        game: The game of the video files (default: the name of each file).
        recipe: A TOML file of settings that differ from the defaults ('ghostpad settings adapt' lists them).
    """
    from ghostpad.idm.settings import AdaptRun

    settings = load_settings(AdaptRun, recipe, overrides)
    from ghostpad.idm.adapt import adapt_idm as work  # here, because torch takes seconds to import

    adapted = work(run, labelled, out, settings, game)
    new = f", new: {', '.join(adapted.new_slots)}" if adapted.new_slots else ""
    print(f"{out}: {run} adapted with {adapted.train_minutes:.1f} min{new}")
    held_out = ", ".join(f"{name} R2 {value:.3f}" for name, value in adapted.r2.items()) or "nothing to measure on"
    print(f"  on {adapted.held_out_minutes:.1f} min held out: {held_out}")
    if not adapted.calibrated:
        print(f"  too little held out to calibrate on: what {run} knew keeps its calibration, what is new has none")

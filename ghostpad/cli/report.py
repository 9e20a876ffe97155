"""`ghostpad report`: an HTML report of a folder of results."""

from pathlib import Path
from typing import Annotated

import tyro

OutPath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT", help="A folder such as `ghostpad demo` makes.")]
"""A folder of corpora, runs and evaluations."""


def report(out: OutPath, *, picture: Path | None = None) -> None:
    """Write an HTML report of a folder: returns of agents, quality of the IDM, clips, what filters dropped, settings.

    Reads results.json, eval/*.json, clips/*.mp4, the corpora wild and recorded and the true pads in truth. Writes OUT/report.html,
    one file with everything inside. What is missing is named there with the command that makes it.

    Args:
        picture: Write a still picture (PNG) here instead, like the one in the README.
    """
    if picture is not None:
        from ghostpad.view.still import write_picture  # here, because matplotlib takes half a second to import

        print(write_picture(out, picture))
    else:
        from ghostpad.view.report import write_report  # here, because matplotlib takes half a second to import

        print(write_report(out))

"""`ghostpad report`: an HTML report of a folder of results."""

from pathlib import Path
from typing import Annotated

import tyro

_Out = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT", help="A folder such as 'ghostpad demo' makes.")]


def report(out: _Out, *, picture: Path | None = None) -> None:
    """Write an HTML report of a folder: returns of agents, quality of the IDM, clips, what filters dropped, settings.

    Reads results.json, eval/*.json, clips/*.mp4, the corpora in wild/ and recorded/, and the withheld pads in truth/. Writes
    OUT/report.html, a single file with everything inside. For anything missing it names the command that makes it.

    Args:
        picture: Write a still picture (PNG) here instead, like the one in the README.
    """
    from ghostpad.view.report import write_report  # here, because matplotlib takes half a second to import
    from ghostpad.view.still import write_picture

    print(write_report(out) if picture is None else write_picture(out, picture))

"""Stage 1: the inverse dynamics model, which reads the pad between two frames from the frames around them.

Importing this package is cheap; its functions import torch.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from ghostpad.idm.model import Idm


def load(run: str | Path) -> "Idm":
    """The finished IDM of a run folder, its calibration attached, ready to `label` videos: on a GPU if there is one, else on the CPU.

    Raises `MissingError` if there is no run, or it is not finished or not calibrated, and `FormatError` for another kind of
    model, another pad layout, or broken weights.

    >>> idm = ghostpad.load_idm("runs/idm")
    >>> labels = idm.label("clip.mp4")  # pts_s, a probability a button, a mean and a spread a stick axis, confidence
    """
    import torch  # here, because it takes seconds to import

    from ghostpad.idm.calibrate import Calibration
    from ghostpad.idm.model import Idm
    from ghostpad.train.checkpoint import load_model

    model = load_model(run, Idm)
    model.calibration = Calibration.load(Path(run))
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def label_file(video: str | Path, run: str | Path, *, game: str | None = None) -> "pa.Table":
    """The pseudo-labels of one video file by the IDM of a run folder: one row a frame but the last, as from `Idm.label`.

    For several files load the IDM once and call its `label`. Raises what `load_idm` and `Idm.label` raise.

    >>> labels = ghostpad.label_file("clip.mp4", "runs/idm")
    >>> score = ghostpad.score(labels, recorded, fps=35 / 2)  # beside the recorded pads of the same video
    """
    return load(run).label(video, game=game)

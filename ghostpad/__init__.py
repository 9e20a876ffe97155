"""ghostpad reads the controller nobody recorded: gameplay video in, gamepad labels and agents out.

    import ghostpad

    labels = ghostpad.label_file("clip.mp4", "runs/idm")  # a pyarrow table, one row a frame
    print(ghostpad.score(labels, recorded, fps=60)["macro"])

`__all__` is what other programs may rely on (docs/api.md); the rest may change. Each name is imported when it is first used.

The folders of this package are the pipeline. `_FOLDERS` lists them in one order, which is at once the reading order, the
order in which data flows and the import law: a file imports from its own folder and from folders earlier in the list.
`tests/test_shape.py` reads every import and fails on a breach.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["open_corpus", "load_idm", "label_file", "score", "load_policy", "SLOTS", "GhostpadError", "__version__"]

_DOOR = {
    "open_corpus": ("ghostpad.corpus", "open"),
    "load_idm": ("ghostpad.idm", "load"),
    "label_file": ("ghostpad.idm", "label_file"),
    "score": ("ghostpad.measure", "score"),
    "load_policy": ("ghostpad.policy", "load"),
    "SLOTS": ("ghostpad.base.pad", "SLOTS"),
    "GhostpadError": ("ghostpad.base.errors", "GhostpadError"),
}
"""Where each public name lives: its module, and its name there."""

if TYPE_CHECKING:  # the same names for type checkers, which do not run `__getattr__`
    from ghostpad.base.errors import GhostpadError
    from ghostpad.base.pad import SLOTS
    from ghostpad.corpus import open as open_corpus
    from ghostpad.idm import label_file
    from ghostpad.idm import load as load_idm
    from ghostpad.measure import score
    from ghostpad.policy import load as load_policy
else:

    def __getattr__(name: str) -> Any:
        """A public name, imported when first used."""
        if name not in _DOOR:
            raise AttributeError(f"module 'ghostpad' has no attribute '{name}'", name=name, obj=sys.modules[__name__])
        module, own_name = _DOOR[name]
        return globals().setdefault(name, getattr(import_module(module), own_name))


def __dir__() -> list[str]:
    """The public names and the private ones, without the folders that happen to be imported."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("_"))})


_FOLDERS: tuple[str, ...] = (
    "base",  # the pad, records, table schemas, errors, atomic files, settings
    "video",  # probe, decode by time stamp, record, proxy
    "games",  # a game as a gamepad environment, scripted players
    "corpus",  # footage and rows on disk: a subfolder for each way in and each check
    "measure",  # predicted rows against true rows, without torch
    "feed",  # windows of frames and rows -> batches
    "nn",  # blocks that know no game and no pad
    "train",  # one loop for every model
    "idm",  # stage 1: the inverse dynamics model
    "label",  # stage 2: one video -> pseudo-labels
    "filters",  # stage 3: which rows to trust
    "policy",  # stage 4: the agent
    "view",  # pictures and pages
    "cli",  # the commands
    "lab",  # studies, benchmarks, made-up data: may import everything, imported by nothing
)
"""The import order of the folders, earliest first."""

"""ghostpad reads the controller nobody recorded: gameplay video in, gamepad labels and agents out.

The folders of this package are the pipeline. `_FOLDERS` lists them in one order, which is at once the reading order, the
order in which data flows and the import law: a file imports from its own folder and from folders earlier in the list.
`tests/test_shape.py` reads every import and fails on a breach.
"""

__version__ = "0.1.0"

_FOLDERS: tuple[str, ...] = (
    "base",  # the pad, records, table schemas, errors, atomic files, settings
    "video",  # probe, decode by time stamp, record, proxy
    "games",  # a game as a gamepad environment, scripted players
    "corpus",  # footage and rows on disk: one subfolder a way in, one a check
    "measure",  # predicted rows against true rows, without torch
    "feed",  # windows of frames and rows -> batches
    "nn",  # blocks that know no game and no pad
    "train",  # one loop for every model
    "idm",  # stage 1: the inverse dynamics model
    "label",  # stage 2: one video -> label rows
    "filters",  # stage 3: which rows to believe
    "policy",  # stage 4: the agent
    "view",  # pictures and pages
    "cli",  # the commands
    "lab",  # studies, benchmarks, made-up data: may import everything, imported by nothing
)
"""The import order of the folders, earliest first."""

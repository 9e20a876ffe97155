"""`ghostpad corpus set-mask`: where a controller is drawn into videos."""

from typing import Annotated

import tyro

from ghostpad.base.errors import SettingsError
from ghostpad.cli.arguments import CorpusPath
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.masks import set_masks

_VideoIds = Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="VIDEO")]


def set_mask(
    corpus: CorpusPath,
    videos: _VideoIds,
    *,
    box: tuple[float, float, float, float] | None = None,
    of: tuple[int, int] | None = None,
    none: bool = False,
) -> None:
    """Say where a controller is drawn into videos, so that no model sees it; or, with --none, that none is drawn.

    Checks the box against the size of each video and writes it to the table of videos; if one does not fit, nothing is written. Running
    'corpus index' on shards that hold the video puts the dataset's box back.

    Args:
        videos: The ids of the videos.
        box: X Y WIDTH HEIGHT of the controller in pixels, from the top left corner. The mask reaches 8 pixels further.
        of: WIDTH HEIGHT of the picture that the box was measured in [default: each video's own].
        none: No controller is drawn.
    """
    if not videos or (box is None) != none or (of and none):
        raise SettingsError("name videos, and either --box X Y WIDTH HEIGHT [--of WIDTH HEIGHT] or --none")
    opened = Corpus.open(corpus)
    set_masks(opened, videos, box, of)
    print(f"{corpus}: {'no mask' if none else 'mask set'}: {', '.join(videos)}")
    for source in opened.sources():
        old = sorted({id for id in videos if opened.actions_path(source, id).exists()})
        if source != RECORDED and old:
            print(f"  {source} was made with the old mask: remove its rows of {', '.join(old)} in actions/{source}, and label again")
    print(f"next: ghostpad corpus check-masks {corpus}")

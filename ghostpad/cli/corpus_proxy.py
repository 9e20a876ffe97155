"""`ghostpad corpus proxy`: small copies of a corpus's videos."""

from ghostpad.cli.arguments import CorpusPath
from ghostpad.corpus.folder import Corpus, unreadable_lines
from ghostpad.corpus.proxies import make_proxies


def proxy(corpus: CorpusPath, *, px: int = 256) -> int:
    """Make small copies of the videos, to look at or for other tools; ghostpad itself reads none of them.

    Writes proxy/<px>/<id>.mp4 for every video that has none yet: the same frames and time stamps, with drawn controllers masked and a
    keyframe every 15 frames, so that a player or data loader can jump to any frame quickly. Safe to interrupt: re-run to resume.
    Exit status: 1 if a video cannot be read.

    Args:
        px: Short side of the copies in pixels; a smaller video is not enlarged.
    """
    counts = make_proxies(Corpus.open(corpus), px)
    print(f"{corpus}: {counts.made} copies made, {counts.present} made before", *unreadable_lines(corpus, counts.unreadable), sep="\n")
    return 1 if counts.unreadable else 0

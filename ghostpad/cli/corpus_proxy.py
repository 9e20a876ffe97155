"""`ghostpad corpus proxy`: small copies of a corpus's videos."""

from ghostpad.cli.arguments import CorpusPath
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.proxies import make_proxies


def proxy(corpus: CorpusPath, *, px: int = 256) -> None:
    """Make small copies of the videos that can be read at any frame, which training and labelling do all the time.

    Writes proxy/<px>/<id>.mp4 for every video of the corpus that has none yet. A video that cannot be read is marked broken in
    videos.parquet, with the reason, and is left out from then on.

    Args:
        px: Short side of the copies in pixels; a smaller video is not enlarged.
    """
    counts = make_proxies(Corpus.open(corpus), px)
    print(f"{corpus}: {counts.made} copies made, {counts.present} were there, {len(counts.broken)} videos broken")
    for id, reason in counts.broken.items():
        print(f"  broken: {id}: {reason}")

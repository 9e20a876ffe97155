"""`ghostpad label`: write an IDM's belief under every frame of a corpus."""

from pathlib import Path

from ghostpad.cli.arguments import CorpusPath
from ghostpad.corpus.folder import Corpus, unreadable_lines


def label(corpus: CorpusPath, *, idm: Path, workers: int = 0) -> None:
    """Label every video of a corpus with an IDM: probabilities, stick means and spreads, one row a frame.

    Writes actions/idm-<fingerprint>/<video>.parquet. Safe to interrupt: re-run to resume with the next video. A video that
    cannot be read is reported with the reason and tried again by the next run.

    Args:
        idm: The run folder of a trained IDM.
        workers: Processes that label side by side, one core each (0: this process alone).
    """
    opened = Corpus.open(corpus)
    from ghostpad.label.label import label_corpus  # here, because torch takes seconds to import

    done = label_corpus(opened, idm, workers=workers)
    print(
        f"{corpus}: {done.made} videos ({done.minutes:.1f} min) labelled as {done.source}, {done.present} before",
        *unreadable_lines(corpus, done.unreadable),
        sep="\n",
    )

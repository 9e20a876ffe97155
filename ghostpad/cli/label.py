"""`ghostpad label`: pseudo-label a corpus with an IDM."""

from pathlib import Path

from ghostpad.cli.arguments import CorpusPath
from ghostpad.corpus.folder import Corpus, unreadable_lines


def label(corpus: CorpusPath, *, idm: Path, workers: int = 0) -> None:
    """Pseudo-label every video of a corpus with an IDM: button probabilities, stick means and spreads, one row a frame.

    Writes actions/idm-<fingerprint>/<video>.parquet. Safe to interrupt: re-run to resume. A video that cannot be read is reported
    with the reason and tried again by the next run.

    Args:
        idm: The run folder of a trained IDM.
        workers: Processes that label in parallel, one core each (0: this one).
    """
    opened = Corpus.open(corpus)
    from ghostpad.label.label import label_corpus  # here, because torch takes seconds to import

    done = label_corpus(opened, idm, workers=workers)
    print(
        f"{corpus}: {done.made} videos ({done.minutes:.1f} min) labelled as {done.source}, {done.present} before",
        *unreadable_lines(corpus, done.unreadable),
        sep="\n",
    )

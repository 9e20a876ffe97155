"""`ghostpad label`: pseudo-label a corpus with an IDM."""

from pathlib import Path

from ghostpad.base.lines import few_lines
from ghostpad.cli.arguments import CorpusPath
from ghostpad.corpus.folder import Corpus, unreadable_lines


def label(corpus: CorpusPath, *, idm: Path, workers: int = 0, retry: str | None = None) -> int:
    """Pseudo-label every video of a corpus with an IDM: button probabilities, stick means and spreads, one row a frame.

    Writes actions/idm-<fingerprint>/<video>.parquet. Safe to interrupt: re-run to resume. Of a video that is damaged in the middle the good
    parts are labelled. A video that cannot be read is reported with the reason, and the exit status is 1; it is not tried again while its
    footage stays the same, unless --retry names its reason.

    Args:
        idm: The run folder of a trained IDM.
        workers: Processes that label in parallel, one core each (0: this one).
        retry: Try the videos again whose reason contains this text, or all that failed ('all').
    """
    opened = Corpus.open(corpus)
    from ghostpad.label.label import label_corpus  # here, because torch takes seconds to import

    done = label_corpus(opened, idm, workers=workers, retry=retry)
    skipped = f"{corpus}: {len(done.skipped)} videos failed before and were not tried again: --retry names a reason, or 'all'"
    print(
        f"{corpus}: {done.made} videos ({done.minutes:.1f} min) labelled as {done.source}, {done.present} before",
        *unreadable_lines(corpus, done.unreadable),
        *([skipped] if done.skipped else []),
        *few_lines([f"  {id}: {reason}" for id, reason in sorted((done.skipped | done.in_parts).items())], "videos"),
        sep="\n",
    )
    return 1 if done.unreadable or done.skipped else 0

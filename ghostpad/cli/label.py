"""`ghostpad label`: pseudo-label a corpus with an IDM."""

from pathlib import Path

from ghostpad.base.engines.settings import Share
from ghostpad.base.lines import few_lines
from ghostpad.base.settings import load_settings
from ghostpad.cli.arguments import CorpusPath
from ghostpad.cli.flags import Flags, SettingFlags
from ghostpad.corpus.folder import Corpus, unreadable_lines
from ghostpad.label.settings import LabelSettings
from ghostpad.label.units import STRETCH_S

LABEL = Flags(LabelSettings())
"""The default of a parameter that says who labels, and how."""


def label(
    corpus: CorpusPath,
    *,
    idm: Path,
    engine: SettingFlags = LABEL,
    share: str | None = None,
    stretch_s: float = STRETCH_S,
    retry: str | None = None,
    dry_run: bool = False,
) -> int:
    """Pseudo-label every video of a corpus with an IDM: button probabilities, stick means and spreads, one row a frame.

    Writes actions/idm-<fingerprint>/<video>.parquet. Safe to interrupt: re-run to resume, on any machine, also on several at once. Of a
    video that is damaged in the middle the good parts are labelled. A video that cannot be read is reported with the reason, and the exit
    status is 1; it is not tried again while its footage stays the same, unless --retry names its reason.

    Args:
        idm: The run folder of a trained IDM.
        share: Do part 3 of 16 with 3/16; the others are for other machines, such as the tasks of a Slurm array.
        stretch_s: Seconds in which a long video is cut, so that several workers can label it.
        retry: Try the videos again whose reason contains this text, or all that failed ('all').
        dry_run: Print the hours, bytes and worker-hours that it would take, and write nothing.
    """
    settings, part = load_settings(LabelSettings, None, engine.values), Share.read(share) if share else None
    opened = Corpus.open(corpus)
    from ghostpad.label.label import label_corpus  # here, because torch takes seconds to import
    from ghostpad.label.plan import plan_labelling, plan_lines

    if dry_run:
        plan = plan_labelling(opened, idm, settings, retry=retry, share=part, stretch_s=stretch_s)
        print(f"{corpus}: plan of labelling, nothing is written", *plan_lines(plan), sep="\n")
        return 0
    done = label_corpus(opened, idm, settings, retry=retry, share=part, stretch_s=stretch_s)
    skipped = f"{corpus}: {len(done.skipped)} videos failed before and were not tried again: --retry names a reason, or 'all'"
    print(
        f"{corpus}: {done.made} videos ({done.minutes:.1f} min) labelled as {done.source}, {done.present} before",
        *([f"{corpus}: {done.meanwhile} units were done meanwhile, by others or by workers that died"] if done.meanwhile else []),
        *unreadable_lines(corpus, done.unreadable),
        *([skipped] if done.skipped else []),
        *few_lines([f"  {id}: {reason}" for id, reason in sorted((done.skipped | done.in_parts).items())], "videos"),
        sep="\n",
    )
    return 1 if done.unreadable or done.skipped else 0

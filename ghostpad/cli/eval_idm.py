"""`ghostpad eval idm`: how good, beside the baselines that make the number mean something."""

from pathlib import Path
from typing import Annotated

import tyro

from ghostpad.base.errors import SettingsError
from ghostpad.base.files import write_json
from ghostpad.cli.arguments import CorpusPath, RunPath
from ghostpad.cli.quality import quality_table
from ghostpad.corpus.folder import Corpus


def eval_idm(
    run: RunPath,
    corpus: CorpusPath,
    *,
    truth: Path,
    prior: tuple[Path, ...] = (),
    beside: tuple[Path, ...] = (),
    out: Path | None = None,
    html: Annotated[tuple[Path, ...] | None, tyro.conf.arg(metavar="[PATH]")] = None,
    workers: int = 0,
) -> None:
    """Measure an IDM on footage whose true pads were withheld from it, beside trivial baselines.

    Labels first what is not labelled yet. Prints the headline with 95 % intervals over videos. The JSON report has all of it:
    measures a slot, intervals, baselines, lag, calibration before and after, risk by confidence, what the run's thresholds keep,
    and each game, level, player and video alone. The page shows it, with pictures of the worst mistakes.

    Args:
        truth: The folder of withheld pads.
        prior: Corpora that the IDM learned from, for the baseline that always answers the mean of the game.
        beside: Runs of other IDMs to measure on the same videos, such as one that sees a single frame.
        out: The JSON file to write.
        html: Write the page; without a PATH it lies beside --out, or in RUN.
        workers: Processes that label side by side (0: this one).
    """
    if html is not None and len(html) > 1:
        raise SettingsError(f"--html takes one file, not {len(html)}")
    opened = Corpus.open(corpus)
    from ghostpad.label.label import label_corpus  # here, because torch takes seconds to import
    from ghostpad.measure.evaluate import evaluate_labels

    others = {name: label_corpus(opened, path, workers=workers).source for name, path in _names(beside).items()}
    labelled = label_corpus(opened, run, workers=workers)
    report = {"run": str(run), "corpus": str(corpus)} | evaluate_labels(opened, labelled.source, truth, prior, run=run, beside=others)
    if out is not None:
        write_json(out, report)
    print(f"{run} on {corpus}: {report['videos']} videos, {report['minutes']:.1f} min")
    print(quality_table(report))
    if html is not None:
        from ghostpad.view.idm_page import write_idm_page

        page = out.with_suffix(".html") if out else run / f"eval-{corpus.resolve().name}.html"
        print(write_idm_page(report, opened, truth, html[0] if html else page))


def _names(runs: tuple[Path, ...]) -> dict[str, Path]:
    """Each run by the last part of its path, or by the whole path where two would share it."""
    last = [path.resolve().name for path in runs]
    return {name if last.count(name) == 1 else str(path): path for name, path in zip(last, runs, strict=True)}

"""`ghostpad eval idm`: measure an IDM beside trivial baselines."""

from pathlib import Path

from ghostpad.base.files import write_json
from ghostpad.base.settings import load_settings
from ghostpad.cli.arguments import CorpusPath, Html, PlacePath, RunPath, page_path
from ghostpad.cli.flags import SettingFlags
from ghostpad.cli.label import LABEL
from ghostpad.cli.quality import quality_table
from ghostpad.corpus.folder import Corpus
from ghostpad.label.settings import LabelSettings


def eval_idm(
    run: RunPath,
    corpus: CorpusPath,
    *,
    truth: Path,
    prior: tuple[PlacePath, ...] = (),
    beside: tuple[Path, ...] = (),
    out: Path | None = None,
    html: Html = None,
    engine: SettingFlags = LABEL,
) -> None:
    """Measure an IDM on footage whose pads were withheld from it, beside trivial baselines.

    Pseudo-labels the videos that have none yet. Prints the main measures with 95 % intervals over videos. --out gets all of them (by slot,
    game, level, player and video; baselines, lag, calibration, risk by confidence, what the run's thresholds keep), and --html a page
    with pictures of the worst mistakes.

    Args:
        truth: The folder of withheld pads.
        prior: Corpora that the IDM was trained on, for the baseline that always answers the game's mean.
        beside: Other IDMs to measure on the same videos, such as one that sees a single frame.
        out: The JSON file to write.
        html: Write an HTML page: to PATH, or without one beside --out, or in RUN.
    """
    page = page_path(html, out.with_suffix(".html") if out else run / f"eval-{corpus.absolute().name}.html")
    settings, opened = load_settings(LabelSettings, None, engine.values), Corpus.open(corpus)
    from ghostpad.label.label import label_corpus  # here, because torch takes seconds to import
    from ghostpad.measure.evaluate import evaluate_labels

    others = {name: label_corpus(opened, path, settings).source for name, path in _names(beside).items()}
    labelled = label_corpus(opened, run, settings)
    report = {"run": str(run), "corpus": str(corpus)} | evaluate_labels(opened, labelled.source, truth, prior, run=run, beside=others)
    if out is not None:
        write_json(out, report)
    print(f"{run} on {corpus}: {report['videos']} videos, {report['minutes']:.1f} min")
    print(quality_table(report))
    if page is not None:
        from ghostpad.view.idm_page import write_idm_page

        print(write_idm_page(report, opened, truth, page))


def _names(runs: tuple[Path, ...]) -> dict[str, Path]:
    """The runs by the last part of their paths, or by the whole path where two would share it."""
    last = [path.resolve().name for path in runs]
    return {name if last.count(name) == 1 else str(path): path for name, path in zip(last, runs, strict=True)}

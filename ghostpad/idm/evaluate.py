"""Measure an IDM's rows under a corpus against truth that was withheld from it: one report, JSON-able.

Reads `actions/<source>/` of a corpus and a folder of true rows; the frame rate is each video's own, so only corpora of one
rate are pooled. The prior baseline needs a corpus whose recorded pads the IDM could have learned from.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa

from ghostpad.base.errors import MissingError, SettingsError
from ghostpad.corpus.folder import Corpus, truth_table
from ghostpad.idm.measure import baselines, calibration, score, score_videos


def evaluate_labels(corpus: Corpus, source: str, truth: Path, prior: Sequence[Path] = ()) -> dict[str, Any]:
    """The measures of `source`'s rows on every video that has them and truth, with baselines, calibration and each video alone.

    Raises `MissingError` if no video has both, `SettingsError` if the videos differ in frame rate.
    """
    pairs: dict[str, tuple[pa.Table, pa.Table]] = {}
    for id in corpus.labelled_ids(source):
        predicted, true = corpus.actions(source, id), truth_table(truth, id)
        if predicted is not None and true is not None:
            pairs[id] = (predicted, true)
    if not pairs:
        raise MissingError(
            f"no video of {corpus.root} has both rows of {source} and truth in {truth}: label the corpus, or name the right folder"
        )
    rates = {row["fps"] for row in corpus.rows() if row["id"] in pairs}
    if len(rates) > 1:
        raise SettingsError(f"{corpus.root} mixes frame rates ({', '.join(sorted(rates))}): evaluate corpora of one rate")
    fps = float(Fraction(rates.pop()))
    tables = list(pairs.values())
    learned = [table for path in prior for table in _recorded(Corpus.open(path))]
    return {
        "source": source,
        "videos": len(pairs),
        "minutes": sum(true.num_rows for _, true in tables) / fps / 60,
        "idm": score_videos(tables, fps),
        "baselines": baselines(tables, learned or None, fps),
        "calibration": calibration(tables, fps),
        "by_video": [{"video": id, **score(*pair, fps)} for id, pair in pairs.items()],
    }


def _recorded(corpus: Corpus) -> list[pa.Table]:
    return [table for id in corpus.labelled_ids("recorded") if (table := corpus.actions("recorded", id)) is not None]

"""Measure an IDM's rows under a corpus against withheld recorded pads: one report, JSON-able.

Reads `actions/<source>/` of a corpus, a folder of true rows, and `calibration.json` and `risk.json` of the run if there are any.
Each video is matched with its own frame rate. The prior baseline is that of the video's game in corpora that the IDM could have
learned from. About 5 s for an hour of footage with three slots.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ghostpad.base.errors import FormatError, MissingError
from ghostpad.base.files import read_json
from ghostpad.base.places import AnyPlace
from ghostpad.base.records import Video
from ghostpad.corpus.folder import RECORDED, Corpus, truth_table, unreadable_lines
from ghostpad.measure.bootstrap import intervals
from ghostpad.measure.coverage import worst_mistakes
from ghostpad.measure.match import Matched, match, pool
from ghostpad.measure.reliability import button_errors, reliability, uncalibrated
from ghostpad.measure.risk import kept, load_thresholds
from ghostpad.measure.scores import Score, baseline_scores, prior_of, score_rows

GROUPS = ("game", "level", "player")
"""Columns of the table of videos by which the measures are broken down."""


@dataclass(frozen=True)
class Judged:
    """A video with predicted and true rows: its row of the table of videos, and the rows matched."""

    video: Video
    rows: Matched


def evaluate_labels(
    corpus: Corpus,
    source: str,
    truth: Path,
    prior: Sequence[AnyPlace] = (),
    *,
    run: Path | None = None,
    beside: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The report on `source`'s rows of every video that has them and truth.

    source, videos, minutes
    learned_minutes   recorded minutes that the run learned from, without those held out; None if it does not say
    idm               `ghostpad.measure.scores.score_rows` of all videos
    intervals         95 % by video bootstrap, `ghostpad.measure.bootstrap.intervals`
    baselines         trivial predictions on the same rows; the prior needs the corpora `prior`
    beside            name: the score of another source of `beside` (name: source) on the same videos
    calibration       reliability bins; before: those before calibration, None if the run's calibration is not known; ece_before
    risk              what the thresholds of the run's `risk.json` keep here (`ghostpad.measure.risk.kept`), with eps, delta and the slots
                      that have `no_threshold`; None if the run has none
    by                game, level, player: a score for each value
    by_video          a score for each video
    worst             `ghostpad.measure.coverage.worst_mistakes`

    Raises `MissingError` if no video has predicted and true rows, or none of those has rows of a source in `beside`.
    """
    judged = judge(corpus, source, truth)
    rows = pool([one.rows for one in judged])
    raw = _before_calibration(rows, run)
    return {
        "source": source,
        "learned_minutes": _learned_minutes(run),
        "videos": len(judged),
        "minutes": float(rows.row_s.sum() / 60),
        "idm": score_rows(rows),
        "intervals": intervals(rows),
        "baselines": baseline_scores([one.rows for one in judged], _priors(judged, prior)),
        "beside": {name: _score_beside(corpus, other, truth, judged) for name, other in (beside or {}).items()},
        "calibration": reliability(rows) | {"before": raw and reliability(raw), "ece_before": raw and button_errors(raw)},
        "risk": _risk(rows, run),
        "by": {group: _by_group(judged, group) for group in GROUPS},
        "by_video": [{"video": one.video.id, **_brief(score_rows(one.rows))} for one in judged],
        "worst": worst_mistakes({one.video.id: one.rows for one in judged}),
    }


def _learned_minutes(run: Path | None) -> float | None:
    path = None if run is None else run / "run.json"
    minutes: float | None = read_json(path)["facts"].get("learned_minutes") if path is not None and path.exists() else None
    return minutes


def judge(corpus: Corpus, source: str, truth: Path) -> list[Judged]:
    """The videos of a corpus that have rows of `source` and true rows, by id; those whose rows cannot be read are reported on stderr.

    Raises `MissingError` if there is none.
    """
    judged, unreadable = list[Judged](), dict[str, str]()
    for id, video in corpus.each_of(map(str, corpus.with_rows(source))):
        try:
            if video is not None and (rows := match_video(corpus, video, source, truth)) is not None:
                judged.append(Judged(video, rows))
        except FormatError as error:
            unreadable[id] = str(error)
    _report(corpus, unreadable)
    if not judged:
        raise MissingError(
            f"no video of {corpus.root} has both rows of {source} and truth in {truth}: label the corpus, or name the right folder"
        )
    return judged


def match_video(corpus: Corpus, video: Video, source: str, truth: Path | None) -> Matched | None:
    """The rows of `source` matched with the true rows in the folder `truth`, or in the corpus if that is None; None without either.

    Where the table of videos has no frame rate, it is that of the true rows. Raises `FormatError` for rows that cannot be read.
    """
    predicted = corpus.actions(source, video.id)
    true = corpus.actions(RECORDED, video.id) if truth is None else truth_table(truth, video.id)
    if predicted is None or true is None:
        return None
    steps_s = np.diff(np.sort(true.column("pts_s").to_numpy()))
    step_s = float(np.median(steps_s)) if len(steps_s) else 0.0
    return match(predicted, true, float(Fraction(video.fps)) if video.fps else 1 / step_s if step_s > 0 else 1.0)


def _priors(judged: Sequence[Judged], prior: Sequence[AnyPlace]) -> list[NDArray[np.float32]] | None:
    """For each video the mean pad of its game in the corpora `prior`, or of all their games where they lack it."""
    if not prior:
        return None
    truths: dict[Any, list[pa.Table]] = {}
    for corpus in map(Corpus.open, prior):
        unreadable = {}
        for id, video in corpus.each_of(map(str, corpus.with_rows(RECORDED))):
            try:
                if (table := corpus.actions(RECORDED, id)) is not None:
                    truths.setdefault(video and video.game, []).append(table)
            except FormatError as error:
                unreadable[id] = str(error)
        _report(corpus, unreadable)
    means = {game: prior_of(tables) for game, tables in truths.items()}
    overall = prior_of([table for tables in truths.values() for table in tables])
    return [means.get(one.video.game, overall) for one in judged]


def _report(corpus: Corpus, unreadable: Mapping[str, str]) -> None:
    """Say which videos are left out, and why."""
    if unreadable:
        print("\n".join(unreadable_lines(corpus.root, unreadable)), file=sys.stderr)


def _score_beside(corpus: Corpus, source: str, truth: Path, judged: Sequence[Judged]) -> Score:
    wanted = {one.video.id for one in judged}
    return _brief(score_rows(pool([one.rows for one in judge(corpus, source, truth) if one.video.id in wanted])))


def _before_calibration(rows: Matched, run: Path | None) -> Matched | None:
    """The rows as they were before calibration; None if the run does not say how they were calibrated."""
    if run is None or not (run / "calibration.json").exists():
        return None
    facts = read_json(run / "calibration.json")
    temperatures, scales = facts.get("temperatures"), facts.get("spread_scales")
    return uncalibrated(rows, temperatures, scales) if isinstance(temperatures, dict) and isinstance(scales, dict) else None


def _risk(rows: Matched, run: Path | None) -> dict[str, Any] | None:
    thresholds = None if run is None else load_thresholds(run)
    if thresholds is None:
        return None
    without = [name for kind in ("buttons", "sticks") for name, chosen in thresholds[kind].items() if chosen is None]
    facts = {name: thresholds[name] for name in ("eps", "delta", "tolerance")}
    return facts | {"no_threshold": without} | kept(rows, thresholds)


def _by_group(judged: Sequence[Judged], group: str) -> list[dict[str, Any]]:
    parts: dict[str, list[Matched]] = {}
    for one in judged:
        if (value := getattr(one.video, group)) is not None:
            parts.setdefault(str(value), []).append(one.rows)
    return [{"value": value, **_brief(score_rows(pool(rows)))} for value, rows in sorted(parts.items())]


def _brief(score: Score) -> Score:
    """A score without its curve."""
    return {key: value for key, value in score.items() if key != "risk_coverage"}

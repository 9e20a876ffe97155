"""The page of one IDM evaluation: the headline with intervals, every measure beside baselines, and the worst mistakes in pictures.

Reads the report of `ghostpad.measure.evaluate`, and of the corpus the rows and frames that the page shows; writes one self-contained
HTML file, readable on a phone, in light and dark. About 5 s, most of it plots and a picture's 0.2 s of decoding.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from ghostpad.base.errors import MediaError, MissingError
from ghostpad.base.pad import SLOTS, STICKS, slot
from ghostpad.base.records import Video
from ghostpad.corpus.folder import Corpus
from ghostpad.measure.evaluate import GROUPS, Judged, judge
from ghostpad.video.decode import decode_frames
from ghostpad.view import plots
from ghostpad.view.pad import PREDICTED, TRUTH, gamepad_image
from ghostpad.view.page import TEMPLATES, jpeg, number, write_page
from ghostpad.view.report import measure_rows

_FRAME_PX, _PAD_PX = 360, 260  # widths: enough for three frames in a row on a desktop (by eye)
_TRACES, _MISTAKE_SLOTS, _LEAD_SLOTS = 3, 6, 4
_MAIN = ("r2", "rmse", "moving_mae", "ap", "prevalence", "onset_f1_50ms", "ece", "ece_floor")
_MACRO = {
    "R²": "r2", "RMSE": "rmse", "AP": "ap", "pressed": "ap_prevalence", "press F1": "onset_f1_50ms", "release F1": "release_f1_50ms",
    "ECE": "ece",
}  # fmt: skip

Json = Mapping[str, Any]
"""A JSON object."""


def write_idm_page(report: Json, corpus: Corpus, truth: Path, page: str | os.PathLike[str]) -> Path:
    """Write the page of `report`, an evaluation of rows of `corpus` against the folder `truth`; returns its path.

    Raises `MissingError` if the rows are no longer there. A video that cannot be read costs its pictures and is named.
    """
    judged = {one.video.id: one for one in judge(corpus, report["source"], truth)}
    score, others = report["idm"], dict(report["baselines"]) | dict(report.get("beside") or {})
    by_video = [_group_row(one, "", one["video"]) for one in report["by_video"]]
    rows = _with_intervals(report, measure_rows(score, others))
    return write_page(
        TEMPLATES / "idm.html.jinja",
        page,
        title=Path(report.get("run") or report["source"]).name,
        headline=headline(report),
        report=report,
        score=score,
        names=["IDM", "95 %", *(plots.words(name) for name in others)],
        rows=rows,
        main_rows=[row for row in rows if row["key"] in _MAIN and row["values"][0] is not None],
        quality=Markup(plots.quality_plot(score, others)) if score["sticks"] or score["buttons"] else None,
        reliability=Markup(plots.calibration_plot(report["calibration"], report["calibration"].get("before"))),
        risk_coverage=Markup(plots.risk_coverage_plot(score["risk_coverage"])) if score["risk_coverage"] else None,
        groups=[_group_row(one, group, one["value"]) for group in GROUPS for one in report["by"][group]],
        by_video=by_video,
        columns=[name for name in by_video[0]["numbers"] if any(line["numbers"][name] is not None for line in by_video)],
        traces=_traces(judged),
        mistakes=[_mistake(one, judged[one["video"]], corpus) for one in report["worst"] if one["video"] in judged],
        readable=plots.readable,
    )


def headline(report: Json) -> str:
    """How well the IDM reads sticks and buttons, with intervals, in one or two sentences."""
    score, spans = report["idm"], report["intervals"]
    sticks = {name: one["r2"] for name, one in score["sticks"].items()}
    buttons = {name: one["ap"] for name, one in score["buttons"].items()}
    parts = []
    if len(sticks) <= _LEAD_SLOTS:
        parts += [f"{plots.words(name)} R² {_spanned(value, spans['sticks'][name]['r2'])}" for name, value in sticks.items()]
    if 0 < len(buttons) <= _LEAD_SLOTS:
        for name, value in buttons.items():
            one = score["buttons"][name]
            found = _spanned(one["onset_f1_50ms"], spans["buttons"][name]["onset_f1_50ms"])
            parts.append(
                f"{plots.words(name)} average precision {_spanned(value, spans['buttons'][name]['ap'])} where {one['prevalence']:.1%} "
                f"of rows are pressed, presses found within 50 ms F1 {found}"
            )
    elif buttons:
        macro, known = spans["macro"], score["macro"]
        parts.append(
            f"macro average precision {_spanned(known['ap'], macro['ap'])} over {len(buttons)} buttons (prevalence "
            f"{number(known['ap_prevalence'])}), presses found within 50 ms F1 {_spanned(known['onset_f1_50ms'], macro['onset_f1_50ms'])}"
        )
    where = f"On {report['videos']} videos ({report['minutes']:.1f} min) whose pads were withheld from it"
    if report["videos"] == 1:
        where = f"On one video ({report['minutes']:.1f} min) whose pad was withheld from it"
    few = "" if spans["resamples"] else " Too few videos for intervals: they need three."
    return f"{where}, the IDM reads {'; '.join(parts) or 'nothing that could be judged'}.{few}"


def _spanned(value: float | None, span: Sequence[float] | None) -> str:
    return number(value) + (f" ({number(span[0])} to {number(span[1])})" if span else "")


def _with_intervals(report: Json, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of measures with their `interval` in words, "" for a measure that has none."""
    spans = report["intervals"]["sticks"] | report["intervals"]["buttons"]
    words = {(name, key): f"{number(span[0])} to {number(span[1])}" if span else "–" for name in spans for key, span in spans[name].items()}
    return [row | {"interval": words.get((row["name"], row["key"]), "")} for row in rows]


def _group_row(one: Json, group: str, value: str) -> dict[str, Any]:
    """A line of a breakdown: a score's main macro averages."""
    lag = one["lag"]["presses"] or one["lag"]["sticks"] or {}
    numbers = {words: one["macro"][measure] for words, measure in _MACRO.items()}
    idle = one["idle"] if one["buttons"] and one["idle"]["minutes"] >= 0.05 else {}
    numbers |= {"false presses / idle min": idle.get("false_presses_a_minute"), "lag, ms": lag.get("median_ms")}
    return {"group": group, "value": value, "videos": one["videos"], "minutes": one["minutes"], "numbers": numbers}


def _traces(judged: Mapping[str, Judged]) -> list[dict[str, Any]]:
    """Ten seconds of the first video of up to three levels."""
    first: dict[Any, str] = {}
    for id, one in judged.items():
        if len(one.rows) > 1:
            first.setdefault((one.video.game, one.video.level), id)
    traces = [{"video": id, "plot": plots.stretch_plot(judged[id].rows)} for id in list(first.values())[:_TRACES]]
    return [one for one in traces if one["plot"]]


def _mistake(one: Json, judged: Judged, corpus: Corpus) -> dict[str, Any]:
    """A wrong row as pictures: the frames around it, both pads, and the numbers of the slots with the largest errors."""
    rows = judged.rows
    at = int(np.abs(rows.clock_s - one["at_s"]).argmin())
    names = [name for name in SLOTS if rows.known[at, slot(name)]]
    off = {name: float(abs(rows.predicted[at, slot(name)] - rows.truth[at, slot(name)])) for name in names}
    frames, problem = _frames(corpus, judged.video, float(rows.clock_s[at]), float(rows.row_s[at]))
    both = (("true pad", "true", rows.truth[at], TRUTH), ("read from the video", "read", rows.predicted[at], PREDICTED))
    pads = [
        {"words": words, "kind": kind, "data": jpeg(gamepad_image(pad, _PAD_PX, slots=names, colour=colour), 88)}
        for words, kind, pad, colour in both
    ]
    spreads = {name: float(spread) for name, spread in zip(STICKS, rows.spreads[at], strict=True) if not np.isnan(spread)}
    numbers = [
        {
            "slot": plots.readable(name),
            "true": float(rows.truth[at, slot(name)]),
            "read": float(rows.predicted[at, slot(name)]),
            "spread": spreads.get(name),
        }
        for name in sorted(names, key=lambda name: -off[name])[:_MISTAKE_SLOTS]
    ]
    return dict(one) | {"frames": frames, "problem": problem, "pads": pads, "numbers": numbers, "level": judged.video.level}


def _frames(corpus: Corpus, video: Video, at_s: float, row_s: float) -> tuple[list[dict[str, str]], str | None]:
    """The frames nearest to a row before, at and a row after `at_s` as pictures, or none and the reason."""
    try:
        with corpus.footage(video) as path:
            found = list(decode_frames(path, start_s=max(0.0, at_s - 1.5 * row_s), end_s=at_s + 1.5 * row_s))
    except (MediaError, MissingError) as error:
        return [], str(error)
    pictures = []
    for place, words in ((-1, "frame i−1"), (0, "frame i"), (1, "frame i+1")):
        wanted_s = at_s + place * row_s
        nearest = min(found, key=lambda frame: abs(frame.pts_s - wanted_s), default=None)
        if nearest is not None and abs(nearest.pts_s - wanted_s) <= 0.75 * row_s:
            image = Image.fromarray(nearest.image)
            image.thumbnail((_FRAME_PX, 2 * _FRAME_PX))
            pictures.append({"words": f"{words}, {nearest.pts_s:.3f} s", "data": jpeg(image)})
    return pictures, None

"""The report: one self-contained HTML page of what an OUT folder holds, readable on a phone, in light and dark.

Reads what `ghostpad.view.findings` gathers; writes OUT/report.html, and OUT/clips/idm.mp4 if there are pseudo-labels and true pads
but no clip of them yet. The page names what is missing and the command that makes it. About 10 s, most of it the clip.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ghostpad.games.spec import game_names, game_spec
from ghostpad.view import plots
from ghostpad.view.clip import idm_clip
from ghostpad.view.findings import Example, Findings, gather, mean_of
from ghostpad.view.page import TEMPLATES, clip_inside, number, write_page

IDM_CLIP = "clips/idm.mp4"
"""The clip that the report makes itself."""

_MEASURES = {
    "r2": "R²", "rmse": "RMSE", "mae": "mean error", "moving_mae": "mean error while moved", "dead_zone_f1": "moved or at rest, F1",
    "ap": "average precision", "prevalence": "share of rows pressed", "f1": "F1 at ½", "onset_f1": "press found at its row, F1",
    "onset_f1_50ms": "press found within 50 ms, F1", "onset_f1_100ms": "press found within 100 ms, F1",
    "release_f1": "release found at its row, F1", "release_f1_50ms": "release found within 50 ms, F1",
    "release_f1_100ms": "release found within 100 ms, F1", "press_rate_ratio": "rows pressed, predicted / true", "ece": "calibration error",
    "ece_floor": "calibration error of a perfect forecaster",
}  # fmt: skip
"""Measures in the order of the table, with words for people."""
_HEADLINE = ("r2", "ap")


def write_report(out: str | os.PathLike[str]) -> Path:
    """Write OUT/report.html and return its path. Raises `MissingError` if there is nothing to show, and as `gather`."""
    folder = Path(out)
    findings = gather(folder)
    clips, clip, example = list(findings.idm_clips), folder / IDM_CLIP, findings.example
    if example and (not clips or _outdated(clip, example)):
        start_s = plots.stretch_start_s(example.rows)
        idm_clip(example.corpus, example.video, example.truth, example.source, clip, start_s=start_s, seconds=plots.STRETCH_S)
        clips = [clip, *(path for path in clips if path != clip)]
    return write_page(
        TEMPLATES / "report.html.jinja",
        folder / "report.html",
        title=game_spec(findings.game).title if findings.game in game_names() else findings.game or "ghostpad",
        headline=headline(findings),
        arms=arm_rows(findings.arms),
        arms_plot=Markup(plots.arms_plot(findings.arms)) if plots.ordered_arms(findings.arms) else None,
        agent_clips=[clip_inside(path) for path in findings.agent_clips],
        idm=_idm(findings),
        idm_clips=[clip_inside(path) for path in clips],
        example=example,
        trace=plots.stretch_plot(example.rows) if example else None,
        funnel=_funnel(findings.funnel),
        losses=Markup(plots.losses_plot(findings.losses)) if any(findings.losses.values()) else None,
        seconds=dict(sorted(findings.seconds.items(), key=lambda stage: -stage[1])),
        minutes=findings.minutes,
        runs={name: flat(run) for name, run in findings.runs.items()},
        seeds=findings.seeds,
        licences=findings.licences,
    )


def headline(findings: Findings) -> str:
    """The outcome in one or two sentences with its numbers, as far as they are known; "" without any."""
    arms, sentences = findings.arms, []
    if "pseudo" in arms and "recorded" in arms:
        few, many = (f"{findings.minutes[name]:.3g} min of " if name in findings.minutes else "" for name in ("recorded", "wild"))
        sentences.append(
            f"An agent that learned from {few}play with recorded pads and {many}video with pseudo-labels returns "
            f"{_return(arms['pseudo'])}; from the recorded pads alone it returns {_return(arms['recorded'])}."
        )
        if "oracle" in arms and _clearly_above(arms["oracle"], arms["recorded"]):
            share = (arms["pseudo"]["mean"] - arms["recorded"]["mean"]) / (arms["oracle"]["mean"] - arms["recorded"]["mean"])
            sentences.append(f"That is {share:.0%} of the way from there to an agent that learned from the true pads of all of it.")
    elif names := plots.ordered_arms(arms):
        sentences.append("Mean returns: " + ", ".join(f"{name} {_return(arms[name])}" for name in names) + ".")
    if players := [name for name in plots.PLAYERS if name in arms]:
        sentences.append("For scale: " + ", ".join(f"the {name} player {arms[name]['mean']:,.0f}" for name in players) + ".")
    if not sentences and findings.evals:
        score = mean_of([one["idm"] for one in findings.evals])
        values = {f"{plots.words(name)} R² {number(one['r2'])}": one["r2"] for name, one in score["sticks"].items()}
        sentences.append("On footage held out, the IDM reads " + (", ".join(values) or f"{len(score['buttons'])} buttons") + ".")
    return " ".join(sentences)


def arm_rows(arms: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The table of arms: scripted players last."""
    names = plots.ordered_arms(arms) + [name for name in plots.PLAYERS if name in arms]
    learned = {name: words.replace("-\n", "-").replace("\n", " ") for name, words in plots.ARM_WORDS.items()}
    learned |= dict.fromkeys(plots.PLAYERS, "scripted player")
    return [{"name": name, "words": learned.get(name, "")} | dict(arms[name]) for name in names]


def measure_rows(score: Mapping[str, Any], baselines: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row a measure and slot: the IDM's value and every baseline's, `main` for those of the short table."""
    rows = []
    for kind in ("sticks", "buttons"):
        for name, measures in score[kind].items():
            for key, words in _MEASURES.items():
                if key in measures:
                    others = [((one or {}).get(kind, {}).get(name) or {}).get(key) for one in baselines.values()]
                    row = {"slot": plots.readable(name), "name": name, "key": key, "measure": words, "main": key in _HEADLINE}
                    rows.append(row | {"values": [measures[key], *others]})
    return rows


def flat(value: Any, prefix: str = "") -> dict[str, str]:
    """A nested JSON object as dotted names and short texts."""
    if isinstance(value, Mapping):
        return {name: text for key, inner in value.items() for name, text in flat(inner, f"{prefix}{key}.").items()}
    return {prefix.rstrip("."): ", ".join(map(str, value)) if isinstance(value, list) else str(value)}


def _outdated(clip: Path, example: Example) -> bool:
    """Whether the clip is older than the pseudo-labels."""
    labels = example.corpus.actions_path(example.source, example.video)
    return clip.exists() and clip.stat().st_mtime < labels.stat().st_mtime


def _return(arm: Mapping[str, Any]) -> str:
    sem = arm.get("sem")
    return f"{arm['mean']:,.0f}" + (f" ± {sem:,.0f}" if sem else "")


def _clearly_above(high: Mapping[str, Any], low: Mapping[str, Any]) -> bool:
    """Whether the means differ by more than two standard errors: below that, a share of the difference is noise."""
    return bool(high["mean"] - low["mean"] > 2 * math.hypot(high.get("sem") or 0.0, low.get("sem") or 0.0))


def _idm(findings: Findings) -> dict[str, Any] | None:
    """The IDM's section: measures as means over training seeds, curves of the first seed; None without an evaluation."""
    if not findings.evals:
        return None
    first = findings.evals[0]
    score, baselines = mean_of([one["idm"] for one in findings.evals]), mean_of([one["baselines"] for one in findings.evals]) or {}
    calibration, curve = first.get("calibration") or {}, first["idm"].get("risk_coverage") or []
    return {
        "runs": len(findings.evals),
        "videos": first.get("videos"),
        "minutes": first.get("minutes"),
        "source": first.get("source"),
        "names": ["IDM", *(plots.words(name) for name in baselines)],
        "rows": measure_rows(score, baselines),
        "quality": Markup(plots.quality_plot(score, baselines)) if score["sticks"] or score["buttons"] else None,
        "calibration": Markup(plots.calibration_plot(calibration)),
        "risk_coverage": Markup(plots.risk_coverage_plot(curve)) if curve else None,
        "by_video": [_video_row(one) for one in first.get("by_video") or []],
    }


def _video_row(one: Mapping[str, Any]) -> dict[str, Any]:
    values = {f"{plots.words(name)} R²": measures.get("r2") for name, measures in (one.get("sticks") or {}).items()}
    values |= {f"{plots.words(name)} AP": measures.get("ap") for name, measures in (one.get("buttons") or {}).items()}
    return {"video": one.get("video"), "rows": one.get("rows"), "values": values}


def _funnel(hours: Mapping[str, float]) -> dict[str, Any] | None:
    total = sum(hours.values())
    if not total:
        return None
    minutes = {name: hours[name] * 60 for name in sorted(hours, key=lambda name: (name != "kept", -hours[name], name))}
    rows = [{"reason": name, "minutes": part, "share": f"{part / 60 / total:.1%}"} for name, part in minutes.items()]
    return {"plot": Markup(plots.funnel_plot(minutes)), "rows": rows, "minutes": total * 60}

"""The contents of an OUT folder, gathered for the report and the picture. Every part may be missing; nothing is written here.

    results.json            arms, seconds a stage            eval/*.json     of IDMs and of agents
    wild/                   pseudo-labels, verdicts          truth/          true rows withheld from it
    recorded/               corpus with recorded pads        clips/*.mp4     idm*.mp4 and agents'
    <run>/run.json          settings of the runs            <run>/validation.json   their losses

Reads JSON and tables, and one video's rows; about a second for an hour of footage.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ghostpad.base.errors import FormatError, MissingError
from ghostpad.base.files import read_json
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.summary import summarise
from ghostpad.measure.evaluate import match_video
from ghostpad.measure.match import Matched

Json = Mapping[str, Any]
"""A JSON object."""


@dataclass(frozen=True)
class Example:
    """A pseudo-labelled video whose true rows are known."""

    corpus: Corpus
    truth: Path | None
    source: str
    video: str
    rows: Matched


@dataclass(frozen=True)
class Findings:
    """Everything the report shows. None or empty: missing."""

    game: str | None = None
    arms: dict[str, Json] = field(default_factory=dict)
    """Arm or scripted player -> mean, sem, n, by_seed, sd_seeds."""
    evals: tuple[Json, ...] = ()
    """The IDM evaluations, by file name."""
    seconds: Json = field(default_factory=dict)
    minutes: Mapping[str, float] = field(default_factory=dict)
    """"recorded" and "wild" -> minutes of footage."""
    funnel: Mapping[str, float] = field(default_factory=dict)
    """Reason -> hours."""
    example: Example | None = None
    idm_clips: tuple[Path, ...] = ()
    agent_clips: tuple[Path, ...] = ()
    runs: Mapping[str, Json] = field(default_factory=dict)
    losses: Mapping[str, Any] = field(default_factory=dict)
    """Run -> its losses on held-out and on learned windows (`ghostpad.train.validate`)."""
    seeds: tuple[int, ...] = ()
    licences: tuple[str, ...] = ()


def gather(out: Path) -> Findings:
    """The findings in the folder `out`.

    Raises `MissingError` if there is no such folder or nothing in it to report, `FormatError` for a file of another kind than its name.
    """
    if not out.is_dir():
        raise MissingError(f"there is no folder {out}: `ghostpad demo` makes one, or name the folder of your runs and evaluations")
    results = _results(out)
    evaluations = {path: _object(path) for path in sorted(out.glob("eval/*.json")) if not path.name.startswith(".")}
    idm = tuple(_checked(path, value, ("idm", "baselines"), "an IDM") for path, value in evaluations.items() if "idm" in value)
    agents = [
        row
        for path, value in evaluations.items()
        if isinstance(value.get("games"), list)
        for row in _rows(path, value, results.get("game"))
    ]
    corpora = {name: Corpus(out / name) for name in ("recorded", "wild") if Corpus(out / name).catalogue.exists()}
    videos = {name: list(corpus.each("ok")) for name, corpus in corpora.items()}
    clips = sorted(path for path in out.glob("clips/*.mp4") if not path.name.startswith("."))
    findings = Findings(
        game=results.get("game") or next((video.game for group in videos.values() for video in group if video.game), None),
        arms=dict(results.get("arms") or _arms(agents)),
        evals=idm,
        seconds=results.get("seconds") or {},
        minutes={name: sum(video.duration_s or 0.0 for video in group) / 60 for name, group in videos.items()},
        funnel=_funnel(corpora["wild"]) if "wild" in corpora else {},
        example=_example(out, corpora["wild"], [str(value.get("source")) for value in idm]) if "wild" in corpora else None,
        idm_clips=tuple(path for path in clips if path.name.startswith("idm")),
        agent_clips=tuple(path for path in clips if not path.name.startswith("idm")),
        runs={path.parent.name: _object(path) for path in sorted(out.glob("*/run.json"))},
        losses={path.parent.name: _object(path).get("losses") or [] for path in sorted(out.glob("*/validation.json"))},
        seeds=tuple(results.get("seeds") or ()),
        licences=tuple(sorted({video.licence for group in videos.values() for video in group if video.licence})),
    )
    if not (findings.arms or findings.evals or findings.funnel or findings.example or clips):
        raise MissingError(
            f"{out} holds nothing to report yet (no results.json, eval/*.json, clips/*.mp4 or pseudo-labelled corpus wild/): "
            "`ghostpad demo` makes all of it, `ghostpad eval idm` and `ghostpad eval policy` make evaluations"
        )
    return findings


def mean_of(values: Sequence[Any]) -> Any:
    """The mean of JSON values of one shape: objects key by key, numbers averaged without None; None without numbers."""
    present = [value for value in values if value is not None]
    if present and isinstance(present[0], Mapping):
        return {key: mean_of([value.get(key) for value in present]) for key in present[0]}
    numbers = [value for value in present if isinstance(value, int | float)]
    return math.fsum(numbers) / len(numbers) if numbers else None


def _object(path: Path) -> Json:
    value = read_json(path)
    if not isinstance(value, dict):
        raise FormatError(f"{path} holds no JSON object: remove it and run the command that wrote it again")
    return value


def _results(out: Path) -> Json:
    path = out / "results.json"
    if not path.exists():
        return {}
    results = _object(path)
    for name, arm in (results.get("arms") or {}).items():
        if not isinstance(arm, dict) or not isinstance(arm.get("mean"), int | float):
            raise FormatError(f"{path}: arm '{name}' has no mean: remove the file and run the command that wrote it again")
    return results


def _checked(path: Path, value: Json, keys: Sequence[str], what: str) -> Json:
    """`value` if it has the keys of an evaluation."""
    absent = [key for key in keys if key not in value]
    scores = [value["idm"], *(value.get("baselines") or {}).values()] if "idm" in value and not absent else []
    absent += [f"a score with {key}" for key in ("sticks", "buttons") if any(key not in score for score in scores)]
    if absent:
        raise FormatError(f"{path} is no evaluation of {what} (it lacks {', '.join(absent)}): run the evaluation again")
    return value


def _rows(path: Path, value: Json, game: str | None) -> list[Json]:
    """The rows of an evaluation in `game`, or in its first game if that is None."""
    games = [one for one in value["games"] if isinstance(one, dict) and (game is None or one.get("game") == game)]
    return [_checked(path, row, ("arm", "mean", "sem"), "an agent") for row in (games[0].get("rows") or () if games else ())]


def _arms(evaluations: Sequence[Json]) -> dict[str, Json]:
    """Arms from single evaluations, as in results.json; the standard error of a mean over seeds is that of its episodes only."""
    groups: dict[str, list[Json]] = {}
    for one in evaluations:
        groups.setdefault(one["arm"], []).append(one)
    arms: dict[str, Json] = {}
    for name, group in groups.items():
        means = [one["mean"] for one in group]
        arms[name] = {
            "mean": math.fsum(means) / len(means),
            "sem": math.sqrt(math.fsum((one["sem"] or 0.0) ** 2 for one in group)) / len(group),
            "n": sum(one.get("episodes") or one.get("n") or 0 for one in group),
            "by_seed": {str(place): mean for place, mean in enumerate(means)},
            "sd_seeds": float(np.std(means, ddof=1)) if len(means) > 1 else None,
        }
    return arms


def _funnel(wild: Corpus) -> dict[str, float]:
    """Hours by reason of the default verdicts, or else of the first."""
    verdicts = summarise(wild)["verdicts"]
    hours: dict[str, float] = verdicts.get("default") or next(iter(verdicts.values()), {})
    return hours


def _example(out: Path, wild: Corpus, preferred: Sequence[str]) -> Example | None:
    """The first video of `wild` that has true and predicted rows, never chosen by how well it went; of the `preferred` sources first."""
    truth = out / "truth" if (out / "truth").is_dir() else None
    sources = [source for source in wild.sources() if source.startswith("idm-")]
    for source in sorted(sources, key=lambda name: (preferred.index(name) if name in preferred else len(preferred), name)):
        for video in wild.each("ok"):
            with suppress(FormatError):
                rows = match_video(wild, video, source, truth)
                if rows is not None and len(rows) > 1:
                    return Example(wild, truth, source, video.id, rows)
    return None

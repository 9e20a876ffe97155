"""What studies share: their folder, commands and time left, evaluations, figures over training seeds, verdicts, and the page.

A figure is {"mean", "sd", "n", "by_seed", "interval"}: mean and spread over training seeds, and the 95 % interval over videos of the
first seed where the evaluation has one. A figure that no seed has is None. Differences are taken seed by seed.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ghostpad.base.errors import unknown
from ghostpad.base.files import read_json
from ghostpad.cli.arguments import below_one
from ghostpad.cli.tasks import Task, claim
from ghostpad.corpus.folder import Corpus
from ghostpad.view.page import number, write_page

Json = Mapping[str, Any]
"""A JSON object."""

Evaluations = Mapping[tuple[str, str], Mapping[int, Json]]
"""(arm, test): {training seed: its report}."""

START_S, RECORD_S_PER_MIN = 5.0, 2.3
"""What a command's start and recording a minute of footage take on one loaded core (measured), for estimates."""


@dataclass(frozen=True)
class StudyFolder:
    """The folder of a study, and its training seeds."""

    out: Path
    seeds: tuple[int, ...]

    def corpus(self, *names: str) -> Path:
        """A corpus by its names."""
        return self.out / "footage" / "-".join(names)

    def truth(self, *names: str) -> Path:
        """A folder of withheld pads by its names."""
        return self.out / "truth" / "-".join(names)

    def run(self, name: str) -> Path:
        """The run folder of a model by name."""
        return self.out / "runs" / name


def claim_scaled(out: Path, workers: int, steps: int | None, minutes_scale: float) -> None:
    """Claim the folder of a study with these settings. Raises `SettingsError` for those that cannot work, and as `claim` does."""
    problems = below_one(workers=workers) + ([] if steps is None else below_one(steps=steps))
    if not 0 < minutes_scale <= 100:
        problems.append(f"minutes-scale is {minutes_scale}: it must be above 0 and at most 100")
    claim(out / "study.json", {"steps": steps, "minutes_scale": minutes_scale}, problems)


def parts_named(parts: Mapping[str, Any], names: Iterable[str]) -> tuple[str, ...]:
    """Those of `parts` by name, in their own order, all if none is named. Raises `SettingsError` with the nearest for an unknown name."""
    wanted = set(names)
    for name in sorted(wanted - set(parts)):
        raise unknown("part of the study", name, parts)
    return tuple(name for name in parts if not wanted or name in wanted)


def task(name: str, stage: str, *words: object, needs: Iterable[str] = (), done: Path | None = None, seconds: float = 0.0) -> Task:
    """A task whose command may contain paths and numbers; `seconds` is what it takes beyond its start."""
    return Task(name, stage, tuple(map(str, words)), tuple(needs), done, START_S + seconds)


def record_task(
    name: str, game: str, player: str, minutes: float, seed: int, out: Path, *flags: object, truth: Path | None = None, lab: bool = False
) -> Task:
    """The recording of a corpus, by `lab record` if `lab`; with `truth` the pads are withheld and go there."""
    words = ("record", game, "--player", player, "--minutes", f"{minutes:g}", "--seed", seed, "--out", out, *flags)
    words = (*(("lab",) if lab else ()), *words, *(("--withhold", "--truth", truth) if truth else ()))
    return task(name, "record", *words, seconds=RECORD_S_PER_MIN * minutes)


def tasks_left(tasks: Iterable[Task]) -> list[Task]:
    """The tasks whose file is not there yet."""
    return [one for one in tasks if not (one.done and one.done.exists())]


def minutes_left(tasks: Iterable[Task], workers: int) -> float:
    """About how long tasks take. A recording that is there only takes its start: its own command knows whether it is complete."""
    seconds = 0.0
    for one in tasks:
        there = one.stage == "record" and Corpus(one.words[one.words.index("--out") + 1]).catalogue.exists()
        seconds += START_S if there else one.seconds
    return seconds / min(workers, os.cpu_count() or 1) / 60


def evaluation_file(out: Path, arm: str, test: str, seed: int) -> Path:
    """The evaluation of an arm on a test with a training seed."""
    return out / "eval" / arm / f"{test}-s{seed}.json"


def read_evaluations(out: Path) -> dict[tuple[str, str], dict[int, Json]]:
    """Every evaluation of a study that is there."""
    reports: dict[tuple[str, str], dict[int, Json]] = {}
    for path in sorted((out / "eval").glob("*/*.json")):
        test, _, seed = path.stem.rpartition("-s")
        reports.setdefault((path.parent.name, test), {})[int(seed)] = read_json(path)
    return reports


def missing(reports: Evaluations, wanted: Iterable[tuple[str, str, int]]) -> list[str]:
    """Names of the (arm, test, training seed) that have no evaluation."""
    return [f"{arm} on {test}, seed {seed}" for arm, test, seed in wanted if seed not in reports.get((arm, test), {})]


def mean_sd(values: Iterable[float]) -> tuple[float, float | None]:
    """Mean and standard deviation (of a sample; None for one value) of at least one value."""
    numbers = list(values)
    return fmean(numbers), stdev(numbers) if len(numbers) > 1 else None


def figure(values: Mapping[int, float], interval: list[float] | None = None) -> dict[str, Any] | None:
    """Mean and spread of values by training seed; None without any."""
    if not values:
        return None
    mean, sd = mean_sd(values.values())
    by_seed = {str(seed): values[seed] for seed in sorted(values)}
    return {"mean": mean, "sd": sd, "n": len(values), "by_seed": by_seed, "interval": interval}


def less(one: Mapping[int, float], other: Mapping[int, float]) -> dict[int, float]:
    """`one` minus `other`, seed by seed."""
    return {seed: one[seed] - other[seed] for seed in one if seed in other}


def verdict(one: Json | None, target: float | None, at_least: bool = True) -> str | None:
    """ "met" or "missed" by the mean over seeds; None without a target or a figure."""
    if one is None or target is None:
        return None
    return "met" if (one["mean"] >= target if at_least else one["mean"] <= target) else "missed"


def figure_words(one: Json | None) -> str:
    """Mean and spread over seeds: `0.951 ± 0.004`."""
    if one is None:
        return "–"
    return number(one["mean"]) + ("" if one["sd"] is None else f" ± {number(one['sd'])}")


def difference_words(one: Json | None) -> str:
    """A difference with its sign: `+0.012 ± 0.004`."""
    return "–" if one is None else ("+" if one["mean"] >= 0 else "−") + figure_words({**one, "mean": abs(one["mean"])})


def render_page(source: Path, page: str | os.PathLike[str], **content: Any) -> Path:
    """Write a page by the template `study.html.jinja` in the folder of the file `source`; returns its path."""
    return write_page(source.with_name("study.html.jinja"), page, **content)

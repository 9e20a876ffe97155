"""What studies share: where an evaluation lies, figures over training seeds, verdicts, parts by name, seconds by stage, and the page.

A figure is {"mean", "sd", "n", "by_seed", "interval"}: mean and spread over training seeds, and the 95 % interval over videos of the
first seed where the evaluation has one. A figure that no seed has is None. Differences are taken seed by seed.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ghostpad.base.errors import unknown
from ghostpad.base.files import read_json
from ghostpad.view.page import number, write_page

Json = Mapping[str, Any]
"""A JSON object."""


def evaluation_file(out: Path, arm: str, test: str, seed: int) -> Path:
    """Where the evaluation of an arm on a test with a training seed lies."""
    return out / "eval" / arm / f"{test}-s{seed}.json"


def seconds_by_stage(out: Path) -> dict[str, float]:
    """What each stage of the study in `out` has taken so far, seconds of one core."""
    times = out / "seconds.json"
    return {stage: round(sum(spent.values()), 1) for stage, spent in read_json(times).items()} if times.exists() else {}


def parts_named(parts: Mapping[str, Any], names: Iterable[str]) -> tuple[str, ...]:
    """Those of `parts` by name, in their own order, all if none is named. Raises `SettingsError` with the nearest for an unknown name."""
    wanted = set(names)
    for name in sorted(wanted - set(parts)):
        raise unknown("part of the study", name, parts)
    return tuple(name for name in parts if not wanted or name in wanted)


def mean_sd(values: Iterable[float]) -> tuple[float, float | None]:
    """Mean and standard deviation (of a sample; None for one value) of at least one value."""
    numbers = list(values)
    return fmean(numbers), stdev(numbers) if len(numbers) > 1 else None


def figure(values: Mapping[int, float], interval: list[float] | None = None) -> dict[str, Any] | None:
    """Mean and spread of values by training seed; None without any."""
    if not values:
        return None
    mean, sd = mean_sd(values.values())
    return {"mean": mean, "sd": sd, "n": len(values), "by_seed": {str(seed): value for seed, value in values.items()}, "interval": interval}


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
    """Write the page whose template `study.html.jinja` lies beside the file `source`; returns its path."""
    return write_page(source.with_name("study.html.jinja"), page, **content)

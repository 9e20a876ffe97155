"""What benchmarks share: numbers that must be 1 or more, spreads over repeated runs, and what the machine is."""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from ghostpad.base.errors import SettingsError


def check_counts(**counts: int) -> None:
    """Raise `SettingsError`, listing every problem, unless each is 1 or more."""
    if problems := [f"{name} is {value}: it must be 1 or more" for name, value in counts.items() if value < 1]:
        raise SettingsError(problems)


def spread(values: Sequence[float]) -> dict[str, float]:
    """The least, the median and the largest of some values."""
    return {"min": min(values), "median": median(values), "max": max(values)}


def spread_words(values: Mapping[str, float], spec: str = ".2f") -> str:
    """A spread for people: `1.05 (1.01 to 1.20)`."""
    return f"{values['median']:{spec}} ({values['min']:{spec}} to {values['max']:{spec}})"


def processor() -> str:
    """The processor's name as the system tells it."""
    told = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in told if line.startswith("model name")]
    return names[0] if names else platform.processor()

"""Which engine does the work on many items, with how many workers; and which share of the items is this process's. Reads and writes
nothing."""

import hashlib
import os
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from ghostpad.base.errors import SettingsError
from ghostpad.base.settings import Settings

EngineName = Literal["here", "pool", "ray"]
"""This process; processes of this machine; actors of a Ray cluster."""


class EngineSettings(Settings):
    """Who does the work on many items."""

    engine: EngineName | None = Field(default=None, description="Where work is done; none: 'pool' with --workers, else 'here'.")
    workers: int | None = Field(
        default=None,
        ge=0,
        description="Workers in parallel; none: the cores for 'pool', all there is for 'ray'; 0: this process.",
    )
    ray_address: str | None = Field(default=None, description="host:port of a Ray cluster, or 'auto'; none: one is started here.")
    gpus: float = Field(default=0.0, ge=0, description="GPUs a Ray worker takes; 0.25 lets four share one.")
    tries: int = Field(default=3, ge=1, description="How often an item is begun when the workers at it die.")

    @field_validator("workers")
    @classmethod
    def _suit_the_engine(cls, workers: int | None, info: ValidationInfo) -> int | None:
        engine = info.data.get("engine")
        if engine == "here" and (workers or 0) > 1:
            raise ValueError("the engine 'here' is one process: use 'pool' or 'ray'")
        if engine in ("pool", "ray") and workers == 0:
            raise ValueError(f"the engine '{engine}' needs at least one")
        return workers

    @field_validator("ray_address", "gpus")
    @classmethod
    def _are_for_a_cluster(cls, value: str | float | None, info: ValidationInfo) -> str | float | None:
        if value and info.data.get("engine") != "ray":
            raise ValueError("only the engine 'ray' uses it")
        if isinstance(value, float) and value > 1 and value != int(value):
            raise ValueError("a worker takes a share of one GPU, or whole GPUs")
        return value

    @property
    def placed(self) -> EngineName:
        """The engine: without a name a pool where workers are wanted, else this process."""
        return self.engine or ("pool" if self.workers else "here")


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Share:
    """Part `number` of `count` (1...count) of work that is divided by name, without the parts knowing of each other."""

    number: int
    count: int

    @classmethod
    def read(cls, text: str) -> "Share":
        """The share that a text such as '3/16' names. Raises `SettingsError`."""
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise SettingsError(f"--share is '{text}': write which part of how many, such as 3/16, from 1/16 to 16/16")
        return cls(int(number), int(count))

    def has(self, name: str) -> bool:
        """Whether what has this name is in this share; on every machine and in every run the same."""
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % self.count == self.number - 1

"""Fine-tuning for every model: a training takes over the model settings and the facts, such as licences, of a finished run.

Reads a run folder, which stays as it is.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ghostpad.base.errors import SettingsError
from ghostpad.base.settings import SettingsType, load_settings
from ghostpad.feed.gather import FACTS
from ghostpad.train.checkpoint import read_run, run_fingerprint


def finetune_run(
    cls: type[SettingsType], kind: str, changeable: Collection[str], init: Path, recipe: Path | None, flags: Mapping[str, Any]
) -> SettingsType:
    """The settings `cls` of a training that starts from the run `init`: of the model, those of `init`; all others from a recipe and flags.

    Raises `SettingsError` for a setting of the model that differs from that of `init` and is not `changeable`, and as `load_settings`
    does; `MissingError` and `FormatError` as `read_run` does.
    """
    built = read_run(init, kind)["model"]
    run = load_settings(cls, recipe, flags, {"model": built})
    asked = run.model_dump(mode="json")["model"]
    wrong = [name for name, value in built.items() if name not in changeable and asked[name] != value]
    if wrong:
        raise SettingsError([f"model.{name} is {asked[name]!r}, but {init} was built with {built[name]!r}: leave it out" for name in wrong])
    return run


def inherited_facts(init: Path, out: Path, kind: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a run that starts from `init`: those of `init`, replaced by `facts` where both have one; games, licences etc. of both.

    Raises `SettingsError` where `out` is `init`, and as `read_run` does.
    """
    if out.resolve() == init.resolve():
        raise SettingsError(f"--out is {out}, the run to start from, which stays as it is: choose another folder")
    old: dict[str, Any] = read_run(init, kind)["facts"]
    together = {name: sorted({*old.get(name, ()), *facts[name]}) for name in FACTS}
    return old | dict(facts) | together | {"started_from": run_fingerprint(init)}

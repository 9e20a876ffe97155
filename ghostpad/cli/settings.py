"""`ghostpad settings`: every setting of a training run with what it means, printed as a recipe of the defaults.

Reads nothing and writes to the terminal; free of torch. `ghostpad settings idm > idm.toml` is where a recipe starts.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

import tyro

from ghostpad.base.errors import unknown
from ghostpad.base.settings import Settings, limits
from ghostpad.idm.settings import FinetuneRun as FinetuneIdmRun
from ghostpad.idm.settings import IdmRun
from ghostpad.policy.settings import FinetuneRun as FinetunePolicyRun
from ghostpad.policy.settings import PolicyRun

RUNS: dict[str, type[Settings]] = {
    "idm": IdmRun,
    "finetune-idm": FinetuneIdmRun,
    "policy": PolicyRun,
    "finetune-policy": FinetunePolicyRun,
}
"""What can be trained, or fine-tuned with --init, and the class of all its settings."""

Kind = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="KIND", help=f"One of: {', '.join(RUNS)}.")]
"""A kind of training run by name."""


def settings(kind: Kind) -> None:
    """Print every setting of a training run with its meaning, limits and default, as a recipe (TOML).

    Writes to the terminal only. Save it, keep the lines that you change, and pass the file to 'ghostpad train' with --recipe. The
    finetune kinds are for 'ghostpad train ... --init RUN', where the settings of the model are those of RUN.
    """
    if kind not in RUNS:
        raise unknown("kind of settings", kind, RUNS)
    print(recipe_text(RUNS[kind]()))


def recipe_text(run: Settings) -> str:
    """The settings of a run as TOML, one table for each of its parts; a setting that is none is a comment, as TOML has no none, and so
    is one that fine-tuning takes from the run that it starts from."""
    parts = [f"# {_about(run)}"]
    for name in type(run).model_fields:
        part, taken = getattr(run, name), name == "model" and isinstance(run, FinetunePolicyRun | FinetuneIdmRun)
        parts.append("\n".join([f"# {_about(part)}", f"[{name}]", *_lines(part, taken)]))
    return "\n\n".join(parts)


def _about(part: Settings) -> str:
    return (type(part).__doc__ or "").partition("\n")[0]


def _lines(part: Settings, taken: bool) -> Iterator[str]:
    """For every setting, its meaning as a comment and below it `name = value`, a comment too where the value is `taken` from elsewhere."""
    for name, field in type(part).model_fields.items():
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        yield "; ".join([f"# {field.description}", *limits(field), *([f"one of: {', '.join(choices)}"] if choices else [])])
        value = getattr(part, name)
        yield f"# {name} =" if taken or value is None else f"{name} = {_toml(value)}"


def _toml(value: Any) -> str:
    """A value as TOML, which writes text, numbers, truths and flat lists as JSON does."""
    return json.dumps(value, ensure_ascii=False)

"""`ghostpad settings`: every setting of a training run with its meaning, printed as a recipe of the defaults. Free of torch."""

import json
from collections.abc import Iterator
from typing import Annotated, Literal, get_args, get_origin

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

_Kind = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="KIND", help=f"One of: {', '.join(RUNS)}.")]


def settings(kind: _Kind) -> None:
    """Print every setting of a training run with its meaning, limits and default, as a recipe (TOML).

    Writes to the terminal only. Save it, keep the lines that you change, and pass the file to 'ghostpad train' with --recipe. The
    finetune kinds are for 'ghostpad train ... --init RUN', which takes the settings of the model from RUN.
    """
    if kind not in RUNS:
        raise unknown("kind of settings", kind, RUNS)
    print(recipe_text(RUNS[kind]()))


def recipe_text(run: Settings) -> str:
    """The settings of a run as TOML, one table for each of its parts. A setting that is None is a comment, as TOML has no null; so is one
    that fine-tuning takes from the run it starts from."""
    parts = [f"# {_about(run)}"]
    for name in type(run).model_fields:
        part, taken = getattr(run, name), name == "model" and isinstance(run, FinetunePolicyRun | FinetuneIdmRun)
        parts.append("\n".join([f"# {_about(part)}", f"[{name}]", *_lines(part, taken)]))
    return "\n\n".join(parts)


def _about(part: Settings) -> str:
    return (type(part).__doc__ or "").partition("\n")[0]


def _lines(part: Settings, taken: bool) -> Iterator[str]:
    """For every setting its meaning as a comment, then `name = value`; also a comment where the value is `taken` from elsewhere."""
    for name, field in type(part).model_fields.items():
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        yield "; ".join([f"# {field.description}", *limits(field), *([f"one of: {', '.join(choices)}"] if choices else [])])
        value = getattr(part, name)
        # TOML writes text, numbers, booleans and flat lists as JSON does.
        yield f"# {name} =" if taken or value is None else f"{name} = {json.dumps(value, ensure_ascii=False)}"

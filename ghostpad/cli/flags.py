"""Settings as flags: `--train.steps 200`, one for each setting, listed in the help and completed by shells.

A command gets them from a parameter `settings: SettingFlags = Flags(Run())`. tyro reads every value as text; pydantic then validates all of
them together with those of a recipe, so that all problems are reported at once (`ghostpad.base.settings.load_settings`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import Parameter, signature
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import tyro
from pydantic.fields import FieldInfo
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, StructConstructorSpec, StructFieldSpec, StructTypeInfo

from ghostpad.base.engines.settings import EngineSettings
from ghostpad.base.errors import SettingsError, nearest
from ghostpad.base.settings import Settings, flag_name, limits, load_settings, setting_names

CONFIG = (tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone)
"""How tyro reads every command: no --no-flag beside each --flag, and None cannot be typed."""


@dataclass(frozen=True)
class Flags:
    """The settings on the command line: nested `values` as text, for the class of `defaults`, and only those that were typed."""

    defaults: Settings
    values: Mapping[str, Any] = field(default_factory=dict)


SettingFlags = Annotated[Flags, tyro.conf.arg(name="")]
"""The type of a parameter whose default, `Flags(Run())`, says which settings are flags and which defaults the help shows."""

ENGINE = Flags(EngineSettings())
"""The default of a command's parameter `engine: SettingFlags`, with which it says where its work is done."""


def engine_settings(typed: Flags) -> EngineSettings:
    """What `ENGINE`'s flags say. Raises one `SettingsError` for all problems."""
    return load_settings(EngineSettings, None, typed.values)


def settings_registry(choices: bool = False) -> ConstructorRegistry:
    """How tyro reads `SettingFlags`. With `choices` tyro knows the choices of a setting, which shell completion needs; without, pydantic
    checks them."""
    registry = ConstructorRegistry()

    @registry.struct_rule
    def settings_rule(info: StructTypeInfo) -> StructConstructorSpec | None:
        whole = info.default if isinstance(info.default, Flags) else None
        part = whole.defaults if whole else info.default
        if not isinstance(part, Settings):
            return None

        def collect(**values: Any) -> Any:
            typed = {name: value for name, value in values.items() if value is not NoneType and value != {}}
            return replace(whole, values=typed) if whole else typed

        fields = type(part).model_fields.items()
        return StructConstructorSpec(collect, tuple(_flag(name, one, getattr(part, name), choices) for name, one in fields))

    return registry


def with_unknown(call: "partial[None]", words: Sequence[str]) -> "partial[None]":
    """`call`, whose command does not know some `words`: mistyped settings join the settings, to be reported with them.

    Raises `SettingsError` for any other unknown word.
    """
    flags = [word.partition("=")[0] for word in words if word.startswith("--")]
    groups = {name: value for name, value in call.keywords.items() if isinstance(value, Flags)}
    parameters = signature(call.func).parameters.items()
    own = [flag_name(name) for name, one in parameters if one.kind is Parameter.KEYWORD_ONLY and name not in groups]
    own += [flag_name(name) for group in groups.values() for name in setting_names(type(group.defaults))]
    if settings := groups.get("settings"):
        mistyped = {flag[2:]: "" for flag in flags if "." in flag}
        call = partial(call, settings=replace(settings, values={**settings.values, **mistyped}))
        flags = [flag for flag in flags if "." not in flag]
    problems = [f"no flag called '{flag}': {nearest(flag, own)}" for flag in flags]
    if "--set" in flags:
        pairs = [word.removeprefix("--set=").partition("=") for word in words if "=" in word.removeprefix("--set=")]
        example = " ".join(f"{flag_name(name)} {value}" for name, _, value in pairs) or "--train.steps 200"
        problems = [f"--set is gone, settings are flags of their own: write {example}"]
    if not any(word.startswith("--") for word in words):
        problems = [f"'{word}' is a word too many: 'ghostpad COMMAND --help' lists what a command takes" for word in words]
    if problems:
        raise SettingsError(problems)
    return call


def _flag(name: str, one: FieldInfo, default: Any, choices: bool) -> StructFieldSpec:
    """A setting, or a part of the settings with flags of its own, for tyro, whose default `NoneType` means that the flag was not typed."""
    if isinstance(default, Settings):
        return StructFieldSpec(name, type(default), default)
    kind: Any = one.annotation
    optional, many = NoneType in get_args(kind), get_origin(kind) is tuple
    while optional and kind is one.annotation or get_origin(kind) in (tuple, Annotated):
        kind = get_args(kind)[0]
    words = ("true", "false") if kind is bool else get_args(kind) if get_origin(kind) is Literal else ()
    metavar = f"{{{','.join(words)}}}" if words else {str: "TEXT"}.get(kind) or kind.__name__.upper()

    def read(typed: list[str]) -> Any:
        return typed if many else None if optional and typed[0].lower() == "none" else typed[0]

    spec: PrimitiveConstructorSpec[Any] = PrimitiveConstructorSpec(
        nargs="*" if many else 1,
        metavar=metavar + "..." * many,
        instance_from_str=read,
        is_instance=lambda value: True,
        str_from_instance=lambda value: [],
        choices=words if choices and words else None,
    )
    hint = tyro.conf.arg(help_behavior_hint=f"({', '.join([*limits(one), f'default: {_shown(default)}'])})")
    return StructFieldSpec(name, Annotated[Any, spec, hint], NoneType, helptext=one.description)  # type: ignore[arg-type]


def _shown(value: Any) -> str:
    """A default as somebody would type it."""
    if isinstance(value, tuple):
        return " ".join(map(_shown, value)) or "nothing"
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)

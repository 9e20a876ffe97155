"""Settings: typed, frozen, strict, read from TOML and from flags; every problem is reported at once.

A settings class stands beside the model or stage it configures and is free of torch, so that `--help` stays fast. A recipe
file need only hold differences from the defaults; flags override a recipe, which overrides the defaults.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from ghostpad.base.errors import MissingError, SettingsError, nearest


class Settings(BaseModel):
    """Base of every settings class: unknown names are refused and values cannot change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


SettingsType = TypeVar("SettingsType", bound=Settings)

_LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "multiple_of": "a multiple of"}


def build_settings(
    cls: type[SettingsType], values: Mapping[str, Any], where: str, flags: Mapping[str, Any] = MappingProxyType({})
) -> SettingsType:
    """Validate nested `values`, and `flags` laid over them, as `cls`; raises one `SettingsError` that lists every problem.

    A problem of `flags` names the flag, any other names `where`, the origin of `values`.
    """
    # Flags laid over a part of `values` that is no table would hide that problem.
    flags = {name: value for name, value in flags.items() if isinstance(values.get(name, {}), Mapping) or name not in cls.model_fields}
    try:
        return cls.model_validate(_merged(_merged(cls().model_dump(), values), flags))
    except ValidationError as error:
        raise SettingsError([_sentence(cls, problem, where, flags) for problem in error.errors()]) from None


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The nested values of a TOML recipe. Raises `MissingError`, or `SettingsError` for text that is not TOML."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingError(f"the recipe {path} does not exist") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None


def fingerprint(*parts: Any) -> str:
    """Twelve hex digits that name `parts`, which JSON can hold; the same parts give the same digits on every machine."""
    text = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def setting_names(cls: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted names of all fields of a settings class and of the classes nested in it."""
    for name, field in cls.model_fields.items():
        inner = _settings_class(field.annotation)
        yield from setting_names(inner, f"{prefix}{name}.") if inner else [prefix + name]


def flag_name(name: str) -> str:
    """A setting's dotted name as a flag: `--data.batch-size`."""
    return f"--{name.replace('_', '-')}"


def limits(field: FieldInfo) -> list[str]:
    """What a number must be, or each number of several: `["at least 0", "below 1"]`."""
    inner = [part for item in get_args(field.annotation) for part in getattr(item, "__metadata__", ()) if isinstance(part, FieldInfo)]
    rules = {name: getattr(rule, name) for part in (field, *inner) for rule in part.metadata for name in _LIMITS if hasattr(rule, name)}
    if {"ge", "le"} <= set(rules):
        return [f"{rules['ge']:g} to {rules['le']:g}"]
    return [f"{words} {rules[name]:g}" for name, words in _LIMITS.items() if name in rules]


def load_settings(
    cls: type[SettingsType], recipe: Path | None, flags: Mapping[str, Any], base: Mapping[str, Any] = MappingProxyType({})
) -> SettingsType:
    """The defaults, overridden by `base`, then by `recipe`, then by `flags`, which are nested like `base` and may be text.

    Raises `MissingError` for a recipe that does not exist and one `SettingsError` for all problems.
    """
    values = read_recipe(recipe) if recipe is not None else {}
    return build_settings(cls, _merged(base, values), str(recipe or "flags"), flags)


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`under` with the nested values of `over` laid over it."""
    result = dict(under)
    for name, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(name), Mapping)
        result[name] = _merged(result[name], value) if both else value
    return result


def _settings_class(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _sentence(cls: type[BaseModel], problem: Mapping[str, Any], where: str, flags: Mapping[str, Any]) -> str:
    name, value, words = ".".join(map(str, problem["loc"])), problem["input"], problem["msg"].removeprefix("Value error, ").lower()
    names = list(setting_names(cls))
    if _among(flags, problem["loc"]) and not isinstance(value, Mapping):
        flag = flag_name(".".join(part for part in problem["loc"] if isinstance(part, str)))  # without the index in a list
        if problem["type"] == "extra_forbidden":
            return f"no flag called '{flag}': {nearest(flag, map(flag_name, names))}"
        return f"{flag} is {' '.join(value) if isinstance(value, list) else value}: {words}"
    if problem["type"] == "extra_forbidden":
        return f"{where}: no setting called '{name}': {nearest(name, names)}"
    return f"{where}: {name or 'settings'}{'' if isinstance(value, Mapping) else f' is {value!r}'}: {words}"


def _among(flags: Any, place: Sequence[Any]) -> bool:
    """Whether `flags` set the value at `place`, or one that contains it."""
    return not place or not isinstance(flags, Mapping) or (place[0] in flags and _among(flags[place[0]], place[1:]))

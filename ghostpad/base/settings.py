"""Settings: typed, frozen, strict, read from TOML and overridden by flags; every problem is reported at once.

A settings class sits beside the model or stage it configures and is free of torch, so that `--help` stays fast. A recipe
file holds only differences from the defaults; the order is defaults < recipe < flags.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from ghostpad.base.errors import MissingError, SettingsError, nearest


class Settings(BaseModel):
    """Base of every settings class: unknown names are refused and values cannot change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True)


SettingsType = TypeVar("SettingsType", bound=Settings)


def build_settings(cls: type[SettingsType], values: Mapping[str, Any], where: str) -> SettingsType:
    """Validate nested `values` as `cls`; raises one `SettingsError` that lists every problem, `where` naming their origin."""
    try:
        return cls.model_validate(_merged(cls().model_dump(), values))
    except ValidationError as error:
        raise SettingsError([_sentence(cls, problem, where) for problem in error.errors()]) from None


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The nested values of a TOML recipe. Raises `MissingError`, or `SettingsError` for text that is not TOML."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingError(f"the recipe {path} does not exist") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None


def fingerprint(*parts: Any) -> str:
    """Twelve hex digits that name JSON-able `parts`; the same parts give the same name on every machine."""
    text = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def setting_names(cls: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every field of a settings class as a dotted name, nested classes unfolded."""
    for name, field in cls.model_fields.items():
        inner = _settings_class(field.annotation)
        yield from setting_names(inner, f"{prefix}{name}.") if inner else [prefix + name]


def parse_overrides(words: Sequence[str]) -> dict[str, Any]:
    """Nested values from words like `train.steps=200`; a value is read as TOML, or as text where it is none.

    Raises `SettingsError`, listing every word without a `=`.
    """
    values: dict[str, Any] = {}
    problems = []
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not all(name.split(".")):
            problems.append(f"'{word}' is no override: write NAME=VALUE, for example train.steps=200")
            continue
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        *groups, last = name.split(".")
        inner: Any = values
        for group in groups:
            inner = inner.setdefault(group, {}) if isinstance(inner, dict) else inner
        if isinstance(inner, dict):
            inner[last] = value
        else:
            problems.append(f"'{word}' lies below an override that gave '{'.'.join(groups)}' a value: drop one of the two")
    if problems:
        raise SettingsError(problems)
    return values


def load_settings(cls: type[SettingsType], recipe: Path | None, overrides: Sequence[str]) -> SettingsType:
    """Settings from defaults < recipe < overrides. Raises `MissingError` for no recipe and one `SettingsError` for all problems."""
    return build_settings(cls, given_values(recipe, overrides), str(recipe or "--set"))


def given_values(recipe: Path | None, overrides: Sequence[str]) -> dict[str, Any]:
    """The nested values that a recipe and overrides give, the latter laid over the former; raises as `load_settings` does."""
    values, over = read_recipe(recipe) if recipe is not None else {}, parse_overrides(overrides)
    lost = [name for name, value in over.items() if isinstance(value, Mapping) and not isinstance(values.get(name, {}), Mapping)]
    if lost:
        raise SettingsError(
            [f"{recipe}: {name} is {values[name]!r}, and --set {name}... lies below it: drop one of the two" for name in lost]
        )
    return _merged(values, over)


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


def _sentence(cls: type[BaseModel], problem: Mapping[str, Any], where: str) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{where}: no setting called '{name}': {nearest(name, setting_names(cls))}"
    return f"{where}: {name or 'settings'} is {problem['input']!r}: {problem['msg'].lower()}"

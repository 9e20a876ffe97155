"""Filters and games from our own folder and from other installed packages, which name their modules in entry points:

[project.entry-points."ghostpad.filters"]
steady = "own_filter"
"""

import pkgutil
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType

from ghostpad.base.errors import SettingsError


@cache  # reading the metadata of every installed package takes about 20 ms (measured)
def modules_of(package: str) -> tuple[ModuleType, ...]:
    """The modules of one of our packages, then those of the entry points in the group called `package`; both sorted by name.

    Raises `SettingsError`, naming the package it belongs to, for an entry point that cannot be imported.
    """
    modules = [import_module(f"{package}.{file.name}") for file in pkgutil.iter_modules(import_module(package).__path__)]
    for point in sorted(entry_points(group=package), key=lambda point: point.name):
        try:
            modules.append(point.load())
        except (ImportError, AttributeError) as error:
            owner = point.dist.name if point.dist else "an installed package"
            raise SettingsError(f"{owner} adds '{point.value}' to {package}, which cannot be imported ({error}): uninstall it") from None
    return tuple(modules)

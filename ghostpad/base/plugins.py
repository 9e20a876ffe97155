"""The files of a folder that others may add to: our own, and those of installed packages, which name a module of theirs in an entry point:

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
    """The modules of one of our packages, then those that entry points of the group called `package` name; both by name.

    Raises `SettingsError`, saying which package brought it, for an entry point that cannot be imported.
    """
    found = [import_module(f"{package}.{file.name}") for file in pkgutil.iter_modules(import_module(package).__path__)]
    for point in sorted(entry_points(group=package), key=lambda point: point.name):
        try:
            found.append(point.load())
        except (ImportError, AttributeError) as error:
            owner = point.dist.name if point.dist else "an installed package"
            raise SettingsError(f"{owner} adds '{point.value}' to {package}, which cannot be imported ({error}): uninstall it") from None
    return tuple(found)

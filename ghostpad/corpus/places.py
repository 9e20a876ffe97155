"""Where footage and labels are: a path on this machine, or an address that an fsspec driver reads, such as s3://bucket/prefix.

Reads and writes nothing itself. s3:// needs the extra `s3`; keys and endpoint come from the environment, as with every AWS tool.
"""

import os
import sys
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from ghostpad.base.errors import MissingError, SettingsError


def open_place(place: str) -> tuple[Any, str]:
    """The file system of a path or address, and the path inside it.

    Raises `SettingsError` for an address that no driver knows and `MissingError` where its driver is not installed.
    """
    if "://" not in place:
        return LocalFileSystem(), os.path.abspath(place)
    try:
        files, path = fsspec.core.url_to_fs(place)
    except ImportError as error:
        hint = "pip install 'ghostpad[s3]'" if place.startswith(("s3:", "s3a:")) else "install its fsspec driver"
        raise MissingError(f"{place} cannot be read here ({error}): {hint}") from None
    except ValueError as error:
        raise SettingsError(f"{place} cannot be read: {error}") from None
    return files, path


def place_errors() -> tuple[type[Exception], ...]:
    """What file systems raise where a place cannot be read: `OSError`, and botocore's own once that is in use (no key, no endpoint)."""
    botocore = sys.modules.get("botocore.exceptions")
    return (OSError, botocore.BotoCoreError) if botocore else (OSError,)


def is_local(files: Any) -> bool:
    """Whether a file system is this machine's."""
    return isinstance(files, LocalFileSystem)

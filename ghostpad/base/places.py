"""Where data lies: a folder of this machine, or an address that an fsspec driver reads and writes, such as s3://bucket/prefix.

A place is a `Path`, or for an address a `UPath` with the same methods. s3:// needs the extra `s3`; keys and endpoint come from the
environment, as with every AWS tool.
"""

import errno
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from upath import UPath

from ghostpad.base.errors import MissingError, PlaceError, SettingsError

Place = Path | UPath
"""A path of this machine, or an address."""

AnyPlace = str | os.PathLike[str] | UPath
"""A place, or the text of a path of this machine."""


def place(text: "str | os.PathLike[str] | Place") -> Place:
    """The place that a path or an address names.

    Raises `SettingsError` for no text or an address that no driver knows, and `MissingError` where its driver is not installed.
    """
    if isinstance(text, UPath) and is_remote(text):
        return text
    if not str(text):
        raise SettingsError("the name of a folder is empty: name one, such as . for the current folder")
    if "://" not in str(text):
        return Path(str(text))
    with _driver_errors(str(text)):
        return UPath(str(text), use_listings_cache=False)  # a kept listing would hide what others have written


def open_place(text: str) -> tuple[Any, str]:
    """The file system of a path or address, and the path inside it. Raises as `place`."""
    if not text:
        raise SettingsError("the name of a file or folder is empty: name one, such as . for the current folder")
    if "://" not in text:
        return LocalFileSystem(), os.path.abspath(text)
    with _driver_errors(text):
        files, path = fsspec.core.url_to_fs(text, use_listings_cache=False)
    return files, path


@contextmanager
def _driver_errors(text: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        hint = "pip install 'ghostpad[s3]'" if text.startswith(("s3:", "s3a:")) else "install its fsspec driver"
        raise MissingError(f"{text} cannot be read here ({error}): {hint}") from None
    except ValueError as error:
        raise SettingsError(f"{text} cannot be read: {error}") from None


def is_remote(path: Place) -> bool:
    """Whether a place is an address and not a path of this machine."""
    return not isinstance(path, Path) and not isinstance(path.fs, LocalFileSystem)


def is_local(files: Any) -> bool:
    """Whether a file system is this machine's."""
    return isinstance(files, LocalFileSystem)


@contextmanager
def local_file(path: Place) -> Iterator[Path]:
    """The file itself, or for an address a copy on this machine while the block runs, in the folder for temporary files.

    Raises `MissingError` for an address without a file; a path of this machine is not looked at.
    """
    if isinstance(path, Path):
        yield path
        return
    with TemporaryDirectory(prefix="ghostpad-") as folder:
        copy = Path(folder) / path.name
        try:
            with path.open("rb") as source, open(copy, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except FileNotFoundError:
            raise MissingError(f"{path} does not exist") from None
        yield copy


def changed_s(path: Place) -> float:
    """When a file was changed last, in seconds since 1970; now where its file system does not say."""
    if isinstance(path, Path):
        return path.stat().st_mtime
    try:
        return float(path.fs.modified(path.path).timestamp())
    except (NotImplementedError, AttributeError):
        return time.time()


def file_mark(path: Place) -> str:
    """A text that is another when another file takes the place of one, even an older file: its size and its time of change, at an address
    all that the store says of it. Raises `MissingError` for no file."""
    try:
        if not isinstance(path, Path):
            return str(path.fs.ukey(path.path))
        about = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise MissingError(f"{path} does not exist") from None
    return f"{about.st_size} {about.st_mtime_ns}"


def newest_s(folder: Place) -> float:
    """When a file of a folder, of those whose name begins with no dot, was changed last, in seconds since 1970; 0 for none.

    By one listing, at an address by the store's clock (0 where it does not say).
    """
    if isinstance(folder, Path):
        with os.scandir(folder) as entries:
            return max((entry.stat().st_mtime for entry in entries if not entry.name.startswith(".")), default=0.0)
    files = (about for about in folder.fs.ls(folder.path, detail=True) if not about["name"].rpartition("/")[2].startswith("."))
    times = (about.get("LastModified") or about.get("mtime") or about.get("created") or 0.0 for about in files)
    return max((time.timestamp() if isinstance(time, datetime) else float(time) for time in times), default=0.0)


def place_errors() -> tuple[type[Exception], ...]:
    """What file systems raise where a place cannot be read or written: `OSError`, and botocore's own once that is in use (no key, no
    endpoint)."""
    botocore = sys.modules.get("botocore.exceptions")
    return (OSError, botocore.BotoCoreError, botocore.ClientError) if botocore else (OSError,)


_ADVICE = {
    errno.ENOSPC: "make room and run the same command again",
    errno.EDQUOT: "make room and run the same command again",
    errno.EFBIG: "a file may not grow so large here: raise the limit or use another disk",
    errno.EROFS: "it can be read but not written: mount it for writing, or use another folder",
    errno.EACCES: "change its rights, or use another folder",
    errno.EPERM: "change its rights, or use another folder",
    errno.EIO: "check the disk or the connection, then run the same command again",
    errno.ESTALE: "check the connection, then run the same command again",
    errno.ENOTCONN: "check the connection, then run the same command again",
    errno.ETIMEDOUT: "check the connection, then run the same command again",
    errno.EHOSTUNREACH: "check the connection, then run the same command again",
    errno.ENAMETOOLONG: "use a shorter name",
}


def place_error(error: Exception) -> PlaceError | None:
    """The error to tell a user for one of `place_errors()` that no program can help: a full, read-only, unplugged or forbidden disk, a lost
    connection, lost credentials, a folder that has gone with what is in it. None for others, which are bugs."""
    if isinstance(error, OSError) and error.errno in _ADVICE:
        where = " ".join(str(name) for name in (error.filename, error.filename2) if name) or "a file"
        return PlaceError(f"{where}: {os.strerror(error.errno).lower()}: {_ADVICE[error.errno]}")
    if isinstance(error, FileNotFoundError) and error.filename and not os.path.isdir(os.path.dirname(os.path.abspath(error.filename))):
        return PlaceError(f"{error.filename}: its folder is gone: bring the disk back, and run the same command again")
    answered = any(type(one).__module__.startswith("botocore") for one in (error, error.__cause__))  # s3fs makes an OSError of most answers
    if isinstance(error, PermissionError) or answered:
        return PlaceError(f"the place cannot be used ({error}): check its address, keys and connection, then run the same command again")
    return None

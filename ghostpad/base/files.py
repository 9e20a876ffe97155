"""Files and folders that appear whole or not at all: write beside the target, flush to disk, rename. At an address: one upload.

A temporary name starts with a dot and ends in `.tmp-<machine>-<number>`. Its writer holds a lock of the kernel on it while it lives
(`fcntl.flock`), in whatever container it runs; so what a killed process leaves is recognised and taken over by the next writer of the same
target, without looking through the folder. Readers ignore such names. Other machines' temporary files are never touched.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, TextIO

from upath import UPath

from ghostpad.base.errors import FormatError, MissingError, SettingsError
from ghostpad.base.places import AnyPlace, Place, place_errors

_TURN_S = 0.5


class _NoLocks(Exception):
    """A network disk has no locks."""


@contextmanager
def atomic_path(path: AnyPlace, *, derived: bool = False) -> Iterator[Path]:
    """Yield an empty temporary file of this machine with the same suffix, to be written in place; it becomes `path` on success, and is
    removed otherwise. What is `derived` and checked when it is read need not survive a power cut: it is not flushed to the disk (5 ms)."""
    target = _place(path)
    with scratch_path(target) as temporary:
        yield temporary
        if isinstance(target, Path):
            if not derived:
                _flush(temporary)
            os.replace(temporary, target)
        else:
            target.fs.put_file(str(temporary), target.path)


@contextmanager
def new_path(path: AnyPlace) -> Iterator[Path]:
    """As `atomic_path`, but never over what is there: of several writers of `path` one succeeds, on any machine.

    Raises `FileExistsError` at the end of the block if `path` exists by then. When the block has ended, the file and its name are on the
    disk. On a disk without hard links this holds for the processes of one machine.
    """
    with scratch_path(path) as temporary:
        yield temporary
        keep_new(temporary, path)


@contextmanager
def scratch_path(path: AnyPlace) -> Iterator[Path]:
    """Yield an empty temporary file of this machine with the same suffix, to be written in place, and remove it at the end. It lies beside
    `path`, or for an address in the folder for temporary files."""
    target = _place(path)
    with _temporary(target) if isinstance(target, Path) else _to_upload(target) as temporary:
        yield temporary


def keep_new(temporary: Path, path: AnyPlace) -> None:
    """Let what a scratch file holds appear as `path`, on its own disk or at an address. Raises `FileExistsError` as `new_path`."""
    target = _place(path)
    if isinstance(target, Path):
        _flush(temporary)
        _link(temporary, target)
        with suppress(OSError):  # a network disk may refuse to flush a folder
            _flush(target.parent)
    else:
        with _created(target):
            target.fs.put_file(str(temporary), target.path, mode="create")


def clear_linked(folder: Place) -> None:
    """Remove the temporary names that writers of `new_path` left beside the final ones in a folder of this machine, killed in between."""
    if not isinstance(folder, Path) or not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") and ".tmp-" in entry.name:
                with suppress(FileNotFoundError):
                    if entry.is_file() and entry.stat().st_nlink > 1:
                        os.unlink(entry.path)


def write_new(path: Place, body: bytes) -> None:
    """Write a small file, whole, unless it exists. Raises `FileExistsError` as `new_path`."""
    if isinstance(path, Path):
        with new_path(path) as temporary:
            temporary.write_bytes(body)
    else:
        with _created(path):
            path.fs.pipe_file(path.path, body, mode="create")


@contextmanager
def _created(target: Any) -> Iterator[None]:
    """Raise `FileExistsError` for whatever a store answers if the object is there by then, or if it says that somebody else is creating it
    (S3: 409)."""
    try:
        yield
    except FileExistsError:
        raise
    except place_errors() as error:
        answer = getattr(error.__cause__ or error, "response", {})
        if answer.get("ResponseMetadata", {}).get("HTTPStatusCode") != 409 and not target.exists():
            raise
        raise FileExistsError(f"{target} exists") from None


def _place(path: AnyPlace) -> Place:
    return path if isinstance(path, UPath) else Path(path)


def _link(temporary: Path, target: Path) -> None:
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno == errno.EXDEV:  # the scratch file lies on another disk, to which a folder of caches may lead
            with new_path(target) as copy:
                shutil.copyfile(temporary, copy)
            return
        # A disk without hard links.
        with locked(target.with_name(".lock")):
            if target.exists():
                raise FileExistsError(f"{target} exists") from None
            os.replace(temporary, target)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder to fill; rename it to `path` on success (replacing an older one), remove it otherwise."""
    target = Path(path)
    with _temporary(target, folder=True) as temporary:
        yield temporary
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)


@contextmanager
def kept_folder(path: Path) -> Iterator[Path | None]:
    """Yield a folder for unfinished work, with what a killed process left in it; None while another living process has it.

    It stays after the block: remove it when the work is done. On a disk without locks the folder is a new one, and does not stay.
    """
    path.mkdir(parents=True, exist_ok=True)
    try:
        handle = _held(path, os.O_RDONLY)
    except FileNotFoundError:  # its owner has just removed it
        handle = None
    except _NoLocks:
        with TemporaryDirectory(prefix=path.name, dir=path.parent, ignore_cleanup_errors=True) as folder:
            yield Path(folder)
        return
    try:
        yield path if handle is not None else None
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def _to_upload(target: Any) -> Iterator[Path]:
    with TemporaryDirectory(prefix="ghostpad-") as folder:
        temporary = Path(folder) / target.name
        temporary.touch()
        yield temporary


@contextmanager
def _temporary(target: Path, folder: bool = False) -> Iterator[Path]:
    """A temporary file or folder beside the target, empty, with a lock on it; what is left of it in the end is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, number = None, 0
    while handle is None:
        temporary = target.with_name(f".{target.name}.tmp-{machine()}-{number}{target.suffix}")
        handle, number = _claim(temporary, folder), number + 1
    try:
        yield temporary
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            if _is_open_as(handle, temporary):  # not another writer's, who may have taken the name since it was renamed
                shutil.rmtree(temporary) if folder else temporary.unlink()
        os.close(handle)


def _is_open_as(handle: int, path: Path) -> bool:
    return os.fstat(handle).st_ino == os.stat(path).st_ino


def _claim(temporary: Path, folder: bool) -> int | None:
    """The open handle that keeps a temporary name ours, None if a living process has it; what a dead one left is emptied."""
    made = True
    try:
        temporary.mkdir() if folder else temporary.touch(exist_ok=False)
    except FileExistsError:
        made = False
    try:
        handle = _held(temporary, os.O_RDONLY if folder else os.O_RDWR)
    except FileNotFoundError:
        return _claim(temporary, folder)  # its owner has just removed it
    except _NoLocks:
        return os.open(temporary, os.O_RDONLY) if made else None  # only a name of our own making is ours
    if handle is None:
        return None
    if not folder and os.fstat(handle).st_nlink > 1:  # its writer was killed after it had given the file its name: this one may go
        temporary.unlink()
        os.close(handle)
        return _claim(temporary, folder)
    if folder:
        for path in temporary.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    else:
        os.ftruncate(handle, 0)
    return handle


def _held(path: Path, flags: int) -> int | None:
    """The open handle that keeps a file or folder ours, None if a living process has it or its owner has just renamed or removed it.

    Raises `FileNotFoundError` where there is none, and `_NoLocks` on a disk without locks.
    """
    handle = os.open(path, flags)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_open_as(handle, path):  # its owner may have renamed it in between
            return handle
    except (BlockingIOError, PermissionError, FileNotFoundError):
        pass
    except OSError as error:
        os.close(handle)
        raise _NoLocks from error
    os.close(handle)
    return None


@cache
def machine() -> str:
    """Six signs for this machine: of its id and name, since copies of a disk share the id."""
    known = Path("/etc/machine-id")
    id = known.read_text() if known.exists() else ""
    return hashlib.sha256(f"{id} {socket.gethostname()}".encode()).hexdigest()[:6]


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the lock file `path` (made if need be), waiting while another process of this machine holds it.

    The kernel drops a lock when its holder dies, so a killed process leaves nothing to clean (`fcntl.flock`; Linux and macOS).
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def turn(folder: Place) -> Iterator[None]:
    """Wait for other processes of this machine that hold the same turn, up to half a second: fewer then try the same thing in vain. A turn
    promises nothing, and at an address it does nothing."""
    with ExitStack() as stack:
        with suppress(OSError):  # one that may not write here fails at what it wants to write
            if isinstance(folder, Path):
                _wait(stack.enter_context(open(folder / ".turn", "w")))
        yield


def _wait(handle: TextIO) -> None:
    """Wait for the lock as the kernel lets one wait, in turn; a thread of its own does, because that has no end while a holder sleeps."""
    with suppress(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    waiting = Thread(target=_lock, args=(os.dup(handle.fileno()),), daemon=True)
    waiting.start()
    waiting.join(_TURN_S)


def _lock(handle: int) -> None:
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX)
    os.close(handle)


def write_json(path: AnyPlace, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically. NaN and infinity are refused (`ValueError`)."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: AnyPlace) -> Any:
    """The value of a JSON file. Raises `MissingError` or, for broken JSON, `FormatError`."""
    try:
        return json.loads(_place(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingError(f"{path} does not exist") from None
    except ValueError as error:
        raise FormatError(f"{path} is not JSON ({error}): remove it and re-run the command that wrote it") from None


def append_json(path: str | os.PathLike[str], entry: dict[str, Any]) -> None:
    """Append a line of JSON and flush it to disk. A kill loses at most this line; a line cut short by a kill is ended first."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+") as file:
        end = file.seek(0, os.SEEK_END)
        torn = end > 0 and (file.seek(end - 1), file.read(1))[1] != b"\n"
        file.write(b"\n" * torn + json.dumps(entry).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_json_lines(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines, without lines cut short by a kill; none if there is no file."""
    entries = []
    for line in Path(path).read_bytes().splitlines() if Path(path).exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it where the disk has no hard links; does nothing if `target` has its size already."""
    if target.exists() and target.stat().st_size == source.stat().st_size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)


def file_sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def safe_name(name: str) -> str:
    """`name` if it can name a file of ours. Raises `SettingsError` if it is empty, too long, or holds a leading dot, a slash or a colon."""
    if not name or name.startswith(".") or any(sign in name for sign in "/\\:\0") or not _is_text(name) or len(name.encode()) > 200:
        raise SettingsError(f"{name!r} cannot name a file: use letters, digits, '-' and '_'")
    return name


def _is_text(name: str) -> bool:
    """Whether a name came from bytes that are UTF-8; Python keeps others as lone surrogates."""
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False

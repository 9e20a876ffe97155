"""Files and folders that appear whole or not at all: write beside the target, flush to disk, rename.

A temporary name starts with a dot and ends in `.tmp-<pid>`; a killed process leaves at most such a file, which readers ignore
and the next writer of the same target removes.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ghostpad.base.errors import FormatError, MissingError, SettingsError


def _temporary(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".{path.name}.tmp-*"):
        if not _alive(stale):
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink(missing_ok=True)
    return path.with_name(f".{path.name}.tmp-{os.getpid()}{path.suffix}")


def _alive(temporary: Path) -> bool:
    """Whether the process that owns a temporary name still runs (that of another machine looks dead, and its rename fails)."""
    pid = temporary.name.rpartition(".tmp-")[2].partition(".")[0]
    if not pid.isdigit() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it runs, as another user
    return True


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path with the same suffix; rename it to `path` on success, remove it otherwise."""
    target = Path(path)
    temporary = _temporary(target)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder to fill; rename it to `path` on success (replacing an older one), remove it otherwise."""
    target = Path(path)
    temporary = _temporary(target)
    temporary.mkdir()
    try:
        yield temporary
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def locked(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the lock file `path` (made if need be), waiting while another process of this machine holds it.

    The kernel drops a lock when its holder dies, so a killed process leaves nothing to clean (`fcntl.flock`; Linux and macOS).
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically. NaN and infinity are refused (`ValueError`)."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike[str]) -> Any:
    """The value of a JSON file. Raises `MissingError` or, for broken JSON, `FormatError`."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
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
    with atomic_path(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def file_sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def safe_name(name: str) -> str:
    """`name` if it can name a file of ours. Raises `SettingsError` if it is empty, too long, or holds a leading dot, a slash or a colon."""
    if not name or name.startswith(".") or any(sign in name for sign in "/\\:\0") or len(name.encode()) > 200:
        raise SettingsError(f"'{name}' cannot name a file: use letters, digits, '-' and '_'")
    return name

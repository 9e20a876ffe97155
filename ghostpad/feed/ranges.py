"""Ranges of bytes of very many files: those of this machine through a few open files, those at an address through a cache on this disk.

A file at an address is read in blocks, which are kept in a folder that the processes of this machine share. The name of a block says in
which of its subfolders it lies; each holds about a hundred at most, of which the one unused for longest makes room for a new one. So the
bound holds without anybody counting, a kill leaves nothing to mend, and to make room costs one short listing.
Cost: 2 microseconds of CPU for a range of a file of this machine, 32 for one of a block that is kept (both measured), else a request.
"""

import hashlib
import os
import shutil
from collections import OrderedDict
from contextlib import suppress
from functools import partial
from pathlib import Path

import fsspec
from upath import UPath

from ghostpad.base.errors import MissingError, SettingsError
from ghostpad.base.files import atomic_path
from ghostpad.base.places import Place, file_mark, place_error, place_errors

MOST_FILES = 64
"""Most files of this machine that a process holds open for their ranges."""

BLOCK_BYTES = 1 << 20
"""Size of a block. A guess: at 50 MB/s it takes as long as a store's answer, 20 ms, and a window of 33 pictures at 256 px needs 0.2 MB."""

_MOST_MARKS = 1 << 17
"""Files at an address of which is remembered what the store said of them: 26 MB, and both files of 65,000 videos."""

_LENGTH_BYTES = 8

_SET_BLOCKS = 64
"""Fewest blocks of a subfolder, where the limit allows more than one: to be used least of 64 is nearly to be used least of all."""


class Ranges:
    """Reads byte ranges, for one process and one thread. A pickled or forked one reads on by itself.

    folder       where blocks of files at an address are kept; made when the first one is
    limit_bytes  most that they may take, which is exceeded by at most one block a process; every process of a folder should have the same
    """

    def __init__(self, folder: Path, limit_bytes: int, *, block_bytes: int = BLOCK_BYTES):
        self._open = OrderedDict[Path, int]()
        blocks = limit_bytes // (block_bytes + _LENGTH_BYTES)
        if blocks < 1:
            raise SettingsError(f"a cache of {limit_bytes} bytes has no room for one block of {block_bytes}: allow it more")
        self._folder, self._limit_bytes, self._block_bytes = folder, limit_bytes, block_bytes
        self._sets = max(1, blocks // _SET_BLOCKS)
        self._set_blocks = blocks // self._sets
        self._tidied = False
        self._marks = OrderedDict[str, str]()

    def __reduce__(self) -> tuple[object, ...]:
        return partial(Ranges, block_bytes=self._block_bytes), (self._folder, self._limit_bytes)

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open; the next read opens it again."""
        while self._open:
            os.close(self._open.popitem()[1])

    def forget(self, place: Place) -> None:
        """Let the next read see the file that has this name by then; without it, one that took its place since the first read may not be
        seen."""
        if isinstance(place, Path) and place in self._open:
            os.close(self._open.pop(place))
        self._marks.pop(str(place), None)

    def read(self, place: Place, start: int, stop: int, mark: str | None = None) -> bytes:
        """The bytes `start` to `stop` of a file, fewer where it ends before.

        `mark` is a text that is another for another file of this name; for None a store is asked for the `file_mark`, once for each file.
        Raises `MissingError` for no file, `PlaceError` where the place cannot be used, and other `OSError` of the disk.
        """
        try:
            if isinstance(place, Path):
                return os.pread(self._descriptor(place), stop - start, start)
            mark = self._mark(place) if mark is None else mark
            return self._from_blocks(place, start, stop, mark)
        except (FileNotFoundError, NotADirectoryError):
            raise MissingError(f"{place} does not exist") from None
        except place_errors() as error:
            if (told := place_error(error)) is None:
                raise
            raise told from None

    def _descriptor(self, place: Path) -> int:
        if place in self._open:
            self._open.move_to_end(place)
            return self._open[place]
        while len(self._open) >= MOST_FILES:
            os.close(self._open.popitem(last=False)[1])
        self._open[place] = handle = os.open(place, os.O_RDONLY)
        return handle

    def _mark(self, place: UPath) -> str:
        name = str(place)
        if name not in self._marks:
            while len(self._marks) >= _MOST_MARKS:
                self._marks.popitem(last=False)
            self._marks[name] = file_mark(place)
        return self._marks[name]

    def _from_blocks(self, place: UPath, start: int, stop: int, mark: str) -> bytes:
        parts, size = [], self._block_bytes
        for number in range(start // size, -(-stop // size)):
            begin = number * size
            first, last = max(start - begin, 0), min(stop - begin, size)
            parts.append(self._from_block(place, number, mark, first, last))
            if len(parts[-1]) < last - first:
                break
        return b"".join(parts)

    def _from_block(self, place: UPath, number: int, mark: str, first: int, last: int) -> bytes:
        """The bytes `first` to `last` of a block, which is fetched if it is not kept."""
        key = hashlib.sha256(repr((str(place), mark, number, self._block_bytes)).encode()).hexdigest()
        path = self._folder / str(int(key[:8], 16) % self._sets) / key[8:40]
        with suppress(FileNotFoundError), open(path, "rb", buffering=0) as kept:
            size = os.fstat(kept.fileno()).st_size - _LENGTH_BYTES
            if size >= 0 and os.pread(kept.fileno(), _LENGTH_BYTES, size) == _length(size):
                os.utime(kept.fileno())
                return os.pread(kept.fileno(), max(0, min(last, size) - first), first)
        body = _fetched(place, number * self._block_bytes, (number + 1) * self._block_bytes)
        self._keep(path, body)
        return body[first:last]

    def _keep(self, path: Path, body: bytes) -> None:
        if not self._tidied:
            self._tidy()
        with suppress(FileNotFoundError):  # another process has taken the room
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = sorted(path.parent.iterdir(), key=_used_ns)
            for oldest in kept[: max(0, len(kept) + 1 - self._set_blocks)]:
                oldest.unlink(missing_ok=True)
            with atomic_path(path, derived=True) as temporary:
                temporary.write_bytes(body + _length(len(body)))

    def _tidy(self) -> None:
        """Remove what a process with a higher limit has kept where this one would not look."""
        self._tidied = True
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            if folder.name.isdecimal() and int(folder.name) >= self._sets:
                shutil.rmtree(folder, ignore_errors=True)


def _length(size: int) -> bytes:
    """What stands behind a block of so many bytes: a block that a power cut has shortened ends otherwise."""
    return size.to_bytes(_LENGTH_BYTES, "little")


def _used_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _fetched(place: UPath, start: int, stop: int) -> bytes:
    """Bytes of a file at an address, fewer where it ends before."""
    # A driver's own threads do not survive a fork; asked for again, it is this process's.
    files = fsspec.filesystem(place.protocol, **place.storage_options)
    try:
        body: bytes = files.cat_file(place.path, start=start, end=stop)
    except FileNotFoundError:
        raise
    except place_errors():
        if start < files.size(place.path):
            raise
        return b""  # stores refuse a range behind the end, each in its own words
    return body

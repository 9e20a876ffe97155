"""Ranges of bytes of files."""

import os
from pathlib import Path

from ghostpad.base.errors import MissingError
from ghostpad.base.places import Place


class Ranges:
    """Reads ranges of bytes."""

    def __init__(self, folder: Path, limit_bytes: int):
        self.folder, self.limit_bytes = folder, limit_bytes

    def read(self, place: Place, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop` of a file, fewer at its end. Raises `MissingError` for no file."""
        try:
            if not isinstance(place, Path):
                with place.open("rb") as remote:
                    remote.seek(start)
                    return bytes(remote.read(stop - start))
            with open(place, "rb", buffering=0) as file:
                return os.pread(file.fileno(), stop - start, start)
        except (FileNotFoundError, NotADirectoryError):
            raise MissingError(f"{place} does not exist") from None

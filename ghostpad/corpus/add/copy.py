"""The bytes of a file to add: read once, with their hash, into a scratch file of the corpus, which then gets a name that nothing has.

    videos/<id>.<ext>           the name of a video's file
    videos/<id>-<hash>.<ext>    where a file of other bytes has that name: nothing is ever written over

Of several processes on any machines that want one name, one gets it (see `ghostpad.base.files.keep_new`). A file that is there with the
same bytes, which a killed run may have left, is taken as it is. At an address the footage is uploaded once.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ghostpad.base.errors import MediaError
from ghostpad.base.files import keep_new, scratch_path
from ghostpad.base.places import Place, local_file, place_errors
from ghostpad.corpus.add.find import InputVideo
from ghostpad.corpus.folder import Corpus

_BLOCK_BYTES = 1 << 20
_LONGEST_SUFFIX = 16


@dataclass(frozen=True)
class Staged:
    """A file that was read: where its bytes lie on this machine, their hash and number."""

    path: Path
    sha256: str
    size: int
    at: str | None = None  # the name in videos/ under which they lie there already
    link: bool = False  # whether the corpus gets a link to `path` and not a copy


def suffix_of(source: InputVideo) -> str:
    """The suffix of a file as it can stand in the catalogue."""
    return re.sub(r"[^.a-z0-9]", "_", PurePosixPath(source.path).suffix.lower())[:_LONGEST_SUFFIX]


@contextmanager
def staged(corpus: Corpus, source: InputVideo, size: int | None, link: bool = False, there: str | None = None) -> Iterator[Staged]:
    """The bytes of a file of `size` while the block runs. `there` names a file in videos/ that may have them and that no video has.

    Raises `MediaError` for a file that cannot be read, whose size is not known, or that has another size; a full disk raises `OSError`.
    """
    if link:
        sha256 = _read(source, size, None)
        yield Staged(Path(os.path.abspath(source.path)), sha256, size or 0, link=True)
        return
    if there is not None:
        with local_file(corpus.root / "videos" / there) as found:
            sha256 = _read(source, size, None)
            if sha256 == _sha256(found):
                yield Staged(found, sha256, size or 0, at=there)
                return
    with scratch_path(corpus.root / "videos" / f"incoming{suffix_of(source)}") as scratch:
        yield Staged(scratch, _read(source, size, scratch), size or 0)


def give_name(corpus: Corpus, one: Staged, id: str, suffix: str) -> tuple[str, bool]:
    """Let a file be in videos/, named after a video. Returns its path in the corpus and whether it is new there."""
    if one.at is not None:
        return f"videos/{one.at}", False
    for part in ("", f"-{one.sha256[:8]}", f"-{one.sha256}"):
        path = f"videos/{id}{part}{suffix}"
        try:
            if one.link:
                (corpus.root / "videos").mkdir(exist_ok=True)
                os.symlink(one.path, str(corpus.root / path))
            else:
                keep_new(one.path, corpus.root / path)
            return path, True
        except FileExistsError:
            if _has(corpus.root / path, one):
                return path, False
    raise MediaError(f"videos/{id} and the names made of it are taken: give it another id")


def _has(path: Place, one: Staged) -> bool:
    """Whether a file in videos/ holds the same bytes."""
    try:
        if path.stat().st_size != one.size:
            return False
        with local_file(path) as found:
            return _sha256(found) == one.sha256
    except FileNotFoundError:  # a link that leads nowhere
        return False


def _sha256(path: Path) -> str | None:
    """The hash of a file, None for one that cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _read(source: InputVideo, size: int | None, into: Path | None) -> str:
    """Read a file to its end, into another: the hash of its bytes."""
    digest = hashlib.sha256()
    with open(os.devnull if into is None else into, "wb") as out:
        for block in _blocks(source, size):
            digest.update(block)
            out.write(block)
    return digest.hexdigest()


def _blocks(source: InputVideo, size: int | None) -> Iterator[bytes]:
    done = 0
    try:
        with source.files.open(source.path, "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                done += len(block)
                if size is None:
                    raise MediaError(
                        "it cannot be read: nothing says how large it is, and it may have no end: download it, and add that file"
                    )
                if done > size:
                    break
                yield block
    except place_errors() as error:
        raise MediaError(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from None  # strerror names no path
    if done != size:
        raise MediaError("its size changes while it is read: wait until it is whole, and add it again")

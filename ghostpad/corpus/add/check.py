"""Whether the files of a corpus's videos are there and whole, by one listing of videos/ with sizes.

A video that was added and whose file is gone or has another size becomes missing. Any video whose file is there, whole and readable becomes
ok again, whatever command had marked it. Only rows that change are written. Cost: the listing and a few columns of the catalogue; files
that may be back are read once.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from ghostpad.base.errors import MediaError, MissingError
from ghostpad.base.files import file_sha256
from ghostpad.base.records import Video
from ghostpad.corpus.folder import Corpus
from ghostpad.video.probe import VideoInfo

GONE = "its file is gone: bring it back and run 'ghostpad corpus add' again"
"""Why a video that was added is missing."""

CUT = "its file has not the size that was added: run 'ghostpad corpus add' again on the whole file"
"""Why one is missing whose file was cut or replaced."""

_COLUMNS = ["sha256", "id", "path", "source", "status", "size_bytes"]
_BLOCK = 4096


class Listing:
    """The files in videos/ with their sizes in bytes, as they were when it was made. Memory: 40 bytes a file."""

    def __init__(self, corpus: Corpus):
        names, sizes = [], []
        for name, size in _sizes(corpus):
            names.append(name)
            sizes.append(size)
        self._names, self._sizes = pa.array(names, pa.string()), pa.array(sizes, pa.int64())

    def sizes(self, paths: pa.ChunkedArray) -> pa.ChunkedArray:
        """The sizes of the files with these paths in the corpus, null for one that is not in videos/."""
        names = pc.if_else(pc.starts_with(paths, "videos/"), pc.utf8_slice_codeunits(paths, len("videos/")), None)
        return self._sizes.take(pc.index_in(names, self._names))

    def named(self, names: Iterable[str]) -> dict[str, int]:
        """The sizes of those of these names that are there."""
        wanted = list(names)
        at = pc.index_in(pa.array(wanted, pa.string()), self._names).to_pylist()
        return {name: self._sizes[index].as_py() for name, index in zip(wanted, at, strict=True) if index is not None}


def _sizes(corpus: Corpus) -> Iterable[tuple[str, int]]:
    folder = corpus.root / "videos"
    if not isinstance(folder, Path):
        found = folder.fs.ls(folder.path, detail=True) if folder.exists() else []
        return ((PurePosixPath(one["name"]).name, one["size"]) for one in found if one["type"] == "file")
    return _local_sizes(folder)


def _local_sizes(folder: Path) -> Iterable[tuple[str, int]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    entry.name.encode()
                    yield entry.name, entry.stat().st_size
                except (OSError, UnicodeEncodeError):
                    continue  # a link that leads nowhere, a file that has just gone, a name that no video has
    except (FileNotFoundError, NotADirectoryError):
        return


def check_files(
    corpus: Corpus, listing: Listing, added: pa.Array, probe: Callable[[Path], VideoInfo]
) -> tuple[dict[str, str], dict[str, str]]:
    """Check the files of all videos, those with the ids `added` and of source "added" for loss too, and write what has changed.

    Returns the ids that are back, and those that are missing now with the reason; each with its path.
    """
    tables = [table.set_column(0, "known", pc.is_valid(table.column("sha256"))) for table in corpus.scan(_COLUMNS)]
    if not tables:
        return {}, {}
    rows = pa.concat_tables(tables)
    sizes, right = listing.sizes(rows.column("path")), rows.column("size_bytes")
    ok, ours = pc.equal(rows.column("status"), "ok"), pc.equal(rows.column("source"), "added")
    ours = pc.or_(pc.fill_null(ours, False), pc.is_in(rows.column("id"), added))
    wrong = pc.or_(pc.is_null(sizes), pc.fill_null(pc.not_equal(sizes, right), False))
    known = pc.or_(rows.column("known"), pc.is_valid(right))
    lost = rows.column("id").filter(pc.and_(pc.and_(ok, ours), wrong)).to_pylist()
    found = rows.column("id").filter(pc.and_(pc.and_(pc.invert(ok), known), pc.invert(wrong))).to_pylist()
    return _heal(corpus, found, probe), _lose(corpus, lost)


def _lose(corpus: Corpus, ids: list[str]) -> dict[str, str]:
    """Mark the videos missing whose files are gone or cut, each looked at once more: another process may have brought it in since."""
    gone: dict[str, str] = {}

    def lost(video: Video) -> Video:
        reason = _problem(corpus, video) if video.status == "ok" else None
        return video if reason is None else replace(video, status="missing", reason=reason)

    for some in _blocks(ids):
        corpus.change(some, lost)
        gone |= {id: str(video.reason) for id, video in corpus.find(some).items() if video.status == "missing"}
    return gone


def _blocks(ids: list[str]) -> Iterator[list[str]]:
    return (ids[first : first + _BLOCK] for first in range(0, len(ids), _BLOCK))


def _problem(corpus: Corpus, video: Video) -> str | None:
    try:
        size = corpus.path_of(video).stat().st_size
    except FileNotFoundError:
        return GONE
    return CUT if video.size_bytes not in (None, size) else None


def _heal(corpus: Corpus, ids: list[str], probe: Callable[[Path], VideoInfo]) -> dict[str, str]:
    """Mark the videos ok whose files are whole and readable."""
    back: dict[str, str] = {}
    for some in _blocks(ids):
        whole = {id: video for id, video in corpus.find(some).items() if video.status != "ok" and _is_whole(corpus, video, probe)}

        def healed(video: Video, whole: dict[str, Video] = whole) -> Video:
            same = whole.get(video.id) == video
            return replace(video, status="ok", reason=None, attempts=0) if same else video

        corpus.change(whole, healed)
        back |= {id: video.path for id, video in corpus.find(whole).items() if video.status == "ok"}
    return back


def _is_whole(corpus: Corpus, video: Video, probe: Callable[[Path], VideoInfo]) -> bool:
    """Whether a video's file has the size that was added, or the bytes where that is not known, and can be read."""
    try:
        with corpus.footage(video) as path:
            if video.size_bytes is None and file_sha256(path) != video.sha256:
                return False
            return bool(probe(path).frames)
    except (MediaError, MissingError, OSError):
        return False

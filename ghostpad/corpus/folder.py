"""A corpus: one folder, or an address such as s3://bucket/c, with videos, their segments, their rows and the verdicts on them.

    catalogue/                        one row a video (`ghostpad.base.records.Video`), see ghostpad.corpus.table
    videos/<id>.mp4                   the footage
    segments/<picture>/<id>*          the copy that training reads, see ghostpad.feed.segments
    actions/recorded/<id>.parquet     the truth, table kind "actions"
    actions/idm-<fp>/<id>.parquet     an IDM's rows, table kind "labels"
    actions/idm-<fp>/.parts/          stretches of long videos that are not labelled to their end
    chunks.parquet                    the pieces that a dataset's labels came in, table kind "chunks"
    nitrogen/<shard>-<hash>.parquet   the same by finished shard, see ghostpad.corpus.nitrogen.index
    verdicts/<name>.parquet           what a filter kept and dropped
    add/ fetch/ failures/             tables of files that were added, of downloads, and of what could not be done to single videos
    cache/                            derived, may be deleted at any time; of a corpus at an address, in the user's own cache folder

Every file appears whole or not at all, so it can be read while others write, on this machine and on others. A corpus of an earlier version
has `videos.parquet` instead of the catalogue: it is read as it is, and the first change makes the catalogue of it.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc

from ghostpad.base.errors import MissingError, SettingsError, nearest, unknown
from ghostpad.base.files import safe_name
from ghostpad.base.places import AnyPlace, Place, is_remote, local_file, place
from ghostpad.base.records import CHUNKS, Status, Video, read_facts, read_table, scan_table, videos_table, write_table
from ghostpad.corpus.table import Table

RECORDED = "recorded"
"""The source of the true rows."""

_BLOCK = 4096  # ids or videos that are Python objects at a time


class Corpus:
    """A corpus. Use `Corpus.open` or `Corpus.create`; it may be pickled and shared."""

    def __init__(self, root: AnyPlace):
        self.root = place(root)
        self.catalogue = Table(self.root / "catalogue", "videos", self.root / "videos.parquet")

    def __repr__(self) -> str:
        return f"Corpus({str(self.root)!r})"

    @classmethod
    def open(cls, path: AnyPlace) -> "Corpus":
        """The corpus at `path`, a folder or an address. Raises `MissingError` if there is none."""
        corpus = cls(path)
        if not corpus.catalogue.exists():
            raise MissingError(f"there is no corpus at {path} (no catalogue): `ghostpad record`, `corpus index` and `corpus add` make one")
        return corpus

    @classmethod
    def create(cls, path: AnyPlace) -> "Corpus":
        """The corpus at `path`; an empty one is made if there is none. Raises `SettingsError` where no folder can be made, and what a store
        answers for an address that cannot be written."""
        corpus = cls(path)
        try:
            corpus.catalogue.create()
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            if is_remote(corpus.root):
                raise
            raise SettingsError(f"{path} cannot be the folder of a corpus ({error.strerror}): name another") from None
        return corpus

    # ---- videos -------------------------------------------------------------------------------------------------

    def scan(self, columns: Sequence[str] | None = None, status: Status | None = None) -> Iterator[pa.Table]:
        """The rows of the videos (of one status) by id, in tables of some thousand with these columns (None: all of `VIDEOS`)."""
        names = list(columns or self.catalogue.schema.names)
        for table in self.catalogue.scan(list(dict.fromkeys([*names, "status"]))):
            if status is not None:
                table = table.filter(pc.equal(table.column("status"), status))
            yield table.select(names)

    def each(self, status: Status | None = None) -> Iterator[Video]:
        """The videos (of one status) by id, one after the other."""
        for table in self.scan(status=status):
            yield from map(Video.of, table.to_pylist())

    def find(self, ids: Iterable[str]) -> dict[str, Video]:
        """The videos with these ids, by id; unknown ids are left out."""
        return {row["id"]: Video.of(row) for row in self.catalogue.find(ids)}

    def videos(self) -> pa.Table:
        """The table of all videos (schema `VIDEOS`), by id."""
        return pa.concat_tables([self.catalogue.schema.empty_table(), *self.scan()])

    def list_videos(self) -> list[Video]:
        """All videos, by id: 2 KB of memory a video; `each` takes none."""
        return list(self.each())

    def each_of(self, ids: Iterable[str]) -> Iterator[tuple[str, Video | None]]:
        """Each of these ids, in their order, with its video, None where there is none; reads some thousand at a time."""
        rest = iter(ids)
        while block := list(islice(rest, _BLOCK)):
            known = self.find(block)
            yield from ((id, known.get(id)) for id in block)

    def video(self, id: str) -> Video:
        """One video. Raises `SettingsError`, naming the nearest, for an unknown id."""
        if found := self.find([id]):
            return found[id]
        raise unknown("video", id, self.ids())

    def ids(self, status: Status | None = None) -> list[str]:
        """The ids of the videos (of one status), in order."""
        return [id for table in self.scan(["id"], status) for id in table.column("id").to_pylist()]

    def ok_ids(self) -> list[str]:
        """The ids of the videos whose status is "ok", in order."""
        return self.ids("ok")

    def path_of(self, video: Video) -> Place:
        """The place of a video's file. Raises `SettingsError` if it leaves the corpus."""
        return self.root / str(_inside(video.path, video.id))

    def has_footage(self, video: Video) -> bool:
        """Whether a video's file is there with the size that its row gives; with any, where the row gives none. Raises as `path_of`."""
        try:
            size = self.path_of(video).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return False
        return video.size_bytes in (None, size)

    def footage(self, video: Video) -> AbstractContextManager[Path]:
        """A video's file on this machine while the block runs: the file itself, or a copy of one at an address.

        Raises as `path_of`, and `MissingError` for an address without a file.
        """
        return local_file(self.path_of(video))

    def video_path(self, id: str) -> Place:
        """The place of the file of the video with this id. Raises as `video` and `path_of`."""
        return self.path_of(self.video(id))

    def add_video(self, video: Video) -> None:
        """Insert a video, or replace the one with its id. Raises as `put_videos`."""
        self.put_videos([video])

    def put_videos(self, videos: Iterable[Video], join: Callable[[Video, Video], Video] | None = None) -> None:
        """Insert videos, or replace those with their ids, in one version of the catalogue. Safe beside other processes on any machine.

        `join(old, new)` makes the row of a video that the catalogue has already (default: the new one); what another process wrote in
        between is not lost, as `join` is called again with it. Raises `SettingsError`, listing every problem, for an unusable id or status
        or a path that leaves the corpus, and `FormatError` for a value of the wrong type.
        """
        added = {video.id: video for video in map(_checked, videos)}

        def rows() -> pa.Table:
            known = self.find(added) if join else {}
            return videos_table(join(known[id], video) if join and id in known else video for id, video in added.items())

        self.catalogue.change(rows)

    def change(self, ids: Iterable[str], change: Callable[[Video], Video]) -> None:
        """Replace the rows of videos by what `change` makes of them; ids that are unknown by then are left out. Raises as `put_videos`."""
        wanted = list(ids)

        def rows() -> pa.Table:
            before = self.find(wanted)
            after = {id: _checked(change(video)) for id, video in before.items()}
            return videos_table(video for id, video in after.items() if video != before[id])

        self.catalogue.change(rows)

    # ---- rows ---------------------------------------------------------------------------------------------------

    def actions_path(self, source: str, id: str) -> Place:
        """The place of a video's rows from a source, whether or not it exists."""
        _kind(source)
        return self.root / "actions" / source / f"{safe_name(id)}.parquet"

    def actions(self, source: str, id: str) -> pa.Table | None:
        """The rows of a video from a source ("recorded" or "idm-<fingerprint>"), or None if it has none yet."""
        try:
            return read_table(self.actions_path(source, id), _kind(source))
        except MissingError:
            return None

    def write_actions(self, source: str, id: str, table: pa.Table, facts: Mapping[str, str] | None = None, *, new: bool = False) -> None:
        """Write a video's rows, replacing older ones, with `facts` as metadata. Raises `FormatError` for other columns, and with `new`
        `FileExistsError` where there are rows by then."""
        write_table(self.actions_path(source, id), table, _kind(source), facts, new=new)

    def sources(self) -> list[str]:
        """The sources that have rows, by name."""
        names = sorted(names_in(self.root / "actions"))
        return [name for name in names if _is_source(name) and next(self.each_with_rows(name), None) is not None]

    def ids_with_rows(self, source: str) -> list[str]:
        """The ids of the videos that have rows from a source, in order."""
        return self.with_rows(source).to_pylist()  # type: ignore[no-any-return]

    def with_rows(self, source: str) -> pa.ChunkedArray:
        """The ids of the videos that have rows from a source, in order, in the 20 bytes of memory that Arrow takes for each."""
        names = name_array(self.each_with_rows(source))
        return names.take(pc.sort_indices(names))

    def each_with_rows(self, source: str) -> Iterator[str]:
        """The ids of the videos that have rows from a source, one after the other in no order."""
        _kind(source)
        return stems(self.root / "actions" / source)

    def chunks(self) -> pa.Table:
        """The pieces that a dataset's labels came in (schema `CHUNKS`), by video and number; empty where there are none."""
        try:
            return read_table(self.root / "chunks.parquet", "chunks")
        except MissingError:
            return CHUNKS.empty_table()

    def scan_chunks(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """These columns of the pieces, in tables of some thousand; none where there are no chunks."""
        with suppress(MissingError):
            yield from scan_table(self.root / "chunks.parquet", "chunks", columns)

    # ---- verdicts -----------------------------------------------------------------------------------------------

    def verdicts(self, name: str) -> pa.Table:
        """A filter's verdicts (schema `VERDICTS`). Raises `MissingError`, with the names there are, for another."""
        return read_table(self._known_verdicts(name), "verdicts")

    def scan_verdicts(self, name: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        """These columns of a filter's verdicts, in tables of some thousand. Raises as `verdicts`."""
        yield from scan_table(self._known_verdicts(name), "verdicts", columns)

    def verdict_facts(self, name: str) -> dict[str, str]:
        """The facts of a filter's verdicts. Raises as `verdicts`."""
        return read_facts(self._known_verdicts(name), "verdicts")

    def write_verdicts(self, name: str, table: pa.Table | Iterable[pa.Table], facts: Mapping[str, str] | None = None) -> None:
        """Write a filter's verdicts, whole or in parts, replacing older ones. Raises `FormatError` for other columns."""
        write_table(self._verdicts_path(name), table, "verdicts", facts)

    # ---- inside -------------------------------------------------------------------------------------------------

    @property
    def cache(self) -> Path:
        """The folder of this machine for what is derived from the corpus and may be deleted at any time."""
        if isinstance(self.root, Path):
            return self.root / "cache"
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return home / "ghostpad" / hashlib.sha256(str(self.root).encode()).hexdigest()[:16]

    def _known_verdicts(self, name: str) -> Place:
        path = self._verdicts_path(name)
        if not path.exists():
            known = sorted(stems(path.parent))
            hint = nearest(name, known) if known else "make some with `ghostpad filter`"
            raise MissingError(f"{self.root} has no verdicts called '{name}': {hint}")
        return path

    def _verdicts_path(self, name: str) -> Place:
        return self.root / "verdicts" / f"{safe_name(name)}.parquet"


def truth_table(folder: str | os.PathLike[str], id: str) -> pa.Table | None:
    """The true rows of a video from a folder of `<id>.parquet` files (kind "actions"), or None if it has none for this video.

    Withheld truth is kept in such a folder outside the corpus, so that nothing can learn from it. Raises `MissingError` for no folder.
    """
    if not Path(folder).is_dir():
        raise MissingError(f"there is no folder of true rows at {folder}")
    path = Path(folder) / f"{safe_name(id)}.parquet"
    return read_table(path, "actions") if path.exists() else None


def unreadable_lines(root: Place, unreadable: Mapping[str, str]) -> list[str]:
    """What a command prints about videos that it could not read: how many, and each id with the reason; nothing for none."""
    head = f"{root}: {len(unreadable)} videos cannot be read and are left out; the corpus still lists them as they were"
    return [head, *(f"  {id}: {reason}" for id, reason in sorted(unreadable.items()))] if unreadable else []


def _checked(video: Video) -> Video:
    problems = []
    for check in (lambda: safe_name(video.id), lambda: _inside(video.path, video.id)):
        try:
            check()
        except SettingsError as error:
            problems += error.problems
    if video.status not in get_args(Status):
        problems.append(f"status is '{video.status}': it must be one of {', '.join(get_args(Status))}")
    if problems:
        raise SettingsError(problems)
    return video


def _inside(path: str, id: str) -> PurePosixPath:
    """A path from the table of videos, which another program may have written. Raises `SettingsError` if it leaves the corpus."""
    relative = PurePosixPath(str(path))
    if relative.is_absolute() or not relative.parts or ".." in relative.parts or any(sign in str(path) for sign in "\\:\0"):
        raise SettingsError(f"video '{id}' names the file '{path}': it must be a path inside the corpus folder, such as videos/{id}.mp4")
    return relative


def _is_source(name: str) -> bool:
    return name == RECORDED or name.startswith("idm-")


def _kind(source: str) -> str:
    if not _is_source(safe_name(source)):
        raise SettingsError(f"no source of rows called '{source}': it is '{RECORDED}' or starts with 'idm-'")
    return "actions" if source == RECORDED else "labels"


def names_in(folder: Place) -> Iterator[str]:
    """The names in a folder, one after the other in no order; none if there is no folder."""
    try:
        if isinstance(folder, Path):
            with os.scandir(folder) as entries:
                yield from (entry.name for entry in entries)
        else:
            yield from (path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return


def name_array(names: Iterator[str]) -> pa.ChunkedArray:
    """Names as an Arrow array of strings, few of which are Python objects at a time."""
    blocks = [pa.array([], pa.string())]
    while block := list(islice(names, _BLOCK)):
        blocks.append(pa.array(block, pa.string()))
    return pa.chunked_array(blocks)


def stems(folder: Place, suffix: str = ".parquet") -> Iterator[str]:
    """The names without suffix of the finished files in a folder, one after the other in no order."""
    return (name.removesuffix(suffix) for name in names_in(folder) if name.endswith(suffix) and not name.startswith("."))

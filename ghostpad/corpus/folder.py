"""A corpus: one folder with videos, their small copies, their rows and the verdicts on them.

    videos.parquet                    one row a video (`ghostpad.base.records.Video`)
    videos/<id>.mp4                   the footage
    proxy/<px>/<id>.mp4               small copies with the same time stamps
    actions/recorded/<id>.parquet     the truth, table kind "actions"
    actions/idm-<fp>/<id>.parquet     an IDM's rows, table kind "labels"
    chunks.parquet                    the pieces that a dataset's labels came in, table kind "chunks"
    nitrogen/<shard>-<hash>.parquet   the same by finished shard, see ghostpad.corpus.nitrogen.index
    verdicts/<name>.parquet           what a filter kept and dropped
    add/ledger.jsonl                  every file that `corpus add` read, see ghostpad.corpus.add.ledger
    cache/                            derived, may be deleted at any time

Every file appears whole or not at all, so it can be read while others write. The one file that several processes rewrite,
videos.parquet, is changed under a lock of this machine (`fcntl.flock`; Linux and macOS).
"""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import get_args

import pyarrow as pa

from ghostpad.base.errors import FormatError, MissingError, SettingsError, nearest, unknown
from ghostpad.base.files import locked, safe_name
from ghostpad.base.records import CHUNKS, VIDEOS, Status, Video, read_table, videos_table, write_table

RECORDED = "recorded"
"""The source of the true rows."""


class Corpus:
    """A corpus folder. Use `Corpus.open` or `Corpus.create`; it holds nothing but the path, so it may be pickled and shared."""

    def __init__(self, root: str | os.PathLike[str]):
        self.root = Path(root)

    def __repr__(self) -> str:
        return f"Corpus({str(self.root)!r})"

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Corpus":
        """The corpus at `path`. Raises `MissingError` if there is none."""
        corpus = cls(path)
        if not corpus._table_path.exists():
            raise MissingError(
                f"there is no corpus at {path} (no videos.parquet): `ghostpad record`, `corpus index` and `corpus add` make one"
            )
        return corpus

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> "Corpus":
        """The corpus at `path`; an empty one is made if there is none. Raises `SettingsError` where no folder can be made."""
        corpus = cls(path)
        try:
            with corpus._locked():
                if not corpus._table_path.exists():
                    write_table(corpus._table_path, VIDEOS.empty_table(), "videos")
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise SettingsError(f"{path} cannot be the folder of a corpus ({error.strerror}): name another") from None
        return corpus

    # ---- videos -------------------------------------------------------------------------------------------------

    def videos(self) -> pa.Table:
        """The table of videos (schema `VIDEOS`), by id. Raises `FormatError` if two rows share an id."""
        table = read_table(self._table_path, "videos").sort_by("id")
        ids = table.column("id").to_pylist()
        if len(set(ids)) < len(ids):
            raise FormatError(f"{self._table_path} names a video twice: record the corpus again or remove the second row")
        return table

    def list_videos(self) -> list[Video]:
        """The videos, by id. Raises as `videos`."""
        return list(map(Video.of, self.videos().to_pylist()))

    def video(self, id: str) -> Video:
        """One video. Raises `SettingsError`, naming the nearest, for an unknown id."""
        videos = {video.id: video for video in self.list_videos()}
        if id not in videos:
            raise unknown("video", id, videos)
        return videos[id]

    def ok_ids(self) -> list[str]:
        """The ids of the videos whose status is "ok", in order."""
        return [video.id for video in self.list_videos() if video.status == "ok"]

    def path_of(self, video: Video) -> Path:
        """The path of a video's file. Raises `SettingsError` if it leaves the corpus."""
        return self.root / _inside(video.path, video.id)

    def video_path(self, id: str) -> Path:
        """The path of the file of the video with this id; reads the table. Raises as `video` and `path_of`."""
        return self.path_of(self.video(id))

    def proxy_path(self, px: int, id: str) -> Path:
        """The path of a video's small copy with a short side of `px` pixels, whether or not it exists."""
        return self.root / "proxy" / str(px) / f"{safe_name(id)}.mp4"

    def add_video(self, video: Video) -> None:
        """Insert a video, or replace the one with its id. Raises as `put_videos`."""
        self.put_videos([video])

    def put_videos(self, videos: Iterable[Video], join: Callable[[Video, Video], Video] | None = None) -> None:
        """Insert videos, or replace those with their ids, in one write of the table. Safe beside other processes on this machine.

        `join(old, new)` makes the row of a video that the table has already (default: the new one); it is called under the lock, so what
        another process wrote in between is not lost. Raises `SettingsError`, listing every problem, for an unusable id or status or a path
        that leaves the corpus, and `FormatError` for a value of the wrong type.
        """
        added = list(map(_checked, videos))
        with self._locked():
            known = {video.id: video for video in self.list_videos()} if self._table_path.exists() else {}
            for video in added:
                known[video.id] = join(known[video.id], video) if join and video.id in known else video
            write_table(self._table_path, videos_table(known.values()), "videos")

    # ---- rows ---------------------------------------------------------------------------------------------------

    def actions_path(self, source: str, id: str) -> Path:
        """The path of a video's rows from a source, whether or not it exists."""
        _kind(source)
        return self.root / "actions" / source / f"{safe_name(id)}.parquet"

    def actions(self, source: str, id: str) -> pa.Table | None:
        """The rows of a video from a source ("recorded" or "idm-<fingerprint>"), or None if it has none yet."""
        path = self.actions_path(source, id)
        return read_table(path, _kind(source)) if path.exists() else None

    def write_actions(self, source: str, id: str, table: pa.Table, facts: Mapping[str, str] | None = None) -> None:
        """Write a video's rows, replacing older ones, with `facts` as metadata. Raises `FormatError` for other columns."""
        write_table(self.actions_path(source, id), table, _kind(source), facts)

    def sources(self) -> list[str]:
        """The sources that have rows, by name."""
        names = sorted(folder.name for folder in (self.root / "actions").glob("*"))
        return [name for name in names if _is_source(name) and self.ids_with_rows(name)]

    def ids_with_rows(self, source: str) -> list[str]:
        """The ids of the videos that have rows from a source, in order."""
        _kind(source)
        return stems(self.root / "actions" / source)

    def chunks(self) -> pa.Table:
        """The pieces that a dataset's labels came in (schema `CHUNKS`), by video and number; empty where there are none."""
        path = self.root / "chunks.parquet"
        return read_table(path, "chunks") if path.exists() else CHUNKS.empty_table()

    # ---- verdicts -----------------------------------------------------------------------------------------------

    def verdicts(self, name: str) -> pa.Table:
        """A filter's verdicts (schema `VERDICTS`). Raises `MissingError`, with the names there are, for another."""
        path = self._verdicts_path(name)
        if not path.exists():
            known = stems(path.parent)
            hint = nearest(name, known) if known else "make some with `ghostpad filter`"
            raise MissingError(f"{self.root} has no verdicts called '{name}': {hint}")
        return read_table(path, "verdicts")

    def write_verdicts(self, name: str, table: pa.Table, facts: Mapping[str, str] | None = None) -> None:
        """Write a filter's verdicts, replacing older ones. Raises `FormatError` for other columns."""
        write_table(self._verdicts_path(name), table, "verdicts", facts)

    # ---- inside -------------------------------------------------------------------------------------------------

    @property
    def _table_path(self) -> Path:
        return self.root / "videos.parquet"

    def _verdicts_path(self, name: str) -> Path:
        return self.root / "verdicts" / f"{safe_name(name)}.parquet"

    def _locked(self) -> AbstractContextManager[None]:
        return locked(self.root / ".lock")


def truth_table(folder: str | os.PathLike[str], id: str) -> pa.Table | None:
    """The true rows of a video from a folder of `<id>.parquet` files (kind "actions"), or None if it has none for this video.

    Withheld truth is kept in such a folder outside the corpus, so that nothing can learn from it. Raises `MissingError` for no folder.
    """
    if not Path(folder).is_dir():
        raise MissingError(f"there is no folder of true rows at {folder}")
    path = Path(folder) / f"{safe_name(id)}.parquet"
    return read_table(path, "actions") if path.exists() else None


def unreadable_lines(root: Path, unreadable: Mapping[str, str]) -> list[str]:
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


def stems(folder: Path, suffix: str = ".parquet") -> list[str]:
    """The names without suffix of the finished files in a folder, in order."""
    return sorted(path.stem for path in folder.glob(f"[!.]*{suffix}"))

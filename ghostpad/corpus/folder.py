"""A corpus: one folder with videos, their small copies, their rows and the verdicts on them.

    videos.parquet                    one row a video (schema `VIDEOS`)
    videos/<id>.mp4                   the footage
    proxy/<px>/<id>.mp4               small copies with the same time stamps
    actions/recorded/<id>.parquet     the truth, table kind "actions"
    actions/idm-<fp>/<id>.parquet     an IDM's rows, table kind "labels"
    chunks.parquet                    the pieces that a dataset's labels came in, table kind "chunks"
    nitrogen/<shard>-<hash>.parquet   the same by finished shard, see ghostpad.corpus.nitrogen.index
    verdicts/<name>.parquet           what a filter kept and dropped
    add/ledger.jsonl                  what came of each file given to `corpus add`, see ghostpad.corpus.add.ledger
    cache/                            derived, may be deleted at any time

Every file appears whole or not at all, so any reader may look while others write. The one file that several processes
rewrite, videos.parquet, is changed under a lock of this machine (`fcntl.flock`; Linux and macOS).
"""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from ghostpad.base.errors import FormatError, MissingError, SettingsError, nearest, unknown
from ghostpad.base.files import locked, safe_name
from ghostpad.base.records import CHUNKS, VIDEOS, read_table, write_table

STATUSES = ("ok", "missing", "broken")
"""What a video can be: there, known but not here (never fetched, or dead; the reason says which), or unreadable."""

RECORDED = "recorded"
"""The source of rows that holds the truth."""


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
        """The corpus at `path`, made empty if there is none. Raises `SettingsError` where there can be no folder."""
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

    def rows(self) -> list[dict[str, Any]]:
        """The table of videos as one dict a video, by id."""
        rows: list[dict[str, Any]] = self.videos().to_pylist()
        return rows

    def ok_ids(self) -> list[str]:
        """The ids of the videos whose status is "ok", in order."""
        return [row["id"] for row in self.rows() if row["status"] == "ok"]

    def video_path(self, id: str) -> Path:
        """Where a video's file lies. Raises `SettingsError` for an unknown id or a row whose path leaves the corpus."""
        return self.video_paths([id])[id]

    def video_paths(self, ids: Iterable[str]) -> dict[str, Path]:
        """Where the files of some videos lie, the table read once. Raises as `video_path`."""
        paths = {row["id"]: row["path"] for row in self.rows()}
        wanted = list(ids)
        if missing := [id for id in wanted if id not in paths]:
            raise unknown("video", missing[0], paths)
        return {id: self.root / _inside(paths[id], id) for id in wanted}

    def proxy_path(self, px: int, id: str) -> Path:
        """Where a video's small copy with a short side of `px` pixels lies, whether or not it is there."""
        return self.root / "proxy" / str(px) / f"{safe_name(id)}.mp4"

    def add_video(self, row: Mapping[str, Any]) -> None:
        """Insert a video, or replace the one with its id. Columns not in `row` are null; `path` is videos/<id>.mp4 and `status` ok.

        Safe beside other processes on this machine. Raises `SettingsError`, listing every problem, for unknown columns, an
        unusable id or status, or a path that leaves the corpus, and `FormatError` for a value of the wrong type.
        """
        added = _video_row(row)
        with self._locked():
            rows = [old for old in self.rows() if old["id"] != added["id"]] if self._table_path.exists() else []
            self._write_rows([*rows, added])

    def put_videos(
        self, rows: Iterable[Mapping[str, Any]], join: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]] | None = None
    ) -> None:
        """Insert many videos, or replace those with their ids, the table written once. Raises as `add_video`.

        `join(old, new)` says what becomes of a video that is there (default: the new row); it is called under the lock, so what another
        process wrote in between is not lost.
        """
        added = [_video_row(row) for row in rows]
        with self._locked():
            found = {row["id"]: row for row in self.rows()} if self._table_path.exists() else {}
            for row in added:
                found[row["id"]] = join(found[row["id"]], row) if join and row["id"] in found else row
            self._write_rows(list(found.values()))

    def mark_broken(self, id: str, reason: str) -> None:
        """Set a video's status to "broken" with the reason. Raises `SettingsError` for an unknown id."""
        with self._locked():
            rows = self.rows()
            found = [row for row in rows if row["id"] == id]
            if not found:
                raise unknown("video", id, [row["id"] for row in rows])
            found[0].update(status="broken", reason=reason)
            self._write_rows(rows)

    # ---- rows ---------------------------------------------------------------------------------------------------

    def actions_path(self, source: str, id: str) -> Path:
        """Where the rows of a video from a source lie, whether or not they are there."""
        _kind(source)
        return self.root / "actions" / source / f"{safe_name(id)}.parquet"

    def actions(self, source: str, id: str) -> pa.Table | None:
        """The rows of a video from a source ("recorded" or "idm-<fingerprint>"), or None if there are none yet."""
        path = self.actions_path(source, id)
        return read_table(path, _kind(source)) if path.exists() else None

    def write_actions(self, source: str, id: str, table: pa.Table, facts: Mapping[str, str] | None = None) -> None:
        """Write a video's rows, replacing older ones, with `facts` as metadata. Raises `FormatError` for other columns."""
        write_table(self.actions_path(source, id), table, _kind(source), facts)

    def sources(self) -> list[str]:
        """The sources that have rows, by name."""
        folder = self.root / "actions"
        names = (entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else ()
        return sorted(name for name in names if _is_source(name) and self.labelled_ids(name))

    def labelled_ids(self, source: str) -> list[str]:
        """The ids of the videos that have rows from a source, in order."""
        _kind(source)
        return _names(self.root / "actions" / source)

    def chunks(self) -> pa.Table:
        """The pieces that a dataset's labels came in (schema `CHUNKS`), by video and number; empty where there are none."""
        path = self.root / "chunks.parquet"
        return read_table(path, "chunks") if path.exists() else CHUNKS.empty_table()

    # ---- verdicts -----------------------------------------------------------------------------------------------

    def verdicts(self, name: str) -> pa.Table:
        """A filter's verdicts (schema `VERDICTS`). Raises `MissingError`, naming what there is, if there are none."""
        path = self._verdicts_path(name)
        if not path.exists():
            known = _names(path.parent)
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

    def _write_rows(self, rows: list[dict[str, Any]]) -> None:
        try:
            table = pa.Table.from_pylist(sorted(rows, key=lambda row: row["id"]), schema=VIDEOS)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise FormatError(f"{self._table_path}: a row does not fit the table of videos ({error})") from None
        write_table(self._table_path, table, "videos")

    def _locked(self) -> AbstractContextManager[None]:
        """Hold this corpus's lock."""
        return locked(self.root / ".lock")


def truth_table(folder: str | os.PathLike[str], id: str) -> pa.Table | None:
    """The true rows of a video from a folder of `<id>.parquet` files (kind "actions"), or None if it has none for this video.

    Withheld truth lies in such a folder outside the corpus, so that nothing that learns from the corpus can meet it. Raises
    `MissingError` if there is no such folder.
    """
    if not Path(folder).is_dir():
        raise MissingError(f"there is no folder of true rows at {folder}")
    path = Path(folder) / f"{safe_name(id)}.parquet"
    return read_table(path, "actions") if path.exists() else None


def _video_row(row: Mapping[str, Any]) -> dict[str, Any]:
    problems = [f"no video column called '{name}': {nearest(name, VIDEOS.names)}" for name in row if name not in VIDEOS.names]
    full = dict.fromkeys(VIDEOS.names) | {"status": "ok"} | {name: value for name, value in row.items() if value is not None}
    try:
        full["id"] = safe_name(str(full["id"] or ""))
        full["path"] = str(_inside(full["path"] or f"videos/{full['id']}.mp4", full["id"]))
    except SettingsError as error:
        problems += error.problems
    if full["status"] not in STATUSES:
        problems.append(f"status is '{full['status']}': it must be one of {', '.join(STATUSES)}")
    if problems:
        raise SettingsError(problems)
    return full


def _inside(path: Any, id: str) -> PurePosixPath:
    """A path from the table of videos if it stays in the corpus, whatever wrote the table."""
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


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.parquet") if not path.name.startswith("."))

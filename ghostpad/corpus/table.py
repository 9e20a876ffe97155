"""A table of rows by key that many processes change at once, in a folder of this machine or at an address.

    0000000042.commit        version 42: rows that it adds or replaces, and the names of the files that hold older rows
    merged-<hex>.parquet     rows of many commits, see ghostpad.corpus.runs
    newest                   the number of a version near the newest, so that nobody has to list the folder

The rows of a version are those of its files, of two with one key the newer. A change reads the newest version, makes its rows from what it
read, and creates the file of the next version, in which only one of several writers can succeed (a hard link; If-None-Match on an object
store); the others read again. So no update is lost and no lock is needed, which a network disk or an object store may lack; what is killed
has committed or not. A commit costs what it changes: files are merged when their number or size has grown by a factor.

Why neither SQLite nor Delta Lake: docs/scale.md. Costs: `ghostpad lab bench catalogue`.
"""

import json
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import RLock
from typing import Any

import numpy as np
import pyarrow as pa

from ghostpad.base.files import atomic_path, turn, write_new
from ghostpad.base.pad import LAYOUT
from ghostpad.base.places import Place, changed_s
from ghostpad.base.records import SCHEMAS, VERSIONS, as_kind, read_table
from ghostpad.corpus.runs import Opened, Run, damaged, groups_of, joined, newest, open_run, rows_in, with_keys, write_run

INLINE_ROWS, INLINE_BYTES = 4096, 1 << 22
"""Most rows that a commit holds itself; more go into a file beside it (a guess between opening files and rewriting rows)."""

MOST_FILES = 24
"""Files before the newest of them are merged (a guess)."""

GROWTH = 4
"""How many times larger than all newer files together a file must be to stay out of a merge. So a row is rewritten about once whenever the
table has grown by a quarter (a guess between reading many files and writing rows again)."""

KEPT_S, KEPT_MERGED_S = 600.0, 86_400.0
"""How long commits and merged files stay that the newest version does not need, for those who are reading them (a guess)."""

HINT_EVERY = 8
"""Versions between two writes of `newest` (a guess)."""

_SUFFIX, _HINT = ".commit", "newest"


@dataclass(frozen=True)
class _State:
    """A version: its number and the files of its rows, oldest first."""

    version: int
    runs: tuple[Run, ...] = ()


class Table:
    """The rows of one kind (`ghostpad.base.records.SCHEMAS`; the first column is the key) in `folder`.

    `older` is the file that held them in an earlier format; it is read until the first change, which takes its rows over. Threads may share
    a table; one that was pickled starts without what it has read.
    """

    def __init__(self, folder: Place, kind: str, older: Place | None = None):
        self.folder, self.kind, self.schema = folder, kind, SCHEMAS[kind]
        self.key = self.schema.names[0]
        self._older = older
        self._lock, self._fixed = RLock(), False
        self._state, self._looked_s = _State(0), -KEPT_S
        self._small, self._large = dict[str, pa.Table](), dict[str, Opened]()

    def __reduce__(self) -> tuple[Any, ...]:
        return Table, (self.folder, self.kind, self._older)

    # ---- reading ------------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        """Whether the table was made."""
        return self._refresh().version > 0 or (self._older is not None and self._older.exists())

    def version(self) -> int:
        """The number of the newest version, which rises with every change."""
        return self._refresh().version

    def scan(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows of one version by key, in tables with these columns (None: all).

        Memory: one group of each file. Raises `FormatError` for damaged files.
        """
        names = list(columns or self.schema.names)
        for table in self._joined(self._refresh().runs, list(dict.fromkeys([self.key, *names]))):
            yield table.select(names)

    def find(self, keys: Iterable[str]) -> list[dict[str, Any]]:
        """The rows with these keys, by key, as columns by name; keys without a row are left out. Reads the groups that may hold them."""
        missing, found = sorted(set(keys)), list[dict[str, Any]]()
        for run in reversed(self._refresh().runs):
            if not missing:
                break
            rows = [row for table in self._with_keys(run, missing) for row in table.to_pylist()]
            seen = {row[self.key] for row in rows}
            missing = [key for key in missing if key not in seen]
            found += rows
        return sorted(found, key=lambda row: row[self.key])

    # ---- changing -----------------------------------------------------------------------------------------------

    def create(self) -> None:
        """Make the table if there is none; one of an earlier format becomes its first version, and its file gets another name."""
        state = self._refresh()
        if state.version == 0:
            runs = (write_run(self.folder, self._joined(state.runs, self.schema.names), self.schema),) if state.runs else ()
            try:
                self._write(1, runs, self.schema.empty_table())
            except FileExistsError:
                if self._refresh().version == 0:  # not another writer's first version: a file where the folder would be
                    raise
        if self._older is not None:
            with suppress(FileNotFoundError):
                self._older.rename(str(self._older.with_name(f"{self._older.stem}.until-{self.folder.name}{self._older.suffix}")))

    def put(self, rows: pa.Table) -> None:
        """Add rows, or replace those with their keys; of two with one key the last counts."""
        self.change(lambda: rows)

    def change(self, make: Callable[[], pa.Table]) -> None:
        """Commit the rows that `make` gives; nothing for an empty table.

        `make` may read this table, and is called again where another process has committed in between: it must have no effects of its own.
        """
        if self._refresh().version == 0:
            self.create()
        with self._lock, turn(self.folder):
            while True:
                state = self._refresh()
                with self._same_version():
                    rows = make()
                if not rows.num_rows or self._commit(state, rows):
                    break
            if rows.num_rows:
                self._tidy()

    def _commit(self, state: _State, rows: pa.Table) -> bool:
        """Whether the rows are now the next version."""
        rows = rows.select(self.schema.names).cast(self.schema).replace_schema_metadata(None)
        rows = newest(rows.append_column("order", pa.array(np.arange(rows.num_rows))), self.key)
        runs, large = state.runs, rows.num_rows > INLINE_ROWS or rows.nbytes > INLINE_BYTES
        if large:
            runs, rows = (*runs, write_run(self.folder, [rows], self.schema)), self.schema.empty_table()
        try:
            self._write(state.version + 1, runs, rows)
        except FileExistsError:
            if large:
                self._remove(runs[-1].name)
            return False
        # Versions are removed oldest first. If the one before is gone, this process slept so long that its number was given and removed
        # before: nobody will read what it made.
        if not self._path(_name(state.version)).exists():
            self._remove(_name(state.version + 1))
            self._looked_s = -KEPT_S
            return False
        return True

    def _tidy(self) -> None:
        """Merge files if they have become many, and now and then remove what nothing needs."""
        state = self._refresh()
        if len(state.runs) > MOST_FILES:
            self._merge(state)
        if state.version % (4 * MOST_FILES) == 0:
            self._sweep()

    def _merge(self, state: _State) -> None:
        """Commit a version in which one file stands for the newest ones."""
        counts = [run.rows for run in state.runs]
        first = len(counts) - MOST_FILES // 2
        while first > 0 and counts[first - 1] < GROWTH * sum(counts[first:]):
            first -= 1
        before = state.runs[first:]
        merged = write_run(self.folder, self._joined(before, self.schema.names), self.schema)
        while state.runs[first : first + len(before)] == before:  # else another process has merged them
            with suppress(FileExistsError):
                self._write(state.version + 1, (*state.runs[:first], merged, *state.runs[first + len(before) :]), self.schema.empty_table())
                return
            state = self._refresh()
        self._remove(merged.name)

    def _sweep(self) -> None:
        """Remove files that the newest version does not need and nobody can be reading: commits oldest first, up to one that is needed."""
        state, now_s = self._refresh(), time.time()
        needed = {run.name for run in state.runs} | {_name(state.version)}
        paths = self._listing()
        for path in (path for path in paths if path.suffix == _SUFFIX):
            if path.name in needed or now_s - changed_s(path) < KEPT_S:
                break
            self._remove(path.name)
        for path in paths:
            if path.name.startswith("merged-") and path.name not in needed and now_s - changed_s(path) > KEPT_MERGED_S:
                self._remove(path.name)

    # ---- versions -----------------------------------------------------------------------------------------------

    @contextmanager
    def _same_version(self) -> Iterator[None]:
        """While the block runs, this table shows the version that was read last."""
        self._fixed = True
        try:
            yield
        finally:
            self._fixed = False

    def _refresh(self) -> _State:
        """The newest version."""
        with self._lock:
            if self._fixed:
                return self._state
            now_s, state = time.monotonic(), self._state
            if now_s - self._looked_s > KEPT_S / 2:  # those behind the last version seen may have been removed
                at = max(state.version, self._hint())
                while (state := self._read_state(at)) is None:  # type: ignore[assignment]
                    at = self._listed()
            while (newer := self._read_state(state.version + 1)) is not None:
                state = newer
            self._state, self._looked_s = state, now_s
            names = {run.name for run in state.runs}
            self._small = {name: table for name, table in self._small.items() if name in names}
            self._large = {name: opened for name, opened in self._large.items() if name in names}
            return state

    def _hint(self) -> int:
        try:
            return int(self._path(_HINT).read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return self._listed()

    def _listed(self) -> int:
        """The newest version by a listing, 0 for none."""
        return max((int(path.stem) for path in self._listing() if path.suffix == _SUFFIX and path.stem.isdigit()), default=0)

    def _read_state(self, version: int) -> _State | None:
        """A version, None where it is not there; version 0 is what an earlier format holds. Raises `FormatError` for a damaged one."""
        if version == 0:
            return _State(0, self._older_runs())
        path = self._path(_name(version))
        try:
            crc, _, rest = path.read_bytes().partition(b"\n")
        except (FileNotFoundError, NotADirectoryError):
            return None
        if crc != f"{zlib.crc32(rest):08x}".encode():
            raise damaged(path, ValueError("its checksum is wrong"))
        about, _, rows = rest.partition(b"\n")
        runs = tuple(Run(*run) for run in json.loads(about)["runs"])
        own = self._kept(path, as_kind(path, pa.ipc.open_stream(rows).read_all(), self.kind))
        return _State(version, (*runs, *own))

    def _older_runs(self) -> tuple[Run, ...]:
        if self._older is None or not self._older.exists():
            return ()
        table = read_table(self._older, self.kind).sort_by(self.key)
        if len(table.column(self.key).unique()) < table.num_rows:
            raise damaged(self._older, ValueError("two rows have one key"))
        return self._kept(self._older, table)

    def _kept(self, path: Place, table: pa.Table) -> tuple[Run, ...]:
        """Keep the rows of a small file; the file, if it has any."""
        self._small[path.name] = table.replace_schema_metadata(None)
        return (Run(path.name, table.num_rows),) if table.num_rows else ()

    def _write(self, version: int, runs: Sequence[Run], rows: pa.Table) -> None:
        """Create the file of a version. Raises `FileExistsError` if another process has."""
        metadata = {"ghostpad.table": f"{self.kind}/{VERSIONS[self.kind]}", "ghostpad.layout": LAYOUT}
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.schema.with_metadata(metadata)) as writer:
            writer.write_table(rows.replace_schema_metadata(metadata))
        about = json.dumps({"version": version, "runs": [[run.name, run.rows, run.size, run.footer_crc] for run in runs]})
        rest = about.encode() + b"\n" + sink.getvalue().to_pybytes()
        write_new(self._path(_name(version)), f"{zlib.crc32(rest):08x}\n".encode() + rest)
        if version % HINT_EVERY == 1:
            with atomic_path(self._path(_HINT)) as temporary:
                temporary.write_text(str(version))

    # ---- files --------------------------------------------------------------------------------------------------

    def _joined(self, runs: Sequence[Run], names: Sequence[str]) -> Iterator[pa.Table]:
        return joined([self._groups(run, names) for run in runs], self.key)

    def _groups(self, run: Run, names: Sequence[str]) -> Iterator[pa.Table]:
        """The rows of a file, by group."""
        if run.size:
            yield from groups_of(self._path(run.name), self._opened(run), names)
        else:
            yield self._small_run(run).select(names)

    def _with_keys(self, run: Run, keys: Sequence[str]) -> Iterator[pa.Table]:
        """The rows of a file that have these keys."""
        if run.size:
            yield from rows_in(self._path(run.name), self._opened(run), self.key, keys)
        else:
            yield with_keys(self._small_run(run), self.key, keys)

    def _opened(self, run: Run) -> Opened:
        with self._lock:
            if run.name not in self._large:
                self._large[run.name] = open_run(self.folder, run)
            return self._large[run.name]

    def _small_run(self, run: Run) -> pa.Table:
        """The rows of a commit, which was read when it was the newest, or is read now."""
        with self._lock:
            if run.name not in self._small and self._read_state(int(run.name.removesuffix(_SUFFIX))) is None:
                raise damaged(self._path(run.name), FileNotFoundError("no such file"))
            return self._small[run.name]

    def _listing(self) -> list[Place]:
        """The files of the folder, by name."""
        with suppress(FileNotFoundError, NotADirectoryError):
            return [self._path(name) for name in sorted(str(path.name) for path in self.folder.iterdir())]  # type: ignore[attr-defined]
        return []

    def _path(self, name: str) -> Place:
        return self.folder / name

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._path(name).unlink()


def _name(version: int) -> str:
    return f"{version:010d}{_SUFFIX}"

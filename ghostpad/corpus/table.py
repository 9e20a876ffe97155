"""A table of rows by key that many processes change at once, in a folder of this machine or at an address.

    0000000042.commit        version 42: rows that it adds or replaces, and the names of the files that hold older rows
    merged-<hex>.parquet     rows of many commits, see ghostpad.corpus.runs

The rows of a version are those of its files, of two with one key the newer. A change reads the newest version, makes its rows from what it
read, and creates the file of the next version, in which only one of several writers can succeed (a hard link; If-None-Match on an object
store); the others read again. So no update is lost and no lock is needed, which a network disk or an object store may lack; what is killed
has committed or not. A commit costs what it changes: files are merged when they have become many. The folder is listed when a process
first looks at it, and every few minutes.

Why neither SQLite nor Delta Lake: docs/scale.md. Costs: `ghostpad lab bench catalogue`.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import RLock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ghostpad.base.errors import FormatError, MissingError
from ghostpad.base.files import turn
from ghostpad.base.places import Place, changed_s, place_errors
from ghostpad.base.records import SCHEMAS, read_table
from ghostpad.corpus.commits import Commit, create_commit, read_commit
from ghostpad.corpus.runs import Opened, Run, damaged, groups_of, joined, newest, open_run, rows_in, with_keys, write_run

INLINE_ROWS, INLINE_BYTES = 4096, 1 << 22
"""Most rows that a commit holds itself; more go into a file beside it (a guess between opening files and rewriting rows)."""

MOST_FILES = 24  # before the newest of them are merged (a guess)

GROWTH = 4
"""How many times larger than all newer files together a file must be to stay out of a merge. So a row is rewritten about once whenever the
table has grown by a quarter (a guess between reading many files and writing rows again)."""

KEPT_S, KEPT_MERGED_S = 600.0, 86_400.0
"""How long commits and merged files stay that the newest version does not need, for those who are reading them (a guess). Ages are
differences of two files' times, so that nobody's clock matters but that of the disk or the object store."""

SWEEP_EVERY = 96  # versions between two looks for files that nothing needs (a guess)

_SUFFIX, _NEVER = ".commit", (-math.inf, -math.inf)


@dataclass(frozen=True)
class _State:
    """A version: its number, the files of its rows, oldest first, and the id of its commit."""

    version: int
    runs: tuple[Run, ...] = ()
    id: str = ""


class Table:
    """The rows of one kind (`ghostpad.base.records.SCHEMAS`; the first column is the key) in `folder`.

    `older` is the file that held them in an earlier format; it is read until the first change, which takes its rows over. Threads may share
    a table; one that was pickled starts without what it has read.
    """

    def __init__(self, folder: Place, kind: str, older: Place | None = None):
        self.folder, self.kind, self.schema = folder, kind, SCHEMAS[kind]
        self.key = self.schema.names[0]
        self._older = older
        self._lock, self._fixed, self._made, self._sweep_due = RLock(), False, False, False
        self._state, self._looked_s = _State(0), _NEVER
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
        """The rows by key, in tables with these columns (None: all).

        They are those of one version, unless reading takes so long that its files are removed: then the rest is of a newer one. Memory: one
        group of each file. Raises `FormatError` for damaged files.
        """
        names, after, state = list(columns or self.schema.names), "", self._refresh()
        while True:
            try:
                for table in self._joined(state.runs, list(dict.fromkeys([self.key, *names]))):
                    if after:
                        table = table.filter(pc.greater(table.column(self.key), after))
                    if table.num_rows:
                        yield table.select(names)
                        after = table.column(self.key)[-1].as_py()
                return
            except FormatError as error:
                state = self._after_removal(state, error)

    def news(self, seen: set[str], columns: Sequence[str]) -> Iterator[pa.Table]:
        """The rows of files that `seen` does not name yet, oldest first: asked again, what changed since, and what was merged since."""
        for run in (run for run in self._refresh().runs if run.name not in seen):
            yield from self._groups(run, columns)
            seen.add(run.name)

    def find(self, keys: Iterable[str]) -> list[dict[str, Any]]:
        """The rows with these keys, by key, as columns by name; keys without a row are left out. Reads the groups that may hold them."""
        wanted, state = sorted(set(keys)), self._refresh()
        while True:
            try:
                return self._found(state.runs, wanted)
            except FormatError as error:
                state = self._after_removal(state, error)

    # ---- changing -----------------------------------------------------------------------------------------------

    def create(self) -> None:
        """Make the table if there is none; one of an earlier format becomes its first version, and its file gets another name."""
        while (state := self._refresh()).version == 0:
            runs = (write_run(self.folder, self._joined(state.runs, self.schema.names), self.schema),) if state.runs else ()
            if not self._commit_next(state, runs, self.schema.empty_table()):
                self._remove(*(run.name for run in runs))
        if self._older is not None:
            with suppress(FileNotFoundError):
                self._older.rename(str(self._older.with_name(f"{self._older.stem}.until-{self.folder.name}{self._older.suffix}")))
        self._made = True

    def put(self, rows: pa.Table) -> None:
        """Add rows, or replace those with their keys; of two with one key the last counts."""
        self.change(lambda: rows)

    def change(self, make: Callable[[], pa.Table]) -> None:
        """Commit the rows that `make` gives; nothing for an empty table.

        `make` may read this table, and is called again where another process has committed in between: it must have no effects of its own.
        """
        if not self._made:
            self.create()
        with self._lock, turn(self.folder):
            while True:
                state = self._refresh()
                try:
                    with self._same_version():
                        rows = make()
                except FormatError as error:
                    self._after_removal(state, error)
                    continue
                if not rows.num_rows or self._commit(state, rows):
                    break
            if rows.num_rows:
                with suppress(*place_errors()):  # the rows are committed, and the next change tries this again
                    self._tidy()

    def _commit(self, state: _State, rows: pa.Table) -> bool:
        """Whether the rows are now the next version."""
        rows = rows.select(self.schema.names).cast(self.schema).replace_schema_metadata(None)
        rows = newest(rows.append_column("order", pa.array(np.arange(rows.num_rows))), self.key)
        if rows.num_rows <= INLINE_ROWS and rows.nbytes <= INLINE_BYTES:
            return self._commit_next(state, state.runs, rows)
        run = write_run(self.folder, [rows], self.schema)
        if self._commit_next(state, (*state.runs, run), self.schema.empty_table()):
            return True
        self._remove(run.name)
        return False

    def _tidy(self) -> None:
        """Merge files if they have become many, and now and then remove what nothing needs."""
        if len(self._state.runs) > MOST_FILES:
            self._merge(self._state)
        if self._sweep_due:
            self._sweep_due = False
            self._sweep()

    def _merge(self, state: _State) -> None:
        """Commit a version in which one file stands for the newest ones, and for all commits that hold rows: so these can be removed."""
        counts = [run.rows for run in state.runs]
        first = min(len(counts) - MOST_FILES // 2, next((at for at, run in enumerate(state.runs) if not run.size), len(counts)))
        while first > 0 and counts[first - 1] < GROWTH * sum(counts[first:]):
            first -= 1
        before = state.runs[first:]
        last = first + len(before)
        merged = write_run(self.folder, self._joined(before, self.schema.names), self.schema)
        while state.runs[first:last] == before:  # else another process has merged them
            if self._commit_next(state, (*state.runs[:first], merged, *state.runs[last:]), self.schema.empty_table()):
                return
            state = self._refresh()
        self._remove(merged.name)

    def _sweep(self) -> None:
        """Remove what the newest version does not need and nobody can be reading: commits, oldest first, merged files, and what killed
        processes have left."""
        with suppress(FileNotFoundError):  # another process is sweeping
            state = self._refresh()
            now_s = changed_s(self._path(_name(state.version)))
            needed = {run.name for run in state.runs} | {_name(state.version)}
            names = self._names()
            for name in (name for name in names if name.endswith(_SUFFIX) and not name.startswith(".")):
                if name in needed or now_s - changed_s(self._path(name)) < KEPT_S:
                    break
                self._path(name).unlink()
            for name in names:
                left = name.startswith("merged-") or (name.startswith(".") and ".tmp-" in name)
                if left and name not in needed and now_s - changed_s(self._path(name)) >= KEPT_MERGED_S:
                    self._path(name).unlink()

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
            looked_s, state = _clocks_s(), self._state
            if _passed_s(self._looked_s) > KEPT_S / 2:  # the one after the last version seen may have been removed
                while (listed := self._read_state(max(self._numbers(), default=0))) is None:
                    pass
                state = listed
            while (newer := self._read_state(state.version + 1)) is not None:
                state = newer
            self._show(state)
            self._looked_s = looked_s
            return state

    def _show(self, state: _State) -> None:
        """Go on from this version."""
        self._state, names = state, {run.name for run in state.runs}
        self._small = {name: table for name, table in self._small.items() if name in names}
        self._large = {name: opened for name, opened in self._large.items() if name in names}

    def _after_removal(self, state: _State, error: FormatError) -> _State:
        """The newest version, where reading `state` has failed because files of it were removed. Raises `error` if that is not why."""
        gone = {run for run in state.runs if not self._path(run.name).exists()}
        newer = self._refresh()
        if not gone or gone & set(newer.runs):
            raise error
        return newer

    def _numbers(self) -> list[int]:
        """The versions that the folder holds, in order."""
        stems = (name.removesuffix(_SUFFIX) for name in self._names() if name.endswith(_SUFFIX))
        return [int(stem) for stem in stems if stem.isdigit()]

    def _read_state(self, version: int) -> _State | None:
        """A version, None where it is not there; version 0 is what an earlier format holds. Raises `FormatError` for a damaged one."""
        if version == 0:
            return _State(0, self._older_runs())
        path = self._path(_name(version))
        try:
            commit = read_commit(path, self.kind)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _State(version, (*commit.runs, *self._kept(path, commit.rows)), commit.id)

    def _older_runs(self) -> tuple[Run, ...]:
        if self._older is None:
            return ()
        try:
            table = read_table(self._older, self.kind).replace_schema_metadata(None).sort_by(self.key)
        except MissingError:
            return ()
        if len(table.column(self.key).unique()) < table.num_rows:
            raise damaged(self._older, ValueError("two rows have one key"))
        return self._kept(self._older, table)

    def _kept(self, path: Place, table: pa.Table) -> tuple[Run, ...]:
        """Keep the rows of a small file; the file, if it has any."""
        self._small[path.name] = table
        return (Run(path.name, table.num_rows),) if table.num_rows else ()

    def _commit_next(self, state: _State, runs: tuple[Run, ...], rows: pa.Table) -> bool:
        """Whether files and rows are now the version after `state`, which was the newest when this table last looked."""
        version, commit = state.version + 1, Commit(rows, runs, state.id)
        path = self._path(_name(version))
        try:
            create_commit(path, commit, self.kind)
        except FileExistsError:
            return False
        if not self._will_be_read(state.version, commit):
            self._remove(_name(version))
            self._looked_s = _NEVER
            return False
        self._show(_State(version, (*runs, *self._kept(path, rows)), commit.id))
        self._sweep_due |= version % SWEEP_EVERY == 0
        return True

    def _will_be_read(self, before: int, commit: Commit) -> bool:
        """Whether others go on from a commit that has just been made after version `before`.

        They do not if this process slept so long that its number had been given, and removed, already. Versions are removed oldest first:
        so then there is a gap behind the number, or the next one was made after another.
        """
        if _passed_s(self._looked_s) <= KEPT_S / 2 and self._path(_name(before)).exists():
            return True
        numbers = self._numbers()
        if before + 1 not in numbers or before + 1 == numbers[-1]:  # removed since, or still the newest
            return True
        return before + 2 in numbers and read_commit(self._path(_name(before + 2)), self.kind).after == commit.id

    # ---- files --------------------------------------------------------------------------------------------------

    def _joined(self, runs: Sequence[Run], names: Sequence[str]) -> Iterator[pa.Table]:
        return joined([self._groups(run, names) for run in runs], self.key)

    def _groups(self, run: Run, names: Sequence[str]) -> Iterator[pa.Table]:
        """The rows of a file, by group."""
        if run.size:
            yield from groups_of(self._path(run.name), self._opened(run), names)
        else:
            yield self._small_run(run).select(names)

    def _found(self, runs: Sequence[Run], missing: list[str]) -> list[dict[str, Any]]:
        found = list[dict[str, Any]]()
        for run in reversed(runs):
            if not missing:
                break
            rows = [row for table in self._with_keys(run, missing) for row in table.to_pylist()]
            seen = {row[self.key] for row in rows}
            missing = [key for key in missing if key not in seen]
            found += rows
        return sorted(found, key=lambda row: row[self.key])

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
            if run.name not in self._small:
                self._read_state(int(run.name.removesuffix(_SUFFIX)) if run.name.endswith(_SUFFIX) else 0)
            if run.name not in self._small:
                raise damaged(self._path(run.name), FileNotFoundError("no such file"))
            return self._small[run.name]

    def _names(self) -> list[str]:
        """The names in the folder, in order."""
        with suppress(FileNotFoundError, NotADirectoryError):
            return sorted(path.name for path in self.folder.iterdir())
        return []

    def _path(self, name: str) -> Place:
        return self.folder / name

    def _remove(self, *names: str) -> None:
        """Remove files that no version needs."""
        for name in names:
            with suppress(FileNotFoundError):
                self._path(name).unlink()


def _name(version: int) -> str:
    return f"{version:010d}{_SUFFIX}"


def _clocks_s() -> tuple[float, float]:
    """Seconds by the clock that goes on while a machine sleeps, and by the one that nobody sets."""
    return time.time(), time.monotonic()


def _passed_s(since_s: tuple[float, float]) -> float:
    """Seconds since `_clocks_s` gave this; many where a clock was set back."""
    passed_s = [now_s - before_s for now_s, before_s in zip(_clocks_s(), since_s, strict=True)]
    return max(passed_s) if min(passed_s) >= 0 else math.inf

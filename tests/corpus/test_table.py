"""The table that many processes change: nothing is lost, whoever is killed, paused or in the middle of a merge; damage is noticed."""

import errno
import fcntl
import os
import pickle
import random
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from upath import UPath

from ghostpad.base import files, records
from ghostpad.base.errors import FormatError
from ghostpad.base.pad import LAYOUT
from ghostpad.base.places import Place, place
from ghostpad.base.records import Video, videos_table
from ghostpad.corpus import commits as commits_module
from ghostpad.corpus import runs as runs_module
from ghostpad.corpus import table as table_module
from ghostpad.corpus.table import Table


def small_limits(patch: pytest.MonkeyPatch) -> None:
    """Merges and sweeps after a few rows; commits that can be removed do not stay."""
    for name, value in {"INLINE_ROWS": 3, "MOST_FILES": 4, "GROWTH": 2, "KEPT_S": 0.0, "SWEEP_EVERY": 3}.items():
        patch.setattr(table_module, name, value)
    patch.setattr(runs_module, "GROUP_ROWS", 4)
    patch.setattr(files, "_TURN_S", 0.01)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    small_limits(monkeypatch)
    return monkeypatch


def table_in(folder: Place) -> Table:
    return Table(folder / "catalogue", "videos", folder / "videos.parquet")


def rows_of(counts: dict[str, int]) -> pa.Table:
    return videos_table(Video(id, frames=count) for id, count in counts.items())


def counts_in(table: Table) -> dict[str, int]:
    return {row["id"]: row["frames"] for part in table.scan(["id", "frames"]) for row in part.to_pylist()}


def add_one(table: Table, id: str) -> None:
    table.change(lambda: videos_table(replace(Video.of(row), frames=row["frames"] + 1) for row in table.find([id])))


def add_to_each(table: Table, ids: Iterable[str]) -> None:
    for id in ids:
        add_one(table, id)


def fork(act: Callable[[], None]) -> int:
    """A child that does something and ends, with exit status 0 if nothing was raised."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            act()
            status = 0
        finally:
            os._exit(status)
    return child


def status_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# ---- the same as a dict ---------------------------------------------------------------------------------------------

KEYS = st.sampled_from([f"video-{number}" for number in range(12)] + ["é", "z" * 200, "\U0001f3ae"])


class LikeADict(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.patch, self.folder = pytest.MonkeyPatch(), Path(tempfile.mkdtemp())
        small_limits(self.patch)
        self.table, self.other, self.expected = table_in(self.folder), table_in(self.folder), dict[str, int]()

    def teardown(self) -> None:
        self.patch.undo()
        shutil.rmtree(self.folder)

    @rule(counts=st.dictionaries(KEYS, st.integers(0, 9), max_size=9))
    def put(self, counts: dict[str, int]) -> None:
        self.table.put(rows_of(counts))
        self.expected |= counts

    @rule(keys=st.sets(KEYS))
    def change(self, keys: set[str]) -> None:
        self.table.change(lambda: rows_of({row["id"]: row["frames"] + 1 for row in self.table.find(keys)}))
        self.expected |= {key: self.expected[key] + 1 for key in keys & self.expected.keys()}

    @rule(keys=st.sets(KEYS))
    def find(self, keys: set[str]) -> None:
        assert {row["id"]: row["frames"] for row in self.table.find(keys)} == {
            key: self.expected[key] for key in keys & self.expected.keys()
        }

    @rule()
    def swap(self) -> None:
        self.table, self.other = self.other, self.table

    @rule()
    def reopen(self) -> None:
        self.table = table_in(self.folder)

    @rule()
    def pickled(self) -> None:
        self.table = pickle.loads(pickle.dumps(self.table))

    @rule()
    def keep_nothing_or_all(self) -> None:
        self.patch.setattr(table_module, "KEPT_S", 600.0 - table_module.KEPT_S)

    @invariant()
    def same_rows_by_key(self) -> None:
        found = counts_in(self.table)
        assert found == self.expected and list(found) == sorted(found)


TestLikeADict = LikeADict.TestCase
TestLikeADict.settings = settings(max_examples=10, stateful_step_count=20, deadline=None, derandomize=True)


def test_all_columns_come_back_and_only_those_asked_for(small: Any, tmp_path: Path) -> None:
    videos = [Video(f"v{number:02d}", overlay_px=(1, 2, 3, 4), overlay_of_px=(5, 6), return_=0.5, reason="é") for number in range(20)]
    table = table_in(tmp_path)
    table.put(videos_table(videos))
    assert [Video.of(row) for part in table.scan() for row in part.to_pylist()] == videos
    assert [part.column_names for part in table.scan(["status", "game"])] == [["status", "game"]] * 5
    assert table.find(["v03", "v30"]) == [videos[3].columns() | {"overlay_px": [1, 2, 3, 4], "overlay_of_px": [5, 6]}]


def test_files_stay_few_however_many_changes_come(small: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = table_in(tmp_path)
    table.put(rows_of({f"v{number}": 0 for number in range(3)}))  # few enough to lie in a commit
    small.setattr(table_module, "KEPT_MERGED_S", 0.0)
    for number in range(100):
        add_one(table, f"v{number % 2}")
        assert len(list(table.folder.iterdir())) < 20
    assert counts_in(table) == {"v0": 50, "v1": 50, "v2": 0}


def test_a_table_in_memory_works_too(small: Any) -> None:
    folder = place("memory://table")
    assert isinstance(folder, UPath)
    table, other = table_in(folder), table_in(folder)
    for number in range(40):
        (table if number % 3 else other).put(rows_of({f"v{number % 7}": number, "same": number}))
    assert counts_in(table) == {f"v{number % 7}": number for number in range(33, 40)} | {"same": 39} == counts_in(other)


# ---- many writers ---------------------------------------------------------------------------------------------------


def count_up(folder: Place, keys: list[str], changes: int, seed: int) -> None:
    table, chance = table_in(folder), random.Random(seed)
    for _ in range(changes):
        add_one(table, chance.choice(keys))


def counted(folder: Place, writers: int, changes: int) -> int:
    keys = [f"v{number}" for number in range(5)]
    table_in(folder).put(rows_of(dict.fromkeys(keys, 0)))
    children = [fork(lambda seed=seed: count_up(folder, keys, changes, seed)) for seed in range(writers)]  # type: ignore[misc]
    assert [status_of(child) for child in children] == [0] * writers
    return sum(counts_in(table_in(folder)).values())


def test_eight_processes_that_merge_lose_no_change(small: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small.setattr(table_module, "KEPT_S", 600.0)
    assert counted(tmp_path, 8, 25) == 200


def test_eight_processes_lose_no_change_with_the_limits_in_use(tmp_path: Path) -> None:
    assert counted(tmp_path, 8, 25) == 200


def test_no_lock_is_needed(small: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "no locks here")

    small.setattr(table_module, "KEPT_S", 600.0)
    small.setattr(fcntl, "flock", refuse)
    assert counted(tmp_path, 4, 15) == 60


def test_a_disk_without_hard_links_will_do(small: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no second names here")

    small.setattr(table_module, "KEPT_S", 600.0)
    small.setattr(os, "link", refuse)
    assert counted(tmp_path, 4, 15) == 60


def test_threads_share_a_table(small: Any, tmp_path: Path) -> None:
    table, keys = table_in(tmp_path), [f"v{number}" for number in range(5)]
    table.put(rows_of(dict.fromkeys(keys, 0)))
    seen: list[int] = []
    threads = [threading.Thread(target=add_to_each, args=(table, keys * 3)) for _ in range(4)]
    threads += [threading.Thread(target=lambda: seen.extend(len(counts_in(table)) for _ in range(10))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts_in(table) == dict.fromkeys(keys, 12) and seen == [5] * 20


@pytest.mark.parametrize("others", [1, 2, 13])
def test_others_may_commit_merge_and_sweep_before_any_write(others: int, small: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before each write of one table another commits so often that its merges, and removed version numbers, get in between."""
    one, other, real, busy = table_in(tmp_path), table_in(tmp_path), files.write_new, [False]
    keys = ["a", "b", "c", "d", "e"]
    one.put(rows_of(dict.fromkeys(keys, 0)))

    def write_new(path: Any, body: bytes) -> None:
        if not busy[0] and chance.random() < 0.5:
            busy[0] = True
            for number in range(others):
                add_one(other, keys[number % 5])
                done[0] += 1
            busy[0] = False
        real(path, body)

    chance, done = random.Random(others), [0]
    small.setattr(commits_module, "write_new", write_new)
    for number in range(8):
        add_one(one, keys[number % 3])
    assert sum(counts_in(one).values()) == sum(counts_in(table_in(tmp_path)).values()) == 8 + done[0]
    assert done[0] > 0 and len(list(one.folder.glob("*.commit"))) < 12


@pytest.mark.parametrize("others", [1, 60])
def test_a_process_may_sleep_between_reading_and_committing(others: int, small: Any, tmp_path: Path) -> None:
    table_in(tmp_path).put(rows_of({"a": 0, "b": 0, "c": 0, "d": 0}))

    def sleeper() -> None:
        table, first = table_in(tmp_path), [True]

        def make() -> pa.Table:
            found = table.find(["a"])
            if first.pop() if first else False:
                os.kill(os.getpid(), signal.SIGSTOP)
            return rows_of({"a": found[0]["frames"] + 1, "b": table.find(["b"])[0]["frames"]})

        table.change(make)

    child = fork(sleeper)
    assert os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1])
    table = table_in(tmp_path)
    for _ in range(others):
        add_one(table, "a")
    os.kill(child, signal.SIGCONT)
    assert status_of(child) == 0
    assert counts_in(table) == {"a": others + 1, "b": 0, "c": 0, "d": 0} == counts_in(table_in(tmp_path))


def test_a_number_that_was_removed_is_not_given_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever slept through ten minutes of others' work does not commit what nobody will read, and two who did not either."""
    first, second = table_in(tmp_path), table_in(tmp_path)
    first.put(rows_of({"a": 0}))
    second.version()
    with monkeypatch.context() as patch:
        small_limits(patch)
        other = table_in(tmp_path)
        for _ in range(30):
            add_one(other, "a")
    assert min(int(path.stem) for path in first.folder.glob("*.commit")) > first._state.version + 5
    now_s = table_module._clocks_s()
    monkeypatch.setattr(table_module, "_clocks_s", lambda: (now_s[0] + 1000, now_s[1]))  # the machine slept: one clock stood still
    for slept in (first, second):
        add_one(slept, "a")
    assert counts_in(table_in(tmp_path)) == {"a": 32}


def test_an_answer_that_was_lost_is_no_second_change(small: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A store that has done what a first request wanted refuses the second, which the driver sends when the answer does not come."""
    real, table = files.write_new, table_in(tmp_path)

    def twice(path: Any, body: bytes) -> None:
        real(path, body)
        real(path, body)

    table.put(rows_of({"a": 0}))
    small.setattr(commits_module, "write_new", twice)
    for _ in range(20):
        add_one(table, "a")
    assert counts_in(table_in(tmp_path)) == {"a": 20}


@pytest.mark.parametrize("read", [counts_in, lambda table: {row["id"]: row["frames"] for row in table.find([f"v{n}" for n in range(30)])}])
def test_readers_go_on_when_their_files_are_removed(
    read: Callable[[Table], dict[str, int]], small: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys, real = [f"v{number}" for number in range(30)], runs_module.groups_of
    table, other = table_in(tmp_path), table_in(tmp_path)
    table.put(rows_of(dict.fromkeys(keys, 0)))
    small.setattr(table_module, "KEPT_MERGED_S", 0.0)
    todo = [3]

    def groups_of(path: Any, *others: Any) -> Iterator[pa.Table]:
        for group in real(path, *others):
            yield group
            todo[0] -= 1
            if todo[0] == 0:
                for _ in range(12):
                    other.put(rows_of(dict.fromkeys(keys, 1)))
                if not path.exists():  # here the open file would go on, at an address it does not
                    raise runs_module.damaged(path, FileNotFoundError("no such object"))

    for module in (table_module, runs_module):
        small.setattr(module, "groups_of", groups_of)
    found = read(table)
    assert todo[0] <= 0 and list(found) == sorted(keys) and set(found.values()) <= {0, 1} and 1 in found.values()


# ---- kills ----------------------------------------------------------------------------------------------------------


def killed_at(step: int, act: Callable[[], None]) -> int:
    """The exit status of a child that is killed before its nth call that changes a disk: 0 if it has fewer."""
    left = [step]

    def counted(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*args: Any, **flags: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **flags)

        return call

    def patched() -> None:
        for name in ("fsync", "link", "replace", "rename", "unlink", "mkdir", "ftruncate"):
            setattr(os, name, counted(name))
        act()

    return status_of(fork(patched))


def test_kills_at_every_step_lose_nothing_and_leave_nothing_that_grows(small: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = [f"v{number}" for number in range(6)]
    table = table_in(tmp_path)
    table.put(rows_of(dict.fromkeys(keys, 0)))
    done = tmp_path / "done"
    done.touch()

    def work() -> None:
        own = table_in(tmp_path)
        with open(done, "a") as file:
            for number in range(5):
                ids = keys if number == 3 else [keys[number]]
                own.change(lambda ids=ids: rows_of({row["id"]: row["frames"] + 1 for row in own.find(ids)}))  # type: ignore[misc]
                print(len(ids), file=file, flush=True)

    before, step = 0, 0
    while True:
        step += 1
        status, said = killed_at(step, work), sum(map(int, done.read_text().split()))
        total = sum(counts_in(table_in(tmp_path)).values())
        assert said - before <= total <= said - before + 6 and len(counts_in(table)) == 6
        before -= total - (said - before)  # what a killed process had committed and not said
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert step > 20
    small.setattr(table_module, "KEPT_MERGED_S", 0.0)
    for _ in range(10):
        add_one(table, "v0")
    assert len(list(table.folder.iterdir())) < 20


# ---- damage ---------------------------------------------------------------------------------------------------------


def damages(body: bytes, chance: random.Random, count: int) -> Iterator[bytes]:
    for number in range(count):
        at = chance.randrange(len(body))
        if number % 4 == 0:
            yield body[:at]
        else:
            yield body[:at] + bytes([body[at] ^ (1 << chance.randrange(8))]) + body[at + 1 :]


def test_d23_damaged_files_are_named_or_change_nothing(small: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small.setattr(table_module, "KEPT_S", 600.0)
    table = table_in(tmp_path)
    for number in range(9):
        table.put(rows_of({f"v{number * 2 + more}": number for more in range(4 + number % 2)}))
        table.put(rows_of({f"v{number}": 100 + number}))
    names, sound = {run.name for run in table._state.runs}, counts_in(table)
    assert any(name.endswith(".parquet") for name in names) and any(name.endswith(".commit") for name in names)
    chance, noticed = random.Random(1), 0
    for path in sorted(tmp_path.glob("catalogue/[!.]*")):
        body = path.read_bytes()
        for damaged in damages(body, chance, 40 if path.name in names else 3):
            path.write_bytes(damaged)
            try:
                assert counts_in(table_in(tmp_path)) == sound
                assert {row["id"]: row["frames"] for row in table_in(tmp_path).find(sound)} == sound
            except FormatError as error:
                assert path.name in str(error) and "restore it from a copy" in str(error)
                noticed += 1
        path.write_bytes(body)
    assert noticed > 60 and counts_in(table_in(tmp_path)) == sound


def test_d23_missing_files_are_named_or_change_nothing(small: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small.setattr(table_module, "KEPT_S", 600.0)
    table = table_in(tmp_path)
    for number in range(9):
        table.put(rows_of({f"v{number * 2 + more}": number for more in range(4 + number % 2)}))
        table.put(rows_of({f"v{number}": 100 + number}))
    sound, newest = counts_in(table), f"{table._state.version:010d}.commit"
    for path in sorted(tmp_path.glob("catalogue/[!.]*")):
        body = path.read_bytes()
        path.unlink()
        try:
            assert counts_in(table_in(tmp_path)) == sound or path.name == newest  # without the last version the one before is the last
        except FormatError as error:
            assert path.name in str(error)
        path.write_bytes(body)


def write_old(path: Path, counts: dict[str, int]) -> None:
    """A table of videos as version 2 of the columns had it, without checksums."""
    facts = {"ghostpad.table": "videos/2", "ghostpad.layout": LAYOUT}
    pq.write_table(rows_of(counts).drop_columns(list(records._ADDED["videos/2"])).replace_schema_metadata(facts), path, compression="zstd")


def test_d23_a_damaged_table_of_before_is_named(tmp_path: Path) -> None:
    path, counts = tmp_path / "videos.parquet", {f"v{number:03d}": number for number in range(300)}
    write_old(path, counts)
    body, chance, unnoticed = path.read_bytes(), random.Random(2), 0
    for damaged in damages(body, chance, 100):
        path.write_bytes(damaged)
        try:
            unnoticed += counts_in(table_in(tmp_path)) != counts
        except FormatError as error:
            assert "videos.parquet" in str(error)
    assert unnoticed <= 10  # it has no checksums: a number that is still a number cannot be noticed


# ---- rights, and tables of before -----------------------------------------------------------------------------------


def test_a_folder_that_may_only_be_read_is_read(small: Any) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        counts = {f"v{number}": number for number in range(20)}
        table_in(folder).put(rows_of(counts))
        (folder / "catalogue").chmod(0o555)

        def reader() -> None:
            if os.geteuid() == 0:
                os.setuid(65534)
            table = table_in(folder)
            assert counts_in(table) == counts and table.find(["v3"])[0]["frames"] == 3
            with pytest.raises(PermissionError):
                table.put(rows_of({"v3": 4}))
            assert counts_in(table) == counts

        assert status_of(fork(reader)) == 0
        (folder / "catalogue").chmod(0o755)


def test_a_table_of_before_is_read_as_it_is_and_taken_over_by_the_first_change(tmp_path: Path) -> None:
    counts = {f"v{number}": number for number in range(30)}
    write_old(tmp_path / "videos.parquet", counts)
    table = table_in(tmp_path)
    assert table.exists() and counts_in(table) == counts and table.find(["v7"])[0]["attempts"] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["videos.parquet"], "reading writes nothing"
    early = table_in(tmp_path)
    early.version()
    add_one(table, "v7")
    assert counts_in(early) == counts_in(table_in(tmp_path)) == counts | {"v7": 8}
    assert {path.name for path in tmp_path.iterdir()} == {"catalogue", "videos.until-catalogue.parquet"}


def test_kills_while_a_table_of_before_is_taken_over_lose_nothing(tmp_path: Path) -> None:
    counts, step, status = {f"v{number}": number for number in range(30)}, 0, -signal.SIGKILL
    while status == -signal.SIGKILL:
        step, folder = step + 1, tmp_path / str(step)
        folder.mkdir()
        write_old(folder / "videos.parquet", counts)
        status = killed_at(step, lambda folder=folder: add_one(table_in(folder), "v7"))  # type: ignore[misc]
        found = counts_in(table_in(folder))
        assert found in (counts, counts | {"v7": 8})
        add_one(table_in(folder), "v8")
        assert counts_in(table_in(folder)) == found | {"v8": 9} and not (folder / "videos.parquet").exists()
    assert status == 0 and step > 5


def test_two_processes_take_a_table_of_before_over_at_once(tmp_path: Path) -> None:
    for turn in range(5):
        folder = tmp_path / str(turn)
        folder.mkdir()
        write_old(folder / "videos.parquet", {"a": 0, "b": 0})
        children = [fork(lambda folder=folder: add_to_each(table_in(folder), "abab")) for _ in range(4)]  # type: ignore[misc]
        assert [status_of(child) for child in children] == [0] * 4
        assert counts_in(table_in(folder)) == {"a": 8, "b": 8}
        assert {path.name for path in folder.iterdir()} == {"catalogue", "videos.until-catalogue.parquet"}

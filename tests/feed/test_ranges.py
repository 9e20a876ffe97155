"""Ranges of bytes: those of the file, with few files open, from blocks of bounded size that several processes share."""

import errno
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostpad.base.errors import MissingError, PlaceError, SettingsError
from ghostpad.base.places import file_mark, place
from ghostpad.feed.ranges import MOST_FILES, Ranges

DATA = np.random.default_rng(0).bytes(10_000)
BLOCK = 992
ROOM = 1000
"""What a block takes, with its length behind it."""


@pytest.fixture(params=["disk", "memory"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """DATA on this machine, and at an address."""
    path = place(str(tmp_path / "file") if request.param == "disk" else f"memory://{tmp_path.name}/file")
    path.write_bytes(DATA)
    return path


def kept(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def kept_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in kept(folder))


@pytest.fixture(scope="module")
def ranges_of_an_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ranges, Any]]:
    there = place("memory://ranges/file")
    there.write_bytes(DATA)
    yield Ranges(tmp_path_factory.mktemp("blocks"), 3 * ROOM, block_bytes=BLOCK), there


@given(start=st.integers(0, 11_000), length=st.integers(0, 4_000))
def test_any_range_is_that_of_the_file_and_the_bound_holds(ranges_of_an_address: tuple[Ranges, Any], start: int, length: int) -> None:
    ranges, there = ranges_of_an_address
    assert ranges.read(there, start, start + length) == DATA[start : start + length]
    assert len(kept(ranges._folder)) <= 3


@pytest.mark.parametrize(("start", "stop"), [(0, 10), (991, 993), (2500, 2500), (9_990, 10_010), (10_000, 10_010), (12_000, 12_010)])
def test_both_sorts_of_places_give_the_same(tmp_path: Path, file: Any, start: int, stop: int) -> None:
    ranges = Ranges(tmp_path / "blocks", 5 * ROOM, block_bytes=BLOCK)
    assert ranges.read(file, start, stop) == DATA[start:stop]


def test_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    ranges = Ranges(tmp_path / "blocks", 5 * ROOM, block_bytes=BLOCK)
    (tmp_path / "file").touch()
    for missing in (tmp_path / "gone", tmp_path / "file" / "gone", place(f"memory://{tmp_path.name}/gone")):
        with pytest.raises(MissingError, match="gone does not exist"):
            ranges.read(missing, 0, 10)
    with pytest.raises(MissingError, match="gone does not exist"):
        ranges.read(place(f"memory://{tmp_path.name}/gone"), 0, 10, mark="known")


def test_a_file_that_took_the_place_of_another_is_seen_once_that_is_forgotten(tmp_path: Path, file: Any) -> None:
    ranges = Ranges(tmp_path / "blocks", 5 * ROOM, block_bytes=BLOCK)
    assert ranges.read(file, 0, 4) == DATA[:4]
    other = file.with_name("other")
    other.write_bytes(b"others")
    os.replace(other, file) if isinstance(file, Path) else other.fs.mv(other.path, file.path)
    ranges.forget(file)
    assert ranges.read(file, 0, 4) == b"othe"
    ranges.forget(file.with_name("never read"))


def test_a_callers_mark_tells_files_apart_without_a_request(tmp_path: Path) -> None:
    there, ranges = place(f"memory://{tmp_path.name}/file"), Ranges(tmp_path / "blocks", 5 * ROOM, block_bytes=BLOCK)
    there.write_bytes(b"one")
    assert ranges.read(there, 0, 3, mark="1") == b"one"
    there.write_bytes(b"two")
    assert ranges.read(there, 0, 3, mark="1") == b"one" and ranges.read(there, 0, 3, mark="2") == b"two"


def test_few_files_are_open_and_all_are_closed(tmp_path: Path) -> None:
    for number in range(3 * MOST_FILES):
        (tmp_path / str(number)).write_bytes(number.to_bytes(2, "little"))
    before, ranges = len(os.listdir("/proc/self/fd")), Ranges(tmp_path / "blocks", ROOM, block_bytes=BLOCK)
    for number in [*range(3 * MOST_FILES), *range(3 * MOST_FILES)]:
        assert ranges.read(tmp_path / str(number), 0, 2) == number.to_bytes(2, "little")
        assert len(os.listdir("/proc/self/fd")) <= before + MOST_FILES
    ranges.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert ranges.read(tmp_path / "7", 0, 1) == b"\7"
    del ranges
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_is_used_stays_open_where_others_are_closed(tmp_path: Path) -> None:
    ranges = Ranges(tmp_path / "blocks", ROOM, block_bytes=BLOCK)
    for number in range(2 * MOST_FILES):
        (tmp_path / str(number)).write_bytes(b"a")
    ranges.read(tmp_path / "0", 0, 1)
    (tmp_path / "0").unlink()
    for number in range(1, 2 * MOST_FILES):
        assert ranges.read(tmp_path / str(number), 0, 1) == ranges.read(tmp_path / "0", 0, 1) == b"a"


def test_what_is_used_is_kept_and_what_is_not_makes_room(tmp_path: Path) -> None:
    there, ranges = place(f"memory://{tmp_path.name}/file"), Ranges(tmp_path / "blocks", 4 * ROOM, block_bytes=BLOCK)
    there.write_bytes(DATA)
    ranges.read(there, 0, 10)
    mark = file_mark(there)
    for number in range(1, 10):
        ranges.read(there, number * BLOCK, number * BLOCK + 10)
        ranges.read(there, 0, 10)
    there.unlink()
    assert ranges.read(there, 0, BLOCK, mark) == DATA[:BLOCK], "used all the time"
    with pytest.raises(MissingError):
        ranges.read(there, BLOCK, 2 * BLOCK, mark)
    assert kept_bytes(tmp_path / "blocks") == 4 * ROOM


def test_many_blocks_lie_in_several_folders_and_a_lower_limit_removes_those(tmp_path: Path) -> None:
    there, folder = place(f"memory://{tmp_path.name}/file"), tmp_path / "blocks"
    there.write_bytes(DATA)
    assert Ranges(folder, 210 * 48, block_bytes=40).read(there, 0, 10_000) == DATA
    assert len(list(folder.iterdir())) == 3 and 190 < len(kept(folder)) <= 210
    assert Ranges(folder, 70 * 48, block_bytes=40).read(there, 0, 10_000) == DATA
    assert len(list(folder.iterdir())) == 1 and len(kept(folder)) == 70


def test_blocks_that_vanish_are_fetched_again(tmp_path: Path) -> None:
    there, ranges = place(f"memory://{tmp_path.name}/file"), Ranges(tmp_path / "blocks", 5 * ROOM, block_bytes=BLOCK)
    there.write_bytes(DATA)
    for _ in range(2):
        assert ranges.read(there, 500, 3500) == DATA[500:3500]
        for path in kept(tmp_path / "blocks"):
            path.unlink()
        (tmp_path / "blocks" / "0").rmdir()


@pytest.mark.parametrize("left_bytes", [0, 5, 500, ROOM - 1])
def test_blocks_that_a_power_cut_shortened_are_fetched_again(tmp_path: Path, left_bytes: int) -> None:
    there, ranges = place(f"memory://{tmp_path.name}/file"), Ranges(tmp_path / "blocks", 5 * ROOM, block_bytes=BLOCK)
    there.write_bytes(DATA)
    for _ in range(2):
        assert ranges.read(there, 100, 200) == DATA[100:200]
        os.truncate(*kept(tmp_path / "blocks"), left_bytes)


def test_what_a_killed_process_left_half_written_makes_room_too(tmp_path: Path) -> None:
    there, ranges = place(f"memory://{tmp_path.name}/file"), Ranges(tmp_path / "blocks", 3 * ROOM, block_bytes=BLOCK)
    there.write_bytes(DATA)
    (tmp_path / "blocks" / "0").mkdir(parents=True)
    for number in range(5):
        (left := tmp_path / "blocks" / "0" / f".{number}.tmp-abcdef-0").write_bytes(bytes(BLOCK))
        os.utime(left, (1, 1))
    assert ranges.read(there, 0, 10_000) == DATA
    assert len(kept(tmp_path / "blocks")) == 3 and not any(path.name.startswith(".") for path in kept(tmp_path / "blocks"))


def test_pickled_and_forked_ones_read_on(tmp_path: Path, file: Any) -> None:
    ranges = Ranges(tmp_path / "blocks", 5 * ROOM, block_bytes=BLOCK)
    assert ranges.read(file, 10, 20) == DATA[10:20]
    assert pickle.loads(pickle.dumps(ranges)).read(file, 5, 3000) == DATA[5:3000]
    with get_context("fork").Pool(1) as pool:
        assert pool.apply(ranges.read, (file, 30, 40)) == DATA[30:40]
    assert ranges.read(file, 40, 50) == DATA[40:50]


def test_a_limit_without_room_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no room for one block"):
        Ranges(tmp_path, ROOM - 1, block_bytes=BLOCK)


_READER = """
import sys
from pathlib import Path
import numpy as np
from ghostpad.base.places import place
from ghostpad.feed.ranges import Ranges

folder, seed = sys.argv[1:]
ranges, rng = Ranges(Path(folder), 8 * 1000, block_bytes=992), np.random.default_rng(int(seed))
data, most = np.random.default_rng(0).bytes(10_000), 0
for name in rng.integers(0, 4, 80):
    start = int(rng.integers(0, 9_000))
    got = ranges.read(place(f"s3://bucket/{name}"), start, start + 700)
    assert got == (bytes([name]) + data[1:])[start : start + 700]
    sizes = []
    for path in Path(folder).rglob("*"):
        try:
            sizes.append(path.stat().st_size if path.is_file() else 0)
        except FileNotFoundError:
            pass
    most = max(most, sum(sizes))
print(most)
"""


def test_processes_share_a_bounded_cache_of_a_store_while_it_makes_room(bucket: Any, tmp_path: Path) -> None:
    for name in range(4):
        bucket.pipe_file(f"bucket/{name}", bytes([name]) + DATA[1:])
    command = [sys.executable, "-c", _READER, str(tmp_path / "blocks")]
    readers = [subprocess.Popen([*command, str(seed)], stdout=subprocess.PIPE, text=True) for seed in range(2)]
    told = [reader.communicate(timeout=120)[0] for reader in readers]
    assert [reader.returncode for reader in readers] == [0, 0]
    assert max(map(int, told)) <= (8 + 2) * ROOM
    assert not [path for path in kept(tmp_path / "blocks") if path.name.startswith(".")]


def test_a_store_is_read_in_few_requests(bucket: Any, tmp_path: Path) -> None:
    bucket.pipe_file("bucket/a", DATA[:4000])
    there, ranges = place("s3://bucket/a"), Ranges(tmp_path / "blocks", 8 * ROOM, block_bytes=BLOCK)
    assert ranges.read(there, 100, 200) == DATA[100:200]
    bucket.rm("bucket/a")
    assert ranges.read(there, 900, BLOCK) == DATA[900:BLOCK], "the same block"
    with pytest.raises(MissingError, match="s3://bucket/a does not exist"):
        ranges.read(there, 900, BLOCK + 1)
    bucket.pipe_file("bucket/a", DATA[:4000])
    assert ranges.read(there, 3990, 4010) == DATA[3990:4000] and ranges.read(there, 4000, 4010) == b"", "a range behind the end"


def test_lost_credentials_are_told(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.pipe_file("bucket/a", DATA)
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.delenv(f"AWS_{name}")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    type(bucket).clear_instance_cache()
    with pytest.raises(PlaceError, match="check its address, keys"):
        Ranges(tmp_path / "blocks", 8 * ROOM, block_bytes=BLOCK).read(place("s3://bucket/a"), 0, 10, mark="")


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    code = f"""
import resource, signal
from pathlib import Path
from ghostpad.base.errors import PlaceError
from ghostpad.base.places import place
from ghostpad.feed.ranges import Ranges
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
there = place("memory://a/file")
there.write_bytes(bytes(2000))
try:
    Ranges(Path({str(tmp_path / "blocks")!r}), 5000, block_bytes=1000).read(there, 0, 10)
except PlaceError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert os.strerror(errno.EFBIG).lower() in told.stdout, told.stderr
    assert kept(tmp_path / "blocks") == []

"""Engines place work: the same results here, in a pool and on Ray, and a worker that dies costs the item it was at."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from ghostpad.base.engines.crew import STARTS, Died
from ghostpad.base.engines.results import results
from ghostpad.base.engines.settings import EngineSettings, Share
from ghostpad.base.errors import GhostpadError, MediaError, MissingError, SettingsError
from ghostpad.base.settings import build_settings

HERE, POOL = EngineSettings(), EngineSettings(engine="pool", workers=2)


@pytest.fixture(params=["here", "pool", "ray"])
def engine(request: pytest.FixtureRequest) -> EngineSettings:
    if request.param != "ray":
        return HERE if request.param == "here" else POOL
    return EngineSettings(engine="ray", workers=2, ray_address=request.getfixturevalue("ray_cluster").address)


@pytest.fixture(params=["pool", "ray"])
def far(request: pytest.FixtureRequest) -> EngineSettings:
    """An engine whose workers are processes of their own."""
    return POOL if request.param == "pool" else EngineSettings(engine="ray", ray_address=request.getfixturevalue("ray_cluster").address)


def squares(bad: int) -> Callable[[int], int]:
    def square(number: int) -> int:
        if number == bad:
            raise MediaError(f"{number} is bad")
        return number * number

    return square


def test_every_engine_gives_every_item_its_result_or_its_error(engine: EngineSettings) -> None:
    found = dict(results(engine, squares, (7,), iter(range(20))))
    assert isinstance(found[7], MediaError) and str(found.pop(7)) == "7 is bad"
    assert found == {number: number * number for number in range(20) if number != 7}


def test_items_are_taken_as_workers_get_free(engine: EngineSettings) -> None:
    taken = list[int]()

    def endless() -> Iterator[int]:
        while True:
            taken.append(len(taken))
            yield taken[-1]

    running = results(engine, squares, (-1,), endless())
    assert len(list(islice(running, 10))) == 10
    running.close()  # type: ignore[attr-defined]
    assert len(taken) <= 16, "never more than those done and one or two a worker"


def killer(folder: Path, poison: int) -> Callable[[int], int]:
    """Kills its worker once at each item, and always at the poison."""

    def work(number: int) -> int:
        marks = list(folder.glob(f"{number}-*"))
        (folder / f"{number}-{len(marks)}").touch()
        if not marks or number == poison:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    return work


def test_an_item_whose_worker_is_killed_goes_to_another_and_poison_is_given_up(far: EngineSettings, tmp_path: Path) -> None:
    found = dict(results(far, killer, (tmp_path, 1), iter(range(3))))
    assert found[0] == 0 and found[2] == 2
    assert isinstance(found[1], Died) and found[1].attempts == 3 and "died at this item 3 times" in str(found[1])
    assert len(list(tmp_path.glob("1-*"))) == 3 and len(list(tmp_path.glob("0-*"))) == 2


def marker(folder: Path) -> Callable[[int], int]:
    """Says who begins what."""

    def work(number: int) -> int:
        (folder / f"{number}-{os.getpid()}").touch()
        time.sleep(0.1)
        return number

    return work


def test_only_what_was_under_way_on_a_lost_node_is_done_again(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    cluster = request.getfixturevalue("ray_cluster")
    node = cluster.add_node(num_cpus=2, object_store_memory=80_000_000)
    engine, found = EngineSettings(engine="ray", workers=4, ray_address=cluster.address), list[int]()
    for number, result in results(engine, marker, (tmp_path,), iter(range(60))):
        assert result == number
        found.append(number)
        if len({path.name.partition("-")[2] for path in tmp_path.iterdir()}) == 4 and node is not None:
            cluster.remove_node(node, allow_graceful=False)
            node = None
    begun = [path.name.partition("-")[0] for path in tmp_path.iterdir()]
    assert node is None and sorted(found) == list(range(60)) and 60 <= len(begun) <= 62


def no_model(text: str) -> Callable[[int], int]:
    raise MediaError(text)


def suicide() -> Callable[[int], int]:
    os._exit(3)


def test_a_function_that_cannot_be_made_ends_everything_at_once(engine: EngineSettings) -> None:
    with pytest.raises(MediaError, match="no such model"):
        list(results(engine, no_model, ("no such model",), iter(range(1000))))


def test_workers_that_die_before_they_begin_are_not_hired_for_ever() -> None:
    with pytest.raises(Died, match=rf"{STARTS} workers ended before they could begin; the last ended \(exit status 3\)"):
        list(results(POOL, suicide, (), iter(range(1000))))


class Odd(Exception):
    """Cannot be unpickled."""

    def __init__(self, one: int, two: int):
        super().__init__("odd")


def oddly() -> Callable[[int], int]:
    def work(number: int) -> int:
        raise Odd(number, 0)

    return work


def test_an_error_that_cannot_be_pickled_keeps_its_words(far: EngineSettings) -> None:
    ((_, error),) = results(far, oddly, (), iter([1]))
    assert isinstance(error, Exception) and "odd" in str(error)


def naps() -> Callable[[float], int]:
    def nap(for_s: float) -> int:
        time.sleep(for_s)
        return os.getpid()

    return nap


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_workers_end_when_the_caller_stops_or_fails(far: EngineSettings) -> None:
    running = results(far, naps, (), iter([0.0, 600.0, 600.0]))
    pid: Any = next(running)[1]
    assert is_alive(pid) and pid != os.getpid()
    running.close()  # type: ignore[attr-defined]
    until_s = time.monotonic() + 30
    while is_alive(pid) and time.monotonic() < until_s:
        time.sleep(0.01)
    assert not is_alive(pid)


def test_a_worker_whose_caller_was_killed_while_it_started_makes_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "made"
    code = (
        "import os, pathlib, sys; from ghostpad.base.engines.pool import Pool; "
        "Pool(1, pathlib.Path.touch, (pathlib.Path(sys.argv[1]),)).hire(); "
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(mark)], capture_output=True, text=True, timeout=60, check=False)
    # the worker has the same output, so it has ended too
    assert done.returncode == -signal.SIGKILL and not mark.exists() and "Error" not in done.stderr


def test_shares_are_disjoint_and_whole() -> None:
    names = [f"v{number}" for number in range(300)]
    parts = [[name for name in names if Share(number, 3).has(name)] for number in (1, 2, 3)]
    assert sorted(sum(parts, [])) == sorted(names) and all(70 < len(part) < 130 for part in parts)
    assert Share.read("3/16") == Share(3, 16)


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        ({"engine": "pool", "workers": 0, "gpus": 0.5}, ["at least one", "only the engine 'ray'"]),
        ({"engine": "here", "workers": 4, "ray_address": "x:1"}, ["is one process", "only the engine 'ray'"]),
        ({"engine": "ray", "gpus": 1.5, "tries": 0}, ["whole gpus", "greater than or equal to 1"]),
        ({"engine": "rays", "workers": -1}, ["'pool' or 'ray'", "greater than or equal to 0"]),
    ],
)
def test_settings_that_cannot_work_are_told_together(values: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(SettingsError) as told:
        build_settings(EngineSettings, values, "test")
    assert len(told.value.problems) == 2 and all(part in text for part, text in zip(problems, told.value.problems, strict=True))


def test_without_ray_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingError, match=r"pip install -e"):
        next(results(EngineSettings(engine="ray"), squares, (-1,), iter([1])))


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "1/0", "-1/4", "a/b", "1/2/3", "1.5/3"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--share"):
        Share.read(text)


@pytest.mark.parametrize("address", ["10.0.0.1", "ray://127.0.0.1:10001", "127.0.0.1:x"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(SettingsError, match="host:port"):
        list(results(EngineSettings(engine="ray", ray_address=address), squares, (-1,), iter([1])))


def test_an_address_where_no_cluster_is_is_an_error_at_once() -> None:
    pytest.importorskip("ray")
    with pytest.raises(GhostpadError, match="no Ray cluster answers at 127.0.0.1:9"):
        list(results(EngineSettings(engine="ray", ray_address="127.0.0.1:9"), squares, (-1,), iter([1])))

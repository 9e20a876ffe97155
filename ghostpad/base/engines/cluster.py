"""Actors of a Ray cluster, Ray core only (the extra `ray`): one at `address`, or one of this machine's own that ends with this process.

An actor is one worker with one core and a share of a GPU. It is never restarted by Ray: who dies is known here. It ends with this process,
also when that is killed. What waits for a place on the cluster has no item yet, so a cluster may grow while others work. A machine starts a
cluster in 4 s and a worker in 0.5 s, and what the worker makes comes on top; an item costs 1 ms (measured).

Every machine of the cluster needs this ghostpad and the files that the words name. Items and results are pickled between processes that Ray
lets in by its token; a cluster of this machine's own gets one by itself (`~/.ray/auth_token`). It reports no statistics to anybody.
"""

import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ghostpad.base.engines.crew import Death, attempt
from ghostpad.base.engines.settings import usable_cores
from ghostpad.base.errors import GhostpadError, MissingError, SettingsError

_ANSWER_S = 10.0
"""Seconds in which the machine of a cluster's address must answer (a guess)."""

_LOOK_S = 2.0
"""Seconds between two looks at how large the cluster is (a guess)."""

_STORE_BYTES = 100_000_000
"""Shared memory of a cluster of this machine's own, which holds no data of ours: the least that Ray allows is 75 MB."""


@dataclass(eq=False)
class _Worker:
    actor: Any
    answer: Any  # the promise of its next answer


class Cluster:
    """A `ghostpad.base.engines.crew.Crew` of actors; `size` None: as many as the cluster has places for, also while it grows.

    Raises `MissingError` without Ray, `SettingsError` for an address that is none, and `GhostpadError` for one that does not answer.
    """

    def __init__(
        self, size: int | None, address: str | None, gpus: float, start: Callable[..., Callable[[Any], Any]], words: tuple[Any, ...]
    ):
        self._ray = _connected(address, size)
        self._wanted, self._gpus, self._start, self._words = size, gpus, start, words
        self._actor = self._ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, max_task_retries=0)(_Actor)
        self._places, self._looked_s = 1, -_LOOK_S

    def size(self) -> int:
        """As many as are wanted, or as the living machines have cores and shares of GPUs for."""
        if self._wanted is not None:
            return self._wanted
        if time.monotonic() - self._looked_s >= _LOOK_S:
            has = self._ray.cluster_resources()
            gpu_places = int(has.get("GPU", 0.0) / self._gpus + 1e-6) if self._gpus else sys.maxsize
            self._places, self._looked_s = max(1, min(int(has.get("CPU", 0.0)), gpu_places)), time.monotonic()
        return self._places

    def hire(self) -> _Worker:
        """A new actor, which waits until a machine has room for it."""
        actor = self._actor.remote()
        return _Worker(actor, actor.begin.remote(self._start, self._words))

    def give(self, worker: _Worker, item: Any) -> None:
        """Call it."""
        worker.answer = worker.actor.do.remote(item)

    def answers(self, workers: Sequence[_Worker]) -> list[tuple[_Worker, Any]]:
        """What has arrived, within the time after which the cluster is looked at again."""
        promised = {worker.answer: worker for worker in workers}
        arrived, _ = self._ray.wait(list(promised), num_returns=1, timeout=_LOOK_S)
        if arrived:  # and what else has
            arrived, _ = self._ray.wait(list(promised), num_returns=len(promised), timeout=0)
        return [(promised[answer], self._answer(promised[answer])) for answer in arrived]

    def _answer(self, worker: _Worker) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(worker.answer)
        except errors.RayTaskError as error:  # what an actor was sent cannot be read there: no module of that name
            raise GhostpadError(f"a worker of the cluster cannot begin ({_last_line(error)}): its machine needs this ghostpad") from None
        except (errors.ActorUnschedulableError, errors.RuntimeEnvSetupError) as error:
            raise GhostpadError(f"the cluster has no machine for a worker: {error}") from None
        except (
            errors.RayActorError,
            errors.WorkerCrashedError,
            errors.NodeDiedError,
            errors.OutOfMemoryError,
            errors.ObjectLostError,
        ) as error:
            return Death(f"was lost ({' '.join(str(error).split())})")

    def dismiss(self, worker: _Worker) -> None:
        """Kill it, wherever it is."""
        self._ray.kill(worker.actor)

    def close(self) -> None:
        """Leave the cluster, which ends if it is this machine's own."""
        self._ray.shutdown()


def _last_line(error: Exception) -> str:
    """Of the traceback that Ray puts into an error."""
    return next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)


class _Actor:
    """A worker on the cluster."""

    def begin(self, start: Callable[..., Callable[[Any], Any]], words: tuple[Any, ...]) -> Exception | None:
        self._work = attempt(start, *words)
        return self._work if isinstance(self._work, Exception) else None

    def do(self, item: Any) -> Any:
        assert not isinstance(self._work, Exception)
        return attempt(self._work, item)


def _connected(address: str | None, size: int | None) -> Any:
    """The module `ray`, connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise MissingError("the engine 'ray' needs Ray: pip install -e \".[ray]\"") from None
    own: dict[str, Any] = {"num_cpus": size or usable_cores(), "object_store_memory": _STORE_BYTES, "_node_ip_address": "127.0.0.1"}
    if address not in (None, "auto"):
        _check_answers(address)
    paths = [path for path in reversed(sys.path) if path]  # a worker puts one after the other in front of its own
    try:
        ray.init(
            address=address or "local",
            namespace=f"ghostpad-{os.getpid()}-{time.time_ns()}",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            job_config=ray.job_config.JobConfig(_py_driver_sys_path=paths),
            **(own if address is None else {}),
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise GhostpadError(f"no Ray cluster answers at {address or 'this machine'}: {error}") from None
    return ray


def _check_answers(address: str) -> None:
    """Ray itself waits for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in address or not port.isdecimal():
        raise SettingsError(f"--ray-address is '{address}': write host:port of the cluster's head, such as 10.0.0.1:6379, or 'auto'")
    try:
        socket.create_connection((host, int(port)), _ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise GhostpadError(f"no Ray cluster answers at {address} ({error}): start one with `ray start --head`, or name its head") from None

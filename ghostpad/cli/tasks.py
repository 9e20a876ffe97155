"""Commands that depend on each other, run in parallel in processes of their own, for the demo and studies.

In the words of a command `@RUN` or `--data.labels=@RUN` stands for the label source of an IDM run, which has a name only once the run is
finished. Every command resumes by itself after a kill; the seconds of finished tasks are kept in a JSON file, so they survive one too.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from ghostpad.base.errors import GhostpadError, SettingsError
from ghostpad.base.files import read_json, write_json


def claim(path: Path, facts: Mapping[str, Any], problems: Sequence[str]) -> None:
    """Write the `facts` of a demo or study to `path`, which claims its folder.

    Raises one `SettingsError` for all `problems` and for a folder that was claimed with other facts.
    """
    problems = list(problems)
    if path.exists() and (old := read_json(path)) != facts:
        others = ", ".join(f"{name} {old.get(name)}" for name in facts if old.get(name) != facts[name])
        problems.append(f"{path.parent} holds a {path.stem} with {others}: choose another --out, or remove the folder")
    if problems:
        raise SettingsError(problems)
    write_json(path, facts)


@dataclass(frozen=True)
class Task:
    """A command by name: the stage that its time counts for, its words, the tasks it needs, a file that exists once it is done, and about
    how many seconds it takes."""

    name: str
    stage: str
    words: tuple[str, ...]
    needs: tuple[str, ...] = ()
    done: Path | None = None
    seconds: float = 0.0


def seconds_by_stage(times: Path) -> dict[str, float]:
    """What each stage has taken so far by the file of times of `run_tasks`, in seconds of one core."""
    return {stage: round(sum(spent.values()), 1) for stage, spent in read_json(times).items()} if times.exists() else {}


def run_tasks(tasks: Sequence[Task], workers: int, times: Path, keep_going: bool = False) -> dict[str, float]:
    """Run every task after those it needs, in the given order and `workers` at a time; returns seconds by stage.

    A failed command stops the others and is raised as `GhostpadError` with its own message. With `keep_going` only the tasks that need it
    are left out, and all failures are raised together at the end.
    """
    failures: list[str] = []
    seconds: dict[str, dict[str, float]] = read_json(times) if times.exists() else {}
    waiting, finished = list(tasks), set[str]()
    running: dict[Future[float], Task] = {}
    with ThreadPoolExecutor(workers) as pool:
        while waiting or running:
            ready = [task for task in waiting if set(task.needs) <= finished]
            for task in ready[: workers - len(running)]:
                waiting.remove(task)
                running[pool.submit(_run, task)] = task
            if not running:
                break  # those that wait need a task that failed
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task = running.pop(future)
                try:
                    spent = future.result()  # raises the error of a failed command; those still running end by themselves
                except GhostpadError as error:
                    if not keep_going:
                        raise
                    print(f"[{task.name}] {error}", file=sys.stderr, flush=True)
                    failures.append(str(error))
                    continue
                finished.add(task.name)
                if spent:
                    # A command that has nothing left to do takes a moment; the time of the run that did the work counts.
                    stage = seconds.setdefault(task.stage, {})
                    stage[task.name] = max(spent, stage.get(task.name, 0.0))
                    write_json(times, seconds)
    if failures:
        raise GhostpadError("\n".join(failures))
    return seconds_by_stage(times)


def _run(task: Task) -> float:
    """Run one task, print its output, and return its seconds, 0 if it was done before."""
    if task.done is not None and task.done.exists():
        return 0.0
    words = [_resolved(word) for word in task.words]
    print(f"$ ghostpad {' '.join(words)}", flush=True)
    began = time.monotonic()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # one command, one core: two that share both are slower than either alone
    errors: list[str] = []
    command = [sys.executable, "-m", "ghostpad", *words]
    with TemporaryFile("w+") as printed:
        with subprocess.Popen(command, stdout=printed, stderr=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stderr is not None
            for line in filter(None, map(str.rstrip, process.stderr)):
                errors.append(line.removeprefix("ghostpad: error: "))
                if ", " in line and " left" in line:  # a line of progress
                    print(f"  {task.name}: {line}", file=sys.stderr, flush=True)
        if process.returncode:
            raise GhostpadError(f"'ghostpad {' '.join(words)}' failed: {errors[-1] if errors else f'exit status {process.returncode}'}")
        printed.seek(0)
        output = printed.read().rstrip()
    spent = time.monotonic() - began
    print(f"[{task.name}, {spent:.0f} s] {output}", flush=True)
    return spent


def _resolved(word: str) -> str:
    head, at, run = word.rpartition("@")
    if not at or head not in {"", "--data.labels="}:
        return word
    from ghostpad.label.labeller import label_source_of  # here, because torch takes seconds to import

    return head + label_source_of(run)

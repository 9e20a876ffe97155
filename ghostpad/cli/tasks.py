"""Commands that depend on each other, run in parallel in processes of their own, for the demo and studies.

A task is a ghostpad command in words; a word (or what follows a `=` in it) that begins with `@` names an IDM run and becomes the
label source it writes, which is known only once the run is finished. Every command continues after a kill by itself; what a
finished task took is kept in a JSON file, so that times survive it too.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ghostpad.base.errors import GhostpadError, SettingsError
from ghostpad.base.files import read_json, write_json


def claim(path: Path, facts: Mapping[str, Any], problems: Sequence[str]) -> None:
    """Make the folder of `path` that of a work with these `facts`, which `path` then holds.

    Raises one `SettingsError` for the `problems` found so far and for a folder that holds a work with other facts.
    """
    refused = list(problems)
    if path.exists() and (old := read_json(path)) != facts:
        told = ", ".join(f"{name} {old.get(name)}" for name in facts if old.get(name) != facts[name])
        refused.append(f"{path.parent} holds a {path.stem} with {told}: choose another --out, or remove the folder")
    if refused:
        raise SettingsError(refused)
    write_json(path, facts)


@dataclass(frozen=True)
class Task:
    """A command by name: the stage it counts to, its words, the tasks it needs, a file whose presence says it is done, and about how many
    seconds it takes."""

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
    """Run every task once those it needs are done, `workers` at a time in the order given; returns seconds by stage.

    A failed command stops the rest and is raised as `GhostpadError` with its own message; with `keep_going` only what needs it is left
    out, and the failures are raised together at the end.
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
                break  # what waits needs a task that failed
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task = running.pop(future)
                try:
                    spent = future.result()  # raises what the command said; commands still running end by themselves
                except GhostpadError as error:
                    if not keep_going:
                        raise
                    print(f"[{task.name}] {error}", file=sys.stderr, flush=True)
                    failures.append(str(error))
                    continue
                finished.add(task.name)
                if spent:
                    # A command that finds its work done takes a moment; what counts is how long the work took.
                    stage = seconds.setdefault(task.stage, {})
                    stage[task.name] = max(spent, stage.get(task.name, 0.0))
                    write_json(times, seconds)
    if failures:
        raise GhostpadError("\n".join(failures))
    return seconds_by_stage(times)


def _run(task: Task) -> float:
    """Run one task, print what it found, and return its seconds, 0 if it was done before."""
    if task.done is not None and task.done.exists():
        return 0.0
    words = [_resolved(word) for word in task.words]
    print(f"$ ghostpad {' '.join(words)}", flush=True)
    began = time.monotonic()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # one command, one core: two that share both are slower than either alone
    said: list[str] = []
    command = [sys.executable, "-m", "ghostpad", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None and process.stdout is not None
        reader = threading.Thread(target=_pass_on, args=(process.stderr, task.name, said), daemon=True)
        reader.start()
        found = process.stdout.read()
        reader.join()
    if process.returncode:
        raise GhostpadError(f"'ghostpad {' '.join(words)}' failed: {said[-1] if said else f'exit status {process.returncode}'}")
    spent = time.monotonic() - began
    print(f"[{task.name}, {spent:.0f} s] {found.rstrip()}", flush=True)
    return spent


def _pass_on(lines: IO[str], name: str, said: list[str]) -> None:
    """Print the progress lines of a command under its name, and keep what it said."""
    for line in lines:
        if text := line.rstrip():
            said.append(text.removeprefix("ghostpad: error: "))
            if ", " in text and " left" in text:
                print(f"  {name}: {text}", file=sys.stderr, flush=True)


def _resolved(word: str) -> str:
    head, at, run = word.rpartition("@")
    if not at or head not in {"", "--data.labels="}:
        return word
    from ghostpad.label.label import label_source_of  # here, because torch takes seconds to import

    return head + label_source_of(run)

"""Trials with processes: killed at random moments, paused, many at once, on two machines."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from ghostpad.base.progress import Advance
from ghostpad.base.records import Video
from ghostpad.corpus.folder import Corpus
from ghostpad.lab.bench.trust.stage import Stage, Trial, difference, kill, run_whole, start, state_of

WRITERS, CHANGES = 8, 25
"""Processes that change one catalogue at once, and changes of each."""

OTHER_MACHINE = ("unshare", "--pid", "--fork", "--mount-proc")
"""Puts a command into a PID namespace of its own, as in a container: its process ids may be those of others."""


def kill_at_random(stage: Stage, expected: dict[str, Any], count: int, rng: np.random.Generator, advance: Advance) -> Trial:
    """Kill each command of the chain again and again at random moments, then let it end: the corpus must be that of no kill."""
    trial, root = Trial("kills at random moments"), stage.corpus("kills")
    for words in stage.chain(root):
        longest_s = _seconds(words, root)
        for _ in range(count):
            process = start(words)
            time.sleep(rng.uniform(0.2, 1.0) * longest_s)
            trial.tried += process.poll() is None
            kill(process)
            advance(1)
        run_whole(words)
    trial.expect(not (lost := difference(expected, state_of(root))), f"after kills: {lost}")
    return trial


def _seconds(words: Sequence[str], root: Path) -> float:
    """How long a command takes on a copy of the corpus."""
    copy = root.with_name("timed")
    shutil.rmtree(copy, ignore_errors=True)
    if root.exists():
        shutil.copytree(root, copy)
    began_s = time.monotonic()
    run_whole([str(copy) if word == str(root) else word for word in words])
    return time.monotonic() - began_s


def writers(stage: Stage) -> Trial:
    """Many processes change rows of one catalogue at once, one of them the same for all: no change may be lost."""
    trial, root = Trial(f"{WRITERS} processes on one catalogue"), stage.corpus("writers")
    corpus = Corpus.create(root)
    corpus.put_videos(Video(f"video-{writer}") for writer in range(WRITERS))
    corpus.put_videos([Video("shared")])
    context = get_context("spawn")
    processes = [context.Process(target=_change, args=(root, writer)) for writer in range(WRITERS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    for video in corpus.each():
        expected = WRITERS * CHANGES if video.id == "shared" else CHANGES
        trial.tried += expected
        if video.attempts != expected:
            trial.lost.append(f"{expected - video.attempts} changes of {video.id}")
    return trial


def _change(root: Path, writer: int) -> None:
    corpus = Corpus.open(root)
    for _ in range(CHANGES):
        for id in ("shared", f"video-{writer}"):
            corpus.change([id], lambda video: replace(video, attempts=video.attempts + 1))


def machines(stage: Stage, expected: dict[str, Any], separate: bool) -> Trial:
    """Each command of the chain runs twice at the same time, in two PID namespaces if possible: the corpus must be that of one."""
    within = OTHER_MACHINE if separate else ()
    trial, root = Trial(f"two {'PID namespaces' if separate else 'processes'} on one corpus"), stage.corpus("machines")
    for words in stage.chain(root):
        both = [start(words, within) for _ in range(2)]
        for process in both:
            trial.expect(process.wait() == 0, f"ghostpad {' '.join(words[:2])} ended with status {process.returncode}")
    trial.expect(not (lost := difference(expected, state_of(root))), f"after two at once: {lost}")
    left = [str(path.relative_to(root)) for path in root.rglob(".*.tmp-*")]
    trial.expect(not left, f"temporary files are left: {', '.join(left[:4])}")
    return trial

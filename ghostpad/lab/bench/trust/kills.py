"""Trials with processes: killed at random moments, paused, many at once, on two machines."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from ghostpad.base.progress import Advance
from ghostpad.base.records import Video
from ghostpad.corpus.folder import Corpus
from ghostpad.lab.bench.trust.stage import Stage, Trial, kill, name_of, run_whole, start

WRITERS, CHANGES = 8, 25
"""Processes that change one catalogue at once, and changes of each."""

OTHER_MACHINE = ("unshare", "--pid", "--fork", "--mount-proc")
"""Puts a command into a PID namespace of its own, as in a container: its process ids may be those of others."""


def kill_at_random(stage: Stage, count: int, rng: np.random.Generator, advance: Advance) -> Trial:
    """Kill each command again and again at random moments, then let it end: the corpus must be that of no kill."""
    trial = Trial("kills at random moments")
    for make in (stage.added, stage.brought):
        way = make(f"kills-{make.__name__}")
        for words in way.commands:
            longest_s = _seconds(words, way.root)
            for _ in range(count):
                process = start(words)
                time.sleep(rng.uniform(0.2, 1.0) * longest_s)
                trial.tried += process.poll() is None
                kill(process)
                advance(1)
            run_whole(words)
        way.check(trial, "after kills")
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


def machines(stage: Stage, separate: bool) -> Trial:
    """Each command runs twice at the same time, in two PID namespaces if possible: the corpus must be that of one."""
    within = OTHER_MACHINE if separate else ()
    trial = Trial(f"two {'PID namespaces' if separate else 'processes'} on one corpus")
    for make in (stage.added, stage.brought):
        way = make(f"machines-{make.__name__}")
        for words in way.commands:
            both = [start(words, within) for _ in range(2)]
            for process in both:
                trial.expect(process.wait() == 0, f"{name_of(words)} ended with status {process.returncode}")
        way.check(trial, "after two at once")
        left = [str(path.relative_to(way.root)) for path in way.root.rglob(".*.tmp-*")]
        trial.expect(not left, f"temporary files are left: {', '.join(left[:4])}")
    return trial

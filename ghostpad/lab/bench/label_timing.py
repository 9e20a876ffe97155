"""What labelling costs beside plain decoding, in CPU time on one core, and whether its memory stays flat.

Reads one video; writes nothing but temporary files. The plain way is PyAV as its manual shows it, decoding every frame and resizing
the kept ones to the IDM's size with the AREA kernel, on one thread. Both ways are timed in turn, several times, by the CPU time
of the whole process (all its threads), so that other programs on the machine disturb little.
"""

import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from ghostpad.base.progress import Advance
from ghostpad.idm.model import Idm
from ghostpad.idm.settings import IdmSettings
from ghostpad.idm.stream import predict_rows, torch_threads
from ghostpad.lab.bench.common import spread
from ghostpad.video.decode import decode_frames
from ghostpad.video.probe import probe_video

SLOTS = ["south", "right_trigger", "left_x", "left_y", "right_x", "right_y"]
"""The slots of an IDM with random weights: two buttons and both sticks."""


def random_idm(settings: IdmSettings | None = None) -> Idm:
    """An IDM of default settings that has learned nothing: it costs what a trained one does."""
    return Idm(settings or IdmSettings(), {"slots": SLOTS}).eval()


def time_labelling(idm: Idm, video: Path, rates: Sequence[float | None], repeats: int, advance: Advance) -> dict[str, Any]:
    """By rate ("all" for every frame, or "20 Hz"): rows, CPU seconds of both ways, and the ratio of each pair of runs.

    Each measure is its least, median and largest value over `repeats` runs. `idm` is moved to the CPU.
    """
    found = {}
    for rate_hz in rates:
        reader = _at_rate(idm.cpu(), rate_hz)
        spec = reader.window
        kept = {frame.pts_s for frame in decode_frames(video, width_px=8, height_px=8, gray=True, rate_hz=rate_hz)}
        plain_s, label_s = [], []
        with one_core():
            for _ in range(repeats):
                plain_s.append(_cpu_s(lambda: decode_plainly(video, kept, spec.width_px, spec.height_px)))  # noqa: B023  (called here)
                label_s.append(_cpu_s(lambda: reader.label(video)))  # noqa: B023
                advance(1)
        found["all" if rate_hz is None else f"{rate_hz:g} Hz"] = {
            "rows": len(kept) - 1,
            "plain_cpu_s": spread(plain_s),
            "label_cpu_s": spread(label_s),
            "ratio": spread([label / plain for label, plain in zip(label_s, plain_s, strict=True)]),
        }
    return found


def time_model(idm: Idm, video: Path, repeats: int) -> dict[str, float]:
    """Milliseconds a row of the IDM alone, where it is (a GPU, or one CPU thread), on up to 241 decoded frames of a video."""
    spec = idm.window
    frames = decode_frames(video, width_px=spec.width_px, height_px=spec.height_px, gray=True)
    images = [frame.image[..., None] for frame in islice(frames, 241)]
    with torch_threads(1):
        found = []
        for _ in range(repeats + 1):  # the first warms up
            began = time.perf_counter() if idm.bins.is_cuda else time.process_time()
            for _ in predict_rows(idm, images):
                pass
            found.append(((time.perf_counter() if idm.bins.is_cuda else time.process_time()) - began) * 1000 / (len(images) - 1))
    return spread(found[1:])


def decode_plainly(video: Path, kept: set[float], width_px: int, height_px: int) -> int:
    """Decode every frame of a video with PyAV alone, resize those with the time stamps `kept`; returns how many those were."""
    scaler, count = VideoReformatter(), 0
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            if frame.pts is not None and frame.time_base and float(frame.pts * frame.time_base) in kept:
                image = scaler.reformat(frame, width_px, height_px, "gray", interpolation="AREA", threads=1).to_ndarray()
                count += len(np.ascontiguousarray(image)) > 0
    return count


def peak_memory_mb(videos: Sequence[Path], advance: Advance) -> list[float]:
    """Peak memory in MB of labelling each of some videos in a process of its own; `advance` hears of every minute labelled.

    The IDM is a tiny one with the slots of `random_idm`: what grows with a video is its rows, whoever computes them.
    """
    found = []
    for video in videos:
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            found.append(process.submit(_label_and_weigh, video).result())
        advance(probe_video(video).duration_s / 60)
    return found


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process on one core while the block runs, where the system can (Linux)."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _at_rate(idm: Idm, rate_hz: float | None) -> Idm:
    idm.settings = idm.settings.model_copy(update={"rate_hz": rate_hz})
    return idm


def _cpu_s(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


def _label_and_weigh(video: Path) -> float:
    tiny = IdmSettings(variant="pair", width_px=32, height_px=32, dim=8, heads=1, search_x_px=1, search_y_px=1, appearance=False)
    random_idm(tiny).label(video)
    return _peak_mb()


def _peak_mb() -> float:
    """Peak resident memory of this process. Linux's own count, because `ru_maxrss` there begins with the parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)

"""What labelling costs beside plain decoding, in CPU time on one core, and whether its memory stays flat.

Reads one video. The plain way (`plain_frames`) decodes every frame and resizes the kept ones to the IDM's size. Both ways are timed in
turn, several times, by the CPU time of the whole process (all its threads), so that other programs on the machine disturb little.
"""

import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ghostpad.base.progress import Advance, progress
from ghostpad.idm.model import Idm
from ghostpad.idm.predict import predict_rows
from ghostpad.idm.settings import IdmSettings
from ghostpad.idm.stream import torch_threads
from ghostpad.lab.bench.common import plain_frames, processor, ratios, spread
from ghostpad.video.decode import decode_frames
from ghostpad.video.probe import probe_video

SLOTS = ["south", "right_trigger", "left_x", "left_y", "right_x", "right_y"]
"""The slots of an IDM with random weights: two buttons and both sticks."""

RATES_HZ = (None, 20.0)
"""Every frame, and a rate that agents are commonly run at."""


def random_idm(settings: IdmSettings | None = None) -> Idm:
    """An IDM of default settings with random weights: it costs what a trained one does."""
    return Idm(settings or IdmSettings(), {"slots": SLOTS}).eval()


def time_all(idm: Idm, video: Path, repeats: int) -> dict[str, Any]:
    """The machine, the video, labelling at each rate, and the IDM alone on the CPU and, if there is one, the GPU; JSON-able."""
    about = probe_video(video)
    with progress("measure", len(RATES_HZ) * repeats, "pairs of runs") as advance:
        rates = {"all" if rate is None else f"{rate:g} Hz": time_labelling(idm, video, rate, repeats, advance) for rate in RATES_HZ}
    model_ms, gpu = {"cpu": time_model(idm, video, repeats)}, None
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_name()
        model_ms["gpu"] = time_model(idm.cuda(), video, repeats)
    size = {"width_px": about.width_px, "height_px": about.height_px, "frames": about.frames}
    return {
        "machine": {"processor": processor(), "gpu": gpu, "torch": torch.__version__, "av": version("av")},
        "video": size | {"fps": float(about.fps), "codec": about.codec, "bits_per_s": video.stat().st_size * 8 / about.duration_s},
        "rates": rates,
        "model_ms_a_row": model_ms,
    }


def time_labelling(idm: Idm, video: Path, rate_hz: float | None, repeats: int, advance: Advance) -> dict[str, Any]:
    """At a rate (None for every frame): rows, CPU seconds of both ways, and the ratio of each pair of runs, as spreads over `repeats`
    runs. `idm` is moved to the CPU and keeps the rate."""
    idm.cpu().settings = idm.settings.model_copy(update={"rate_hz": rate_hz})
    kept = {frame.pts_s for frame in decode_frames(video, width_px=8, height_px=8, gray=True, rate_hz=rate_hz)}

    def plain() -> None:
        for frame in plain_frames(video, idm.window.width_px, idm.window.height_px, "gray", kept):
            np.ascontiguousarray(frame.to_ndarray())

    plain_s, label_s = [], []
    with one_core():
        for _ in range(repeats):
            plain_s.append(_cpu_s(plain))
            label_s.append(_cpu_s(lambda: idm.label(video)))
            advance(1)
    return {"rows": len(kept) - 1, "plain_cpu_s": spread(plain_s), "label_cpu_s": spread(label_s), "ratio": ratios(label_s, plain_s)}


def time_model(idm: Idm, video: Path, repeats: int) -> dict[str, float]:
    """Milliseconds a row of the IDM alone, where it is (a GPU, or one CPU thread), on up to 241 decoded frames of a video."""
    spec = idm.window
    frames = decode_frames(video, width_px=spec.width_px, height_px=spec.height_px, gray=True)
    images = [frame.image[..., None] for frame in islice(frames, 241)]
    clock = time.perf_counter if idm.bins.is_cuda else time.process_time
    times_ms = []
    with torch_threads(1):
        for _ in range(repeats + 1):  # the first warms up
            began = clock()
            for _ in predict_rows(idm, images):
                pass
            times_ms.append((clock() - began) * 1000 / (len(images) - 1))
    return spread(times_ms[1:])


def time_memory(videos: Mapping[int, Path]) -> dict[str, float]:
    """Seconds of a short and a long video, {seconds: file}, and peak memory in MB of labelling each in a process of its own.

    The IDM is a tiny one with the slots of `random_idm`: what grows with a video is its rows, whatever predicts them.
    """
    report: dict[str, float] = {}
    with progress("memory", sum(videos) / 60, "minutes") as advance:
        for name, (seconds, path) in zip(("short", "long"), videos.items(), strict=True):
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                report |= {f"{name}_s": seconds, f"{name}_mb": process.submit(_label_and_weigh, path).result()}
            advance(seconds / 60)
    return report


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

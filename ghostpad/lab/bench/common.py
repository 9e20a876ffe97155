"""What benchmarks share: plain decoding as a baseline, spreads over repeated runs, the machine, and the report."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import av
from av.video.reformatter import VideoReformatter

from ghostpad.base.errors import SettingsError
from ghostpad.base.files import write_json
from ghostpad.cli.arguments import below_one

MAXRSS_MB = 2**20 if sys.platform == "darwin" else 2**10
"""The kernel's units of peak memory in a MB."""


def check_counts(**counts: int) -> None:
    """Raise `SettingsError`, listing every problem, unless each is 1 or more."""
    if problems := below_one(**counts):
        raise SettingsError(problems)


def plain_frames(
    video: Path, width_px: int, height_px: int, pixels: str = "yuv420p", kept: Collection[float] | None = None
) -> Iterator[av.VideoFrame]:
    """Frames resized with the AREA kernel, the way PyAV's manual decodes: every frame on one thread. With `kept` only the frames with
    these time stamps are resized and yielded."""
    scaler = VideoReformatter()
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            if kept is None or (frame.pts is not None and frame.time_base and float(frame.pts * frame.time_base) in kept):
                yield scaler.reformat(frame, width_px, height_px, pixels, interpolation="AREA", threads=1)


def spread(values: Iterable[float]) -> dict[str, float]:
    """The least, the median and the largest of some values."""
    ordered = sorted(values)
    return {"min": ordered[0], "median": median(ordered), "max": ordered[-1]}


def ratios(values: Iterable[float], to: Iterable[float]) -> dict[str, float]:
    """The spread of `values` divided by those of `to`, run by run, for as many runs as both have."""
    return spread(value / other for value, other in zip(values, to, strict=False))


def spread_words(values: Mapping[str, float], spec: str = ".2f") -> str:
    """A spread for people: `1.05 (1.01 to 1.20)`."""
    return f"{values['median']:{spec}} ({values['min']:{spec}} to {values['max']:{spec}})"


def processor() -> str:
    """The processor's name by the system."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def run_command(command: Sequence[str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MB of a command and its children."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / MAXRSS_MB


def show(report: Any, out: Path | None, text: str) -> None:
    """Write a report as JSON, if `out` names a file, and print its lines."""
    if out is not None:
        write_json(out, report)
    print(text)

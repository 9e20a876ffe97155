"""`ghostpad lab bench label`: what labelling costs on this machine."""

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ghostpad.base.files import write_json
from ghostpad.base.progress import progress
from ghostpad.lab.bench.common import check_counts, processor, spread_words
from ghostpad.lab.made_up.videos import repeat_video, write_sample
from ghostpad.video.probe import probe_video

if TYPE_CHECKING:
    from ghostpad.idm.model import Idm

RATES_HZ = (None, 20.0)
"""Every frame, and a rate that agents are commonly run at."""


def bench_label(
    *, video: Path | None = None, idm: Path | None = None, repeats: int = 5, out: Path | None = None, quick: bool = False
) -> None:
    """Measure labelling beside plain decoding, on one core by CPU time, and its memory on a long video.

    The plain way decodes every frame with PyAV and resizes those that are kept. Prints the ratio of labelling to it (least, median and
    largest of the repeats) for every frame and for 20 Hz, hours of video an hour, and the peak memory of a video of 2 hours beside one
    of 2 minutes. Takes about three minutes.

    Args:
        video: The video to measure with, best a short one (default: four made-up seconds of 1080p at 60 fps, H.264).
        idm: The run folder of a trained IDM (default: one of default settings with random weights, which costs the same).
        repeats: How often each way is measured.
        out: The JSON file to write.
        quick: Smaller and shorter videos: shows that it works, measures little.
    """
    check_counts(repeats=repeats)
    from ghostpad.idm import load
    from ghostpad.lab.bench.label_timing import random_idm  # here, because torch takes seconds to import

    reader = random_idm() if idm is None else load(idm)
    with tempfile.TemporaryDirectory(prefix="ghostpad-bench-") as folder:
        report = _time(reader, video or _sample(Path(folder), quick), repeats) | {"memory": _weigh(Path(folder), quick)}
    if out is not None:
        write_json(out, report)
    print(bench_text(report))


def bench_text(report: dict[str, Any]) -> str:
    """The lines that the command prints of its report."""
    video, memory = report["video"], report["memory"]
    seconds = video["frames"] / video["fps"]
    lines = [f"{video['frames']} frames of {video['width_px']}x{video['height_px']} {video['codec']} at {video['fps']:g} fps, on one core:"]
    for name, timed in report["rates"].items():
        label, plain = timed["label_cpu_s"]["median"], timed["plain_cpu_s"]["median"]
        lines.append(
            f"  {name:>5}: {spread_words(timed['ratio'], '.3f')} times the CPU time of plain decoding"
            f" ({label:.3g} s, {plain:.3g} s); {seconds / label:.3g} hours of video per CPU-hour"
        )
    for device, times in report["model_ms_a_row"].items():
        rows = f"{1000 / times['median'] / video['fps']:.3g} hours of decoded video per {device.upper()}-hour"
        lines.append(f"  the IDM alone: {times['median']:.3f} ms a row, {rows}")
    grown_mb = memory["long_mb"] - memory["short_mb"]
    lines.append(
        f"  peak memory: {memory['long_mb']:.0f} MB for {memory['long_s'] / 60:.3g} min, "
        f"{memory['short_mb']:.0f} MB for {memory['short_s'] / 60:.3g} min: {grown_mb:.0f} MB more"
    )
    return "\n".join(lines)


def _sample(folder: Path, quick: bool) -> Path:
    path = folder / "sample.mp4"
    width_px, height_px, frames = (320, 180, 30) if quick else (1920, 1080, 240)
    with progress("make a video", frames, "frames") as advance:
        write_sample(path, width_px=width_px, height_px=height_px, fps=60, frames=frames, advance=advance)
    return path


def _time(reader: "Idm", video: Path, repeats: int) -> dict[str, Any]:
    import torch

    from ghostpad.lab.bench.label_timing import time_labelling, time_model

    about = probe_video(video)
    with progress("measure", len(RATES_HZ) * repeats, "pairs of runs") as advance:
        rates = time_labelling(reader, video, RATES_HZ, repeats, advance)
    model_ms, gpu = {"cpu": time_model(reader, video, repeats)}, None
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_name()
        model_ms["gpu"] = time_model(reader.cuda(), video, repeats)
    size = {"width_px": about.width_px, "height_px": about.height_px, "frames": about.frames}
    return {
        "machine": {"processor": processor(), "gpu": gpu, "torch": torch.__version__, "av": version("av")},
        "video": size | {"fps": float(about.fps), "codec": about.codec, "bits_per_s": video.stat().st_size * 8 / about.duration_s},
        "rates": rates,
        "model_ms_a_row": model_ms,
    }


def _weigh(folder: Path, quick: bool) -> dict[str, float]:
    from ghostpad.lab.bench.label_timing import peak_memory_mb

    lengths_s = (2, 20) if quick else (120, 7200)
    write_sample(folder / "two-seconds.mp4", width_px=64, height_px=48, fps=60, frames=120)
    videos = [folder / f"{seconds}.mp4" for seconds in lengths_s]
    for path, seconds in zip(videos, lengths_s, strict=True):
        repeat_video(folder / "two-seconds.mp4", path, seconds // 2)
    with progress("memory", sum(lengths_s) / 60, "minutes") as advance:
        short_mb, long_mb = peak_memory_mb(videos, advance)
    return {"short_s": lengths_s[0], "long_s": lengths_s[1], "short_mb": short_mb, "long_mb": long_mb}

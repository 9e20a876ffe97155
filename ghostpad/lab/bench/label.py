"""`ghostpad lab bench label`: what labelling costs on this machine."""

import tempfile
from pathlib import Path
from typing import Any, Literal

from ghostpad.base.progress import progress
from ghostpad.lab.bench.common import check_counts, show, spread_words
from ghostpad.lab.made_up.videos import repeat_video, write_sample


def bench_label(
    *,
    video: Path | None = None,
    idm: Path | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["no", "bf16"] = "no",
    compile: bool = False,
    videos_at_once: int = 1,
    repeats: int = 5,
    out: Path | None = None,
    quick: bool = False,
) -> None:
    """Measure labelling beside plain decoding, on one core by CPU time, and its memory on a long video.

    The plain way decodes every frame with PyAV and resizes those that are kept. Prints the ratio of labelling to it (least, median and
    largest of the repeats) for every frame and for 20 Hz, hours of video an hour, and the peak memory of a video of 2 hours beside one
    of 2 minutes. Then, by the clock, where the time goes when several videos are labelled side by side on a device: decoding, copies, the
    model, all together. Takes about three minutes.

    Args:
        video: The video to measure with, best a short one (default: four made-up seconds of 1080p at 60 fps, H.264).
        idm: The run folder of a trained IDM (default: one of default settings with random weights, which costs the same).
        device: Where the model runs side by side (auto: a GPU if there is one).
        precision: What it computes in there.
        compile: Whether it is compiled there (torch.compile).
        videos_at_once: How many videos are open side by side, each decoded by a process.
        repeats: How often each way is measured.
        out: The JSON file to write.
        quick: Smaller and shorter videos: shows that it works, measures little.
    """
    check_counts(repeats=repeats, videos_at_once=videos_at_once)
    from ghostpad.idm import load
    from ghostpad.lab.bench.label_parts import time_parts
    from ghostpad.lab.bench.label_timing import random_idm, time_all, time_memory  # here, because torch takes seconds to import

    reader = random_idm() if idm is None else load(idm)
    with tempfile.TemporaryDirectory(prefix="ghostpad-bench-") as temporary:
        folder = Path(temporary)
        video = video or _sample(folder, quick)
        report = {
            "side_by_side": time_parts(
                reader, video, device=device, bf16=precision == "bf16", compile=compile, videos_at_once=videos_at_once, repeats=repeats
            )
        }
        report |= time_all(reader, video, repeats)
        report["memory"] = time_memory(_long_videos(folder, (2, 20) if quick else (120, 7200)))
    show(report, out, bench_text(report))


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
    return "\n".join([*lines, _side_by_side_text(report["side_by_side"])])


def _side_by_side_text(parts: dict[str, Any]) -> str:
    precision = "bfloat16" if parts["precision"] == "bf16" else "float32"
    how = f"{precision}{', compiled' if parts['compile'] else ''}, videos at once: {parts['videos_at_once']}"
    times = ", ".join(f"{name.replace('_', ' ')} {times['median']:.4f}" for name, times in parts["ms_a_row"].items())
    return (
        f"  by the clock on {parts['device']}, {how}: {parts['hours_an_hour']:.3g} hours of video an hour\n"
        f"    ms a row: {times}\n"
        f"    a piece of each video: {parts['kernels']} kernels, {parts['copies']} copies, {parts['waits']} wait of the host"
    )


def _sample(folder: Path, quick: bool) -> Path:
    path = folder / "sample.mp4"
    width_px, height_px, frames = (320, 180, 30) if quick else (1920, 1080, 240)
    with progress("make a video", frames, "frames") as advance:
        write_sample(path, width_px=width_px, height_px=height_px, fps=60, frames=frames, advance=advance)
    return path


def _long_videos(folder: Path, lengths_s: tuple[int, ...]) -> dict[int, Path]:
    write_sample(folder / "two-seconds.mp4", width_px=64, height_px=48, fps=60, frames=120)
    videos = {seconds: folder / f"{seconds}.mp4" for seconds in lengths_s}
    for seconds, path in videos.items():
        repeat_video(folder / "two-seconds.mp4", path, seconds // 2)
    return videos

"""`ghostpad lab bench proxy`: what segments cost beside plain decoding and resizing of the same video, and how quickly they are read.

Writes nothing but temporary files. The plain way decodes every frame and resizes it to the size of the segments, on one thread, with the
same kernel (`plain_frames`). All is timed in turn, by the CPU time of the process (all its threads) and by the clock.
"""

import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ghostpad.base.progress import Advance, progress
from ghostpad.feed.window import WindowSpec
from ghostpad.games.episode import record_episode
from ghostpad.games.spec import make_game, make_player
from ghostpad.lab.bench.common import check_counts, plain_frames, ratios, show, spread, spread_words
from ghostpad.lab.made_up.videos import repeat_video, write_sample
from ghostpad.video.decode import decode_frames
from ghostpad.video.probe import probe_video
from ghostpad.video.segments import SegmentDecoder, read_segment_index, write_segments

WINDOW = 33
"""Frames of a window that is read back: those of the default IDM."""

PICTURES = (WindowSpec((0,), (0,), 256, 256, False), WindowSpec((0,), (0,), 128, 96, True))
"""The pictures that segments are made of: those of NitroGen, and those of the default IDM."""

_WINDOWS = 100  # read back in a run, drawn from one seed


def bench_proxy(*, video: Path | None = None, repeats: int = 5, out: Path | None = None, quick: bool = False) -> None:
    """Measure the rate at which segments are made as a share of the rate of plain decoding and resizing, their size, and their reading.

    The plain way decodes every frame with PyAV on one thread and resizes it to the size of the segments. The share (median, least and
    largest of the pairs of runs) is by CPU time and by the clock, where the encoder may work beside the decoder on a second core. Windows
    of 33 frames at random places are read back. Pictures are 256x256 RGB and 128x96 gray. Takes about three minutes.

    Args:
        video: The video to measure with (default: 8 made-up seconds of 1080p at 60 fps, H.264, and half a minute of Doom).
        repeats: How often each way is measured.
        out: The JSON file to write.
        quick: Smaller and shorter videos: shows that it works, measures little.
    """
    check_counts(repeats=repeats)
    reports: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="ghostpad-bench-") as temporary:
        folder = Path(temporary)
        videos = {video.name: video} if video else _videos(folder, quick)
        with progress("measure", len(PICTURES) * repeats * len(videos), "rounds") as advance:
            for name, path in videos.items():
                for spec in PICTURES:
                    reports[f"{name}, {spec.picture}"] = time_segments(path, folder, spec, repeats, advance)
    show(reports, out, bench_text(reports))


def bench_text(reports: dict[str, Any]) -> str:
    """The lines that the command prints of its report."""
    lines = ["the rate of making segments as a share of decoding and resizing alone, median (least to largest):"]
    for name, report in reports.items():
        video = report["video"]
        shares = "; ".join(f"{clock} {spread_words(report[f'{clock}_rate_share'])}" for clock in ("cpu", "wall"))
        made, read = video["frames"] / report["segments_cpu_s"]["median"], report["read_frames_per_cpu_s"]["median"]
        lines.append(f"  {name} (from {video['width_px']}x{video['height_px']} {video['codec']}): {shares}")
        size = f"{report['gb_per_hour']:.3f} GB an hour"
        lines.append(f"    {made:.0f} frames made and {read:.0f} read in windows of {WINDOW} per CPU-second; {size}")
    return "\n".join(lines)


def _videos(folder: Path, quick: bool) -> dict[str, Path]:
    made, game = folder / "made.mp4", folder / "doom.mp4"
    width_px, height_px, frames = (320, 180, 30) if quick else (1920, 1080, 120)
    with progress("make videos", 2, "videos") as advance:
        write_sample(folder / "once.mp4", width_px=width_px, height_px=height_px, fps=60, frames=frames)
        repeat_video(folder / "once.mp4", made, 4)  # starting an encoder must not count for more than it does in a real video
        advance(1)
        with make_game("doom") as engine:
            record_episode(engine, make_player("doom", "expert"), 0, game, max_frames=40 if quick else 525)
        advance(1)
    return {"made-up video": made, "Doom": game}


def time_segments(video: Path, folder: Path, spec: WindowSpec, repeats: int, advance: Advance = lambda done: None) -> dict[str, Any]:
    """The video, seconds of CPU and of the clock of both ways, the rate of segments as a share of the plain one's, pair by pair, their GB
    an hour of video, and frames read back a CPU-second.

    Each measure is its least, median and largest value over `repeats` rounds, of which every second runs in the other order.
    """
    about, target = probe_video(video), folder / "segments.mp4"
    wide, high, gray = spec.width_px, spec.height_px, spec.gray
    ways: dict[str, Callable[[], object]] = {
        "plain": lambda: deque(plain_frames(video, wide, high, "gray" if gray else "rgb24"), maxlen=0),
        "segments": lambda: write_segments(decode_frames(video, width_px=wide, height_px=high, gray=gray), target, gray=gray, rate_hz=None),
    }
    runs: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    reading = list[float]()
    for repeat in range(repeats):
        for way in list(ways) if repeat % 2 == 0 else reversed(ways):
            began = time.process_time(), time.perf_counter()
            ways[way]()
            runs[way].append((time.process_time() - began[0], time.perf_counter() - began[1]))
        reading.append(_read_rate(target))
        advance(1)
    report: dict[str, Any] = {
        "video": {"width_px": about.width_px, "height_px": about.height_px}
        | {"frames": about.frames, "fps": float(about.fps), "codec": about.codec},
        "picture": spec.picture,
        "gb_per_hour": target.stat().st_size / 1e9 * 3600 / (about.frames / float(about.fps)),
        "read_frames_per_cpu_s": spread(reading),
    }
    for at, clock in enumerate(("cpu", "wall")):
        plain, segments = ([run[at] for run in runs[way]] for way in ways)
        report |= {f"plain_{clock}_s": spread(plain), f"segments_{clock}_s": spread(segments)}
        report[f"{clock}_rate_share"] = ratios(plain, segments)
    return report


def _read_rate(path: Path) -> float:
    """Frames that are read in windows, each decoded by itself, a second of CPU."""
    index, decoder, count = read_segment_index(path), SegmentDecoder(), 0
    firsts = np.random.default_rng(0).integers(0, max(1, len(index.pts_s) - WINDOW), _WINDOWS)
    with open(path, "rb") as file:

        def read(start: int, stop: int) -> bytes:
            file.seek(start)
            return file.read(stop - start)

        began = time.process_time()
        for first in firsts:
            count += len(decoder.frames(index, read, np.arange(first, min(first + WINDOW, len(index.pts_s)))))
        return count / (time.process_time() - began)

"""What a small copy costs beside plain decoding and resizing of the same video. Writes nothing but temporary files.

The plain way is PyAV as its manual shows it: every frame decoded and resized to the size of the copy, on one thread, with the same kernel.
Both ways are timed in turn, by the CPU time of the process (all its threads) and by the clock.
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import av
from av.video.reformatter import VideoReformatter

from ghostpad.video.paint import Boxes
from ghostpad.video.probe import probe_video
from ghostpad.video.proxy import make_proxy, proxy_size


def decode_plainly(video: Path, width_px: int, height_px: int) -> int:
    """Decode every frame of a video and resize it; the number of frames."""
    scaler, frames = VideoReformatter(), 0
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            scaler.reformat(frame, width_px, height_px, "yuv420p", interpolation="AREA", threads=1)
            frames += 1
    return frames


def time_proxy(
    video: Path, folder: Path, px: int, repeats: int, mask: Boxes = (), advance: Callable[[float], None] = lambda done: None
) -> dict[str, Any]:
    """The video, seconds of CPU and of the clock of both ways, and the rate of the copy as a share of the plain one's, pair by pair.

    Each measure is its least, median and largest value over `repeats` pairs of runs, of which the second half runs in the other order.
    """
    about = probe_video(video)
    width_px, height_px = proxy_size(about.width_px, about.height_px, px)
    ways: dict[str, Callable[[], object]] = {
        "plain": lambda: decode_plainly(video, width_px, height_px),
        "proxy": lambda: make_proxy(video, folder / "proxy.mp4", px=px, mask=mask),
    }
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for repeat in range(repeats):
        for way in list(ways) if repeat % 2 == 0 else reversed(ways):
            began = time.process_time(), time.perf_counter()
            ways[way]()
            found[way].append((time.process_time() - began[0], time.perf_counter() - began[1]))
        advance(1)
    report: dict[str, Any] = {
        "video": {
            "width_px": about.width_px, "height_px": about.height_px, "frames": about.frames, "fps": float(about.fps), "codec": about.codec,
        },
        "proxy": {"width_px": width_px, "height_px": height_px, "masked": bool(mask), "bytes": (folder / "proxy.mp4").stat().st_size},
    }  # fmt: skip
    for at, clock in enumerate(("cpu", "wall")):
        plain, proxy = ([run[at] for run in found[way]] for way in ways)
        report |= {f"plain_{clock}_s": _spread(plain), f"proxy_{clock}_s": _spread(proxy)}
        report[f"{clock}_rate_share"] = _spread([before / after for before, after in zip(plain, proxy, strict=True)])
    return report


def _spread(values: list[float]) -> dict[str, float]:
    return {"min": min(values), "median": median(values), "max": max(values)}

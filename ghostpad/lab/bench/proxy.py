"""`ghostpad lab bench proxy`: what small copies cost beside plain decoding and resizing of the same video.

Writes nothing but temporary files. The plain way decodes every frame and resizes it to the size of the copy, on one thread, with the same
kernel (`plain_frames`). Both ways are timed in turn, by the CPU time of the process (all its threads) and by the clock.
"""

import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ghostpad.base.progress import Advance, progress
from ghostpad.games.episode import record_episode
from ghostpad.games.spec import make_game, make_player
from ghostpad.lab.bench.common import check_counts, plain_frames, ratios, show, spread, spread_words
from ghostpad.lab.made_up.videos import repeat_video, write_sample
from ghostpad.video.paint import Boxes
from ghostpad.video.probe import probe_video
from ghostpad.video.proxy import make_proxy, proxy_size

_MASK_SHARE = 0.2
"""Of each side of the picture, of the mask in the lower right corner that is measured: a controller as creators draw it (a guess)."""


def bench_proxy(*, video: Path | None = None, px: int = 256, repeats: int = 5, out: Path | None = None, quick: bool = False) -> None:
    """Measure the rate at which small copies are made as a share of the rate of plain decoding and resizing.

    The plain way decodes every frame with PyAV on one thread and resizes it to the size of the copy. The share (median, least and largest
    of the pairs of runs) is by CPU time and by the clock, where the encoder works beside the decoder on a second core, with
    and without a mask. Takes about three minutes.

    Args:
        video: The video to measure with (default: 8 made-up seconds of 1080p at 60 fps, H.264, and half a minute of Doom).
        px: Short side of the copies in pixels.
        repeats: How often each way is measured.
        out: The JSON file to write.
        quick: Smaller and shorter videos: shows that it works, measures little.
    """
    check_counts(repeats=repeats)
    reports: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="ghostpad-bench-") as temporary:
        folder = Path(temporary)
        videos = {video.name: video} if video else _videos(folder, quick)
        with progress("measure", 2 * repeats * len(videos), "pairs of runs") as advance:
            for name, path in videos.items():
                about = probe_video(path)
                wide, high = about.width_px, about.height_px
                mask = (int(wide * (1 - _MASK_SHARE)), int(high * (1 - _MASK_SHARE)), wide, high)
                reports[name] = time_proxy(path, folder, px, repeats, advance=advance)
                reports[f"{name}, masked"] = time_proxy(path, folder, px, repeats, (mask,), advance)
    show(reports, out, bench_text(reports))


def bench_text(reports: dict[str, Any]) -> str:
    """The lines that the command prints of its report."""
    lines = ["the rate of making small copies as a share of decoding and resizing alone, median (least to largest):"]
    for name, report in reports.items():
        video, proxy = report["video"], report["proxy"]
        size = f"{video['width_px']}x{video['height_px']} {video['codec']} to {proxy['width_px']}x{proxy['height_px']}"
        shares = "; ".join(f"{clock} {spread_words(report[f'{clock}_rate_share'])}" for clock in ("cpu", "wall"))
        rate = video["frames"] / report["proxy_cpu_s"]["median"]
        lines.append(f"  {name} ({size}): {shares}; {rate:.0f} frames per CPU-second")
    return "\n".join(lines)


def _videos(folder: Path, quick: bool) -> dict[str, Path]:
    made, game = folder / "made.mp4", folder / "doom.mp4"
    width_px, height_px, frames = (320, 180, 30) if quick else (1920, 1080, 120)
    with progress("make videos", 2, "videos") as advance:
        write_sample(folder / "once.mp4", width_px=width_px, height_px=height_px, fps=60, frames=frames)
        repeat_video(folder / "once.mp4", made, 4)  # starting an encoder must not count for more than it does in a real video
        advance(1)
        with make_game("doom") as engine:
            record_episode(engine, make_player("doom", "expert"), 0, game, max_frames=30 if quick else 525)
        advance(1)
    return {"made-up video": made, "Doom": game}


def time_proxy(video: Path, folder: Path, px: int, repeats: int, mask: Boxes = (), advance: Advance = lambda done: None) -> dict[str, Any]:
    """The video, seconds of CPU and of the clock of both ways, and the rate of the copy as a share of the plain one's, pair by pair.

    Each measure is its least, median and largest value over `repeats` pairs of runs, of which the second half runs in the other order.
    """
    about = probe_video(video)
    width_px, height_px = proxy_size(about.width_px, about.height_px, px)
    ways: dict[str, Callable[[], object]] = {
        "plain": lambda: deque(plain_frames(video, width_px, height_px), maxlen=0),
        "proxy": lambda: make_proxy(video, folder / "proxy.mp4", px=px, mask=mask),
    }
    runs: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for repeat in range(repeats):
        for way in list(ways) if repeat % 2 == 0 else reversed(ways):
            began = time.process_time(), time.perf_counter()
            ways[way]()
            runs[way].append((time.process_time() - began[0], time.perf_counter() - began[1]))
        advance(1)
    size = {"width_px": about.width_px, "height_px": about.height_px}
    report: dict[str, Any] = {
        "video": size | {"frames": about.frames, "fps": float(about.fps), "codec": about.codec},
        "proxy": {"width_px": width_px, "height_px": height_px, "masked": bool(mask), "bytes": (folder / "proxy.mp4").stat().st_size},
    }
    for at, clock in enumerate(("cpu", "wall")):
        plain, proxy = ([run[at] for run in runs[way]] for way in ways)
        report |= {f"plain_{clock}_s": spread(plain), f"proxy_{clock}_s": spread(proxy), f"{clock}_rate_share": ratios(plain, proxy)}
    return report

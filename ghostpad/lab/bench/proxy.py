"""`ghostpad lab bench proxy`: what small copies cost on this machine."""

import tempfile
from pathlib import Path
from typing import Any

from ghostpad.base.errors import SettingsError
from ghostpad.base.files import write_json
from ghostpad.base.progress import progress
from ghostpad.games.episode import record_episode
from ghostpad.games.spec import make_game, make_player
from ghostpad.lab.bench.proxy_timing import time_proxy
from ghostpad.lab.made_up.videos import repeat_video, write_sample
from ghostpad.video.probe import probe_video

_MASK_SHARE = 0.2
"""Of each side of the picture, of the mask in the lower right corner that is measured: a controller as creators draw it (a guess)."""


def bench_proxy(*, video: Path | None = None, px: int = 256, repeats: int = 5, out: Path | None = None, quick: bool = False) -> None:
    """Measure the rate at which small copies are made as a share of the rate of plain decoding and resizing.

    The plain way decodes every frame with PyAV on one thread and resizes it to the size of the copy. The share (median, least and largest
    of the pairs of runs) is given by CPU time and by the clock, where the encoder works beside the decoder on a second core, with
    and without a mask. Takes about three minutes.

    Args:
        video: The video to measure with (default: 8 made-up seconds of 1080p at 60 fps, H.264, and half a minute of Doom).
        px: Short side of the copies in pixels.
        repeats: How often each way is measured.
        out: The JSON file to write.
        quick: Smaller and shorter videos: shows that it works, measures little.
    """
    if repeats < 1:
        raise SettingsError(f"repeats is {repeats}: it must be 1 or more")
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
    if out is not None:
        write_json(out, reports)
    print(bench_text(reports))


def bench_text(reports: dict[str, Any]) -> str:
    """The lines that the command prints of its report."""
    lines = ["the rate of making small copies as a share of decoding and resizing alone, median (least to largest):"]
    for name, told in reports.items():
        video, proxy = told["video"], told["proxy"]
        size = f"{video['width_px']}x{video['height_px']} {video['codec']} to {proxy['width_px']}x{proxy['height_px']}"
        shares = "; ".join(f"{clock} {_told(told[f'{clock}_rate_share'])}" for clock in ("cpu", "wall"))
        rate = video["frames"] / told["proxy_cpu_s"]["median"]
        lines.append(f"  {name} ({size}): {shares}; {rate:.0f} frames per CPU-second")
    return "\n".join(lines)


def _told(spread: dict[str, float]) -> str:
    return f"{spread['median']:.2f} ({spread['min']:.2f} to {spread['max']:.2f})"


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

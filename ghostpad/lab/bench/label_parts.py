"""Where the time of labelling several videos side by side goes, on a GPU or on the CPU: decoding, copies, the model, and all together.

Reads one video, as often as videos are open, each in a child process of its own as labelling does. Times are by the clock, because what
counts is what keeps what waiting: an idle machine is needed. Each part is measured alone; together they overlap, so the slowest part is
what limits. The kernels are counted, without a GPU (`ghostpad.lab.bench.launches`).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ghostpad.base.ahead import ReadTogether
from ghostpad.base.errors import SettingsError
from ghostpad.base.pad import PAD_DIM, STICKS
from ghostpad.base.progress import progress
from ghostpad.idm.model import Idm
from ghostpad.idm.predict import PIECE_ROWS, Piece, Prediction, Stretch
from ghostpad.idm.stream import Job, label_together, torch_threads
from ghostpad.lab.bench.common import spread
from ghostpad.lab.bench.launches import META, Launches
from ghostpad.nn.device import Fetched, send
from ghostpad.video.child import VideoChild
from ghostpad.video.decode import Frame, decode_frames
from ghostpad.video.probe import probe_video

Device = Literal["auto", "cpu", "cuda"]
"""Where a model runs; auto: on a GPU if there is one."""

_PIECES = 8
"""Pieces of each video on which the model and the copies are measured alone."""


def time_parts(idm: Idm, video: Path, *, device: Device, bf16: bool, compile: bool, videos_at_once: int, repeats: int) -> dict[str, Any]:
    """Milliseconds a row of each part and of all together, each a spread over `repeats` runs, hours of video an hour, and kernels and
    copies a batch of pieces; JSON-able. Raises `SettingsError` for a GPU that is not there."""
    place = _device(device)
    counted = count_launches(idm, videos_at_once)
    model = deepcopy(idm).to(place).quicken(bf16=bf16, compile=compile)
    about, spec, images = probe_video(video), model.window, _frames(model, video)
    with ExitStack() as opened:
        children = [opened.enter_context(VideoChild()) for _ in range(videos_at_once)]
        parts: dict[str, Callable[[], int]] = {
            "decode": lambda: _decode(model, video, children),
            "copies": lambda: _copy(place, (videos_at_once, PIECE_ROWS + 1, spec.height_px, spec.width_px, 1), model.reach),
            "model_with_copies": lambda: _predict(model, images, videos_at_once),
            "together": lambda: _label(model, video, children),
        }
        with progress("measure parts", len(parts) * (repeats + 1), "runs") as advance, torch_threads(1):
            ms = {name: spread(islice(_ms_a_row(part, advance), 1, repeats + 1)) for name, part in parts.items()}
    return {
        "device": torch.cuda.get_device_name() if place.type == "cuda" else "cpu",
        "precision": "bf16" if bf16 else "no",
        "compile": compile,
        "videos_at_once": videos_at_once,
        "ms_a_row": ms,
        "hours_an_hour": 1000 / float(about.fps) / ms["together"]["median"],
        "peak_gpu_mb": torch.cuda.max_memory_allocated() / 2**20 if place.type == "cuda" else None,
    } | counted


def count_launches(idm: Idm, videos: int) -> dict[str, int]:
    """Kernels, copies and times the host waits, of one piece of each of `videos` videos in the middle of them."""
    model, spec = deepcopy(idm).to(META), idm.window
    frames = np.zeros((PIECE_ROWS + 1, spec.height_px, spec.width_px, 1), np.uint8)
    stretches = [Stretch(None) for _ in range(videos)]
    for _ in range(3):
        with Launches() as work:
            Prediction(model, [Piece(stretch, frames) for stretch in stretches])
    # Its rows are copied back too, and waited for when the next batch has been sent.
    return {"kernels": work.kernels.total(), "copies": work.copies + 1, "waits": len(work.waits) + 1}


def _device(device: Device) -> torch.device:
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("--device is cuda: torch finds no GPU here; leave it out, or install a torch that is built for your GPU")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def _ms_a_row(act: Callable[[], int], advance: Callable[[float], None]) -> Iterator[float]:
    """Milliseconds a row of each run of what returns how many rows it did."""
    while True:
        began = time.perf_counter()
        rows = act()
        yield (time.perf_counter() - began) * 1000 / rows
        advance(1)


def _decode(model: Idm, video: Path, children: list[VideoChild]) -> int:
    spec, rows = model.window, 0
    size: dict[str, Any] = {"width_px": spec.width_px, "height_px": spec.height_px, "gray": spec.gray, "rate_hz": spec.rate_hz}
    with ReadTogether[int, Frame](PIECE_ROWS) as reader:
        for number, child in enumerate(children):
            reader.add(number, child.frames(video, **size))
        while reader:
            rows += sum(not one.last for one in reader.take())
    return rows


def _copy(device: torch.device, shape: tuple[int, ...], reach: int) -> int:
    rows = torch.zeros(shape[0], PIECE_ROWS + 2 * reach, PAD_DIM + len(STICKS), device=device)
    for _ in range(_PIECES):
        frames = send(torch.from_numpy(np.zeros(shape, np.uint8)), device)
        Fetched(rows + frames[0, 0, 0, 0, 0]).numpy()
    return _PIECES * PIECE_ROWS * shape[0]


def _predict(model: Idm, images: NDArray[np.uint8], videos: int) -> int:
    stretches, flying = [Stretch(None) for _ in range(videos)], list[Prediction]()
    for _ in range(_PIECES):
        flying.append(Prediction(model, [Piece(stretch, images) for stretch in stretches]))
        if len(flying) > 1:
            list(flying.pop(0).rows())
    list(flying.pop().rows())
    return _PIECES * (len(images) - 1) * videos


def _label(model: Idm, video: Path, children: list[VideoChild]) -> int:
    rows = 0
    for _, table in label_together(model, [Job(video, child=child) for child in children], videos_at_once=len(children)):
        if isinstance(table, Exception):
            raise table
        rows += table.num_rows
    return rows


def _frames(model: Idm, video: Path) -> NDArray[np.uint8]:
    spec = model.window
    frames = decode_frames(video, width_px=spec.width_px, height_px=spec.height_px, gray=spec.gray)
    return np.stack([frame.image for frame in islice(frames, PIECE_ROWS + 1)])[..., None]

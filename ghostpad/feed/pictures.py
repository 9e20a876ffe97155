"""The kept frames of a video at a model's size, decoded once and then read by memory map; a controller drawn into them is masked.

Reads the video, writes `corpus/cache/<picture>/<video>.npy` (uint8 [N, H, W, C]) and `<video>.pts.npy` (float64 [N]); with a mask its box
stands in the folder's name. The cache
is derived, may be deleted at any time, and is made again when the video is newer. It trades disk for time: at 96x72 gray one
hour of 20 Hz frames is 0.5 GB and a random window costs microseconds, where seeking in a short-GOP copy gives about a hundred
windows a CPU-second (measured).
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.files import atomic_path, locked
from ghostpad.base.records import Video
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.masks import video_mask
from ghostpad.feed.window import WindowSpec
from ghostpad.video.decode import decode_array
from ghostpad.video.paint import Boxes
from ghostpad.video.proxy import make_proxy

_OWN_SIZE, _GOP = 1 << 20, 60
"""A copy never grows, so this keeps the video's size; as many frames between keyframes as the recorder's."""


def pictures(corpus: Corpus, video: Video, spec: WindowSpec, crf: int | None = None) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Time stamps float64 [N] in seconds and frames uint8 [N, H, W, C] (memory-mapped) of a video as `spec` sees it.

    With `crf`, as it sees the video encoded once more at its own size at that x264 quality. Raises `MediaError` if the video
    cannot be decoded to its end and `MissingError` if it is not there.
    """
    source = corpus.path_of(video)
    mask = video_mask(video, source)
    boxes = ["mask" + "_".join(map(str, box)) for box in mask]
    folder = corpus.root / "cache" / "-".join([spec.picture, *([] if crf is None else [f"crf{crf}"]), *boxes])
    frames_path, times_path = folder / f"{video.id}.npy", folder / f"{video.id}.pts.npy"
    made = (times_path, frames_path)
    if not all(_up_to_date(path, source) for path in made):
        with locked(folder / ".lock"):  # of processes that want the same pictures, one decodes
            if not all(_up_to_date(path, source) for path in made):
                pts_s, frames = _decoded(source, spec, mask) if crf is None else _encoded_again(source, spec, crf, mask)
                for path, array in ((times_path, pts_s), (frames_path, frames)):
                    with atomic_path(path) as temporary:
                        np.save(temporary, array)
    return np.load(times_path), np.load(frames_path, mmap_mode="r")


def _decoded(source: Path, spec: WindowSpec, mask: Boxes) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    return decode_array(source, width_px=spec.width_px, height_px=spec.height_px, gray=spec.gray, rate_hz=spec.rate_hz, mask=mask)


def _encoded_again(source: Path, spec: WindowSpec, crf: int, mask: Boxes) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    with TemporaryDirectory(prefix="ghostpad-") as folder:
        copy = Path(folder) / "copy.mp4"
        make_proxy(source, copy, px=_OWN_SIZE, gop=_GOP, crf=crf, mask=mask)
        return _decoded(copy, spec, mask)


def _up_to_date(made: Path, source: Path) -> bool:
    """Whether `made` is there and no older than the video it was made from."""
    return made.exists() and source.exists() and made.stat().st_mtime_ns >= source.stat().st_mtime_ns

"""The kept frames of a video at a model's size, decoded once and then read by memory map; a controller drawn into them is masked.

Reads the video, writes `corpus/cache/<picture>/<video>.npy` (uint8 [N, H, W, C]) and `<video>.pts.npy` (float64 [N]); the boxes of a
mask are part of the folder's name. The cache may be deleted at any time and is made again when the video is newer. It trades disk for
time: at 96x72 gray one hour of 20 Hz frames is 0.5 GB and a random window costs microseconds, where seeking in a short-GOP copy gives
about a hundred windows a CPU-second (measured).
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
"""Short side of the copy, px: one never grows, so this keeps the video's size. Frames between keyframes, as in the recorder's videos."""


def pictures(corpus: Corpus, video: Video, spec: WindowSpec, crf: int | None = None) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Time stamps float64 [N] in seconds and frames uint8 [N, H, W, C] (memory-mapped) of a video as `spec` sees it.

    With `crf`, as it sees the video encoded once more at its own size at that x264 quality. Raises `MediaError` if the video
    cannot be decoded to its end and `MissingError` if it is not there.
    """
    source = corpus.path_of(video)
    mask = video_mask(video, source)
    changes = [f"crf{crf}"] * (crf is not None) + ["mask" + "_".join(map(str, box)) for box in mask]
    folder = corpus.root / "cache" / "-".join([spec.picture, *changes])
    times, frames = folder / f"{video.id}.pts.npy", folder / f"{video.id}.npy"
    if not _up_to_date(source, times, frames):
        with locked(folder / ".lock"):  # of processes that want the same pictures, one decodes
            if not _up_to_date(source, times, frames):
                pts_s, images = _decode(source, spec, crf, mask)
                for path, array in ((times, pts_s), (frames, images)):
                    with atomic_path(path) as temporary:
                        np.save(temporary, array)
    return np.load(times), np.load(frames, mmap_mode="r")


def _decode(source: Path, spec: WindowSpec, crf: int | None, mask: Boxes) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    if crf is not None:
        with TemporaryDirectory(prefix="ghostpad-") as folder:
            copy = Path(folder) / "copy.mp4"
            make_proxy(source, copy, px=_OWN_SIZE, gop=_GOP, crf=crf, mask=mask)
            return _decode(copy, spec, None, mask)
    return decode_array(source, width_px=spec.width_px, height_px=spec.height_px, gray=spec.gray, rate_hz=spec.rate_hz, mask=mask)


def _up_to_date(source: Path, *made: Path) -> bool:
    """Whether the files `made` are there and none is older than the video."""
    return all(path.exists() and source.exists() and path.stat().st_mtime_ns >= source.stat().st_mtime_ns for path in made)

"""The kept frames of a video at a model's size, decoded once and then read by memory map; a controller drawn into them is masked.

Reads the video, writes `<picture>/<video>.npy` in the corpus's cache: the frames, their time stamps, the masks, and what they were made of,
as arrays one behind the other. They are made again when the video is another file or its mask another box, and the cache may be deleted at
any time. It trades disk for time: at 96x72 gray one hour of 20 Hz frames is 0.5 GB and a random window costs microseconds, where seeking in
a short-GOP copy gives about a hundred windows a CPU-second (measured).
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.files import atomic_path, locked
from ghostpad.base.places import file_mark
from ghostpad.base.records import Video
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.masks import mask_shares, video_mask
from ghostpad.feed.window import WindowSpec
from ghostpad.video.decode import decode_array
from ghostpad.video.paint import Boxes, Share
from ghostpad.video.proxy import make_proxy

_OWN_SIZE, _GOP = 1 << 20, 60
"""Short side of the copy, px: one never grows, so this keeps the video's size. Frames between keyframes, as in the recorder's videos."""


class Pictures(NamedTuple):
    """Frames uint8 [N, H, W, C] (memory-mapped) at `pts_s`, float64 [N] in seconds, and the masks over them as shares of the picture."""

    pts_s: NDArray[np.float64]
    frames: NDArray[np.uint8]
    masks: tuple[Share, ...]


def pictures(corpus: Corpus, video: Video, spec: WindowSpec, crf: int | None = None) -> Pictures:
    """The pictures of a video as `spec` sees it.

    With `crf`, as it sees the video encoded once more at its own size at that x264 quality. Raises `MediaError` if the video
    cannot be decoded to its end and `MissingError` if it is not there.
    """
    made_of = repr((file_mark(corpus.path_of(video)), video.sha256, video.overlay_px, video.overlay_of_px))
    path = corpus.cache / "-".join([spec.picture, *([] if crf is None else [f"crf{crf}"])]) / f"{video.id}.npy"
    if (kept := _kept(path, made_of)) is not None:
        return kept
    with locked(path.with_name(".lock")):  # of processes that want the same pictures, one decodes
        if (kept := _kept(path, made_of)) is not None:
            return kept
        with corpus.footage(video) as source:
            pts_s, frames = _decode(source, spec, crf, video_mask(video, source))
            masks = mask_shares(video, source)
        with (
            atomic_path(path) as temporary,
            open(temporary, "w+b") as file,
        ):  # to a "wb" numpy writes past Python, and loses the error's number
            for array in (frames, pts_s, np.array(masks).reshape(-1, 4), np.array(made_of)):
                np.save(file, array)
        return _read(path)[0]


def _decode(source: Path, spec: WindowSpec, crf: int | None, mask: Boxes) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    if crf is not None:
        with TemporaryDirectory(prefix="ghostpad-") as folder:
            copy = Path(folder) / "copy.mp4"
            make_proxy(source, copy, px=_OWN_SIZE, gop=_GOP, crf=crf, mask=mask)
            return _decode(copy, spec, None, mask)
    return decode_array(source, width_px=spec.width_px, height_px=spec.height_px, gray=spec.gray, rate_hz=spec.rate_hz, mask=mask)


def _read(path: Path) -> tuple[Pictures, str]:
    """The pictures of a file and what they were made of. Raises `OSError`, `EOFError` or `ValueError` for one that is gone or damaged."""
    with open(path, "rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        begin = file.tell()
        frames = np.memmap(file, dtype, "r", begin, shape)
        file.seek(begin + frames.nbytes)
        pts_s, masks, made_of = (np.load(file) for _ in range(3))
    return Pictures(pts_s, frames, tuple(map(tuple, masks.tolist()))), str(made_of)


def _kept(path: Path, made_of: str) -> Pictures | None:
    try:
        kept, held = _read(path)
    except (OSError, EOFError, ValueError):
        return None  # derived, and not there or damaged: it is made again
    return kept if held == made_of else None

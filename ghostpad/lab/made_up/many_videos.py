"""Many small videos with different pictures, each encoded by itself, so that no two share a second.

Writes mp4 files (MPEG-4) of 6 s, 24 frames of 32 x 32 and about 2 KB, at 300 a CPU-second (measured). One seed gives the same pictures.
"""

from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

SECONDS = 6
"""Length of a video."""

_FPS, _SIZE_PX, _BLOCK_PX = 4, 32, 8
_QUALITIES = {"": 4, "-anew": 9}
"""MPEG-4's quantiser (2 is best, 31 worst) of a video and of its re-encoding."""


def write_many(folder: Path, count: int, *, seed: int = 0, anew_every: int = 0, first: int = 0) -> int:
    """Write `v<number>.mp4` for `count` numbers from `first` on. With `anew_every`, each such number has also `v<number>-anew.mp4` of the
    same pictures in another encoding. Returns how many of those."""
    folder.mkdir(parents=True, exist_ok=True)
    anew = 0
    for number in range(first, first + count):
        _write(folder / f"v{number:07d}.mp4", (seed, number), _QUALITIES[""])
        if anew_every and number % anew_every == 0:
            _write(folder / f"v{number:07d}-anew.mp4", (seed, number), _QUALITIES["-anew"])
            anew += 1
    return anew


def _write(path: Path, seed: tuple[int, int], quantiser: int) -> None:
    blocks = _SIZE_PX // _BLOCK_PX
    pictures = np.random.default_rng(seed).integers(0, 255, (SECONDS * _FPS, blocks, blocks, 3), np.uint8)
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=_FPS, options={"qmin": str(quantiser), "qmax": str(quantiser)})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = _SIZE_PX, _SIZE_PX, "yuv420p"
        stream.codec_context.thread_count = 1
        for picture in pictures:
            image = picture.repeat(_BLOCK_PX, 0).repeat(_BLOCK_PX, 1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))

"""Many small videos with different pictures, quickly: seconds that were encoded once are put together in ever other orders.

Writes mp4 files of 6 s, 24 frames of 64 x 48 and about 10 KB, at 600 a CPU-second (measured). The same seed gives the same pictures.
"""

from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

SECONDS = 6
"""Length of a video."""

_POOL, _FPS, _SIZE_PX = 64, 4, (64, 48)


def write_many(folder: Path, count: int, *, seed: int = 0, anew_every: int = 0, first: int = 0) -> None:
    """Write `v<number>.mp4` for `count` numbers from `first` on. With `anew_every`, each such number has also `v<number>-anew.mp4` of the
    same pictures in another encoding."""
    folder.mkdir(parents=True, exist_ok=True)
    pools = [_Pool(seed, crf) for crf in (20, 32)]
    for number in range(first, first + count):
        order = np.random.default_rng((seed, number)).integers(0, _POOL, SECONDS).tolist()
        pools[0].write(folder / f"v{number:07d}.mp4", order)
        if anew_every and number % anew_every == 0:
            pools[1].write(folder / f"v{number:07d}-anew.mp4", order)


class _Pool:
    """Seconds of video that need none before them, each as packets."""

    def __init__(self, seed: int, crf: int):
        file = BytesIO()
        with av.open(file, "w", format="mp4") as out:
            keyframes = f"keyint={_FPS}:min-keyint={_FPS}:scenecut=0:bframes=0"
            stream = out.add_stream("libx264", rate=_FPS, options={"crf": str(crf), "preset": "ultrafast", "x264-params": keyframes})
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = *_SIZE_PX, "yuv420p"
            rng = np.random.default_rng(seed)
            for _ in range(_POOL * _FPS):
                picture = rng.integers(0, 255, (_SIZE_PX[1] // 8, _SIZE_PX[0] // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
                out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            out.mux(stream.encode(None))
        file.seek(0)
        self._like = av.open(file, "r")
        contents = [bytes(packet) for packet in self._like.demux(video=0) if packet.size]
        self._seconds = [contents[at : at + _FPS] for at in range(0, len(contents), _FPS)]

    def write(self, path: Path, order: list[int]) -> None:
        with av.open(str(path), "w", format="mp4") as container:
            stream = container.add_stream_from_template(self._like.streams.video[0])
            for index, content in enumerate(content for second in order for content in self._seconds[second]):
                packet = Packet(content)
                packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, _FPS), index % _FPS == 0
                packet.pts = packet.dts = index
                packet.duration = 1
                container.mux(packet)

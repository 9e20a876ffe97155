"""Made-up video of any length for benchmarks, encoded as a download would be.

Writes mp4 files. Encoding is x264's medium preset, crf 23, up to three B-frames with a pyramid: about 25 CPU-seconds for 240
frames of 1080p (measured). The same arguments give the same pictures.
"""

import os
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from ghostpad.base.files import atomic_path
from ghostpad.base.progress import Advance
from ghostpad.video.container import open_video

_REACH_X_PX, _REACH_Y_PX = 256, 32
"""Reach of the scene's sliding: up to 7 pixels a frame at 60 fps."""


def write_sample(
    path: str | os.PathLike[str], *, width_px: int, height_px: int, fps: int, frames: int, advance: Advance = lambda done: None
) -> None:
    """A textured ground with textured islands before it, sliding at different, changing speeds. Calls `advance` once a frame."""
    rng = np.random.default_rng(0)
    size = width_px + 2 * _REACH_X_PX, height_px + 2 * _REACH_Y_PX
    near, far, tint = (_texture(rng, *size, ((64, 30), (16, 15), (4, 5))) for _ in range(3))
    island = _texture(rng, *size, ((128, 40),)) > 150
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "23", "preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        stream.codec_context.thread_count = 1
        for index in range(frames):
            ground, island_part = (_slide(index / fps * speed, width_px, height_px) for speed in (0.15, 0.25))
            light = np.where(island[island_part], near[island_part], far[ground])
            colour = tint[ground][::2, ::2]
            planes = np.concatenate([light.ravel(), colour.ravel(), (255 - colour).ravel()]).reshape(-1, width_px)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
            advance(1)
        container.mux(stream.encode(None))


def repeat_video(source: str | os.PathLike[str], path: str | os.PathLike[str], times: int) -> None:
    """The pictures of a video file `times` in a row, as encoded: about 5 us a frame (measured)."""
    with atomic_path(path) as temporary, open_video(source) as (container, stream), av.open(str(temporary), "w", format="mp4") as out:
        packets = [(bytes(packet), packet.pts, packet.dts, packet.is_keyframe) for packet in container.demux(stream) if packet.size]
        copy = out.add_stream_from_template(stream)
        stamps = sorted(pts for _, pts, _, _ in packets if pts is not None)
        length = stamps[-1] - stamps[0] + (stamps[1] - stamps[0] if len(stamps) > 1 else 1)
        for time in range(times):
            for data, pts, dts, keyframe in packets:
                packet = av.Packet(data)
                packet.stream, packet.is_keyframe = copy, keyframe
                packet.pts, packet.dts = (None if stamp is None else stamp + time * length for stamp in (pts, dts))
                if stream.time_base:
                    packet.time_base = stream.time_base
                out.mux(packet)


def _slide(turns: float, width_px: int, height_px: int) -> tuple[slice, slice]:
    """The visible part of a texture after `turns` of a figure of eight."""
    x = round(_REACH_X_PX * (1 + np.sin(2 * np.pi * turns)))
    y = round(_REACH_Y_PX * (1 + np.sin(4 * np.pi * turns)))
    return slice(y, y + height_px), slice(x, x + width_px)


def _texture(rng: np.random.Generator, width_px: int, height_px: int, grains: Sequence[tuple[int, float]]) -> NDArray[np.uint8]:
    """Noise uint8 [H, W] around 128: the sum of a smooth one for each (size of a grain in pixels, strength)."""
    total = np.full((height_px, width_px), 128, np.float32)
    for grain, strength in grains:
        coarse = rng.normal(128, 32, (height_px // grain + 2, width_px // grain + 2)).clip(0, 255).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(coarse, format="gray")
        grown = frame.reformat(coarse.shape[1] * grain, coarse.shape[0] * grain, interpolation="BICUBIC", threads=1).to_ndarray()
        total += (grown[:height_px, :width_px].astype(np.float32) - 128) * (strength / 32)
    return total.clip(0, 255).astype(np.uint8)

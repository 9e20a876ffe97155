"""Where a mask leaks, as a picture: the masked frame, and beside it the heat of every pixel near the mask."""

import numpy as np
from PIL import Image

from ghostpad.base.files import atomic_path
from ghostpad.base.places import AnyPlace
from ghostpad.corpus.leaks.probe import Probe


def write_leak_picture(probe: Probe, path: AnyPlace) -> None:
    """Write a PNG, twice as wide as the frame: the frame, and the frame in gray with the leaking pixels in red to yellow."""
    faint = np.repeat(probe.image.mean(2, keepdims=True) * 0.4, 3, 2)
    heat = probe.heat[..., None]
    colour = np.concatenate([255 * np.minimum(1, 2 * heat), 255 * np.maximum(0, 2 * heat - 1), np.zeros_like(heat)], 2)
    both = np.concatenate([probe.image, np.where(heat > 0.15, colour, faint).astype(np.uint8)], 1)
    with atomic_path(path) as temporary:
        Image.fromarray(both).save(temporary)

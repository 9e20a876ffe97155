"""Whether two videos show the same pictures though they were encoded anew: a hash of 64 bits for each second, compared over time.

Of the picture on screen at each full second (gray, 9 x 8) a bit says whether a pixel is brighter than its right neighbour, which survives
another size, quality and brightness. Costs the decoding of the video, without frames that nothing refers to.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import MediaError, MissingError
from ghostpad.base.files import atomic_path
from ghostpad.corpus.folder import Corpus
from ghostpad.video.decode import decode_frames

MOST_BITS = 8.0
"""The mean of differing bits, of 64, up to which two videos count as the same."""

LEAST_S = 5
"""Seconds a video must have; less says too little."""

_SHIFTS = range(-3, 4)  # seconds by which one may begin later (a guess)

Prints = NDArray[np.uint64]
"""A fingerprint."""


class Fingerprints:
    """The fingerprints of a corpus's videos, kept in `cache/fingerprints` and in memory."""

    def __init__(self, corpus: Corpus):
        self._corpus, self._known = corpus, dict[str, Prints | None]()

    def of_file(self, path: Path) -> Prints:
        """The fingerprint of a file that is not in the corpus yet. Raises as `fingerprint_video`."""
        return fingerprint_video(path)

    def keep(self, id: str, prints: Prints) -> None:
        """Keep the fingerprint of a video."""
        self._known[id] = prints
        with atomic_path(self._path(id)) as temporary:
            np.save(temporary, prints)

    def same(self, prints: Prints, rows: Mapping[str, Mapping[str, Any]]) -> str | None:
        """The id of a video of the corpus that shows the same pictures, if there is one."""
        for id, row in rows.items():
            if row["status"] == "ok" and abs((row["duration_s"] or 0) - len(prints)) <= max(4, 0.1 * len(prints)):
                other = self._of(row)
                if other is not None and differing_bits(prints, other) <= MOST_BITS:
                    return id
        return None

    def _of(self, row: Mapping[str, Any]) -> Prints | None:
        id = row["id"]
        if id not in self._known:
            try:
                if self._path(id).exists():
                    self._known[id] = np.load(self._path(id))
                else:
                    self.keep(id, fingerprint_video(self._corpus.root / row["path"]))
            except (MediaError, MissingError):
                self._known[id] = None
        return self._known[id]

    def _path(self, id: str) -> Path:
        return self._corpus.root / "cache" / "fingerprints" / f"{id}.npy"


def fingerprint_video(path: str | os.PathLike[str]) -> Prints:
    """Hashes uint64 [n], one a second. Raises as `decode_frames`."""
    pictures = [frame.image.astype(np.int16) for frame in decode_frames(path, width_px=9, height_px=8, gray=True, rate_hz=1)]
    bits = np.array([(picture[:, :-1] > picture[:, 1:]).ravel() for picture in pictures], np.uint8).reshape(-1, 64)
    return np.packbits(bits, axis=1).view(np.uint64).ravel()


def differing_bits(a: Prints, b: Prints) -> float:
    """The mean of differing bits a second, 0...64, at the best shift; 64 where the lengths differ by over a tenth or are too short."""
    if min(len(a), len(b)) < LEAST_S or abs(len(a) - len(b)) > max(3, 0.1 * max(len(a), len(b))):
        return 64.0
    best = 64.0
    for shift in _SHIFTS:
        x, y = a[max(shift, 0) :], b[max(-shift, 0) :]
        count = min(len(x), len(y))
        if count >= LEAST_S:
            best = min(best, float(np.bitwise_count(x[:count] ^ y[:count]).mean()))
    return best

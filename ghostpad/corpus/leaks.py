"""The leak probe: can buttons and sticks be read from the ring of pixels around a mask?

A ridge regression per button and stick direction reads the ring just outside the mask, 8 pixels wide at a picture 320 px wide, in frames at
the video's own size. It is scored by AUC on stretches of time that it has not learned from. A ring also shows the game, whose picture does
tell something of the pad; so the same ring is put in up to three other places of the same frames, and a leak is what the ring at the mask
reads **better than the best of them, and than labels moved in time**. Reads the video and its recorded rows, writes nothing. Cost:
decoding, at most `FRAMES_MAX` frames, and a second of algebra.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import MediaError
from ghostpad.base.pad import BUTTONS, SLOTS
from ghostpad.base.records import pads_of
from ghostpad.corpus.align import on_pictures
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.overlay import PAD_PX, video_mask
from ghostpad.video.decode import decode_frames
from ghostpad.video.paint import Box

RING_SHARE = 1 / 40
"""Width of the ring as a share of the picture's width (8 px at 320; a guess)."""

MARGIN = 0.17
"""How much better than every control the ring must read a button before it is a leak.

Measured on 6 recordings of Doom and racing, 14 to 46 s, crf 20 to 32, opacity 0.4 to 0.9: masks that are right came to -0.10...0.09, masks
8 px too small on every side to 0.25...0.40. The margin, chosen on these, stands between them; a leak fainter than it goes unseen.
"""

FRAMES_MAX = 3000
"""Frames that are looked at, from the start of the video."""

FOLDS, SHIFTS = 5, 12
_RIDGE = 0.3  # of the mean variance times the number of frames
_LEAST = 25  # frames on either side that a target needs
_STICK = 0.3  # a stick pushed further than this counts as pushed


@dataclass(frozen=True)
class Probe:
    """What the probe found in a video.

    excess   AUC of the ring at the mask less the best of its controls, for the target that leaks most; a leak if above `MARGIN`
    """

    video: str
    target: str
    ring_auc: float
    control_auc: float
    shifted_auc: float
    """The most that labels moved in time reach, for this target."""
    excess: float
    frames: int
    heat: NDArray[np.float64]
    """[H, W] how strongly each pixel near the mask goes with the target, 0...1."""
    image: NDArray[np.uint8]
    """[H, W, 3] a frame, masked."""
    mask: Box | None

    @property
    def leaks(self) -> bool:
        """Whether the pad can be read beside the mask."""
        return self.excess > MARGIN


def probe_leaks(corpus: Corpus, row: dict[str, Any], *, pad_px: int = PAD_PX) -> Probe | None:
    """Probe the mask of a video with a drawn controller; None where there is too little to tell: no rows, or nothing ever pressed.

    Raises `MediaError` or `MissingError` if the video or its box cannot be read.
    """
    path, table = corpus.video_path(row["id"]), corpus.actions(RECORDED, row["id"])
    masks = video_mask(row, path, pad_px=pad_px)
    if table is None or not masks:
        return None
    pads, known = pads_of(table)
    pts_s = on_pictures(table, row["lag_ms"]).column("pts_s").to_numpy()
    images, rows = _matched(path, pts_s, masks)
    if len(images) < 10 * FOLDS:
        return None
    targets = _targets(pads[rows], known[rows])
    if not targets:
        return None
    return _probed(row["id"], images, masks[0], targets)


def _probed(video: str, images: NDArray[np.uint8], mask: Box, targets: dict[str, NDArray[np.bool_]]) -> Probe:
    height, width = images.shape[1:3]
    ring_px = max(4, round(width * RING_SHARE))
    wanted = np.stack(list(targets.values()), 1)
    at_mask = _aucs(_ring(images, mask, ring_px), wanted)
    controls = [_aucs(_ring(images, place, ring_px, hide=mask), wanted) for place in _elsewhere(mask, width, height, ring_px)]
    moved = np.stack([_aucs(_ring(images, mask, ring_px), np.roll(wanted, shift, 0)) for shift in _shifts(len(images))]).max(0)
    best = np.max([*controls, moved, np.full(len(targets), 0.5)], axis=0)
    worst = int(np.argmax(at_mask - best))
    return Probe(
        video,
        list(targets)[worst],
        float(at_mask[worst]),
        float(np.max([found[worst] for found in controls], initial=0.5)),
        float(moved[worst]),
        float(at_mask[worst] - best[worst]),
        len(images),
        _heat(images, mask, ring_px, wanted[:, worst]),
        images[len(images) // 2],
        mask,
    )


def _matched(path: Any, pts_s: NDArray[np.float64], masks: Sequence[Box]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Masked frames uint8 [n, H, W, 3] that have a row at their own stamp (to a quarter frame), and these rows."""
    step_s = float(np.median(np.diff(pts_s))) if len(pts_s) > 1 else 1.0
    images, rows = [], []
    for frame in decode_frames(path, mask=masks, end_s=float(pts_s[-1]) + step_s if len(pts_s) else None):
        at = int(np.argmin(np.abs(pts_s - frame.pts_s)))
        if abs(pts_s[at] - frame.pts_s) < step_s / 2:
            images.append(frame.image)
            rows.append(at)
        if len(images) >= FRAMES_MAX:
            break
    if not images:
        raise MediaError(f"{path} has no frame at the time of any of its rows: run 'ghostpad corpus align' or fetch it again")
    return np.stack(images), np.array(rows)


def _targets(pads: NDArray[np.float32], known: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """What the probe tries to read, bool [n] by name: buttons, and each stick axis pushed either way."""
    found: dict[str, NDArray[np.bool_]] = {}
    for index, name in enumerate(SLOTS):
        if known[:, index].all():
            values = pads[:, index]
            found |= {name: values >= 0.5} if name in BUTTONS else {f"{name} +": values > _STICK, f"{name} -": values < -_STICK}
    return {name: held for name, held in found.items() if min(held.sum(), (~held).sum()) >= _LEAST}


def _ring(images: NDArray[np.uint8], box: Box, ring_px: int, hide: Box | None = None) -> NDArray[np.float32]:
    """Pixels of the ring around a box, at most about 3000 of them, float32 [n, features], standardised; pixels in `hide` are left out."""
    inside = _ring_mask(images.shape[1:3], box, ring_px)
    if hide is not None:
        left, top, right, bottom = hide
        inside[max(0, top - ring_px) : bottom + ring_px, max(0, left - ring_px) : right + ring_px] = False
    rows, columns = np.nonzero(inside)
    if not len(rows):
        return np.zeros((len(images), 1), np.float32)
    stride = max(1, len(rows) // 1500)
    rows, columns = rows[::stride], columns[::stride]
    values = images[:, rows, columns].astype(np.float32).reshape(len(images), -1)
    values -= values.mean(0)
    return values / np.maximum(2.0, values.std(0))


def _ring_mask(shape: tuple[int, ...], box: Box, ring_px: int) -> NDArray[np.bool_]:
    left, top, right, bottom = box
    inside = np.zeros(shape, np.bool_)
    inside[max(0, top - ring_px) : bottom + ring_px, max(0, left - ring_px) : right + ring_px] = True
    inside[top:bottom, left:right] = False
    return inside


def _elsewhere(box: Box, width: int, height: int, ring_px: int) -> list[Box]:
    """The box mirrored left to right, top to bottom, and both, where it does not meet itself."""
    left, top, right, bottom = box
    across, down = (width - right, width - left), (height - bottom, height - top)
    places = [(across[0], top, across[1], bottom), (left, down[0], right, down[1]), (across[0], down[0], across[1], down[1])]
    return [
        place
        for place in places
        if place[0] >= right + 2 * ring_px
        or place[2] <= left - 2 * ring_px
        or place[1] >= bottom + 2 * ring_px
        or place[3] <= top - 2 * ring_px
    ]


def _shifts(frames: int) -> list[int]:
    return [int(part) for part in np.linspace(0.1, 0.9, SHIFTS) * frames]


def _aucs(features: NDArray[np.float32], wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """AUC [targets] of ridge regression on blocks of time that it has not seen, each block's weighed by its pairs."""
    count = len(features)
    kernel = features @ features.T
    score, pairs = np.zeros(wanted.shape[1]), np.zeros(wanted.shape[1])
    edges = np.linspace(0, count, FOLDS + 1).astype(int)
    gap = max(1, count // 100)
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        learn = np.r_[0 : max(0, start - gap), min(count, stop + gap) : count]
        target = wanted[learn].astype(np.float32)
        mean = target.mean(0)
        weight = np.linalg.solve(
            kernel[np.ix_(learn, learn)] + np.eye(len(learn), dtype=np.float32) * _RIDGE * np.trace(kernel) / count, target - mean
        )
        read = kernel[start:stop][:, learn] @ weight
        for index in range(wanted.shape[1]):
            held = wanted[start:stop, index]
            ahead = np.searchsorted(np.sort(read[~held, index]), read[held, index])
            score[index] += ahead.sum()
            pairs[index] += held.sum() * (~held).sum()
    return np.where(pairs > 0, score / np.maximum(pairs, 1), 0.5)


def _heat(images: NDArray[np.uint8], mask: Box, ring_px: int, held: NDArray[np.bool_]) -> NDArray[np.float64]:
    """|difference of means| / spread of every pixel of the ring and its surroundings between the two states of the target."""
    near = _ring_mask(images.shape[1:3], mask, 2 * ring_px)
    rows, columns = np.nonzero(near)
    values = images[:, rows, columns].astype(np.float32).mean(2)
    heat = np.zeros(images.shape[1:3])
    heat[rows, columns] = np.abs(values[held].mean(0) - values[~held].mean(0)) / np.maximum(2.0, values.std(0))
    return heat / max(1.0, float(heat.max()))

"""The leak probe: can buttons and sticks be read from the pixels beside a mask, or from a corner without a mask?

A ridge regression per button and stick direction reads, in frames at the video's own size, the strip just outside each side of the
mask, 8 pixels wide at a picture 320 px wide. Its score is the AUC on stretches of time that it has not learned from. A strip also shows
the game, which goes with the pad too; so a leak is a strip that reads better than the rings further out, which show the same part of
the game, or than the same strips mirrored into other parts of the picture, and in both cases **better than rows moved in time**. Where
the box is too small to leave a mask, the box itself is read; in a video without a box the four corners are, each against the others.
Reads the video and its recorded rows, writes nothing. Cost: decoding at most `FRAMES_MAX` frames, and seconds of algebra.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import rankdata

from ghostpad.base.errors import MediaError
from ghostpad.base.pad import BUTTONS, SLOTS
from ghostpad.base.records import Video, pads_of
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.lag.align import on_pictures
from ghostpad.corpus.leaks.strips import Places, around, corners, whole_box
from ghostpad.corpus.masks import MARGIN_PX, video_mask
from ghostpad.video.decode import decode_frames
from ghostpad.video.paint import Box
from ghostpad.video.probe import video_size

LEAK_EXCESS = 1.0
"""The excess over the controls from which a strip is a leak, as a difference of log odds: 1 is e times the odds.

Chosen on 16 recordings: right masks had -0.7...0.4, masks 8 px too small 3.5...5.1 (16 others: docs/design.md).
"""

FRAMES_MAX, FRAMES_READ = 3000, 1000
"""Frames that are decoded, from the start of the video, and the most of them that are used, evenly chosen."""

FOLDS, SHIFTS = 5, 8
_RIDGE = 0.3  # of the mean variance times the number of frames
_LEAST = 25  # frames on either side that a target needs
_STICK = 0.3  # a stick pushed further than this counts as pushed
_PIXELS = 1500  # of a strip, evenly chosen
_SURE = 0.995  # an AUC above this is no surer


@dataclass(frozen=True)
class Probe:
    """The place and the target of a video that leak most.

    place    "top", "bottom", "left" or "right" of the mask; "box", where no mask is left; or a corner of a video without a box
    excess   log odds of its AUC less those of the best control; a leak if above `LEAK_EXCESS`
    """

    video: str
    place: str
    target: str
    auc: float
    beside_auc: float  # the best of the rings further out, for this target; 0.5 where there are none
    elsewhere_auc: float  # the best of the same strips elsewhere in the picture
    moved_auc: float  # the best of rows moved in time
    excess: float
    frames: int
    heat: NDArray[np.float64]  # [H, W] how much each pixel near the mask differs between the states of the target, 0...1
    image: NDArray[np.uint8]  # [H, W, 3] a frame, masked
    mask: Box | None

    @property
    def leaks(self) -> bool:
        """Whether the pad can be read beside the mask, or where one is missing."""
        return self.excess > LEAK_EXCESS


def probe_leaks(corpus: Corpus, video: Video, *, margin_px: int = MARGIN_PX) -> Probe | None:
    """Probe the mask of a video, or its corners if it has none; None where too little can be judged: no rows, or nothing ever
    pressed. Raises `FormatError`, `MediaError` or `MissingError` if its rows, the video or its box cannot be read.
    """
    with corpus.footage(video) as path:
        return _probe(video, path, corpus.actions(RECORDED, video.id), margin_px)


def _probe(video: Video, path: Path, table: pa.Table | None, margin_px: int) -> Probe | None:
    width_px, height_px = video_size(path)
    mask, box = _mask(video, path, margin_px)
    if table is None:
        return None
    if mask is not None:
        places = around(mask, width_px, height_px)
    else:
        places = whole_box(box, width_px, height_px) if box is not None else corners(width_px, height_px)
    pads, known = pads_of(table)
    pts_s = on_pictures(table, video.lag_ms).column("pts_s").to_numpy()
    pixels, rows = _Pixels(places, (height_px, width_px)), []
    for at, image in _matched(path, pts_s, mask):
        pixels.add(image)
        rows.append(at)
    if len(rows) < 10 * FOLDS:
        return None
    targets = _targets(pads[rows], known[rows])
    return _probed(video.id, pixels, mask, targets) if targets else None


def _mask(video: Video, path: Path, margin_px: int) -> tuple[Box | None, Box | None]:
    """The mask of a video and the box of its controller: no mask where the box is too small to leave one, neither for an undrawn one."""
    box = next(iter(video_mask(video, path, margin_px=0)), None)
    try:
        return next(iter(video_mask(video, path, margin_px=margin_px)), None), box
    except MediaError:
        if margin_px >= 0:
            raise
        return None, box


class _Pixels:
    """Pixels of the places in frames, uint8 by place: no whole frame is kept."""

    def __init__(self, places: Places, shape: tuple[int, int]):
        self.places, self.shape = places, shape
        self._at = {name: _evenly(_inside(shape, boxes)) for name, boxes in places.all().items()}
        self._pixels: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in self._at}
        self.near = _inside(shape, places.near)
        self._near: list[NDArray[np.uint8]] = []
        self.image: NDArray[np.uint8] = np.zeros((*shape, 3), np.uint8)

    def add(self, image: NDArray[np.uint8]) -> None:
        """Keep the pixels of the places of a frame."""
        for name, at in self._at.items():
            self._pixels[name].append(image[at].reshape(-1))
        self._near.append(image[self.near].mean(1).astype(np.uint8))
        self.image = image

    def features(self, name: str) -> NDArray[np.float32]:
        """The pixels of a place, float32 [n, numbers], standardised."""
        values = np.stack(self._pixels[name]).astype(np.float32)
        values -= values.mean(0)
        return values / np.maximum(2.0, values.std(0))

    def heat(self, held: NDArray[np.bool_]) -> NDArray[np.float64]:
        """[H, W] |difference of means| / spread of every pixel nearby between the two states of a target, at most 1."""
        values, heat = np.stack(self._near).astype(np.float32), np.zeros(self.shape)
        heat[self.near] = np.abs(values[held].mean(0) - values[~held].mean(0)) / np.maximum(2.0, values.std(0))
        return heat / max(1.0, float(heat.max()))


def _probed(video: str, pixels: _Pixels, mask: Box | None, targets: dict[str, NDArray[np.bool_]]) -> Probe:
    wanted, places = np.stack(list(targets.values()), 1), pixels.places
    frames, half = len(wanted), np.full(len(targets), 0.5)
    moved = [np.roll(wanted, round(share * frames), 0) for share in np.linspace(0.15, 0.85, SHIFTS)]
    scores = {  # [1 + shifts, targets] by place, the first as recorded
        name: _aucs(pixels.features(name), np.concatenate([wanted, *moved], 1)).reshape(1 + SHIFTS, -1) for name in places.read
    }
    chance = [score[1:].max(0) for score in scores.values()]
    beside, elsewhere = ([_aucs(pixels.features(name), wanted) for name in names] for names in (places.beside, places.elsewhere))
    probes = []
    for name, score in scores.items():
        others = [scores[other][0] for other in scores if other != name] if places.each_other else elsewhere
        controls = [np.max([*some, half], axis=0) for some in (beside, others, chance)]
        over = [_odds(score[0]) - _odds(control) for control in controls]
        nearby = over[1] if not beside else over[0] if not others else np.maximum(over[0], over[1])
        excess = np.minimum(nearby, over[2])
        at = int(np.argmax(excess))
        probes.append((float(excess[at]), name, at, [float(value[at]) for value in (score[0], *controls)]))
    worst, place, at, (auc, *control_aucs) = max(probes, key=lambda probe: probe[0])
    target, (beside_auc, elsewhere_auc, moved_auc), heat = list(targets)[at], control_aucs, pixels.heat(wanted[:, at])
    return Probe(video, place, target, auc, beside_auc, elsewhere_auc, moved_auc, worst, frames, heat, pixels.image, mask)


def _odds(auc: NDArray[np.float64]) -> NDArray[np.float64]:
    sure = np.clip(auc, 1 - _SURE, _SURE)
    return np.log(sure / (1 - sure))


def _matched(path: Path, pts_s: NDArray[np.float64], mask: Box | None) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Numbers of rows and the masked frames at their stamps (to half a step), at most `FRAMES_READ`."""
    step_s = float(np.median(np.diff(pts_s))) if len(pts_s) > 1 else 1.0
    stride = max(1, -(-min(len(pts_s), FRAMES_MAX) // FRAMES_READ))
    matched = 0
    for frame in decode_frames(path, mask=() if mask is None else (mask,), end_s=float(pts_s[-1]) + step_s if len(pts_s) else None):
        at = int(np.argmin(np.abs(pts_s - frame.pts_s))) if len(pts_s) else 0
        if len(pts_s) and abs(pts_s[at] - frame.pts_s) < step_s / 2:
            if matched % stride == 0:
                yield at, frame.image
            matched += 1
        if matched >= FRAMES_MAX:
            break
    if not matched:
        raise MediaError(f"{path} has no frame at the time of any of its rows: run 'ghostpad corpus align' or fetch it again")


def _targets(pads: NDArray[np.float32], known: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """What the probe tries to read, bool [n] by name: buttons, and each stick axis pushed either way."""
    targets: dict[str, NDArray[np.bool_]] = {}
    for index, name in enumerate(SLOTS):
        if known[:, index].all():
            values = pads[:, index]
            targets |= {name: values >= 0.5} if name in BUTTONS else {f"{name} +": values > _STICK, f"{name} -": values < -_STICK}
    return {name: held for name, held in targets.items() if min(held.sum(), (~held).sum()) >= _LEAST}


def _inside(shape: tuple[int, int], boxes: Sequence[Box]) -> NDArray[np.bool_]:
    inside = np.zeros(shape, np.bool_)
    for left, top, right, bottom in boxes:
        inside[top:bottom, left:right] = True
    return inside


def _evenly(inside: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, columns = np.nonzero(inside)
    stride = max(1, len(rows) // _PIXELS)
    return rows[::stride], columns[::stride]


def _aucs(features: NDArray[np.float32], wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """AUC [targets] of ridge regression on blocks of time that it has not learned from; a block weighs as much as it has pairs."""
    count = len(features)
    kernel = features @ features.T
    score, pairs = np.zeros(wanted.shape[1]), np.zeros(wanted.shape[1])
    edges = np.linspace(0, count, FOLDS + 1).astype(int)
    gap = max(1, count // 100)
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        learn = np.r_[0 : max(0, start - gap), min(count, stop + gap) : count]
        target = wanted[learn].astype(np.float32)
        mean = target.mean(0)
        ridge = np.eye(len(learn), dtype=np.float32) * max(1e-3, _RIDGE * np.trace(kernel) / count)
        read = kernel[start:stop][:, learn] @ np.linalg.solve(kernel[np.ix_(learn, learn)] + ridge, target - mean)
        held = wanted[start:stop]
        count_held = held.sum(0)
        score += (rankdata(read, axis=0) * held).sum(0) - count_held * (count_held + 1) / 2  # equal values count half
        pairs += count_held * (~held).sum(0)
    return np.where(pairs > 0, score / np.maximum(pairs, 1), 0.5)

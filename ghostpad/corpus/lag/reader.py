"""A game's reader: it reads the pad from the picture, and the lag is the shift at which the rows agree with that.

    footage whose lag is known ── learn ──► Reader ── read_shift ──► shift and confidence of any other video of that game

The reader is linear (ridge). Per slot of the pad it mixes readings of several views: the motion signals around a moment, and the pixels of
single tiles of the picture, for games that show the input itself, such as a car's front wheels. Only changes are read: a held stick does
not say when. The game's own response time is learned too, so the measured shift is the lag itself if the footage had none.

    evidence(s) = sum over slots of -n/2 log(1 - r(s)^2),   r(s): correlation of the reading with the rows s later, at least 0

The confidence compares its peak with the peaks of rows that the video cannot follow: those of other videos, and its own backwards, because
players differ in how they move the stick.

Pure. Learning takes about 5 s of CPU for ten minutes at 20 Hz, a video about 0.2 s (guesses). Windows, strengths and counts
were chosen on the games of `ghostpad record`, seeds 77 to 79.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ghostpad.base.records import pads_of
from ghostpad.corpus.lag.estimate import MAX_LAG_FRAMES, Series, on_grid, top
from ghostpad.corpus.lag.features import MotionFeatures
from ghostpad.corpus.lag.motion import HEIGHT_PX, WIDTH_PX

SURE = 0.5
"""The least confidence of a known lag. Of 60 pairs of a video and another's rows none was above 0.2, of 30 videos and their own rows none
below 0.65 (measured, seed 79, trained on 77 and 78)."""
LEARN_STEPS = 15_000
"""The most footage learned from, steps (ten minutes at 25 Hz)."""

_TAP_S = 0.05
"""Steps shorter than this are taken several at a time, so that the windows below last as long at 60 Hz."""
_MOTION_TAPS, _TILE_TAPS = range(-3, 7), range(5)
_KEPT = 0.9
"""Share of the last value that is subtracted from each; 0.8 and 0.95 did about as well (measured)."""
_MOTION_RIDGE, _TILE_RIDGE, _MIX_RIDGE = 0.01, 0.03, 0.01
_MOTION, _LOUDEST = -1, 6.0
_TILE_PX, _TILES = 8, 3
_TILES_ALL = (HEIGHT_PX // _TILE_PX) * (WIDTH_PX // _TILE_PX)
_TILE_LEAST = 0.2
"""The least correlation, on footage not learned from, of a tile that is used."""
_NULLS, _RIVAL = 24, 0.95
_MIN_SD, _MIN_STEPS, _LEAST_STEPS = 0.03, 30, 1000
_REACH = MAX_LAG_FRAMES + 6


@dataclass(frozen=True, eq=False)
class Clip:
    """A video and its rows on one grid of steps.

    signals    float64 [n, S]       motion in each step, as if every step were one picture
    pictures   uint8 [n, 48, 64]    the picture at the end of each step
    values     float64 [n+2R, 25]   the pads, from R steps before the first picture to R after the last
    valid      bool [n+2R, 25]      whether they are known
    """

    step_s: float
    reach: int
    signals: Series
    pictures: NDArray[np.uint8]
    values: Series
    valid: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Reader:
    """What `learn` learned for K `slots` of the pad.

    weights      by view (-1: motion, else the number of a tile): [features, K], the reading of every slot from that view alone
    views, mix   by slot: the views that are used, and the weights of their readings
    others       changes [n, K] of the rows that were learned from, which no other video can follow
    """

    step_s: float
    slots: tuple[int, ...]
    scale: Series
    weights: dict[int, Series]
    views: tuple[tuple[int, ...], ...]
    mix: tuple[Series, ...]
    others: Series


@dataclass(frozen=True)
class Shift:
    """How much later a video's picture is than its rows, seconds, and the confidence, 0 to 1."""

    shift_s: float
    confidence: float


def make_clip(features: MotionFeatures, rows: pa.Table, step_s: float, late_s: float = 0.0) -> Clip | None:
    """A video and its rows (schema `ACTIONS`), moved to `late_s` later, on a grid of `step_s`; None if too short."""
    pts_s, row_pts_s, (pads, known) = features.pts_s, rows.column("pts_s").to_numpy() + late_s, pads_of(rows)
    steps = int((pts_s[-1] - pts_s[0]) / step_s + 1e-6) if len(pts_s) > 1 else 0
    if steps < _MIN_STEPS or len(row_pts_s) < _MIN_STEPS:
        return None
    own_s = np.diff(pts_s)
    reach = int(np.ceil(_REACH * max(1.0, float(np.median(own_s)) / step_s)))
    grid_s = pts_s[0] + step_s * np.arange(-reach, steps + reach + 1)
    shown_s = grid_s[reach : reach + steps + 1]
    moved = on_grid(pts_s, features.signals * (step_s / own_s)[:, None], shown_s)
    at = np.searchsorted(pts_s, shown_s[1:] + step_s / 4, side="right") - 1
    row_s = float(np.median(np.diff(row_pts_s)))
    ends_s = np.append(row_pts_s, row_pts_s[-1] + row_s)
    values = on_grid(ends_s, np.where(known, pads, 0).astype(np.float64), grid_s)
    inside = _covered(row_pts_s, max(row_s, step_s), grid_s)
    valid = inside[:, None] & (on_grid(ends_s, known.astype(np.float64), grid_s) > 0.99)
    return Clip(step_s, reach, moved, features.pictures[at], values, valid)


def _covered(row_pts_s: Series, row_s: float, grid_s: Series) -> NDArray[np.bool_]:
    """Which grid steps have a row in force: one that began less than a row and a half ago, both at their start and at their end."""
    at = np.searchsorted(row_pts_s, grid_s + 1e-6, side="right") - 1
    fresh = (at >= 0) & (grid_s - row_pts_s[at.clip(0)] < 1.5 * row_s)
    both: NDArray[np.bool_] = fresh[:-1] & fresh[1:]
    return both


def learn(clips: Sequence[Clip]) -> Reader | None:
    """The reader of a game from clips of one step whose rows fit their pictures; None if rows or pictures do not change or are too few.

    Tiles are chosen by the half of the footage that was not learned from.
    """
    clips = [clip for at, clip in enumerate(clips) if sum(len(one.signals) for one in clips[:at]) < LEARN_STEPS]
    if not clips:
        return None
    inside = [slice(clip.reach, clip.reach + len(clip.signals)) for clip in clips]
    usable = np.concatenate([clip.valid[part] for clip, part in zip(clips, inside, strict=True)]).mean(0) > 0.5
    spread = np.concatenate([clip.values[part] for clip, part in zip(clips, inside, strict=True)]).std(0)
    slots = tuple(int(slot) for slot in np.flatnonzero(usable & (spread >= _MIN_SD)))
    stride = _stride(clips[0].step_s)
    if not slots:
        return None
    good = np.concatenate([_steady(clip.valid[:, slots], stride)[part].all(1) for clip, part in zip(clips, inside, strict=True)])
    wanted = np.concatenate([_changes(clip.values[:, slots], stride)[part] for clip, part in zip(clips, inside, strict=True)])
    scale = np.concatenate([clip.signals for clip in clips]).std(0) + 1e-3
    if good.sum() < _LEAST_STEPS:
        return None
    weights, skills, read = {}, {}, {}
    for view in (_MOTION, *range(_TILES_ALL)):
        features = np.concatenate([_view_of(clip, view, scale) for clip in clips])
        weights[view], skills[view] = _learn_view(features[good], wanted[good], _MOTION_RIDGE if view == _MOTION else _TILE_RIDGE)
        read[view] = features @ weights[view]
    views, mix = [], []
    for at in range(len(slots)):
        tiles = sorted((tile for tile in range(_TILES_ALL) if skills[tile][at] >= _TILE_LEAST), key=lambda tile: -skills[tile][at])
        views.append((_MOTION, *tiles[:_TILES]))
        features = np.stack([read[view][good, at] for view in views[-1]], 1)
        mix.append(_ridge(features.T @ features, features.T @ wanted[good, at], _MIX_RIDGE))
    used = {view: weights[view] for view in sorted(set().union(*views))}
    return Reader(clips[0].step_s, slots, scale, used, tuple(views), tuple(mix), wanted)


def read_shift(reader: Reader, clip: Clip) -> Shift:
    """The shift at which the rows of `clip`, on the reader's step, agree best with what the reader reads in its pictures."""
    stride, slots = _stride(reader.step_s), list(reader.slots)
    read = _read(reader, clip)
    rows, valid = _changes(clip.values[:, slots], stride), _steady(clip.valid[:, slots], stride)
    curve = _evidence(read, rows, valid, clip.reach, stride)
    peak = int(curve.argmax())
    wrong = [reader.others]
    if len(own := rows[valid.all(1)][::-1]) >= _MIN_STEPS:
        wrong.append(own)
    peaks = [[_evidence(read, each, valid, clip.reach, stride).max() for each in _stretches(other, rows.shape)] for other in wrong]
    rival = max(float(np.quantile(each, _RIVAL)) for each in peaks)
    confidence = float(np.clip(1 - rival / max(1e-9, float(curve[peak])), 0, 1)) if 0 < peak < len(curve) - 1 else 0.0
    return Shift((top(curve) - clip.reach) * reader.step_s, confidence)


def _stretches(rows: Series, shape: tuple[int, ...]) -> Iterator[Series]:
    """`rows` from several offsets on, repeated to the shape [n, K]."""
    for offset in np.linspace(0, len(rows), _NULLS, endpoint=False).astype(int):
        yield np.resize(np.roll(rows, -offset, 0), shape)


def _stride(step_s: float) -> int:
    return max(1, round(_TAP_S / step_s))


def _changes(values: Series, stride: int) -> Series:
    """Values [n, K] less `_KEPT` of those a stride before."""
    before = np.concatenate([values[:1]] * stride + [values[:-stride]])
    changes: Series = values - _KEPT * before
    changes[:stride] = (1 - _KEPT) * values[:stride]
    return changes


def _steady(valid: NDArray[np.bool_], stride: int) -> NDArray[np.bool_]:
    """Where a change [n, K] is known: the values now and a stride before are valid."""
    return valid & np.concatenate([valid[:1] & False] * stride + [valid[:-stride]])


def _view_of(clip: Clip, view: int, scale: Series) -> Series:
    """The features of a view around every step of a clip, [n, features]."""
    if view == _MOTION:
        values, taps = (clip.signals / scale).clip(-_LOUDEST, _LOUDEST), _MOTION_TAPS
    else:
        down, across = divmod(view, WIDTH_PX // _TILE_PX)
        tile = clip.pictures[:, down * _TILE_PX : (down + 1) * _TILE_PX, across * _TILE_PX : (across + 1) * _TILE_PX]
        values, taps = tile.reshape(len(tile), -1) / 64.0, _TILE_TAPS
    stride = _stride(clip.step_s)
    changes = _changes(values, stride)
    at = np.arange(len(changes))[:, None] + stride * np.array(taps)
    features: Series = changes[at.clip(0, len(changes) - 1)].reshape(len(changes), -1)
    return features


def _learn_view(features: Series, wanted: Series, strength: float) -> tuple[Series, Series]:
    """Weights [features, K] from all steps, and the mean correlations [K] of either half with the weights of the other."""
    middle = len(features) // 2
    parts = ((features[:middle], wanted[:middle]), (features[middle:], wanted[middle:]))
    halves = [(part.T @ part, part.T @ want, (want**2).sum(0)) for part, want in parts]
    skills = []
    for (both, cross, _), (other_both, other_cross, power) in (halves, halves[::-1]):
        weights = _ridge(both, cross, strength)
        read_power = (weights * (other_both @ weights)).sum(0)
        skills.append((weights * other_cross).sum(0) / np.sqrt(read_power * power + 1e-9))
    weights = _ridge(halves[0][0] + halves[1][0], halves[0][1] + halves[1][1], strength)
    return weights, np.mean(skills, 0)


def _ridge(both: Series, cross: Series, strength: float) -> Series:
    """Ridge regression from X'X and X'Y, with a penalty of `strength` times the mean power of X."""
    penalty = strength * np.trace(both) / len(both) + 1e-9
    weights: Series = np.linalg.solve(both + penalty * np.eye(len(both)), cross)
    return weights


def _read(reader: Reader, clip: Clip) -> Series:
    """The changes of the reader's slots, [n, K]."""
    by_view = {view: _view_of(clip, view, reader.scale) @ weights for view, weights in reader.weights.items()}
    each = enumerate(zip(reader.views, reader.mix, strict=True))
    return np.stack([np.stack([by_view[view][:, at] for view in views], 1) @ mix for at, (views, mix) in each], 1)


def _evidence(read: Series, rows: Series, valid: NDArray[np.bool_], reach: int, stride: int) -> Series:
    """The evidence, see above, of the rows [n + 2 reach, K] for the reading [n, K] at shifts -reach..reach."""
    evidence = np.zeros(2 * reach + 1)
    for shift in range(-reach, reach + 1):
        part = slice(reach - shift, reach - shift + len(read))
        weight = valid[part].astype(np.float64)
        count = weight.sum(0)
        x, y = read * weight, rows[part] * weight
        x, y = (each - weight * each.sum(0) / np.maximum(count, 1) for each in (x, y))
        correlation = (x * y).sum(0) / np.sqrt((x**2).sum(0) * (y**2).sum(0) + 1e-12)
        correlation = np.where(count >= _MIN_STEPS, correlation, 0).clip(0, 0.999)
        evidence[shift + reach] = float((-0.5 * count / stride * np.log(1 - correlation**2)).sum())
    return evidence

"""How much later a video's picture is than the rows recorded for it: the shift at which motion follows the pad best.

Two numbers are measured in a video, both in seconds and positive where the picture is late:

    follow_s   the shift at which the motion of the picture is most like the rows
    onset_s    the shift at which the rows explain most of the motion that the motion just before does not explain

A game has inertia: a car's picture turns most some frames after its wheel. So `follow_s` is lag and inertia together, while `onset_s`,
less sharply measured, is where the picture begins to respond. `ghostpad.corpus.lag.align` takes the inertia of a game and a player as the
median difference of the two over their videos. Lag is therefore counted from the first visible response: footage without lag measures
within 0.3 frames of 0 in Doom, but 0.5 to 1.6 frames late in racing, whose car responds slowly (measured; docs/design.md).

The confidence compares the peak with the peaks of the same rows shifted by seconds, where nothing can follow them.

Pure. About 0.2 s of CPU for five minutes at 30 Hz (a guess). Limits not otherwise explained are guesses.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ghostpad.base.pad import BUTTONS
from ghostpad.base.records import pads_of
from ghostpad.corpus.lag.features import MotionFeatures

MAX_LAG_FRAMES = 15
"""The largest lag that is searched, either way."""
SURE = 0.65
"""The least confidence of a known lag. Of 246 pairs of a video and another's rows one reached it, of 85 videos and their own rows 63
(measured, seeds 77 to 79)."""

SHORT = "rows and pictures share too little time"
"""Why a lag is unknown with less than 300 pictures."""

_REACH = MAX_LAG_FRAMES + 6
"""Shifts tried, either way: the picture may follow late by the lag and by the game's inertia."""
_FAR = 3 * _REACH
"""From this shift on nothing can follow the rows."""
_MIN_STEPS, _NEAR = 300, 4
_MIN_SD, _MIN_PRESSES, _MIN_MOTION = 0.03, 4, 0.02

Series = NDArray[np.float64]
"""Numbers in order of time, one or several to a step."""


@dataclass(frozen=True)
class LagEstimate:
    """The lag of one video behind its rows, game inertia included.

    step_s   time between pictures that differ, seconds: twice that of the file where every picture comes twice
    copies   share of pictures that repeat the one before amid motion
    reason   why the lag is unknown, "" where it is known
    by       how it was measured, see `ghostpad.corpus.lag.align`
    """

    step_s: float
    copies: float
    follow_s: float = 0.0
    onset_s: float = 0.0
    confidence: float = 0.0
    reason: str = ""
    by: str = "alone"

    def moved(self, more_s: float) -> "LagEstimate":
        """The same, later by `more_s`; it is the lag itself, without inertia."""
        return replace(self, follow_s=self.follow_s + more_s, onset_s=self.follow_s + more_s)


def estimate_alone(features: MotionFeatures, rows: pa.Table) -> LagEstimate:
    """The lag of recorded rows (schema `ACTIONS`), from their video alone."""
    pts_s, row_pts_s, copies = features.pts_s, rows.column("pts_s").to_numpy(), features.copies
    if len(pts_s) < _MIN_STEPS or len(row_pts_s) < 2:
        return LagEstimate(1.0, copies, reason=SHORT)
    step_s = float(np.median(np.diff(pts_s)))
    start_s, end_s = max(pts_s[0], row_pts_s[0]), min(pts_s[-1], row_pts_s[-1])
    steps = int((end_s - start_s) / step_s + 1e-6)
    if steps < _MIN_STEPS:
        return LagEstimate(step_s, copies, reason=SHORT)
    grid_s = start_s + step_s * np.arange(steps + 1)
    pads = _row_signals(grid_s, row_pts_s, *pads_of(rows))
    if pads is None:
        return LagEstimate(step_s, copies, reason="the rows do not change")
    moved = on_grid(pts_s, features.signals.astype(np.float64), grid_s)
    moved = moved[:, moved.std(0) > _MIN_MOTION]
    if not moved.shape[1]:
        return LagEstimate(step_s, copies, reason="the picture does not move")
    moved = _standard(moved)
    fit = _fit(moved, pads, 2.0)
    near = np.concatenate([fit[-_REACH:], fit[: _REACH + 1]])
    far = fit[_FAR:-_FAR]
    peaks = [far[at : at + len(near)].max() for at in range(0, len(far) - len(near) + 1, len(near) // 2)]
    floor = float(np.median(far))
    rival = float(np.quantile(peaks, 0.95)) - floor
    confidence = float(np.clip(1 - rival / max(1e-12, float(near.max()) - floor), 0, 1))
    peak = int(near.argmax())
    if confidence < SURE:
        return LagEstimate(step_s, copies, confidence=confidence, reason="the picture does not clearly follow the rows")
    if peak in (0, len(near) - 1):
        return LagEstimate(step_s, copies, confidence=confidence, reason=f"the picture follows best beyond {MAX_LAG_FRAMES} frames")
    sharp = _fit(_uncorrelated(moved, 0.3), pads, 1.0)[np.arange(-_NEAR, _NEAR + 1) + peak - _REACH]
    response = _response(moved, pads, peak - _REACH)
    follow_s = (top(sharp) - _NEAR + peak - _REACH) * step_s
    return LagEstimate(step_s, copies, follow_s, (top(response) - _REACH) * step_s, confidence)


def _row_signals(grid_s: Series, row_pts_s: Series, pads: NDArray[np.float32], known: NDArray[np.bool_]) -> Series | None:
    """Rows on the grid as uncorrelated columns of variance 1 [steps, K]: sticks, how far they are pushed, buttons and presses."""
    columns = []
    values = np.where(known, pads, 0).astype(np.float64)
    for held in (values.T[: len(BUTTONS)] >= 0.5).astype(np.float64):
        presses = np.diff(held, prepend=held[0]).clip(min=0)
        if presses.sum() >= _MIN_PRESSES:
            columns += [held, presses]
    for stick in values.T[len(BUTTONS) :]:
        columns += [each for each in (stick, np.abs(stick)) if each.std() >= _MIN_SD]
    if not columns:
        return None
    ends_s = np.append(row_pts_s, 2 * row_pts_s[-1] - row_pts_s[-2])
    return _uncorrelated(_standard(on_grid(ends_s, np.stack(columns, 1), grid_s)), 0.01)


def on_grid(ends_s: Series, values: Series, grid_s: Series) -> Series:
    """Means over each grid step of values [N, K] in force from ends_s[i] to ends_s[i+1]."""
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values * np.diff(ends_s)[:, None], 0)])
    at = np.stack([np.interp(grid_s, ends_s, column) for column in total.T], 1)
    means: Series = np.diff(at, axis=0) / (grid_s[1] - grid_s[0])
    return means


def _standard(values: Series) -> Series:
    scaled: Series = (values - values.mean(0)) / np.maximum(values.std(0), 1e-9)
    return scaled.clip(-4, 4)  # a cut between scenes counts no more than a quick turn


def _uncorrelated(values: Series, floor: float) -> Series:
    """The principal components of `values` that have at least the variance `floor`, each with variance 1."""
    variances, axes = np.linalg.eigh(values.T @ values / len(values))
    kept = variances > floor
    kept[-1] = True
    scaled: Series = values @ (axes[:, kept] / np.sqrt(variances[kept]))
    return scaled


def _fit(moved: Series, rows: Series, power: float) -> Series:
    """Share of the motion's variance that the rows explain when they come s steps later, for every cyclic shift s [steps].

    A power mean over the motion signals: with 2, what follows well counts more than what follows a little.
    """
    row_spectra = np.conj(np.fft.rfft(rows, axis=0))
    shares = []
    for signal in moved.T:  # one at a time: together they take hundreds of megabytes
        together = np.fft.irfft(np.fft.rfft(signal)[:, None] * row_spectra, len(rows), axis=0) / len(rows)
        shares.append((together**2).sum(1) ** power)
    share: Series = np.mean(shares, axis=0) ** (1 / power)
    return share


def _response(moved: Series, rows: Series, peak: int) -> Series:
    """Share of the motion not explained by its own last two steps that the rows explain, at shifts -_REACH.._REACH.

    Motion is read in the directions that follow the rows around `peak`, so that a moving background does not hide the response.
    """
    near = sum(np.roll(rows, peak + more, 0) for more in (-2, -1, 0, 1, 2))
    both = moved.T @ moved + 50 * np.eye(moved.shape[1])
    read = _standard(moved @ np.linalg.solve(both, moved.T @ near))
    before = np.concatenate([np.roll(read, 1, 0), np.roll(read, 2, 0)], 1)
    inside = slice(_REACH + 2, -_REACH - 2)
    base = np.linalg.qr(before[inside])[0]
    fresh = read[inside] - base @ (base.T @ read[inside])
    shares = []
    for shift in range(-_REACH, _REACH + 1):
        late = np.roll(rows, shift, 0)[inside]
        late = np.linalg.qr(late - base @ (base.T @ late))[0]
        shares.append(float((((late.T @ fresh) ** 2).sum(0) / (fresh**2).sum(0)).mean()))
    return np.array(shares)


def top(curve: Series) -> float:
    """Where a curve is highest, between its points by a parabola."""
    peak = int(curve.argmax())
    if peak in (0, len(curve) - 1):
        return float(peak)
    left, top, right = curve[peak - 1 : peak + 2]
    bend = left - 2 * top + right
    return peak + (0.5 * float((left - right) / bend) if bend < 0 else 0.0)

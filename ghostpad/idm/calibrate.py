"""Calibrate an IDM on videos it has not learned from: one temperature a button, one scale a stick's spread.

A button's logit is divided by the temperature that makes the held-out truth likeliest (Guo et al., arXiv:1706.04599). A stick's
spread is scaled so that squared spread equals squared error on average. Neither changes a ranking or a mean. Writes and reads
`RUN/calibration.json`. With fewer than `MIN_ROWS` held-out rows nothing is changed, and the file has their number.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import MissingError
from ghostpad.base.files import read_json, write_json
from ghostpad.base.pad import BUTTONS, STICKS, slot

MIN_ROWS = 200
"""The fewest held-out rows to calibrate on (a guess: about ten seconds)."""

TEMPERATURES = np.geomspace(0.25, 8, 61)
"""Temperatures tried for a button."""


@dataclass(frozen=True)
class Calibration:
    """Temperatures of buttons and scales of stick spreads, by slot name, fitted on `rows` rows; a slot that is absent does not change."""

    temperatures: dict[str, float]
    spread_scales: dict[str, float]
    rows: int

    def apply(self, pads: NDArray[np.float32], spreads: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Calibrated copies of predicted pads [n, 25] and stick spreads [n, 4]."""
        pads, spreads = pads.copy(), spreads.copy()
        for name, temperature in self.temperatures.items():
            pads[:, slot(name)] = _apply_temperature(pads[:, slot(name)], temperature)
        for name, scale in self.spread_scales.items():
            spreads[:, STICKS.index(name)] *= scale
        return pads, spreads

    def updated(self, newer: "Calibration") -> "Calibration":
        """This calibration, with the values of a newer one where that has any."""
        return Calibration(self.temperatures | newer.temperatures, self.spread_scales | newer.spread_scales, newer.rows)

    def save(self, run: Path) -> None:
        """Write `run/calibration.json`."""
        write_json(run / "calibration.json", asdict(self))

    @classmethod
    def load(cls, run: Path) -> "Calibration":
        """Read `run/calibration.json`. Raises `MissingError` if it is not there."""
        if not (run / "calibration.json").exists():
            raise MissingError(f"{run} is not calibrated yet: re-run the command that trained it to resume")
        return cls(**read_json(run / "calibration.json"))


def fit_calibration(
    pads: NDArray[np.float32], spreads: NDArray[np.float32], truth: NDArray[np.float32], known: NDArray[np.bool_], slots: list[str]
) -> Calibration:
    """The calibration of pads [n, 25] and spreads [n, 4] against the truth [n, 25], where `known` bool [n, 25], for `slots`."""
    if len(pads) < MIN_ROWS:
        return Calibration({}, {}, len(pads))
    temperatures, scales = {}, {}
    for name in slots:
        index = slot(name)
        rows = known[:, index]
        if name in BUTTONS and truth[rows, index].any():
            losses = [_nll(_apply_temperature(pads[rows, index], value), truth[rows, index]) for value in TEMPERATURES]
            temperatures[name] = float(TEMPERATURES[int(np.argmin(losses))])
        elif name in STICKS and rows.any():
            error = np.mean((pads[rows, index] - truth[rows, index]) ** 2)
            scales[name] = float(np.sqrt(error / max(1e-8, np.mean(spreads[rows, STICKS.index(name)] ** 2))))
    return Calibration(temperatures, scales, len(pads))


def _apply_temperature(p: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    safe = np.clip(p.astype(np.float64), 1e-6, 1 - 1e-6)
    return (1 / (1 + np.exp(-np.log(safe / (1 - safe)) / temperature))).astype(np.float32)


def _nll(p: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    safe = np.clip(p, 1e-6, 1 - 1e-6)
    return float(-np.mean(truth * np.log(safe) + (1 - truth) * np.log(1 - safe)))

"""The distribution of lags over videos as a picture."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ghostpad.base.files import atomic_path
from ghostpad.base.places import AnyPlace

BIN_MS = 20.0
"""Width of a bar, about a frame at 50 Hz."""


def write_lag_plot(path: AnyPlace, lags_ms: Sequence[float | None]) -> None:
    """Write a histogram of the known lags as PNG, with the number of unknown ones (None) in its title."""
    known = np.array([lag for lag in lags_ms if lag is not None])
    figure = Figure((6.4, 3.0), layout="constrained", dpi=120)
    axes = figure.subplots()
    if len(known):
        low, high = np.floor(known.min() / BIN_MS - 0.5), np.ceil(known.max() / BIN_MS + 0.5)
        axes.hist(known, ((np.arange(low, high + 1) + 0.5) * BIN_MS).tolist(), color="#4c8dff")
    axes.axvline(0, color="#8792a6", lw=1)
    axes.set_title(f"{len(known)} videos with a known lag, {len(lags_ms) - len(known)} unknown", fontsize=10)
    axes.set_xlabel("the picture shows the rows this much later, ms")
    axes.set_ylabel("videos")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})

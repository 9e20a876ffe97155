"""How good predicted rows are: all measures against the truth, and those of trivial baselines.

Works on anybody's tables, needs no model and writes nothing. Every result is JSON-able; what is undefined (no variance, no
presses) is None, never NaN. A number counts only where both tables know it, and baselines are measured on the same rows and
slots as the prediction. `always_released` is right most of the time and `copy_previous` nearly always, so accuracy means
little; copying predicts no press in its own row, but does within a collar.

Sources: R² and average precision are scikit-learn's; onset matching follows the onset measures of MIREX (collar of 50 ms); calibration
error over 15 bins of equal mass is common in the literature. Cost: about 2 s for an hour at 20 Hz with all 25 slots, and a second for
the first table (measured, one core).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ghostpad.base.pad import BUTTONS, SLOTS, STICKS, slot
from ghostpad.measure.coverage import row_curve
from ghostpad.measure.events import idle_presses
from ghostpad.measure.match import Matched, Table, match, pool, slots_of
from ghostpad.measure.slots import angle_measures, button_measures, stick_measures
from ghostpad.measure.timing import lags

Score = dict[str, Any]
"""The result of `score_rows`."""

_MACRO_BUTTONS = (
    "ap", "prevalence", "f1", "accuracy", "onset_f1", "onset_f1_50ms", "onset_f1_100ms",
    "release_f1", "release_f1_50ms", "release_f1_100ms", "press_rate_ratio", "ece", "ece_floor",
)  # fmt: skip


def score(predicted: Table, truth: Table, fps: float) -> Score:
    """Measure the predicted gamepad rows of one video against the true ones.

    A table is a pyarrow table, a data frame that speaks Arrow (pandas, polars) or a dict of columns. Both need `pts_s` in seconds and any
    columns named like the pad's slots (`ghostpad.base.pad.SLOTS`): a probability or bool for a button, -1...1 for a stick, positive right
    and down. The prediction may also have `left_x_spread` and so on (standard deviations) and `confidence` (0...1). Rows in any order, null
    is unknown. `fps` is the rows a second of the denser table; rows match within half a frame.

    Returns the measures that `score_rows` lists. Raises `FormatError` for a table that cannot be read or holds values out of range,
    and `SettingsError` for an `fps` that is not above 0.
    """
    return score_rows(match(predicted, truth, fps))


def score_rows(rows: Matched) -> Score:
    """All measures of matched rows.

    rows, unmatched   rows that both tables have, and that only one has
    videos, minutes   number and length of the videos
    macro             means over buttons that have the measure; `ap_prevalence` is the prevalence over the buttons of `ap`;
                      r2 and rmse over axes
    sticks            axis: r2, rmse, mae, moving_mae and n_moving (rows whose truth moves), dead_zone_f1 (moving or at rest)
    angles            left, right: angular_error_deg of the direction, over the n_moving rows whose true stick moves
    buttons           name: ap, prevalence, f1, accuracy, onset_f1 and release_f1 (same row; _50ms, _100ms within), onsets (true ones),
                      press_rate_ratio (rows predicted / truly pressed), ece, ece_floor (that of a perfect forecaster)
    idle              false_presses_a_minute, presses, minutes: false presses per idle minute (`ghostpad.measure.events.idle_presses`)
    lag               sticks, presses: how late the prediction is (`ghostpad.measure.timing.lags`), None without enough movement
    risk_coverage     the mean error of the most confident share of rows, [] unless every row has a confidence
    """
    names = [name for index, name in enumerate(SLOTS) if rows.known[:, index].any()]
    sticks = {name: stick_measures(rows, slot(name)) for name in names if name in STICKS}
    buttons = {name: button_measures(rows, slot(name)) for name in names if name in BUTTONS}
    return {
        "rows": len(rows),
        "unmatched": rows.unmatched,
        "videos": len(np.unique(rows.video)),
        "minutes": float(rows.row_s.sum() / 60),
        "macro": _macro(sticks, buttons),
        "sticks": sticks,
        "angles": {side: angle_measures(rows, side) for side in ("left", "right") if {f"{side}_x", f"{side}_y"} <= set(names)},
        "buttons": buttons,
        "idle": idle_presses(rows),
        "lag": lags(rows),
        "risk_coverage": row_curve(rows),
    }


def baseline_scores(videos: Sequence[Matched], priors: Sequence[NDArray[np.float32]] | None) -> dict[str, Score]:
    """The measures of trivial predictions, on the rows and slots that the prediction and the truth both have.

    always_released   nothing pressed, sticks centred
    copy_previous     the true row before, which no labeller has
    prior             each video's constant of `priors`, [25] each; left out if that is None
    """
    rows = pool(videos)
    scores = {
        "always_released": score_rows(rows.predicting(np.zeros_like(rows.truth))),
        "copy_previous": score_rows(rows.predicting(rows.previous)),
    }
    if priors is not None:
        scores["prior"] = score_rows(pool([video.predicting(prior) for video, prior in zip(videos, priors, strict=True)]))
    return scores


def prior_of(truths: Sequence[pa.Table]) -> NDArray[np.float32]:
    """[25] each slot's mean over the rows that know it, 0 where none does."""
    total, count = np.zeros(len(SLOTS)), np.zeros(len(SLOTS))
    for table in truths:
        pads, known = slots_of(table, "training truth")
        total, count = total + pads.sum(axis=0, dtype=np.float64), count + known.sum(axis=0)
    return (total / np.maximum(count, 1)).astype(np.float32)


def _macro(sticks: dict[str, Any], buttons: dict[str, Any]) -> dict[str, float | int | None]:
    macro: dict[str, float | int | None] = {"buttons": len(buttons)}
    macro |= {measure: _mean([one[measure] for one in sticks.values()]) for measure in ("r2", "rmse")}
    macro |= {measure: _mean([one[measure] for one in buttons.values()]) for measure in _MACRO_BUTTONS}
    return macro | {"ap_prevalence": _mean([one["prevalence"] for one in buttons.values() if one["ap"] is not None])}


def _mean(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present else None

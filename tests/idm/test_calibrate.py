"""Calibration: spreads that mean what they say, temperatures that are found again, and nothing else that changes."""

from pathlib import Path

import numpy as np
import pytest

from ghostpad.base.errors import MissingError
from ghostpad.base.pad import PAD_DIM, slot
from ghostpad.idm.calibrate import MIN_ROWS, TEMPERATURES, Calibration, fit_calibration
from ghostpad.idm.confidence import row_confidence

ROWS = 20_000
SLOTS = ["south", "right_x"]


def made_up(temperature: float, spread_factor: float, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Beliefs, spreads, truth and known, where the logits are `temperature` times too sharp and spreads `spread_factor` times off."""
    rng = np.random.default_rng(0)
    pads, truth = np.zeros((rows, PAD_DIM), np.float32), np.zeros((rows, PAD_DIM), np.float32)
    logits = rng.normal(-1, 1.5, rows)
    truth[:, slot("south")] = rng.random(rows) < 1 / (1 + np.exp(-logits))
    pads[:, slot("south")] = 1 / (1 + np.exp(-temperature * logits))
    sigma = rng.uniform(0.05, 0.3, rows)
    pads[:, slot("right_x")] = rng.uniform(-0.5, 0.5, rows)
    truth[:, slot("right_x")] = pads[:, slot("right_x")] + sigma * rng.normal(size=rows)
    spreads = np.zeros((rows, 4), np.float32)
    spreads[:, 2] = spread_factor * sigma
    return pads, spreads, truth, np.ones((rows, PAD_DIM), np.bool_)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_found_again(temperature: float) -> None:
    found = fit_calibration(*made_up(temperature, 1.0), slots=SLOTS).temperatures["south"]
    step = TEMPERATURES[1] / TEMPERATURES[0]
    assert temperature / step**1.5 < found < temperature * step**1.5


@pytest.mark.parametrize("factor", [0.2, 1.0, 4.0])
def test_squared_errors_equal_squared_spreads_after_calibration(factor: float) -> None:
    pads, spreads, truth, known = made_up(1.0, factor)
    calibrated, wide = fit_calibration(pads, spreads, truth, known, SLOTS).apply(pads, spreads)
    z = (truth[:, slot("right_x")] - calibrated[:, slot("right_x")]) / wide[:, 2]
    assert z.std() == pytest.approx(1, abs=0.05)


def test_means_rankings_and_inputs_stay() -> None:
    pads, spreads, truth, known = made_up(3.0, 4.0)
    before = pads.copy(), spreads.copy()
    calibrated, _ = fit_calibration(pads, spreads, truth, known, SLOTS).apply(pads, spreads)
    assert np.array_equal(pads, before[0]) and np.array_equal(spreads, before[1])
    assert np.array_equal(calibrated[:, slot("right_x")], pads[:, slot("right_x")])
    south = slot("south")
    assert (np.diff(calibrated[np.argsort(pads[:, south]), south]) >= 0).all() and not np.allclose(calibrated[:, south], pads[:, south])


def test_only_known_rows_count() -> None:
    pads, spreads, truth, known = made_up(2.0, 2.0)
    wanted = fit_calibration(pads, spreads, truth, known, SLOTS)
    known[ROWS // 2 :] = False
    truth[ROWS // 2 :] = 1 - truth[ROWS // 2 :]
    found = fit_calibration(pads, spreads, truth, known, SLOTS)
    assert found.temperatures["south"] == pytest.approx(wanted.temperatures["south"], rel=0.15)
    assert found.spread_scales["right_x"] == pytest.approx(wanted.spread_scales["right_x"], rel=0.05)


def test_too_little_footage_and_buttons_never_pressed_change_nothing() -> None:
    few = fit_calibration(*made_up(3.0, 4.0, MIN_ROWS - 1), slots=SLOTS)
    assert not few.temperatures and not few.spread_scales and few.rows == MIN_ROWS - 1
    pads, spreads, truth, known = made_up(3.0, 4.0)
    truth[:, slot("south")] = 0
    assert not fit_calibration(pads, spreads, truth, known, SLOTS).temperatures
    same = few.apply(pads, spreads)
    assert np.array_equal(same[0], pads) and np.array_equal(same[1], spreads)


def test_a_calibration_comes_back_from_its_file(tmp_path: Path) -> None:
    Calibration({"south": 1.5}, {"right_x": 0.7}, 300).save(tmp_path)
    back = Calibration.load(tmp_path)
    assert (back.temperatures, back.spread_scales, back.rows) == ({"south": 1.5}, {"right_x": 0.7}, 300)
    with pytest.raises(MissingError, match="not calibrated yet"):
        Calibration.load(tmp_path / "no")


def test_confidence_is_the_mean_over_the_slots_that_are_known() -> None:
    known = np.zeros(PAD_DIM, np.bool_)
    known[[slot("south"), slot("right_x")]] = True
    pads, spreads = np.full((4, PAD_DIM), 0.9, np.float32), np.zeros((4, 4), np.float32)
    pads[:, slot("south")] = [0.5, 1, 0, 0.75]
    spreads[:, 2] = [1 / np.sqrt(3), 0, 2, 0.5 / np.sqrt(3)]
    np.testing.assert_allclose(row_confidence(pads, spreads, known), [0, 1, 0.5, 0.5], atol=1e-6)

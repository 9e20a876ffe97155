"""The learned rules find what is there to be found."""

import numpy as np
import pytest

from ghostpad.lab.study.visible.oracle import fit_linear, fit_net
from ghostpad.measure.slots import r2


def played(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A stick that pushes a damped mass: the speeds around each row, and the stick."""
    rng = np.random.default_rng(seed)
    stick, speed = np.repeat(rng.uniform(-1, 1, rows // 5), 5), np.zeros(rows + 1)
    for row in range(rows):
        speed[row + 1] = 0.8 * speed[row] + stick[row]
    return np.stack([speed[:-1], speed[1:], rng.normal(size=rows)], 1), stick[:, None]


def test_the_linear_rule_recovers_the_stick_of_a_linear_system() -> None:
    (x, y), (others, truth) = played(300, 0), played(200, 1)
    (told,) = fit_linear(x, y, others)
    assert told == pytest.approx(truth, abs=1e-9)


def test_the_net_recovers_it_too_and_a_stick_that_is_no_linear_rule() -> None:
    (x, y), (others, truth) = played(2000, 0), played(500, 1)
    both, both_true = (np.concatenate([stick, np.abs(stick)], 1) for stick in (y, truth))
    (told,) = fit_net(x, both, others, seed=0, steps=1000)
    assert all((share := r2(told[:, at], both_true[:, at])) is not None and share > 0.98 for at in (0, 1))
    (linear,) = fit_linear(x, both, others)
    assert (share := r2(linear[:, 1], both_true[:, 1])) is not None and share < 0.2


def test_a_seed_decides_the_net() -> None:
    x, y = played(100, 0)
    nets = [fit_net(x, y, x, seed=seed, steps=20)[0] for seed in (0, 0, 1)]
    assert np.array_equal(nets[0], nets[1]) and not np.array_equal(nets[0], nets[2])


def test_answers_are_sticks() -> None:
    x, y = played(100, 0)
    (told,) = fit_linear(x, y, 100 * x)
    assert np.abs(told).max() == 1

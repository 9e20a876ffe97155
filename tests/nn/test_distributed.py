"""Chance and means of a batch that processes share: what each of them draws, and the mean. tests/train/test_parallel.py has real ones."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ghostpad.nn import distributed
from ghostpad.nn.distributed import PartGenerator, rand, randn, weighted_mean


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_one_process_draws_what_torch_draws() -> None:
    assert torch.equal(rand((4, 3), seeded()), torch.rand((4, 3), generator=seeded()))
    assert torch.equal(randn((4, 3), seeded()), torch.randn((4, 3), generator=seeded()))


@pytest.mark.parametrize("ranks", [2, 3])
def test_processes_draw_the_rows_of_the_samples_they_hold(ranks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, normal = rand((6, 2), seeded()), randn((6, 2), seeded())
    for rank in range(ranks):
        monkeypatch.setattr(distributed, "rank_and_world", lambda rank=rank: (rank, ranks))
        assert torch.equal(rand((6 // ranks, 2), seeded()), whole[rank::ranks])
        assert torch.equal(randn((6 // ranks, 2), seeded()), normal[rank::ranks])


def test_the_parts_of_each_process_draw_the_rows_of_their_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = randn((12, 2), seeded())
    for rank, part in product(range(2), range(3)):
        monkeypatch.setattr(distributed, "rank_and_world", lambda rank=rank: (rank, 2))
        generator = PartGenerator().manual_seed(3)
        generator.part, generator.parts = part, 3
        assert torch.equal(randn((2, 2), generator), whole[rank::2][part::3])


@given(st.lists(st.floats(0, 5), min_size=1, max_size=12))
def test_the_mean_is_weighted(weights: list[float]) -> None:
    each, weight = torch.randn(len(weights), generator=seeded(), dtype=torch.float64), torch.tensor(weights, dtype=torch.float64)
    wanted = 0.0 if weight.sum() < 1e-6 else float((each * weight).sum() / weight.sum())
    assert float(weighted_mean(each, weight)) == pytest.approx(wanted, rel=1e-6, abs=1e-4)

"""Motion maps: the quick matching against a plain one, shifts that are found, and local normalising against pooling."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ghostpad.nn.motion import BLOCK, CHANNELS, GLOBAL_SHARPNESS, SHARPNESS, STRIDE, MotionMap, normalise

HEIGHT, WIDTH = 16, 24


def pictures(seed: int, count: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(seed).random((count, height, width), np.float32)


def belief_of(costs: dict[tuple[int, int], float], sharpness: float) -> tuple[float, float, float, float]:
    """Mean x, mean y, spread x, spread y over shifts (x, y) with their costs."""
    shifts = np.array(list(costs), np.float64)
    share = np.exp(-sharpness * (np.array(list(costs.values())) - min(costs.values())))
    share /= share.sum()
    mean = share @ shifts
    spread = np.sqrt(np.maximum(share @ shifts**2 - mean**2, 0))
    return mean[0], mean[1], spread[0], spread[1]


def plainly(before: np.ndarray, after: np.ndarray, search_x: int, search_y: int) -> tuple[np.ndarray, np.ndarray]:
    """The motion map [6, h, w] and whole shift [2] of one pair, block by block and shift by shift."""
    padded = np.pad(after, ((search_y, search_y), (search_x, search_x)), mode="edge")
    rows, columns = ((size - BLOCK) // STRIDE + 1 for size in before.shape)
    costs = np.zeros((rows, columns), object)
    for i in range(rows):
        for j in range(columns):
            costs[i, j] = {}
    for y in range(-search_y, search_y + 1):
        for x in range(-search_x, search_x + 1):
            shifted = padded[search_y + y : search_y + y + before.shape[0], search_x + x : search_x + x + before.shape[1]]
            apart = np.abs(before - shifted)[:, ::2]
            for i in range(rows):
                for j in range(columns):
                    block = apart[STRIDE * i : STRIDE * i + BLOCK, STRIDE // 2 * j : STRIDE // 2 * j + BLOCK // 2]
                    costs[i, j][x, y] = float(block.mean())
    out = np.zeros((CHANNELS, rows, columns))
    for i in range(rows):
        for j in range(columns):
            out[:, i, j] = *belief_of(costs[i, j], SHARPNESS), min(costs[i, j].values()), costs[i, j][0, 0]
    mean_costs = {shift: float(np.mean([cost[shift] for cost in costs.flat])) for shift in costs[0, 0]}
    return out, np.array(belief_of(mean_costs, GLOBAL_SHARPNESS)[:2])


@pytest.mark.parametrize("search_x, search_y", [(1, 1), (2, 1), (3, 2), (6, 2)])
def test_the_map_is_that_of_plain_block_matching(search_x: int, search_y: int) -> None:
    before, after = pictures(0, 5), pictures(1, 5)  # five pairs: more than are matched at a time
    after[:3] = 0.7 * np.roll(before[:3], 1, axis=2) + 0.3 * after[:3]
    motion = MotionMap(WIDTH, HEIGHT, search_x, search_y)
    maps, shifts = motion(torch.from_numpy(np.stack([before, after])))
    assert maps.shape == (5, CHANNELS, *motion.size) and shifts.shape == (5, 2)
    for pair in range(5):
        wanted_map, wanted_shift = plainly(before[pair], after[pair], search_x, search_y)
        np.testing.assert_allclose(maps[pair], wanted_map, atol=2e-3)  # spreads: a root of a difference of float32
        np.testing.assert_allclose(maps[pair][[0, 1, 4, 5]], wanted_map[[0, 1, 4, 5]], atol=1e-5)
        np.testing.assert_allclose(shifts[pair], wanted_shift, atol=1e-5)


def test_all_pairs_at_once_as_on_a_gpu_match_as_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = torch.from_numpy(np.stack([pictures(0, 9, 48, 64), pictures(1, 9, 48, 64)]))
    motion = MotionMap(64, 48, 6, 2)
    few, split = motion(frames), []
    monkeypatch.setattr(MotionMap, "pairs_at_once", lambda self, device: 1000)
    monkeypatch.setattr(motion, "_match", lambda *pairs: split.append(len(pairs[0])) or MotionMap._match(motion, *pairs))
    for found, wanted in zip(motion(frames), few, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert split == [9]


def test_what_a_gpu_matches_at_once_fits_its_share_of_memory() -> None:
    gpu = torch.device("cuda")
    assert MotionMap(64, 48, 6, 2).pairs_at_once(gpu) > 16 * 32 >= 4 == MotionMap(64, 48, 6, 2).pairs_at_once(torch.device("cpu"))
    assert MotionMap(1920, 1080, 16, 16).pairs_at_once(gpu) == 4, "never fewer than a CPU's"


def test_motion_is_matched_in_float32_whatever_precision_is_asked_for() -> None:
    frames = torch.from_numpy(np.stack([pictures(0, 3), pictures(1, 3)]))
    motion = MotionMap(WIDTH, HEIGHT, 3, 2)
    plain = motion(frames)
    with torch.autocast("cpu", torch.bfloat16):
        assert all(torch.equal(found, wanted) for found, wanted in zip(motion(frames), plain, strict=True))
        light = normalise(frames[0])
    assert torch.equal(light, normalise(frames[0]))


@pytest.mark.parametrize("x", [-5, -2, 0, 1, 4])
@pytest.mark.parametrize("y", [-2, 0, 1])
def test_a_pure_shift_is_found(x: int, y: int) -> None:
    wide = 3 * pictures(2, 1, 48 + 8, 64 + 16)[0]
    before, after = wide[4:52, 8:72], wide[4 - y : 52 - y, 8 - x : 72 - x]
    maps, shifts = MotionMap(64, 48, 6, 2)(torch.from_numpy(np.stack([before, after]))[:, None])
    np.testing.assert_allclose(shifts[0], [x, y], atol=1e-2)
    inner = maps[0, :, 1:-1, 2:-2]
    assert torch.allclose(inner[0], torch.tensor(float(x)), atol=0.1) and torch.allclose(inner[1], torch.tensor(float(y)), atol=0.1)
    assert inner[4].max() < 1e-6 and inner[2:4].max() < 0.5


def test_a_still_flat_picture_moves_nowhere_and_knows_it_does_not_know() -> None:
    maps, shifts = MotionMap(WIDTH, HEIGHT, 3, 2)(torch.zeros(2, 1, HEIGHT, WIDTH))
    assert shifts.abs().max() < 1e-5 and maps[:, :2].abs().max() < 1e-5 and maps[:, 4:].abs().max() == 0
    assert maps[:, 2].min() == pytest.approx(2.0, abs=1e-4), "an even belief over -3...3 has a spread of 2"


def test_normalising_is_average_pooling_without_padding() -> None:
    x = torch.from_numpy(pictures(3, 2))

    def local(values: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(values[:, None], 9, 1, 4, count_include_pad=False)[:, 0]

    centred = x - local(x)
    wanted = centred / ((local(centred**2) + 1e-4).sqrt() + 0.02)
    torch.testing.assert_close(normalise(x), wanted, atol=1e-5, rtol=1e-4)


def test_normalised_pictures_hardly_know_the_light() -> None:
    x = torch.from_numpy(pictures(4, 1))
    torch.testing.assert_close(normalise(0.5 * x + 0.3), normalise(x), atol=0.25, rtol=0)

"""Rules that are learned from numbers instead of pictures: by them one sees what a perfect reader of pictures could still not know.

Reads and writes nothing. A net takes 2 s for 2500 steps (measured, one core). Sizes are guesses; twice as large a net or another loss
changed R2 by at most 0.02 (measured).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Table = NDArray[np.float64]
"""[rows, numbers]."""


def fit_linear(x: Table, y: Table, *others: Table) -> list[Table]:
    """What the linear least squares rule from `x` [n, d] to `y` [n, k] says of each of `others` [m, d], cut to -1...1."""
    weights = np.linalg.lstsq(_with_one(x), y, rcond=None)[0]
    return [np.clip(_with_one(other) @ weights, -1, 1) for other in others]


def fit_net(x: Table, y: Table, *others: Table, seed: int, steps: int = 2500, dim: int = 128) -> list[Table]:
    """The same by a net of two hidden layers that learns for the squared error; all chance comes from `seed`."""
    chance = torch.Generator().manual_seed(seed)
    layers = [nn.Linear(x.shape[1], dim), nn.Linear(dim, dim), nn.Linear(dim, y.shape[1])]
    for layer in layers:
        for weight in layer.parameters():
            nn.init.uniform_(weight, -(layer.in_features**-0.5), layer.in_features**-0.5, generator=chance)
    net = nn.Sequential(layers[0], nn.GELU(), layers[1], nn.GELU(), layers[2])
    middle, spread = x.mean(0), x.std(0) + 1e-6
    seen, wanted = (torch.from_numpy(table).float() for table in ((x - middle) / spread, y))
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(seen), (256,), generator=chance)
        loss = nn.functional.mse_loss(net(seen[rows]), wanted[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        told = [net(torch.from_numpy((other - middle) / spread).float()).double().numpy() for other in others]
    return [np.clip(one, -1, 1) for one in told]


def _with_one(x: Table) -> Table:
    return np.concatenate([x, np.ones((len(x), 1))], 1)

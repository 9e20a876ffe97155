"""How many CPU threads a training uses: one, or as many as torch would, whichever is faster on this machine as it is now.

Neither is right everywhere. Threads that wait for each other spin, so beside one busy process on two cores two threads took 4 to 20
times as long a step as one; on the same cores idle one took 1.2 (IDM) and 1.3 (policy) times as long as two (medians, default
sizes, two AMD EPYC cores). So a few steps are timed at the start, on a copy of the model: about 2 s on an idle machine. Results repeat
exactly only for one number of threads: the choice stands in RUN/threads.json, and a run that is continued keeps it.
"""

import time
from copy import deepcopy
from pathlib import Path

import torch

from ghostpad.base.files import read_json, write_json
from ghostpad.feed.batch import Batch
from ghostpad.train.model import Model

FEW_STEPS = 100
"""A shorter training takes one thread untimed (a guess: timing would cost a tenth of it)."""
PAIRS = 3
"""Steps timed with each number of threads, in turn; one more comes before them to warm up."""
GAIN = 0.9
"""More threads must take at most this share of one's time: where they are even, one suffers less from what starts later."""
HOPELESS = 2.0
"""Once they have taken so many times as long, no more is timed."""


def recorded_threads(run: Path) -> int | None:
    """The number that an earlier process chose for this run, if one did."""
    path = run / "threads.json"
    return int(read_json(path)["threads"]) if path.exists() else None


def choose_threads(run: Path, model: Model, batch: Batch, steps: int) -> int:
    """Choose for a training of `steps` steps like `batch`; writes the choice and what was timed. Neither weights nor draws change."""
    many = torch.get_num_threads()
    spent = _timed(model, batch, many) if many > 1 and steps >= FEW_STEPS else {}
    threads = many if spent and spent[many] <= GAIN * spent[1] else 1
    write_json(run / "threads.json", {"threads": threads, "seconds": {str(number): round(value, 4) for number, value in spent.items()}})
    return threads


def _timed(model: Model, batch: Batch, many: int) -> dict[int, float]:
    """Seconds spent with one and with `many` threads on equally many steps."""
    model = deepcopy(model)
    spent: dict[int, float] = {}
    with torch.random.fork_rng(devices=()):
        for pair in range(PAIRS + 1):
            if pair <= 1:
                spent = dict.fromkeys((1, many), 0.0)
            for threads in spent:
                torch.set_num_threads(threads)
                began = time.perf_counter()
                model(batch, torch.Generator().manual_seed(0))[0].backward()
                model.zero_grad()
                spent[threads] += time.perf_counter() - began
            if spent[many] > HOPELESS * spent[1]:
                break
    return spent

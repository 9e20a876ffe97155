"""How many CPU threads a training uses: one, or as many as torch would, whichever is faster on this machine as it is now.

Neither is right everywhere. On two idle cores (AMD EPYC, default sizes) two threads train 1.4 (IDM) and 1.5 (policy) times as fast as one.
Beside other work they wait for each other, and train 6 times slower than one (medians, both measured). So a few steps are timed at the
start, on a copy of the model: 1 to 2 s on idle cores. Results repeat exactly only for one number of threads, so the choice stands in
RUN/threads.json, and a run that is continued keeps it.
"""

import time
from copy import deepcopy
from pathlib import Path

import torch

from ghostpad.base.files import read_json, write_json
from ghostpad.feed.batch import Batch
from ghostpad.train.model import Model

FEW_STEPS, PAIRS = 100, 3
"""A training of fewer steps takes one thread untimed; pairs of timed steps, after one to warm up (guesses)."""
GAIN, HOPELESS = 0.9, 2.0
"""More threads must take at most this share of the time of one, which suffers less if the machine gets busy later; if they take this many
times as long, timing stops (guesses)."""


def recorded_threads(run: Path) -> int | None:
    """The number that an earlier process chose for this run, if any."""
    path = run / "threads.json"
    return int(read_json(path)["threads"]) if path.exists() else None


def choose_threads(run: Path, model: Model, batch: Batch, steps: int) -> int:
    """Choose for a training of `steps` steps like `batch`; writes the choice and the times. Neither weights nor random numbers change."""
    many = torch.get_num_threads()
    spent = {1: 0.0, many: 0.0}
    with torch.random.fork_rng(devices=()):
        model = deepcopy(model)
        for pair in range(PAIRS + 1 if many > 1 and steps >= FEW_STEPS else 0):
            for threads in spent:
                torch.set_num_threads(threads)
                began = time.perf_counter()
                model(batch, torch.Generator().manual_seed(0))[0].backward()
                spent[threads] = time.perf_counter() - began + (spent[threads] if pair > 1 else 0.0)
            if spent[many] > HOPELESS * spent[1]:
                break
    threads = many if 0 < spent[many] <= GAIN * spent[1] else 1
    write_json(run / "threads.json", {"threads": threads, "seconds": {str(number): round(value, 4) for number, value in spent.items()}})
    return threads

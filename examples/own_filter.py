"""A filter of your own: drop rows in which the IDM is unsure of a stick. `python examples/own_filter.py CORPUS` filters a corpus with it.

There are two ways to use it. In Python, pass filters to `filter_corpus`, as the last lines do. For the commands, install this folder as a
package (`pip install -e examples`): its pyproject.toml registers this file, and `ghostpad filter CORPUS --spread.most 0.3` then works.
"""

import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

import ghostpad
from ghostpad.base.records import Video
from ghostpad.base.settings import Settings
from ghostpad.filters.apply import filter_corpus
from ghostpad.filters.contract import Filter

SPREADS = ("left_x_spread", "left_y_spread", "right_x_spread", "right_y_spread")


class SpreadSettings(Settings):
    """The cut of this filter; each field becomes a flag of the command."""

    most: float = Field(default=0.5, ge=0, le=1, description="drop rows with a stick whose predicted standard deviation is above this")


@dataclass(frozen=True)
class Spread(Filter):
    """Keeps rows in which every stick is certain enough."""

    name: ClassVar[str] = "spread"
    version: ClassVar[int] = 1
    settings: SpreadSettings = SpreadSettings()

    def score(self, labels: pa.Table, video: Video) -> NDArray[np.float32]:
        """float32 [n], the largest spread of a row's sticks; 0 for sticks that the IDM does not read."""
        columns = [labels[name].fill_null(0).to_numpy() for name in SPREADS]
        return np.max(columns, axis=0).astype(np.float32)

    def keep(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """bool [n], True up to the cut."""
        return scores <= np.float32(self.settings.most)


FILTER = Spread  # what ghostpad looks for in the file

if __name__ == "__main__":
    corpus = ghostpad.open_corpus(sys.argv[1])
    source = next(name for name in corpus.sources() if name != "recorded")  # the pseudo-labels of an IDM: idm-<fingerprint>
    print(filter_corpus(corpus, source, [Spread()], name="spread").table())

"""Score tables from any source: `python examples/score_tables.py predicted.csv recorded.parquet 60`; 60 is the rows a second.

Both tables need a column `pts_s` (seconds) and columns for any of the pad's slots (`ghostpad.SLOTS`): a probability or 0/1 for a button,
-1...1 for a stick. It needs no model of ghostpad, and no torch.
"""

import sys

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

import ghostpad


def read(path: str) -> pa.Table:
    """A table of either kind."""
    return pyarrow.csv.read_csv(path) if path.endswith(".csv") else pyarrow.parquet.read_table(path)


predicted, recorded, fps = sys.argv[1:]
score = ghostpad.score(read(predicted), read(recorded), fps=float(fps))
print(f"{score['rows']} rows in both tables, {score['unmatched']} in one alone, {score['minutes']:.1f} min")
for name, measures in (score["sticks"] | score["buttons"]).items():
    print(f"{name:<16}", ", ".join(f"{measure} {value:.3g}" for measure, value in measures.items() if value is not None))

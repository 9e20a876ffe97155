"""Label a clip: `python examples/label_a_clip.py clip.mp4 runs/idm` prints the pad at ten moments and writes clip.labels.csv."""

import sys

import pyarrow.csv

import ghostpad

clip, run = sys.argv[1:]
labels = ghostpad.label_file(clip, run)  # a pyarrow table, one row a frame
rows = labels.to_pylist()
for row in rows[:: len(rows) // 10 + 1]:
    print(f"{row['pts_s']:6.1f} s ", {name: round(row[name], 2) for name in ghostpad.SLOTS if row[name] is not None})
pyarrow.csv.write_csv(labels, f"{clip.rpartition('.')[0]}.labels.csv")

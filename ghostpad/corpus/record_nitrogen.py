"""Recorded games as shards in NitroGen's layout, whose truth is known: what every reader, mask and lag estimate can be checked on.

    <out>/SHARD_0000.tar.gz       <video>/<video>_chunk_NNNN/{metadata.json, actions_raw.parquet}, chunks of 20 s
    <out>/videos/<video>.mp4      the footage, a second name of the truth's
    <out>/truth/                  a corpus of the same videos whose rows stand at their own frames

Layout as the dataset card has it: resolution is [height, width], the overlay box x, y, width, height in its pixels, the game area
relative corners, `end_frame` inclusive. The last chunk of a video is shorter. A killed recording goes on with the first episode that is
not finished, and the shard is written last; the same command gives the same bytes.
"""

import json
import os
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ghostpad.base.files import atomic_path
from ghostpad.base.pad import DATASET_BUTTONS
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.nitrogen_sample import CHUNK_S, parquet_bytes, write_shard
from ghostpad.corpus.record import lagged

TRUTH = "truth"
"""The folder of the corpus with the true rows."""

_CONTROLLERS = {"xbox": "xboxone", "ps5": "ps5"}


def write_nitrogen(out: Path, style: str, lag_frames: int = 0, *, processed: bool = False) -> Path:
    """Write the shard of the corpus at `<out>/truth` and a name for each of its videos in `<out>/videos`; gives the shard's path.

    style   of the controller, see `ghostpad.games.overlay.STYLES`
    lag_frames  k: row i of the labels is what the picture shows k frames later
    """
    corpus = Corpus.open(out / TRUTH)
    for id, path in corpus.video_paths(corpus.ok_ids()).items():
        _same_file(path, out / "videos" / f"{id}.mp4")
    shard = out / "SHARD_0000.tar.gz"
    write_shard(shard, _members(corpus, _CONTROLLERS[style], lag_frames, processed))
    return shard


def _members(corpus: Corpus, controller: str, lag_frames: int, processed: bool) -> Iterator[tuple[str, bytes]]:
    for row in corpus.rows():
        table = corpus.actions(RECORDED, row["id"])
        if row["status"] != "ok" or table is None:
            continue
        rate, table = Fraction(row["fps"]), lagged(table, lag_frames)
        frames = np.rint(table.column("pts_s").to_numpy() * float(rate)).astype(int)
        first, end = (int(frames[0]), int(frames[-1]) + 1) if len(frames) else (0, 0)
        for number in range(first // _chunk_frames(rate), -(-end // _chunk_frames(rate))):
            start, stop = max(first, number * _chunk_frames(rate)), min(end, (number + 1) * _chunk_frames(rate))
            stop = start + (stop - start) // _whole(rate) * _whole(rate)
            if start >= stop:
                continue
            folder = f"{row['id']}/{row['id']}_chunk_{number:04d}"
            body = parquet_bytes(_columns(table.slice(start - first, stop - start)))
            if processed:
                yield f"{folder}/actions_processed.parquet", body
            yield f"{folder}/actions_raw.parquet", body
            yield f"{folder}/metadata.json", json.dumps(_metadata(row, controller, rate, number, start, stop)).encode()


def _chunk_frames(rate: Fraction) -> int:
    return round(CHUNK_S * rate)


def _whole(rate: Fraction) -> int:
    """Rows whose duration is a short decimal number, so that a shorter chunk states the same rate as the others."""
    rows = rate.numerator
    for factor in (2, 5):
        while rows % factor == 0:
            rows //= factor
    return rows


def _metadata(row: dict[str, Any], controller: str, rate: Fraction, number: int, start: int, stop: int) -> dict[str, Any]:
    return {
        "uuid": f"{row['id']}_chunk_{number:04d}_actions",
        "chunk_id": f"{number:04d}",
        "chunk_size": stop - start,
        "original_video": {
            "resolution": [row["height_px"], row["width_px"]],
            "video_id": row["id"],
            "source": "ghostpad",
            "url": f"videos/{row['id']}.mp4",
            "start_time": float(start / rate),
            "end_time": float(stop / rate),
            "duration": float((stop - start) / rate),
            "start_frame": start,
            "end_frame": stop - 1,
        },
        "game": row["game"].replace("-", "_"),
        "controller_type": controller,
        "bbox_controller_overlay": row["overlay_px"],
        "bbox_game_area": {"xtl": 0.0, "ytl": 0.0, "xbr": 1.0, "ybr": 1.0},
    }


def _columns(table: pa.Table) -> pa.Table:
    """Rows as the dataset has them: 17 buttons as int32, two sticks as lists [x, y]; what the game does not read is 0."""
    columns = {name: table.column(name).cast(pa.int32()).fill_null(0) for name in DATASET_BUTTONS}
    for side in ("left", "right"):
        axes = [table.column(f"{side}_{axis}").cast(pa.float64()).fill_null(0.0).to_numpy() for axis in "xy"]
        columns[f"j_{side}"] = pa.FixedSizeListArray.from_arrays(np.stack(axes, 1).reshape(-1), 2).cast(pa.list_(pa.float64()))
    return pa.table(columns)


def _same_file(source: Path, target: Path) -> None:
    """A second name for a file, or a copy where the disk knows no second names."""
    if target.exists() and target.stat().st_size == source.stat().st_size:
        return
    with atomic_path(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)

"""Recorded games as shards in NitroGen's layout with known true rows, to check readers, masks and lag estimates.

    <out>/SHARD_0000.tar.gz       <video>/<video>_chunk_NNNN/{metadata.json, actions_raw.parquet}, chunks of 20 s
    <out>/videos/<video>.mp4      the footage, hard links to the truth's
    <out>/truth/                  a corpus of the same videos with each row at its own frame

The layout is in `nitrogen_shards`. The last chunk of a video is shorter. As in the dataset, some videos also have processed rows, in the
game's own layout, for all of their chunks. A killed recording resumes with the first unfinished episode, and the shard is written last; the
same command gives the same bytes.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ghostpad.base.errors import SettingsError
from ghostpad.base.files import link_or_copy
from ghostpad.base.pad import DATASET_BUTTONS
from ghostpad.base.records import ACTIONS, Video, actions_table, pads_of
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.record import keep_settings, lagged
from ghostpad.games.overlay import swapped
from ghostpad.lab.made_up.nitrogen_shards import CHUNK_S, chunk_metadata, parquet_bytes, stick_column, write_shard

TRUTH = "truth"
"""The folder of the corpus with the true rows."""

_CONTROLLERS = {"xbox": "xboxone", "ps5": "ps5"}


@dataclass(frozen=True)
class Shard:
    """The shard of the corpus at `<out>/truth`.

    style   of the controller, see `ghostpad.games.overlay.STYLES`
    lag_frames  k: row i of the labels is what the picture shows k frames later
    label_fps   rows a second, in chunks of a whole number of rows; None: one a frame
    processed_share  of the videos, spread evenly over them
    swaps       the player's bindings, which processed rows undo
    """

    out: Path
    style: str
    lag_frames: int = 0
    label_fps: Fraction | None = None
    processed_share: float = 0.0
    swaps: tuple[tuple[str, str], ...] = ()

    def check(self, *, keep: bool = False) -> None:
        """Raise `SettingsError` for impossible values, or if the shard there was made with others; with `keep` write these down."""
        if self.label_fps is not None and not 1 <= self.label_fps <= 1000:
            raise SettingsError(f"label-fps is {self.label_fps}: it must be from 1 to 1000 rows a second")
        if not 0 <= self.processed_share <= 1:
            raise SettingsError(f"processed-share is {self.processed_share}: it must be from 0 to 1")
        flags = {"--overlay": self.style, "--lag-frames": self.lag_frames, "--label-fps": self.label_fps and str(self.label_fps)}
        flags |= {"--processed-share": self.processed_share, "--rebind": self.swaps}
        keep_settings(self.out / "SHARD_0000.json", flags, write=keep)


def write_nitrogen(shard: Shard) -> Path:
    """Write a shard and link its videos in `<out>/videos`; returns the shard's path. Raises as `Shard.check`."""
    shard.check(keep=True)
    corpus = Corpus.open(shard.out / TRUTH)
    for video in corpus.each("ok"):
        with corpus.footage(video) as footage:
            link_or_copy(footage, shard.out / "videos" / f"{video.id}.mp4")
    path = shard.out / "SHARD_0000.tar.gz"
    write_shard(path, _members(corpus, shard))
    return path


def _members(corpus: Corpus, shard: Shard) -> Iterator[tuple[str, bytes]]:
    label_fps, share = shard.label_fps, shard.processed_share
    for index, video in enumerate(corpus.each("ok")):
        table = corpus.actions(RECORDED, video.id)
        if table is None:
            continue
        rate, table = Fraction(video.fps or 1), lagged(table, shard.lag_frames)
        if label_fps is not None:
            rate, table = _at_rate(table, rate, label_fps)
        kinds = {"actions_raw": table}
        if int((index + 1) * share) > int(index * share):
            kinds = {"actions_processed": _unswapped(table, shard.swaps)} | kinds
        frames = np.rint(table.column("pts_s").to_numpy() * float(rate)).astype(int)
        first, end = (int(frames[0]), int(frames[-1]) + 1) if len(frames) else (0, 0)
        long = round(CHUNK_S * rate)  # frames of a chunk
        for number in range(first // long, -(-end // long)):
            start, stop = max(first, number * long), min(end, (number + 1) * long)
            stop = start + (stop - start) // _whole(rate) * _whole(rate)
            if start >= stop:
                continue
            folder = f"{video.id}/{video.id}_chunk_{number:04d}"
            for name, rows in kinds.items():
                yield f"{folder}/{name}.parquet", parquet_bytes(_columns(rows.slice(start - first, stop - start)))
            about = _metadata(video, _CONTROLLERS[shard.style], rate, number, range(start, stop))
            yield f"{folder}/metadata.json", json.dumps(about).encode()


def _at_rate(table: pa.Table, rate: Fraction, label_fps: Fraction) -> tuple[Fraction, pa.Table]:
    """The rate at which a chunk has a whole number of rows, and the rows in force at its ticks."""
    label_rate = Fraction(round(CHUNK_S * label_fps), CHUNK_S)
    row_pts_s = table.column("pts_s").to_numpy()
    if not len(row_pts_s):
        return label_rate, table
    ticks = np.arange(np.ceil(row_pts_s[0] * float(label_rate) - 1e-6), (row_pts_s[-1] + float(1 / rate)) * float(label_rate) - 1e-6)
    pts_s = ticks / float(label_rate)
    at = np.searchsorted(row_pts_s, pts_s + 1e-6, side="right") - 1
    return label_rate, table.take(at).set_column(0, ACTIONS.field("pts_s"), pa.array(pts_s))


def _unswapped(table: pa.Table, swaps: Sequence[tuple[str, str]]) -> pa.Table:
    pads, known = pads_of(table)
    back = tuple(reversed(swaps))
    return actions_table(table.column("pts_s").to_numpy(), swapped(pads, back), swapped(known, back))


def _whole(rate: Fraction) -> int:
    """A number of rows with a duration of few decimals, so that a shorter chunk states the same rate as the others."""
    rows = rate.numerator
    for factor in (2, 5):
        while rows % factor == 0:
            rows //= factor
    return rows if rows <= rate else 1  # an uneven rate in the last chunk is better than losing over a second


def _metadata(video: Video, controller: str, rate: Fraction, number: int, frames: range) -> dict[str, Any]:
    size = [video.height_px, video.width_px]
    about = {"resolution": size, "video_id": video.id, "source": "ghostpad", "url": f"videos/{video.id}.mp4"}
    game = (video.game or "").replace("-", "_")
    facts = {"game": game, "controller_type": controller, "bbox_controller_overlay": video.overlay_px}
    return chunk_metadata(about, number, frames, frames.start / rate, len(frames) / rate, facts)


def _columns(table: pa.Table) -> pa.Table:
    """Rows as the dataset has them: 17 buttons as int32, two sticks as lists [x, y]; slots that the game does not read are 0."""
    columns = {name: table.column(name).cast(pa.int32()).fill_null(0) for name in DATASET_BUTTONS}
    for side in ("left", "right"):
        axes = [table.column(f"{side}_{axis}").cast(pa.float64()).fill_null(0.0).to_numpy() for axis in "xy"]
        columns[f"j_{side}"] = stick_column(np.stack(axes, 1))
    return pa.table(columns)

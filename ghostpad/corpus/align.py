"""The lag of every video of a corpus: measured from the footage, written as a fact of the video.

Reads the first five minutes that rows cover of each video at 64x48. Writes `lag_ms` and `lag_confidence` of videos.parquet, null where the
lag is not known, and `lag.json` (every video with its measurements and the reason why its lag is unknown). What is measured is kept in
`cache/lag/<id>.json`, so the same command goes on where it was stopped and measures only what is new.

What the lag is counted from: the frame in which the game begins to answer the pad. The inertia on top of that is common to the videos
of one game and player and is taken as the median over them; see `ghostpad.corpus.lag`, which also says how
far off that is: do not align racing footage that `ghostpad record` made, its lag is 0 and is measured as about a frame.

Cost: about 1.6 ms of CPU a frame of 320x240, most of it block matching (measured).
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ghostpad.base.errors import FormatError, MediaError, MissingError
from ghostpad.base.files import read_json, write_json
from ghostpad.base.records import pads_of
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.lag import MAX_LAG_FRAMES, SHORT, Follow, distinct, follow
from ghostpad.corpus.motion import HEIGHT_PX, WIDTH_PX, motion
from ghostpad.video.decode import decode_array

MOST_S = 300.0
"""Footage looked at, seconds a video (a guess: a minute of play is enough in the games here)."""

_VERSION = 1
"""Of the measurement: what another version measured is measured again."""


def align_corpus(corpus: Corpus, advance: Callable[[int], None] = lambda done: None) -> list[dict[str, Any]]:
    """Measure the lag of every video that is here and has recorded rows, write it, and return the rows of lag.json by id.

    Each has id, game, player, lag_ms and lag_frames (None where unknown), confidence, reason, shown_fps, copies and what `Follow` holds.
    """
    rows = {row["id"]: row for row in corpus.rows()}
    wanted = [id for id in corpus.labelled_ids(RECORDED) if id in rows and rows[id]["status"] == "ok"]
    measured = {}
    for id in wanted:
        try:
            measured[id] = _measured(corpus, id, rows[id]["duration_s"] or math.inf)
        except (MediaError, MissingError) as error:
            corpus.mark_broken(id, str(error))
        advance(1)
    found = lags(measured, {id: (rows[id]["game"], rows[id]["player"]) for id in measured})
    facts = {row["id"]: {"lag_ms": row["lag_ms"], "lag_confidence": row["confidence"]} for row in found}
    corpus.put_videos([rows[id] for id in facts], join=lambda old, new: old | facts[old["id"]])
    write_json(corpus.root / "lag.json", {"videos": found})
    return found


def lags(measured: dict[str, Follow], groups: dict[str, tuple[str | None, str | None]]) -> list[dict[str, Any]]:
    """The rows of lag.json: each video's lag is its shift less the inertia of its group (game, player), the median over its videos."""
    inertia_s: dict[tuple[str | None, str | None], float] = {}
    for group in set(groups.values()):
        known = [one.follow_s - one.onset_s for id, one in measured.items() if groups[id] == group and not one.reason]
        if known:
            inertia_s[group] = float(np.median(known))
    found = []
    for id, one in sorted(measured.items()):
        game, player = groups[id]
        lag_s = None if one.reason else one.follow_s - inertia_s[groups[id]]
        reason = one.reason
        if lag_s is not None and abs(lag_s) > (MAX_LAG_FRAMES + 0.5) * one.step_s:
            lag_s, reason = None, f"the lag is beyond {MAX_LAG_FRAMES} frames"
        told = {"lag_ms": None, "lag_frames": None} if lag_s is None else {"lag_ms": 1000 * lag_s, "lag_frames": lag_s / one.step_s}
        about = {"confidence": one.confidence, "reason": reason, "shown_fps": 1 / one.step_s, "copies": one.copies}
        found.append({"id": id, "game": game, "player": player, **told, **about, "follow_s": one.follow_s, "onset_s": one.onset_s})
    return found


def on_pictures(table: pa.Table, lag_ms: float | None) -> pa.Table:
    """Recorded rows with their stamps moved to when the picture shows them; an unknown lag (None) is taken as none."""
    if not lag_ms:
        return table
    at = table.column_names.index("pts_s")
    return table.set_column(at, table.schema.field(at), pa.array(table.column("pts_s").to_numpy() + lag_ms / 1000, pa.float64()))


@dataclass(frozen=True, eq=False)
class Seen:
    """What moved in a video: pts_s [N] of the pictures that are not repeats, motion signals [N-1, S], and the share of repeats."""

    pts_s: NDArray[np.float64]
    signals: NDArray[np.float32]
    copies: float


def look(path: Path, start_s: float, most_s: float = MOST_S) -> Seen:
    """The motion in `most_s` seconds of the video at `path`. Raises `MediaError` if it cannot be decoded or ends before."""
    pts_s, frames = decode_array(path, width_px=WIDTH_PX, height_px=HEIGHT_PX, gray=True, start_s=start_s, end_s=start_s + most_s)
    return seen_in(pts_s, frames[..., 0])


def seen_in(pts_s: NDArray[np.float64], frames: NDArray[np.uint8]) -> Seen:
    """The motion in pictures uint8 [N, 48, 64] at pts_s [N] seconds."""
    changes = np.array([np.abs(after.astype(np.int16) - before).mean() for before, after in pairwise(frames)], np.float32)
    keep = distinct(changes)
    return Seen(pts_s[keep], motion(frames[keep]), float(1 - keep.mean()))


def follows(seen: Seen, rows: pa.Table) -> Follow:
    """How what was `seen` follows recorded rows."""
    return follow(seen.pts_s, seen.signals, rows.column("pts_s").to_numpy(), *pads_of(rows), copies=seen.copies)


def _measured(corpus: Corpus, id: str, duration_s: float) -> Follow:
    video, rows, kept = corpus.video_path(id), corpus.actions_path(RECORDED, id), corpus.root / "cache" / "lag" / f"{id}.json"
    if not video.exists():
        raise MissingError(f"{video} does not exist")
    made_of = [_VERSION, *(number for path in (video, rows) for number in (path.stat().st_size, path.stat().st_mtime_ns))]
    if kept.exists():
        try:
            earlier = read_json(kept)
            if earlier["made_of"] == made_of:
                return Follow(**earlier["follow"])
        except (FormatError, KeyError, TypeError):
            pass  # derived and damaged: it is measured again
    table = corpus.actions(RECORDED, id)
    if table is None:
        raise MissingError(f"the recorded rows of {id} are gone")
    start_s = table.column("pts_s")[0].as_py() - 1.0 if table.num_rows else math.inf
    found = follows(look(video, start_s), table) if start_s < duration_s else Follow(1.0, 0.0, reason=SHORT)
    write_json(kept, {"made_of": made_of, "follow": asdict(found)})
    return found

"""The lag of every video of a corpus: measured from the footage, written as a fact of the video.

Reads the first three minutes of each video that rows cover, at 64x48. Writes `lag_ms` and `lag_confidence` of the table of videos, null
where the lag is unknown, and `lag.json` (every video with its measurements and the reason for an unknown lag). Motion features are cached
in `cache/lag/<id>.npz`: re-run to resume. Memory: a KB or two for each video with recorded rows. An engine places the reading of
footage and the measuring of single videos; readers of a game learn from many videos, so training them stays in the process that began.

A lag is measured in one of three ways, which `lag.json` names per video:

    reference    by the game's reader, trained on other footage whose lags are known (`ghostpad.corpus.lag.teach`); the best
    together     by readers trained on the corpus's own videos of that game
    alone        from that video alone (`ghostpad.corpus.lag.estimate`), where the game has too few others

With a reference, lags are relative to its own. Without one they are counted from the frame in which the game begins to respond to the pad,
which is late where a game responds slowly: racing by up to 1.3 frames (measured).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from ghostpad.base.engines.crew import Died
from ghostpad.base.engines.order import in_order
from ghostpad.base.engines.settings import EngineSettings
from ghostpad.base.errors import FormatError, MediaError, MissingError, SettingsError
from ghostpad.base.files import write_json
from ghostpad.base.progress import progress
from ghostpad.base.records import Video
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.lag.estimate import MAX_LAG_FRAMES, SHORT, LagEstimate, estimate_alone
from ghostpad.corpus.lag.features import MotionFeatures, features_of, first_needed_s
from ghostpad.corpus.lag.reader import Reader
from ghostpad.corpus.lag.teach import ROUNDS, estimate_by_reader, estimate_together, reference_readers


@dataclass(frozen=True)
class Aligned:
    """The rows of lag.json, and why other videos cannot be read, by id."""

    videos: list[dict[str, Any]]
    unreadable: dict[str, str]


_HERE = EngineSettings()


def align_corpus(corpus: Corpus, references: Sequence[Corpus] = (), engine: EngineSettings = _HERE) -> Aligned:
    """Measure and write the lag of every ok video with recorded rows; one that cannot be read keeps the lag it has.

    A row has id, game, player, lag_ms and lag_frames (None where unknown), confidence, reason, shown_fps, copies, follow_s, onset_s and by.
    Games of the references are measured by their readers, the others by themselves. Shows its progress. Raises `MissingError` if no video
    has both footage and recorded rows or the references have enough of no game, and `SettingsError` for a corpus that is its own reference.
    """
    if any(reference.root.resolve() == corpus.root.resolve() for reference in references):
        raise SettingsError(f"{corpus.root} is its own reference: name another corpus, one whose lags are known")
    recorded = corpus.each_of(map(str, corpus.with_rows(RECORDED)))
    groups = {id: (video.game, video.player) for id, video in recorded if video is not None and video.status == "ok"}
    if not groups:
        raise MissingError(f"{corpus.root} has no video with both footage and recorded rows: fetch footage, or record some")
    readers = reference_readers(references, {game for game, _ in groups.values()}) if references else {}
    measured: dict[str, LagEstimate] = {}
    unreadable: dict[str, str] = {}
    with progress("align", len(groups), "videos") as advance:
        videos = (video for _, video in corpus.each_of(groups) if video is not None)
        for video, outcome in in_order(engine, _measure, (corpus, readers), videos):
            if isinstance(outcome, MediaError | MissingError | Died):
                unreadable[video.id] = str(outcome)
            elif isinstance(outcome, Exception):
                raise outcome
            else:
                measured[video.id] = outcome
            advance(1)
    for game in {groups[id][0] for id in measured} - set(readers) - {None}:
        own = {id: one for id, one in measured.items() if groups[id][0] == game and one.by == "alone"}
        with progress(f"{game}: training readers on each other", ROUNDS * len(own), "videos") as advance:
            measured |= estimate_together(own, lambda id: _footage(corpus, corpus.video(id)), advance)
    rows = lags(measured, {id: groups[id] for id in measured})
    by_id = {row["id"]: row for row in rows}
    corpus.change(by_id, lambda old: replace(old, lag_ms=by_id[old.id]["lag_ms"], lag_confidence=by_id[old.id]["confidence"]))
    write_json(corpus.root / "lag.json", {"videos": rows})
    return Aligned(rows, unreadable)


def _measure(corpus: Corpus, readers: Mapping[str | None, Reader]) -> Callable[[Video], LagEstimate]:
    """What an engine does for a video: its lag by its game's reader, or from it alone."""

    def measure(video: Video) -> LagEstimate:
        try:
            features, table = _footage(corpus, video)
            reader = readers.get(video.game)
            return estimate_alone(features, table) if reader is None else estimate_by_reader(reader, features, table, by="reference")
        except _NoOverlap:
            return LagEstimate(1.0, 0.0, reason=SHORT, by="")
        except FormatError:
            return LagEstimate(1.0, 0.0, reason="its recorded rows cannot be read", by="")

    return measure


def lags(measured: dict[str, LagEstimate], groups: dict[str, tuple[str | None, str | None]]) -> list[dict[str, Any]]:
    """The rows of lag.json: each video's lag is its shift less the inertia of its group (game, player), the median over its videos.

    A shift by a reader has no inertia.
    """
    inertia_s: dict[tuple[str | None, str | None], float] = {}
    for group in set(groups.values()):
        known = [one.follow_s - one.onset_s for id, one in measured.items() if groups[id] == group and not one.reason and one.by == "alone"]
        if known:
            inertia_s[group] = float(np.median(known))
    rows = []
    for id, one in sorted(measured.items()):
        game, player = groups[id]
        lag_s, reason = one.follow_s - (inertia_s[groups[id]] if one.by == "alone" and not one.reason else 0.0), one.reason
        if not reason and abs(lag_s) > (MAX_LAG_FRAMES + 0.5) * one.step_s:
            reason = f"the lag is beyond {MAX_LAG_FRAMES} frames"
        lag = {"lag_ms": None, "lag_frames": None} if reason else {"lag_ms": 1000 * lag_s, "lag_frames": lag_s / one.step_s}
        about = {"confidence": one.confidence, "reason": reason, "shown_fps": 1 / one.step_s, "copies": one.copies}
        shifts = {"follow_s": one.follow_s, "onset_s": one.onset_s, "by": one.by}
        rows.append({"id": id, "game": game, "player": player} | lag | about | shifts)
    return rows


def on_pictures(table: pa.Table, lag_ms: float | None) -> pa.Table:
    """Recorded rows with their stamps moved to when the picture shows them; an unknown lag (None) counts as 0."""
    if not lag_ms:
        return table
    at = table.column_names.index("pts_s")
    return table.set_column(at, table.schema.field(at), pa.array(table.column("pts_s").to_numpy() + lag_ms / 1000, pa.float64()))


class _NoOverlap(Exception):
    """The rows cover nothing of the video."""


def _footage(corpus: Corpus, video: Video) -> tuple[MotionFeatures, pa.Table]:
    """The features of a video, from a second before its recorded rows on, and these rows."""
    table = corpus.actions(RECORDED, video.id)
    if table is None:
        raise MissingError(f"the recorded rows of {video.id} are gone")
    start_s = first_needed_s(table)
    if start_s >= (video.duration_s or math.inf):
        raise _NoOverlap
    return features_of(corpus, video, start_s), table

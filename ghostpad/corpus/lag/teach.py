"""Lags by a game's reader, trained on footage of a known lag or on the corpus itself.

    reference    trained on footage recorded by `ghostpad record`, whose flags give the lag, or with lag_ms in its table of videos
    together     a game's videos in two halves, their rows moved by first estimates: the reader trained on one half measures the other;
                 two rounds

The first counts lags from that of the reference. The second only knows the lags of its videos relative to each other; their common shift is
set so that the picture begins to respond when `ghostpad.corpus.lag.estimate` measures that it does in the earlier videos, since it measures
some videos late, but none early.

Pure but for `Footage`, which is called for a video whenever it is needed, so that one is in memory at a time.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ghostpad.base.errors import FormatError, MediaError, MissingError
from ghostpad.base.progress import progress
from ghostpad.base.records import Video
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.lag.estimate import MAX_LAG_FRAMES, SHORT, LagEstimate
from ghostpad.corpus.lag.features import MotionFeatures, features_of, first_needed_s
from ghostpad.corpus.lag.reader import LEARN_STEPS, SURE, Reader, learn, make_clip, read_shift
from ghostpad.corpus.record import recorded_lag_ms

ROUNDS = 2
"""How often the halves of a game train each other's reader (a third brings nothing: 79 right of 85, not 81; measured, seeds 77 to 79)."""
EARLY = 0.8
"""The quantile, over videos, of lag less onset that is taken as the common shift (0.5: 73 right of 85; 0.9: 82)."""

Footage = Callable[[str], tuple[MotionFeatures, pa.Table]]
"""The features of a video, by its id, and its recorded rows."""


def estimate_by_reader(reader: Reader, features: MotionFeatures, rows: pa.Table, by: str) -> LagEstimate:
    """The lag of recorded rows by a reader; `by` names its kind."""
    step_s = float(np.median(np.diff(features.pts_s))) if len(features.pts_s) > 1 else 1.0
    clip = make_clip(features, rows, reader.step_s)
    if clip is None:
        return LagEstimate(step_s, features.copies, reason=SHORT, by=by)
    shift = read_shift(reader, clip)
    reason = "" if shift.confidence >= SURE else "the picture does not clearly show the rows"
    if not reason and abs(shift.shift_s) > (MAX_LAG_FRAMES + 5) * step_s:
        reason = f"the picture shows the rows beyond {MAX_LAG_FRAMES} frames"
    return LagEstimate(step_s, features.copies, shift.shift_s, shift.shift_s, shift.confidence, reason, by)


def reference_readers(references: Sequence[Corpus], games: set[str | None]) -> dict[str | None, Reader]:
    """A reader for each of `games` of which the references have enough footage with recorded rows and a known lag.

    Reads no more footage than is learned from; shows its progress in games. Raises `MissingError` if there is none for any of the games.
    """
    readers: dict[str | None, Reader] = {}
    with progress("learn from the reference", len(games - {None}), "games") as advance:
        for game in sorted(games - {None}, key=str):
            pieces: list[tuple[MotionFeatures, pa.Table, float]] = []
            for corpus, video in _of_game(references, str(game)):
                if sum(len(features.pts_s) for features, _, _ in pieces) >= LEARN_STEPS:
                    break
                pieces += filter(None, [_piece(corpus, video)])
            if (reader := _learn(pieces)) is not None:
                readers[game] = reader
            advance(1)
    if not readers:
        names = ", ".join(sorted(str(game) for game in games))
        raise MissingError(f"the reference has too little footage of {names} with rows and a known lag: record a few minutes of it")
    return readers


def _of_game(references: Sequence[Corpus], game: str) -> Iterator[tuple[Corpus, Video]]:
    """The ok videos of a game, some thousand of which are read at a time."""
    for corpus in references:
        for table in corpus.scan(["id", "game"], "ok"):
            ids = table.filter(pc.equal(table.column("game"), game)).column("id")
            yield from ((corpus, video) for _, video in corpus.each_of(map(str, ids)) if video is not None)


def estimate_together(
    measured: dict[str, LagEstimate], footage: Footage, advance: Callable[[float], None] = lambda done: None
) -> dict[str, LagEstimate]:
    """The lags of a game's videos by readers trained on each other, from first estimates; these if the videos are too few.

    `advance` is called for each video in each of `ROUNDS`.
    """
    halves = [sorted(measured)[start::2] for start in (0, 1)]
    late_s = {id: one.follow_s for id, one in measured.items() if not one.reason}
    estimates: dict[str, LagEstimate] = {}
    for _ in range(ROUNDS):
        estimates = {}
        for own, other in (halves, halves[::-1]):
            reader = _learn([(*footage(id), late_s[id]) for id in _enough(own, late_s, measured)])
            if reader is None:
                return measured
            new = {}
            for id in other:
                new[id] = estimate_by_reader(reader, *footage(id), by="together")
                advance(1)
            begins = [one.follow_s - measured[id].onset_s for id, one in new.items() if not one.reason and not measured[id].reason]
            if not begins:
                return measured
            estimates |= {id: one.moved(-float(np.quantile(begins, EARLY))) for id, one in new.items()}
        late_s = {id: one.follow_s for id, one in estimates.items() if not one.reason}
    return estimates


def _enough(ids: Sequence[str], late_s: dict[str, float], measured: dict[str, LagEstimate]) -> list[str]:
    """Ids with an estimate, the most confident ones: as many as could be learned from if each were as short as may be."""
    known = sorted((id for id in ids if id in late_s), key=lambda id: -measured[id].confidence)
    return sorted(known[: max(1, LEARN_STEPS // 300)])


def _piece(corpus: Corpus, video: Video) -> tuple[MotionFeatures, pa.Table, float] | None:
    """The features of a video of a reference, its rows and its lag in seconds; None if one is unknown or cannot be read."""
    recorded_ms = recorded_lag_ms(corpus, video)
    lag_ms = video.lag_ms if recorded_ms is None else recorded_ms
    if lag_ms is None:
        return None
    try:
        rows = corpus.actions(RECORDED, video.id)
        if rows is None or rows.num_rows == 0:
            return None
        return features_of(corpus, video, first_needed_s(rows)), rows, lag_ms / 1000
    except (FormatError, MediaError, MissingError):
        return None


def _learn(pieces: Sequence[tuple[MotionFeatures, pa.Table, float]]) -> Reader | None:
    """The reader learned from pictures, rows and their lags in seconds, on the grid of their median step; None if they are too few."""
    steps_s = [float(np.median(np.diff(features.pts_s))) for features, _, _ in pieces if len(features.pts_s) > 1]
    if not steps_s:
        return None
    clips = [make_clip(features, rows, float(np.median(steps_s)), late_s) for features, rows, late_s in pieces]
    return learn([clip for clip in clips if clip is not None])

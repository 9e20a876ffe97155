"""Whether known lags are recovered: recorded games with their rows' stamps moved, in several qualities.

Writes only recordings, into a folder. For every game, player and quality motion features are extracted once; the rows of all videos
are then moved by each lag and measured as a corpus of that lag would be, with a reference and without. Rows of another video show
whether a lag is reported where there is none. Cost: about 3 s of CPU for a minute of footage, and 0.2 s for a lag of a video with a
reference (guesses).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

import pyarrow as pa

from ghostpad.base.progress import Advance, progress
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.lag.align import lags, on_pictures
from ghostpad.corpus.lag.estimate import LagEstimate, estimate_alone
from ghostpad.corpus.lag.features import MotionFeatures, extract
from ghostpad.corpus.lag.reader import Reader
from ghostpad.corpus.lag.teach import estimate_by_reader, estimate_together, reference_readers
from ghostpad.corpus.record import record_corpus
from ghostpad.games.spec import game_spec


@dataclass
class Recovery:
    """Counts for one game, player and quality, over videos times lags and over pairs of a video with another's rows."""

    game: str
    player: str
    crf: int
    way: str
    """"reference" or "alone": without one."""
    tried: int = 0
    reported: int = 0
    right: int = 0
    off_frames: list[float] = field(default_factory=list)
    """By how much each reported lag is late."""
    wrong_rows: int = 0
    wrong_reported: int = 0

    @property
    def worst_frames(self) -> float:
        """The largest error of a reported lag."""
        return max(map(abs, self.off_frames), default=0.0)


def reference_of(games: Sequence[str], players: Sequence[str], minutes: float, seed: int, folder: Path) -> dict[str | None, Reader]:
    """Readers trained on new footage without lag: `minutes` of each game and player, recorded in `folder`."""
    with progress("record the reference", len(games) * len(players), "players") as advance:
        for game in games:
            for player in players:
                record_corpus(game, player, minutes=minutes, seed=seed, out=folder)
                advance(1)
    return reference_readers([Corpus.open(folder)], set(games))


def recover(
    game: str,
    players: Sequence[str],
    crf: int,
    lags_frames: Sequence[int],
    minutes: float,
    seed: int,
    folder: Path,
    reader: Reader | None,
    advance: Advance,
) -> list[Recovery]:
    """Record `minutes` of a game by each player in `folder` and estimate every lag, with `reader` if there is one, and without.

    Right is within a frame. Calls `advance` once a lag. Without a reference all videos of the game teach each other, as in a corpus, which
    takes long: only the first and the last lag are tried.
    """
    for player in players:
        record_corpus(game, player, minutes=minutes, seed=seed, out=folder, crf=crf)
    corpus = Corpus.open(folder)
    by_player = {video.id: video.player or "" for video in corpus.list_videos()}
    rows = {id: table for id in corpus.ok_ids() if (table := corpus.actions(RECORDED, id)) is not None}
    features = {id: extract(folder / "videos" / f"{id}.mp4", 0.0) for id in rows}
    readers = {"reference": reader, "alone": None} if reader is not None else {"alone": None}
    results = {(player, way): Recovery(game, player, crf, way) for way in readers for player in players}
    frame_ms = float(1000 / game_spec(game).fps)
    for lag in lags_frames:
        moved = {id: on_pictures(table, -lag * frame_ms) for id, table in rows.items()}
        for way, by in readers.items():
            if by is not None or lag in (lags_frames[0], lags_frames[-1]):
                own = {player: results[player, way] for player in players}
                _count(own, by_player, _measured(features, moved, by), lag * frame_ms, frame_ms)
        advance(1)
    for id, other in permutations(rows, 2):
        if by_player[other] == by_player[id]:
            for way, by in readers.items():
                one = results[by_player[id], way]
                one.wrong_rows += 1
                one.wrong_reported += not _estimate(features[id], rows[other], by).reason
    return list(results.values())


def _measured(features: dict[str, MotionFeatures], rows: dict[str, pa.Table], reader: Reader | None) -> dict[str, LagEstimate]:
    estimates = {id: _estimate(features[id], rows[id], reader) for id in features}
    return estimates if reader is not None else estimate_together(estimates, lambda id: (features[id], rows[id]))


def _estimate(features: MotionFeatures, rows: pa.Table, reader: Reader | None) -> LagEstimate:
    return estimate_alone(features, rows) if reader is None else estimate_by_reader(reader, features, rows, by="reference")


def _count(
    results: dict[str, Recovery], by_player: dict[str, str], measured: dict[str, LagEstimate], lag_ms: float, frame_ms: float
) -> None:
    """Add the estimates of a lag to the results by player."""
    for row in lags(measured, {id: (results[by_player[id]].game, by_player[id]) for id in measured}):
        one = results[row["player"]]
        one.tried += 1
        if row["lag_ms"] is not None:
            off_frames = (row["lag_ms"] - lag_ms) / frame_ms
            one.reported += 1
            one.right += abs(off_frames) <= 1
            one.off_frames.append(off_frames)

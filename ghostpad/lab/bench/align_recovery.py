"""Whether known lags are found again: recorded games with their rows' stamps moved, in several qualities.

Records into a folder that it is given, nothing else. For every game, player and quality what the videos show is looked at once; each lag
is then given to the rows of all of them, which are measured as a corpus of that lag would be, by a reference and without one. Rows of
another video show whether an unknown lag is called unknown. Cost: about 3 s of CPU for a minute of footage, and 0.2 s for a lag of a
video with a reference (guesses).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from ghostpad.base.progress import progress
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
    """What came of one game, player and quality: videos times lags, how many lags were told and right, and false ones among wrong rows."""

    game: str
    player: str
    crf: int
    way: str
    """"reference" or "alone": without one."""
    tried: int = 0
    told: int = 0
    right: int = 0
    off_frames: list[float] = field(default_factory=list)
    """By how much each told lag is late."""
    wrong_rows: int = 0
    wrong_told: int = 0

    @property
    def worst_frames(self) -> float:
        """The largest error of a told lag."""
        return max(map(abs, self.off_frames), default=0.0)


def reference_of(games: Sequence[str], players: Sequence[str], minutes: float, seed: int, folder: Path) -> dict[str | None, Reader]:
    """The readers that fresh footage without lag teaches: `minutes` of each game and player, recorded in `folder`."""
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
    advance: Callable[[int], None],
) -> list[Recovery]:
    """Record `minutes` of a game by each player in `folder` and find every lag again, by `reader` if there is one, and without.

    Right is within a frame. One call of `advance` a lag. Without a reference all videos of the game teach each other, as in a corpus, which
    takes long: only the first and the last lag are tried.
    """
    features: dict[str, MotionFeatures] = {}
    rows: dict[str, pa.Table] = {}
    for player in players:
        record_corpus(game, player, minutes=minutes, seed=seed, out=folder, crf=crf)
    corpus = Corpus.open(folder)
    by_player = {video.id: video.player or "" for video in corpus.list_videos()}
    for id in corpus.ok_ids():
        table = corpus.actions(RECORDED, id)
        if table is not None:
            features[id], rows[id] = extract(corpus.video_path(id), 0.0), table
    ways = ("reference", "alone") if reader is not None else ("alone",)
    found = {(player, way): Recovery(game, player, crf, way) for way in ways for player in players}
    frame_ms = float(1000 / game_spec(game).fps)
    for lag in lags_frames:
        moved = {id: on_pictures(table, -lag * frame_ms) for id, table in rows.items()}
        for way in ways if lag in (lags_frames[0], lags_frames[-1]) else ways[:-1]:
            _count(found, way, by_player, _measured(features, moved, reader if way == "reference" else None), lag * frame_ms, frame_ms)
        advance(1)
    for id in features:
        for other in rows:
            if other != id and by_player[other] == by_player[id]:
                for way in ways:
                    one = found[by_player[id], way]
                    one.wrong_rows += 1
                    one.wrong_told += not _wrong(features[id], rows[other], reader if way == "reference" else None).reason
    return list(found.values())


def _measured(features: dict[str, MotionFeatures], rows: dict[str, pa.Table], reader: Reader | None) -> dict[str, LagEstimate]:
    if reader is not None:
        return {id: estimate_by_reader(reader, features[id], rows[id], by="reference") for id in features}
    return estimate_together({id: estimate_alone(features[id], rows[id]) for id in features}, lambda id: (features[id], rows[id]))


def _wrong(features: MotionFeatures, rows: pa.Table, reader: Reader | None) -> LagEstimate:
    return estimate_alone(features, rows) if reader is None else estimate_by_reader(reader, features, rows, by="reference")


_Found = dict[tuple[str, str], Recovery]


def _count(found: _Found, way: str, by_player: dict[str, str], measured: dict[str, LagEstimate], lag_ms: float, frame_ms: float) -> None:
    some = next(iter(found.values()))
    for row in lags(measured, {id: (some.game, player) for id, player in by_player.items() if id in measured}):
        one = found[row["player"], way]
        one.tried += 1
        if row["lag_ms"] is not None:
            off_frames = (row["lag_ms"] - lag_ms) / frame_ms
            one.told += 1
            one.right += abs(off_frames) <= 1
            one.off_frames.append(off_frames)

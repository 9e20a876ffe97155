"""Whether known lags are found again: recorded games with their rows' stamps moved, in several qualities.

Records into a folder that it is given, nothing else. For every game, player and quality the motion is read once; each lag is then given
to the rows of all its videos, which are measured as a corpus of that lag would be. Rows of another video show whether an unknown lag is
called unknown. Cost: about 3 s of CPU for a minute of footage, and 0.1 s for a lag of a video (measured).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ghostpad.corpus.align import Seen, follows, lags, look, on_pictures
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.record import record_corpus
from ghostpad.games.spec import game_spec


@dataclass
class Recovery:
    """What came of one game, player and quality: videos times lags, how many lags were told and right, and false ones among wrong rows."""

    game: str
    player: str
    crf: int
    tried: int = 0
    told: int = 0
    right: int = 0
    worst_frames: float = 0.0
    wrong_rows: int = 0
    wrong_told: int = 0


def recover(
    game: str, player: str, crf: int, lags_frames: Sequence[int], minutes: float, seed: int, folder: Path, advance: Callable[[int], None]
) -> Recovery:
    """Record `minutes` of a game in `folder` and find every lag again; right is within a frame. One call of `advance` a lag."""
    record_corpus(game, player, minutes=minutes, seed=seed, out=folder, crf=crf)
    corpus = Corpus.open(folder)
    found = Recovery(game, player, crf)
    seen, rows = {}, {}
    for id in corpus.ok_ids():
        table = corpus.actions(RECORDED, id)
        if table is not None:
            seen[id], rows[id] = look(corpus.video_path(id), 0.0), table
    frame_ms = float(1000 / game_spec(game).fps)
    for lag in lags_frames:
        _count(found, seen, {id: on_pictures(table, -lag * frame_ms) for id, table in rows.items()}, lag * frame_ms, frame_ms)
        advance(1)
    _mix(found, seen, rows)
    return found


def _count(found: Recovery, seen: dict[str, Seen], rows: dict[str, pa.Table], lag_ms: float, frame_ms: float) -> None:
    told = lags({id: follows(seen[id], rows[id]) for id in seen}, dict.fromkeys(seen, (found.game, found.player)))
    for row in told:
        found.tried += 1
        if row["lag_ms"] is not None:
            off_frames = abs(row["lag_ms"] - lag_ms) / frame_ms
            found.told += 1
            found.right += off_frames <= 1
            found.worst_frames = max(found.worst_frames, off_frames)


def _mix(found: Recovery, seen: dict[str, Seen], rows: dict[str, pa.Table]) -> None:
    """Every video against the rows of every other."""
    for id in seen:
        for other in rows:
            if other != id:
                found.wrong_rows += 1
                found.wrong_told += not follows(seen[id], rows[other]).reason

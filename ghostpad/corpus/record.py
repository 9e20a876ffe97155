"""Record a corpus: a scripted player plays a game, and the video and its pads are kept.

    <corpus>/videos/<game>-<player>-s<seed>-e<episode>.mp4     H.264, one frame per picture shown
    <corpus>/actions/recorded/<same>.parquet                   the truth; withheld, it lies outside the corpus instead
    <corpus>/videos.parquet                                    one row a video, written last

An episode is a function of (seed, its number), the cut of the last one of the frames before it, and each is finished by its
row in the table of videos: a killed recording goes on with the first episode that has no row and ends with the same bytes.
Cost: 2 minutes of footage take 5 s (Doom) or 8 s (racing) and about 12 MB (measured, one loaded core).
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ghostpad.base.errors import SettingsError
from ghostpad.base.records import actions_table, write_table
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.games.episode import Episode, record_episode
from ghostpad.games.spec import GameSpec, make_game, make_player

SOURCE = "recorded by ghostpad"
"""The `source` of recorded videos."""


@dataclass(frozen=True)
class Recorded:
    """What a recording amounts to, with the episodes that an earlier run of it had finished."""

    episodes: int
    recorded_now: int
    minutes: float
    mean_return: float
    """Mean over episodes; the last is usually cut short."""


def record_corpus(
    game: str,
    player: str,
    *,
    minutes: float,
    seed: int,
    out: Path,
    withhold: Path | None = None,
    crf: int = 23,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Recorded:
    """Record `minutes` of footage of a game and a player, both by name, into the corpus at `out`, made if need be.

    With `withhold` the truth goes to `<withhold>/<video>.parquet`, a folder outside the corpus, and not into the corpus.
    The footage is exact to the frame, but for one left over, which could hold no pad. More minutes than before add episodes
    after the one that was cut. `progress(done, total)` is told at every frame. Raises `SettingsError` for unknown names or
    values that cannot work, or where an earlier run left the truth elsewhere, and `MissingError` without the games extra.
    """
    engine, hands = make_game(game), make_player(game, player)
    total = _total_frames(minutes, seed, engine.spec)
    _check_outside(withhold, out)
    corpus = Corpus.create(out)
    finished = {row["id"]: row for row in corpus.rows()}
    rows: list[Mapping[str, Any]] = []
    shown = recorded_now = 0

    def count_frame() -> None:
        nonlocal shown
        shown += 1
        progress(shown, total)

    with engine:
        while total - shown >= 2:
            name = f"{game}-{player}-s{seed}-e{len(rows):04d}"
            truth = _truth_path(corpus, name, withhold, name in finished)
            if name in finished:
                rows.append(finished[name])
                shown += rows[-1]["frames"]
                progress(shown, total)
                continue
            episode = record_episode(
                engine, hands, episode_seed(seed, len(rows)), corpus.root / "videos" / f"{name}.mp4",
                max_frames=total - shown, crf=crf, on_frame=count_frame,
            )  # fmt: skip
            write_table(truth, actions_table(episode.pts_s, episode.pads, episode.known), "actions", {"licence": engine.spec.licence})
            rows.append(_row(corpus, name, player, engine.spec, episode_seed(seed, len(rows)), episode))
            corpus.add_video(rows[-1])  # the row is the last thing written: with it, the episode is finished
            recorded_now += 1
    returns = [row["return_"] for row in rows]
    return Recorded(len(rows), recorded_now, float(shown / engine.spec.fps / 60), float(np.mean(returns)))


def episode_seed(seed: int, episode: int) -> int:
    """The seed, 32 bits, of an episode of a recording: the same number whatever was recorded before it."""
    return int(np.random.SeedSequence((seed, episode)).generate_state(1)[0])


def _row(corpus: Corpus, name: str, player: str, spec: GameSpec, seed: int, episode: Episode) -> dict[str, Any]:
    path = f"videos/{name}.mp4"
    with open(corpus.root / path, "rb") as video:
        sha256 = hashlib.file_digest(video, "sha256").hexdigest()
    return {
        "id": name,
        "path": path,
        "game": spec.name,
        "level": spec.title,
        "player": player,
        "source": SOURCE,
        "sha256": sha256,
        "fps": str(spec.fps),
        "frames": episode.frames,
        "duration_s": float(episode.frames / spec.fps),
        "width_px": spec.width_px,
        "height_px": spec.height_px,
        "seed": seed,
        "return_": episode.return_,
        "licence": spec.licence,
        "status": "ok",
    }


def _truth_path(corpus: Corpus, name: str, withhold: Path | None, finished: bool) -> Path:
    """Where an episode's truth lies or will lie. Raises `SettingsError` if an earlier run put it elsewhere."""
    inside = corpus.actions_path(RECORDED, name)
    truth = inside if withhold is None else Path(withhold) / f"{name}.parquet"
    if truth != inside and inside.exists():
        raise SettingsError(f"the truth of {name} is in the corpus already ({inside}): leave out --withhold, or use another --out")
    if finished and not truth.exists():
        raise SettingsError(f"{name} is recorded, but its truth is not at {truth}: use the --withhold of before, or another --out")
    return truth


def _total_frames(minutes: float, seed: int, spec: GameSpec) -> int:
    problems = []
    if not 0 < minutes < 1e6:
        problems.append(f"minutes is {minutes}: it must be more than 0")
    elif (total := round(minutes * 60 * spec.fps)) < 2:
        problems.append(f"minutes is {minutes}: that is less than 2 frames at {float(spec.fps):g} fps")
    if seed < 0:
        problems.append(f"seed is {seed}: it must be 0 or more")
    if problems:
        raise SettingsError(problems)
    return total


def _check_outside(withhold: Path | None, out: Path) -> None:
    if withhold is not None and Path(withhold).resolve().is_relative_to(Path(out).resolve()):
        raise SettingsError(f"the withheld truth would lie inside the corpus ({withhold}): name a folder outside {out}")

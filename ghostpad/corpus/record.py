"""Record a corpus: video and pads of a scripted player of a game.

    <corpus>/videos/<game>-<player>-s<seed>-e<episode>.mp4     H.264, one frame per picture shown
    <corpus>/actions/recorded/<same>.parquet                   the true rows; withheld, they are outside the corpus
    <corpus>/videos.parquet                                    one row a video, written last
    <corpus>/recording/<game>-<player>-s<seed>.json            the settings, which later runs must share

An episode is a function of (seed, its number), and where the last one is cut depends on the frames before it. An episode without a row in
the table of videos is not finished: re-run to resume with the first such one and end with the same bytes. An episode whose footage is gone
is recorded again.
Cost: 2 minutes of footage take 5 s (Doom) or 8 s (racing) and about 12 MB (measured, one loaded core).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ghostpad.base.errors import SettingsError
from ghostpad.base.files import file_sha256, read_json, write_json
from ghostpad.base.records import ACTIONS, Video, actions_table, write_table
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.games.episode import Episode, record_episode
from ghostpad.games.overlay import Overlay, swapped
from ghostpad.games.spec import GameSpec, make_game, make_player

SOURCE = "recorded by ghostpad"
"""The `source` of recorded videos."""

_OVERLAY_FLAGS = {"style": "--overlay", "corner": "--corner", "opacity": "--opacity", "swaps": "--rebind"}


@dataclass(frozen=True)
class Recorded:
    """The size of a recording, with the episodes that earlier runs had finished."""

    episodes: int
    recorded_now: int
    minutes: float
    mean_return: float  # mean over episodes; the last is usually cut short


def record_corpus(
    game: str,
    player: str,
    *,
    minutes: float,
    seed: int,
    out: Path,
    withhold: Path | None = None,
    crf: int = 23,
    overlay: Overlay | None = None,
    lag_frames: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Recorded:
    """Record `minutes` of footage of a game and a player, both by name, into the corpus at `out`, which is made if there is none.

    With `withhold` the true rows go to `<withhold>/<video>.parquet`, outside the corpus, instead of into it. With `overlay` a controller is
    drawn into the picture; its box is in the table of videos. With `lag_frames` = k row i holds the pad that the picture shows k frames
    later (k < 0: earlier); rows without such a frame are left out, and `lag_ms` stays null: to be measured.

    The footage is exact to the frame; a single frame left over is dropped, since it has no pad. More minutes than before add episodes
    after the one that was cut. `progress(done, total)` is called after every frame. Raises `SettingsError` for unknown names or
    values that cannot work, where an earlier run left the truth elsewhere or had other settings, and `MissingError` without the extra.
    """
    engine, scripted = make_game(game), make_player(game, player)
    total = _total_frames(minutes, seed, engine.spec)
    if withhold is not None and withhold.resolve().is_relative_to(out.resolve()):
        raise SettingsError(f"the withheld rows would be inside the corpus ({withhold}): name a folder outside {out}")
    corpus, stem = Corpus.create(out), f"{game}-{player}-s{seed}"
    videos = _finished(corpus, stem, withhold)
    before = len(videos)
    if any(video.overlay_px != _overlay_px(overlay, engine.spec) for video in videos):
        raise SettingsError(f"{out} holds {stem} recorded with another --overlay or --corner: use those of before, or another --out")
    drawn, swaps = (asdict(overlay), overlay.swaps) if overlay else (dict.fromkeys(_OVERLAY_FLAGS), ())
    flags = {"--crf": crf, "--lag-frames": lag_frames} | {flag: drawn[name] for name, flag in _OVERLAY_FLAGS.items()}
    keep_settings(out / "recording" / f"{stem}.json", flags)
    shown = count(_frames(videos) + 1)

    def play(number: int, frames: int, on_frame: Callable[[], object]) -> Video:
        name, own_seed = _episode_name(stem, number), episode_seed(seed, number)
        path, truth = corpus.root / "videos" / f"{name}.mp4", _truth_path(corpus, name, withhold)
        episode = record_episode(engine, scripted, own_seed, path, max_frames=frames, crf=crf, on_frame=on_frame, overlay=overlay)
        rows = actions_table(episode.pts_s, swapped(episode.pads, swaps), swapped(episode.known, swaps))
        write_table(truth, lagged(rows, lag_frames), "actions", {"licence": engine.spec.licence})
        video = _video(name, path, player, engine.spec, own_seed, episode, overlay)
        corpus.put_videos([video], _restored)  # written last: with its row, the episode is finished
        return video

    with engine:
        for number, video in enumerate(videos):
            if video.status != "ok" or not corpus.path_of(video).exists():
                play(number, video.frames or 0, lambda: None)
        while (left := total - _frames(videos)) >= 2:
            videos.append(play(len(videos), left, lambda: progress(next(shown), total)))
    return Recorded(
        episodes=len(videos),
        recorded_now=len(videos) - before,
        minutes=float(_frames(videos) / engine.spec.fps / 60),
        mean_return=float(np.mean([video.return_ or 0.0 for video in videos])),
    )


def keep_settings(path: Path, flags: Mapping[str, Any], *, write: bool = True) -> None:
    """Write the flags of a recording to `path`; raises `SettingsError`, with the flags that differ, if it was begun with others."""
    kept = {name: list(map(list, value)) if isinstance(value, tuple) else value for name, value in flags.items()}  # as JSON has it
    if path.exists() and (old := read_json(path)) != kept:
        other = ", ".join(name for name in kept if old.get(name) != kept[name])
        raise SettingsError(f"{path.stem} was made with another {other} ({path}): use those of before, or another --out")
    if write:
        write_json(path, kept)


def recorded_lag_ms(corpus: Corpus, video: Video) -> float | None:
    """The lag of a video by the flags of its recording; None where `record_corpus` did not make it."""
    flags = corpus.root / "recording" / f"{video.id.rpartition('-e')[0]}.json"
    if video.source != SOURCE or not flags.exists():
        return None
    return float(1000 * read_json(flags)["--lag-frames"] / Fraction(video.fps or 1))


def episode_seed(seed: int, episode: int) -> int:
    """The seed, 32 bits, of an episode: the same whatever was recorded before it."""
    return int(np.random.SeedSequence((seed, episode)).generate_state(1)[0])


def lagged(table: pa.Table, lag_frames: int) -> pa.Table:
    """An `actions` table whose row i holds what row i + `lag_frames` held; rows without one are left out."""
    count = max(0, table.num_rows - abs(lag_frames))
    stamps, pads = table.slice(max(0, -lag_frames), count), table.slice(max(0, lag_frames), count)
    return pads.set_column(0, ACTIONS.field("pts_s"), stamps.column("pts_s"))


def _video(name: str, path: Path, player: str, spec: GameSpec, seed: int, episode: Episode, overlay: Overlay | None) -> Video:
    return Video(
        id=name,
        game=spec.name,
        level=spec.title,
        player=player,
        source=SOURCE,
        sha256=file_sha256(path),
        fps=str(spec.fps),
        frames=episode.frames,
        duration_s=float(episode.frames / spec.fps),
        width_px=spec.width_px,
        height_px=spec.height_px,
        seed=seed,
        return_=episode.return_,
        licence=spec.licence,
        overlay_px=_overlay_px(overlay, spec),
        overlay_of_px=(spec.width_px, spec.height_px) if overlay else None,
    )


def _restored(old: Video, new: Video) -> Video:
    """An episode recorded again has the same pictures, and keeps what was measured on them."""
    return replace(old, sha256=new.sha256, status="ok", reason=None)


def _overlay_px(overlay: Overlay | None, spec: GameSpec) -> tuple[float, float, float, float] | None:
    if overlay is None:
        return None
    x, y, wide, high = overlay.box(spec.width_px, spec.height_px)
    return float(x), float(y), float(wide), float(high)


def _episode_name(stem: str, episode: int) -> str:
    return f"{stem}-e{episode:04d}"


def _frames(videos: list[Video]) -> int:
    return sum(video.frames or 0 for video in videos)


def _finished(corpus: Corpus, stem: str, withhold: Path | None) -> list[Video]:
    """The episodes that earlier runs finished, up to the first that is missing."""
    known = {video.id: video for video in corpus.list_videos()}
    videos: list[Video] = []
    while (name := _episode_name(stem, len(videos))) in known:
        truth = _truth_path(corpus, name, withhold)
        if not truth.exists():
            raise SettingsError(f"{name} is recorded, but its truth is not at {truth}: use the --withhold of before, or another --out")
        videos.append(known[name])
    return videos


def _truth_path(corpus: Corpus, name: str, withhold: Path | None) -> Path:
    """The path of an episode's true rows. Raises `SettingsError` if they are to be withheld and are in the corpus already."""
    inside = corpus.actions_path(RECORDED, name)
    if withhold is None:
        return inside
    if inside.exists():
        raise SettingsError(f"the truth of {name} is in the corpus already ({inside}): leave out --withhold, or use another --out")
    return withhold / f"{name}.parquet"


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

"""Record a corpus: video and pads of a scripted player of a game.

    <corpus>/videos/<game>-<player>-s<seed>-e<episode>.mp4     H.264, one frame per picture shown
    <corpus>/actions/recorded/<same>.parquet                   the true rows; withheld, they are outside the corpus
    <corpus>/catalogue/                                        one row a video, written last
    <corpus>/recording/<game>-<player>-s<seed>.json            the settings, which later runs must share

An episode is a function of (seed, its number), and where the last one is cut depends on the frames before it. An episode without a row in
the table of videos is not finished: re-run to resume with the first such one and end with the same bytes. An episode whose footage or rows
are gone or damaged is recorded again. The corpus may lie at an address, withheld rows lie on this machine.
Cost: 2 minutes of footage take 5 s (Doom) or 8 s (racing) and about 12 MB (measured, one loaded core).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ghostpad.base.errors import SettingsError
from ghostpad.base.files import atomic_path, file_sha256, read_json, write_json
from ghostpad.base.places import AnyPlace, Place, place
from ghostpad.base.records import ACTIONS, Video, actions_table, ends_whole, write_table
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.games.episode import Episode, record_episode
from ghostpad.games.overlay import Overlay, swapped
from ghostpad.games.spec import GameSpec, make_game, make_player

SOURCE = "recorded by ghostpad"
"""The `source` of recorded videos."""

_BLOCK = 256  # episodes looked up at once
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
    out: AnyPlace,
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
    inside = place(out)
    if withhold is not None and isinstance(inside, Path) and withhold.resolve().is_relative_to(inside.resolve()):
        raise SettingsError(f"the withheld rows would be inside the corpus ({withhold}): name a folder outside {out}")
    corpus, stem = Corpus.create(inside), f"{game}-{player}-s{seed}"
    videos = _begun(corpus, stem)
    truths = [_truth_path(corpus, video.id, withhold) for video in videos]
    flags = _flags_of(overlay) | {"--crf": crf, "--lag-frames": lag_frames, "--withhold": withhold is not None}
    others = any(video.overlay_px != _overlay_px(overlay, engine.spec) for video in videos)
    _keep_flags(corpus.root / "recording" / f"{stem}.json", flags, truths, others)
    shown, played, swaps = count(_frames(videos) + 1), count(), overlay.swaps if overlay else ()

    def play(number: int, frames: int, on_frame: Callable[[], object]) -> Video:
        name, own_seed = _episode_name(stem, number), episode_seed(seed, number)
        with _to_write(corpus.root / "videos" / f"{name}.mp4") as path:
            episode = record_episode(engine, scripted, own_seed, path, max_frames=frames, crf=crf, on_frame=on_frame, overlay=overlay)
            video = _video(name, path, player, engine.spec, own_seed, episode, overlay)
        rows = actions_table(episode.pts_s, swapped(episode.pads, swaps), swapped(episode.known, swaps))
        write_table(_truth_path(corpus, name, withhold), lagged(rows, lag_frames), "actions", {"licence": engine.spec.licence})
        corpus.put_videos([video], _restored)  # written last: with its row, the episode is finished
        next(played)
        return video

    with engine:
        for number, (video, truth) in enumerate(zip(list(videos), truths, strict=True)):
            if video.status != "ok" or not corpus.has_footage(video) or not ends_whole(truth):
                videos[number] = play(number, video.frames or 0, lambda: None)
        while (left := total - _frames(videos)) >= 2:
            videos.append(play(len(videos), left, lambda: progress(next(shown), total)))
    return Recorded(
        episodes=len(videos),
        recorded_now=next(played),
        minutes=float(_frames(videos) / engine.spec.fps / 60),
        mean_return=float(np.mean([video.return_ or 0.0 for video in videos])),
    )


def _flags_of(overlay: Overlay | None) -> dict[str, Any]:
    drawn = asdict(overlay) if overlay else dict.fromkeys(_OVERLAY_FLAGS)
    return {flag: drawn[name] for name, flag in _OVERLAY_FLAGS.items()}


def _keep_flags(path: Place, flags: Mapping[str, Any], truths: Sequence[Place], others: bool) -> None:
    """As `keep_settings`. Raises `SettingsError` too if no truth of an earlier run is there and it may have been left elsewhere, or where
    no flags were kept and videos have `others` boxes of controllers; where they were, `ghostpad corpus set-mask` may have set those."""
    if others and not path.exists():
        raise SettingsError(f"{path.stem} was recorded with another --overlay or --corner: use those of before, or another --out")
    noted = path.exists() and "--withhold" in read_json(path)  # earlier versions did not
    if truths and (flags["--withhold"] or not noted) and not any(truth.exists() for truth in truths):
        raise SettingsError(f"{path.stem} is recorded, but its truth is not at {truths[0]}: use the --withhold of before, or another --out")
    keep_settings(path, flags)


def keep_settings(path: Place, flags: Mapping[str, Any], *, write: bool = True) -> None:
    """Write the flags of a recording to `path`; raises `SettingsError`, with the flags that differ, if it was begun with others.

    A flag that `path` does not name, since it was written by an earlier version, may be any.
    """
    kept = {name: list(map(list, value)) if isinstance(value, tuple) else value for name, value in flags.items()}  # as JSON has it
    old = read_json(path) if path.exists() else {}
    if other := ", ".join(name for name in kept if name in old and old[name] != kept[name]):
        raise SettingsError(f"{path.stem} was made with another {other} ({path}): use those of before, or another --out")
    if write and not old:
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
        size_bytes=path.stat().st_size,
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
    return replace(old, sha256=new.sha256, size_bytes=new.size_bytes, attempts=0, status="ok", reason=None)


def _overlay_px(overlay: Overlay | None, spec: GameSpec) -> tuple[float, float, float, float] | None:
    if overlay is None:
        return None
    x, y, wide, high = overlay.box(spec.width_px, spec.height_px)
    return float(x), float(y), float(wide), float(high)


def _episode_name(stem: str, episode: int) -> str:
    return f"{stem}-e{episode:04d}"


def _frames(videos: list[Video]) -> int:
    return sum(video.frames or 0 for video in videos)


def _begun(corpus: Corpus, stem: str) -> list[Video]:
    """The episodes that earlier runs finished, up to the first that is missing."""
    videos: list[Video] = []
    while True:
        names = [_episode_name(stem, number) for number in range(len(videos), len(videos) + _BLOCK)]
        found = corpus.find(names)
        for name in names:
            if name not in found:
                return videos
            videos.append(found[name])


@contextmanager
def _to_write(target: Place) -> Iterator[Path]:
    """Where an episode is recorded, whole or not at all: its own path, or a file of this machine that becomes the one at an address."""
    if isinstance(target, Path):
        yield target
    else:
        with atomic_path(target) as temporary:
            yield temporary


def _truth_path(corpus: Corpus, name: str, withhold: Path | None) -> Place:
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

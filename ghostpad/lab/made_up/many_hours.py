"""A corpus of thousands of hours for measuring the feed: a few real films, and links to what was made of them under other names.

Writes a corpus with segments, recorded rows and their packs, as `ghostpad corpus proxy` leaves them. All that training reads is there and
real, only that the same bytes come many times; of the footage itself there are only the films. A film of 21,600 frames at 256 x 256 RGB
takes a minute of CPU and 100 MB; each other video takes three links.
"""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from ghostpad.base.progress import progress
from ghostpad.base.records import Video, actions_table
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.feed.load import load_footage, segment_store
from ghostpad.feed.rows import RecordedRows
from ghostpad.feed.settings import DataSettings
from ghostpad.feed.window import WindowSpec
from ghostpad.games.episode import record_episode
from ghostpad.games.spec import make_game, make_player
from ghostpad.lab.made_up.videos import repeat_video
from ghostpad.video.child import VideoChild

FILMS = {"doom": "novice", "racing": "novice"}
"""The films: one of each game, by this player."""

_EPISODE_FRAMES = 300  # that a film repeats


def many_hours(root: Path, spec: WindowSpec, videos: int, rows: int) -> Corpus:
    """A corpus of `videos` videos of about `rows` rows each, made of the `FILMS`, with segments for a model's window."""
    corpus, data = Corpus.create(root), DataSettings(pictures="segments")
    store, folder, films = segment_store(corpus, spec, data), root / "segments" / spec.picture, list[Video]()
    with VideoChild() as child:
        for game, player in FILMS.items():
            films.append(_film(corpus, root, game, player, rows, child))
            store.make(films[-1], child)
    load_footage(corpus, [film.id for film in films], RecordedRows(), spec, data)
    packs = {film.id: next(folder.glob(f"*/{film.id}-*.rows")) for film in films}
    added = list[Video]()
    with progress("link", videos, "videos") as advance:
        for number in range(len(films), videos):
            film, id = films[number % len(films)], f"video-{number:06d}"
            pack = packs[film.id]
            actions = root / "actions" / RECORDED
            os.link(folder / f"{film.id}.index", folder / f"{id}.index")
            os.link(pack, pack.with_name(pack.name.replace(film.id, id)))
            os.link(actions / f"{film.id}.parquet", actions / f"{id}.parquet")
            added.append(replace(film, id=id, path=film.path))
            advance(1)
    corpus.put_videos(added)
    return corpus


def _film(corpus: Corpus, root: Path, game: str, player: str, rows: int, child: VideoChild) -> Video:
    """A film of a game: the same episode over and over, with its rows."""
    path = root / "videos" / f"film-{game}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    clip = path.with_name("clip.mp4")
    episode = record_episode(make_game(game), make_player(game, player), 0, clip, max_frames=_EPISODE_FRAMES)
    times = -(-rows // episode.frames)
    repeat_video(clip, path, times)
    clip.unlink()
    video = Video(
        id=path.stem, game=game, player=player, sha256=f"film-{game}", duration_s=child.probe(path).duration_s,
        fps=str(child.probe(path).fps), source="made up", size_bytes=path.stat().st_size,
    )  # fmt: skip
    corpus.add_video(video)
    pads = np.tile(np.concatenate([episode.pads, episode.pads[-1:]]), (times, 1))
    stamps_s = np.array([float(stamp) for stamp in child.stamps(path)])
    corpus.write_actions(RECORDED, video.id, actions_table(stamps_s[:-1], pads[: len(stamps_s) - 1], episode.known))
    return video

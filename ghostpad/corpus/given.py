"""Put video files whose pads lie beside them into a corpus.

    clip.mp4  clip.parquet      given: a video and its rows, table kind "actions"
    <corpus>/videos/clip.mp4    the copies
    <corpus>/actions/recorded/clip.parquet

The row in the table of videos is written last, so a killed copy is made again and a finished one is left alone. Cost: reading each
file once, and copying it.
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ghostpad.base.errors import FormatError, GhostpadError, MissingError, SettingsError
from ghostpad.base.files import atomic_path, safe_name
from ghostpad.base.records import read_table
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.video.probe import probe_video

_HOW = (
    "one row a frame but the last, with its pts_s and the pad in force until the next frame, null where unknown; "
    "ghostpad.base.records makes it: write_table(path, actions_table(pts_s, pads, known), 'actions')"
)


def take_files(corpus: Corpus, videos: Sequence[Path], game: str | None) -> list[str]:
    """Copy `videos` and the rows beside them into `corpus`, and return their ids, which are the files' names without suffix.

    The game is `game`, or else the id. Raises one `SettingsError` for names that cannot work or that another video in the corpus has,
    `MissingError` or `FormatError` for rows that are not there or not a table of actions, and `MediaError` for a broken video.
    """
    ids = [video.stem for video in videos]
    problems = [f"two videos are called '{id}': rename one" for id in sorted(set(ids)) if ids.count(id) > 1]
    problems += [f"{video} holds rows: name the video beside it" for video in videos if video.suffix == ".parquet"]
    if problems:
        raise SettingsError(problems)
    for id, video in zip(ids, videos, strict=True):
        _take(corpus, safe_name(id), video, game or id)
    return ids


def _take(corpus: Corpus, id: str, video: Path, game: str) -> None:
    info = probe_video(video)
    rows = _rows_beside(video)
    with open(video, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    found: dict[str, Any] | None = next((row for row in corpus.rows() if row["id"] == id), None)
    if found is not None:
        if (found["sha256"], found["game"]) != (sha256, game) or corpus.actions(RECORDED, id) != rows:
            raise SettingsError(f"{corpus.root} holds another '{id}' (video, rows or game): choose another --out, or remove that folder")
        return
    name = f"videos/{id}{video.suffix}"
    with atomic_path(corpus.root / name) as temporary:
        shutil.copyfile(video, temporary)
    corpus.write_actions(RECORDED, id, rows)
    corpus.add_video({"id": id, "path": name, "game": game, "sha256": sha256} | info.columns())


def _rows_beside(video: Path) -> Any:
    path = video.with_suffix(".parquet")
    if not path.exists():
        raise MissingError(f"{video} has no pads beside it: {path} is missing. It holds {_HOW}")
    try:
        return read_table(path, "actions")
    except GhostpadError as error:
        raise FormatError(f"{error}. It must hold {_HOW}") from None

"""Put video files whose pads lie beside them into a corpus, or refuse: what `adapt` learns from has to be whole.

    clip.mp4  clip.parquet      given: a video and its rows, table kind "actions"
    <corpus>/                   as `ghostpad.corpus.add.add` leaves it, ids being the files' names

Takes files in by `ghostpad.corpus.add.add`, and raises where that would only count.
"""

from collections.abc import Sequence
from pathlib import Path

from ghostpad.base.errors import FormatError, GhostpadError, MediaError, MissingError, SettingsError
from ghostpad.base.files import safe_name
from ghostpad.base.records import read_table
from ghostpad.corpus.add.add import add_videos
from ghostpad.corpus.add.find import InputVideo
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.places import open_place
from ghostpad.video.probe import probe_video

_HOW = (
    "one row a frame but the last, with its pts_s and the pad in force until the next frame, null where unknown; "
    "ghostpad.base.records makes it: write_table(path, actions_table(pts_s, pads, known), 'actions')"
)


def take_files(corpus: Corpus, videos: Sequence[Path], game: str | None) -> list[str]:
    """Copy `videos` and the rows beside them into `corpus`, and return their ids, which are the files' names without suffix.

    The game is `game`, or else the id. Raises one `SettingsError` for names that cannot work, for a video, rows or game other than those
    the corpus has under an id, and for two files that show the same; `MissingError` or `FormatError` for rows that are not there or not a
    table of actions, and `MissingError` or `MediaError` for a video that is not there or broken.
    """
    ids = [video.stem for video in videos]
    problems = [f"two videos are called '{id}': rename one" for id in sorted(set(ids)) if ids.count(id) > 1]
    problems += [f"{video} holds rows: name the video beside it" for video in videos if video.suffix == ".parquet"]
    if problems:
        raise SettingsError(problems)
    for video in videos:
        probe_video(video)
        _check_rows_beside(video)
    given = [_given(video, game) for video in videos]
    counts = add_videos(corpus, given)
    rows = {video.id: video for video in corpus.list_videos()}
    for id, one in zip(ids, given, strict=True):
        if one.path in counts.same:
            raise SettingsError(f"{one.path} shows the same as '{counts.same[one.path]}': leave one out")
        if one.path in counts.unfit or id in counts.unread or rows[id].game != one.facts["game"]:
            raise SettingsError(f"{corpus.root} holds another '{id}' (video, rows or game): choose another --out, or remove that folder")
        if rows[id].status != "ok":
            raise MediaError(str(rows[id].reason))
    return ids


def _given(video: Path, game: str | None) -> InputVideo:
    files, path = open_place(str(video))
    return InputVideo(path, files, {"game": game or video.stem}, safe_name(video.stem))


def _check_rows_beside(video: Path) -> None:
    path = video.with_suffix(".parquet")
    if not path.exists():
        raise MissingError(f"{video} has no pads beside it: {path} is missing. It holds {_HOW}")
    try:
        read_table(path, "actions")
    except GhostpadError as error:
        raise FormatError(f"{error}. It must hold {_HOW}") from None

"""`ghostpad corpus add`: footage from elsewhere."""

from pathlib import Path
from typing import Annotated

import tyro

from ghostpad.cli.arguments import CorpusPath
from ghostpad.corpus.add.add import add_videos
from ghostpad.corpus.add.find import find_videos
from ghostpad.corpus.folder import Corpus

_Videos = Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="VIDEOS")]


def corpus_add(
    corpus: CorpusPath,
    videos: _Videos,
    *,
    game: str | None = None,
    player: str | None = None,
    licence: str | None = None,
    link: bool = False,
) -> None:
    """Add videos to a corpus, which is created if needed. Every file is probed, and the same content is kept once.

    A file named after a video whose labels 'corpus index' read (<id>.mp4, or <title> [<id>].mp4 as yt-dlp names files) becomes that video's
    footage. A video that the corpus has already, byte for byte or re-encoded, is left out and counted. A file that cannot be read becomes a
    row with its reason. A video whose file is gone becomes missing, and ok again once it is back. Safe to interrupt: re-run to resume.

    A table <name>.csv or <name>.parquet beside a video becomes the video's recorded pads. It needs a column pts_s (seconds of the video's
    own clock, ascending; a row holds until the next) and columns for any of the pad's slots: buttons south, east, west, north,
    left_shoulder, right_shoulder, left_trigger, right_trigger, left_thumb, right_thumb, dpad_up, dpad_down, dpad_left, dpad_right, start,
    back, guide (0 or 1, true or false, or a probability) and sticks left_x, left_y, right_x, right_y (-1 to 1; down is positive). An empty
    cell is unknown. If a table has a mistake, the reason is printed and the video is added without it: correct the table and re-run.

    Args:
        videos: Files, folders, a manifest.csv (columns path, id, game, player, licence; only path is needed), or addresses such as
            s3://bucket/prefix (extra s3; other fsspec drivers work too).
        game: The name of the game.
        player: The name of the player.
        licence: The licence of the footage.
        link: Make links to the files instead of copies.
    """
    sources = find_videos(videos, {"game": game, "player": player, "licence": licence})
    counts = add_videos(Corpus.create(Path(corpus)), sources, link)
    joined = f" ({counts.joined} of them footage of indexed labels)" if counts.joined else ""
    lines = [
        f"{corpus}: {counts.added} videos added{joined}, {counts.present} were there, {len(counts.same)} duplicates, "
        f"{len(counts.broken)} broken"
    ]
    lines += [f"  {len(counts.back)} are back: {', '.join(counts.back)}"] if counts.back else []
    lines += [f"  missing, their files are gone: {', '.join(counts.gone)}"] if counts.gone else []
    lines += [f"  duplicate of {id}, the same pictures: {path}" for path, id in counts.same.items()]
    lines += [f"  broken: {path}: {reason}" for path, reason in counts.broken.items()]
    lines += [f"  not taken: {path}: {reason}" for path, reason in counts.unfit.items()]
    lines += [f"  {id} was added without the rows beside it: {reason}" for id, reason in counts.unread.items()]
    print("\n".join(lines))

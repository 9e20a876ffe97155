"""`ghostpad corpus add`: footage from elsewhere."""

from pathlib import Path
from typing import Annotated

import tyro

from ghostpad.cli.arguments import CorpusPath
from ghostpad.corpus.add.add import AddCounts, add_videos
from ghostpad.corpus.add.find import find_videos
from ghostpad.corpus.folder import Corpus

Places = Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="VIDEOS")]
"""Files, folders, manifests or URLs."""


def corpus_add(
    corpus: CorpusPath,
    videos: Places,
    *,
    game: str | None = None,
    player: str | None = None,
    licence: str | None = None,
    link: bool = False,
) -> None:
    """Add videos to a corpus, which is made if it is not there: probed, hashed, each content once.

    A file named after a video whose labels `corpus index` read (<id>.mp4, or as yt-dlp names files, <title> [<id>].mp4) becomes that
    video's footage. What is there already, byte for byte or encoded anew, is left out and counted. What cannot be read becomes a row with
    its reason. A video added before whose file is gone becomes missing, and ok again when it is back. Safe to interrupt: re-run to resume.

    Where <name>.csv or <name>.parquet lies beside a video, it becomes the video's recorded pads. It needs a column pts_s (seconds of the
    video's own clock, ascending; a row holds until the next) and any of the pad's slots: buttons south, east, west, north, left_shoulder,
    right_shoulder, left_trigger, right_trigger, left_thumb, right_thumb, dpad_up, dpad_down, dpad_left, dpad_right, start, back, guide (0
    or 1, true or false, or a probability) and sticks left_x, left_y, right_x, right_y (-1 to 1, y positive is down). Empty is unknown. A
    table with a mistake is refused with the reason and the video is added without it: correct the table and re-run.

    Args:
        videos: Files, folders, a manifest.csv (columns path, id, game, player, licence; path alone must be there), or addresses such as
            s3://bucket/prefix (extra s3; other fsspec drivers work as well).
        game: What is played.
        player: Who plays.
        licence: Under which licence the footage is.
        link: Link to the files instead of copying them.
    """
    given = find_videos(videos, {"game": game, "player": player, "licence": licence})
    print(counts_text(corpus, add_videos(Corpus.create(Path(corpus)), given, link)))


def counts_text(corpus: Path, counts: AddCounts) -> str:
    """The lines that the command prints."""
    joined = f" ({counts.joined} of them footage of indexed labels)" if counts.joined else ""
    lines = [
        f"{corpus}: {counts.added} videos added{joined}, {counts.present} were there, {len(counts.same)} show what is there, "
        f"{len(counts.broken)} broken"
    ]
    lines += [f"  {len(counts.back)} are back: {', '.join(counts.back)}"] if counts.back else []
    lines += [f"  missing, their files are gone: {', '.join(counts.gone)}"] if counts.gone else []
    lines += [f"  the same pictures as {id}: {path}" for path, id in counts.same.items()]
    lines += [f"  broken: {path}: {reason}" for path, reason in counts.broken.items()]
    lines += [f"  not taken: {path}: {reason}" for path, reason in counts.unfit.items()]
    lines += [f"  {id} is there without the rows beside it: {reason}" for id, reason in counts.unread.items()]
    return "\n".join(lines)

"""`ghostpad corpus add`: footage from elsewhere."""

from collections.abc import Iterator
from typing import Annotated

import tyro

from ghostpad.base.places import Place
from ghostpad.cli.arguments import CorpusPath
from ghostpad.cli.flags import ENGINE, SettingFlags, engine_settings
from ghostpad.corpus.add.add import AddCounts, add_videos
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
    retry: str | None = None,
    engine: SettingFlags = ENGINE,
) -> int:
    """Add videos to a corpus, which is created if needed. Every file is probed, and the same content is kept once.

    A file named after a video whose labels 'corpus index' read (<id>.mp4, or <title> [<id>].mp4 as yt-dlp names files) becomes that video's
    footage. A video that the corpus has already, byte for byte or re-encoded, is left out and counted. A file that cannot be read becomes a
    row with its reason, and is read again once it has changed, or with --retry. A video whose file is gone or cut becomes missing, and ok
    again once it is back or its source is added again. Safe to interrupt: re-run to resume. Several may run at once, on one corpus too.

    Exit status: 1 if a file is broken or not taken, or one that was added is gone.

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
        link: Make links to the files instead of copies; for files and a corpus on this machine.
        retry: Read files again that were broken for a reason with this text, or all of them with 'all'.
    """
    placed = engine_settings(engine)
    sources = find_videos(videos, {"game": game, "player": player, "licence": licence})
    counts = add_videos(Corpus.create(corpus), sources, link, retry, placed)
    print("\n".join(_lines(corpus, counts)))
    return 0 if counts.is_whole else 1


def _lines(corpus: Place, counts: AddCounts) -> Iterator[str]:
    joined = f" ({counts.joined} of them footage of indexed labels)" if counts.joined else ""
    yield (
        f"{corpus}: {counts.added} videos added{joined}, {counts.present} were there, {len(counts.same)} duplicates, "
        f"{len(counts.broken)} broken"
    )
    if counts.back:
        yield f"  {len(counts.back)} are back: {', '.join(counts.back)}"
    yield from (f"  missing: {id}: {reason}" for id, reason in counts.gone.items())
    yield from (f"  duplicate of {id}, the same pictures: {path}" for path, id in counts.same.items())
    yield from (f"  broken: {path}: {reason}" for path, reason in counts.broken.items())
    yield from (f"  not taken: {path}: {reason}" for path, reason in counts.unfit.items())
    yield from (f"  {id} was added without the rows beside it: {reason}" for id, reason in counts.unread.items())
    yield from (f"  left out, as an earlier version noted it: {id}: {reason}: add its file again" for id, reason in counts.skipped.items())

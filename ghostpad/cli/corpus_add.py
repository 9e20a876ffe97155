"""`ghostpad corpus add`: footage from elsewhere."""

from pathlib import Path
from typing import Annotated

import tyro

from ghostpad.cli.arguments import CorpusPath
from ghostpad.corpus.add import add_videos, find_videos
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

    What is there already, byte for byte or encoded anew, is left out and counted. What cannot be read becomes a row with its reason. Where
    <name>.parquet (a table of actions) lies beside a video, it becomes its recorded rows. Stopped, the same command goes on.

    Args:
        videos: Files, folders, a manifest.csv (columns path, game, player, licence), or URLs such as s3://bucket/prefix (fsspec).
        game: What is played.
        player: Who plays.
        licence: Under which licence the footage is.
        link: Link to the files instead of copying them.
    """
    given = find_videos(videos, {"game": game, "player": player, "licence": licence})
    counts = add_videos(Corpus.create(Path(corpus)), given, link)
    print(
        f"{corpus}: {counts.added} videos added, {counts.present} were there, {len(counts.same)} show what is there, "
        f"{len(counts.broken)} broken"
    )
    for path, id in counts.same.items():
        print(f"  the same pictures as {id}: {path}")
    for id, reason in counts.broken.items():
        print(f"  broken: {id}: {reason}")
    for id, reason in counts.unread.items():
        print(f"  {id} was added without its rows: {reason}")

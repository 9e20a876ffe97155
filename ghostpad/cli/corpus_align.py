"""`ghostpad corpus align`: how late each video's picture shows what its rows say."""

from collections import Counter, defaultdict
from typing import Any

import numpy as np

from ghostpad.base.errors import MissingError
from ghostpad.base.progress import progress
from ghostpad.cli.arguments import CorpusPath
from ghostpad.corpus.align import align_corpus
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.view.lag_plot import write_lag_plot


def corpus_align(corpus: CorpusPath) -> None:
    """Measure, for every video with footage and recorded rows, how late the picture shows what the rows say.

    Writes lag_ms and lag_confidence of the table of videos, which training applies; lag.json with every measurement and why a lag is
    unknown; and lag.png, the distribution. A lag is counted from the game's first answer to the pad, the median over the videos of a game
    and player; one that is not clear is left unknown and taken as none. A game that answers slowly is measured late, racing by about a
    frame: do not align footage that ghostpad recorded without a lag. Stopped, the same command goes on.
    """
    opened = Corpus.open(corpus)
    wanted = len(set(opened.labelled_ids(RECORDED)) & set(opened.ok_ids()))
    if not wanted:
        raise MissingError(f"{corpus} has no video with both footage and recorded rows: fetch footage, or record some")
    with progress("align", wanted, "videos") as advance:
        found = align_corpus(opened, advance)
    write_lag_plot(corpus / "lag.png", [row["lag_ms"] for row in found])
    print(align_text(found))
    print(f"{corpus / 'lag.png'}: the distribution; {corpus / 'lag.json'}: every video")


def align_text(found: list[dict[str, Any]]) -> str:
    """The table that the command prints, a line a game and player, and the reasons why lags are unknown."""
    groups = defaultdict(list)
    for row in found:
        groups[f"{row['game'] or 'unknown game'} by {row['player'] or 'unknown player'}"].append(row)
    lines = [f"{'':<34} videos  known  lag ms: median   least    most   frames: median"]
    for name, rows in sorted(groups.items()):
        known = [row for row in rows if row["lag_ms"] is not None]
        line = f"{name:<34} {len(rows):>6}  {len(known):>5}"
        if known:
            ms, frames = (np.array([row[key] for row in known]) for key in ("lag_ms", "lag_frames"))
            line += f"  {np.median(ms):>14.0f} {ms.min():>7.0f} {ms.max():>7.0f}  {np.median(frames):>15.1f}"
        lines.append(line)
    reasons = Counter(row["reason"] for row in found if row["lag_ms"] is None)
    lines += [f"unknown: {reason}: {count} videos" for reason, count in reasons.most_common()]
    copied = [row for row in found if row["copies"]]
    lines += [f"{len(copied)} videos show fewer pictures than their file says: repeats were left out"] if copied else []
    return "\n".join(lines)

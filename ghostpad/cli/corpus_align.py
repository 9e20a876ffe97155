"""`ghostpad corpus align`: how late each video shows its recorded inputs."""

import math
from collections import Counter, defaultdict
from typing import Any

import numpy as np

from ghostpad.base.lines import text_table
from ghostpad.cli.arguments import CorpusPath, PlacePath
from ghostpad.cli.flags import ENGINE, SettingFlags, engine_settings
from ghostpad.corpus.folder import Corpus, unreadable_lines
from ghostpad.corpus.lag.align import align_corpus
from ghostpad.view.lag_plot import write_lag_plot

_WAYS = {
    "reference": "by the reference",
    "together": "by the game's other videos",
    "alone": "from the video alone (its game has too few others)",
}
_BAR = 40  # characters of the longest bar


def corpus_align(corpus: CorpusPath, reference: tuple[PlacePath, ...] = (), *, engine: SettingFlags = ENGINE) -> int:
    """Measure how late the picture of each video shows its recorded inputs.

    Writes lag_ms and lag_confidence to the table of videos, which training applies; lag.json with every measurement, its method, and why a
    lag is unknown; and lag.png, the distribution. A lag that is not clear stays unknown and counts as 0. Without a reference, lags are
    measured from the game's first visible response, which is up to 1.3 frames late in racing, and later with only a few minutes of footage:
    do not align footage that ghostpad recorded without a lag. Safe to interrupt: re-run to resume. The exit status is 1 if a video cannot
    be read.

    Args:
        reference: Corpora of the same games with known lags: recorded by ghostpad, or with a lag_ms that somebody checked. Lags are then
            measured against theirs. A few minutes of each game are enough.
    """
    aligned = align_corpus(Corpus.open(corpus), [Corpus.open(path) for path in reference], engine_settings(engine))
    write_lag_plot(corpus / "lag.png", [row["lag_ms"] for row in aligned.videos])
    print(align_text(aligned.videos), *unreadable_lines(corpus, aligned.unreadable), sep="\n")
    print(f"{corpus / 'lag.png'}: the distribution; {corpus / 'lag.json'}: every video")
    return 1 if aligned.unreadable else 0


def align_text(videos: list[dict[str, Any]]) -> str:
    """What the command prints: a line a game and player, the distribution in frames, and why lags are unknown."""
    known_videos, groups = [row for row in videos if row["lag_ms"] is not None], defaultdict(list)
    for row in videos:
        groups[f"{row['game'] or 'unknown game'} by {row['player'] or 'unknown player'}"].append(row)
    table = []
    for name, rows in sorted(groups.items()):
        known = [row for row in rows if row["lag_ms"] is not None]
        ms, frames = (np.array([row[key] for row in known]) for key in ("lag_ms", "lag_frames"))
        figures = [f"{np.median(ms):.0f}", f"{ms.min():.0f}", f"{ms.max():.0f}", f"{np.median(frames):.1f}"] if known else []
        table.append([name, str(len(rows)), str(len(known)), *figures])
    lines = [text_table(["", "videos", "known", "lag ms: median", "least", "most", "frames: median"], table)]
    if counts := Counter(round(row["lag_frames"]) for row in known_videos):
        longest = max(counts.values())
        bars = {lag: "#" * math.ceil(_BAR * counts[lag] / longest) for lag in range(min(counts), max(counts) + 1)}
        lines += ["lag in frames, videos:", *(f"  {lag:>+3} {counts[lag]:>6}  {bar}".rstrip() for lag, bar in bars.items())]
    lines += [f"measured {_WAYS[way]}: {count} videos" for way, count in Counter(row["by"] for row in known_videos).most_common()]
    reasons = Counter(row["reason"] for row in videos if row["lag_ms"] is None)
    lines += [f"unknown: {reason}: {count} videos" for reason, count in reasons.most_common()]
    if repeated := sum(bool(row["copies"]) for row in videos):
        lines.append(f"{repeated} videos repeat pictures: the repeats were left out")
    return "\n".join(lines)

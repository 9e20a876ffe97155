"""`ghostpad lab bench align`: whether known lags are recovered."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ghostpad.base.errors import SettingsError
from ghostpad.base.lines import text_table
from ghostpad.base.progress import progress
from ghostpad.lab.bench.align_recovery import Recovery, recover, reference_of
from ghostpad.lab.bench.common import show

GAMES, PLAYERS = ("doom", "racing"), ("novice", "expert")
REFERENCE_SEED = 1_000_000
"""Added to the seed of the tested footage, so that the reference has other episodes."""


def bench_align(
    *,
    minutes: float = 3.0,
    seed: int = 0,
    step: int = 4,
    qualities: tuple[int, ...] = (18, 25, 32),
    out: Path | None = None,
    quick: bool = False,
) -> None:
    """Record games, move their rows by known lags, and measure how often each lag is recovered to within a frame.

    Doom and racing, novice and expert, lags of -12 to 12 frames; once with a reference, footage of both games
    and players without lag from other seeds, and once without. Also measures how often a lag is reported for the rows of another video,
    without a reference when each video is measured alone.

    Args:
        minutes: Footage to record for each game, player and quality, and of each game and player for the reference.
        seed: Random seed; another seed gives other episodes.
        step: Frames between the lags that are tried (without a reference only the first and the last).
        qualities: The x264 qualities (crf) to record in.
        out: The JSON file to write.
        quick: One quality, two lags and a minute: shows that it works, measures little.
    """
    problems = [] if 1 <= step <= 12 else [f"step is {step}: it must be 1 to 12"]
    problems += [f"a quality is {crf}: it must be 0 to 51" for crf in qualities if not 0 <= crf <= 51]
    if not qualities or problems:
        raise SettingsError(problems or "no qualities are named: leave --qualities out, or name some")
    qualities, lags = ((25,), (-12, 12)) if quick else (qualities, tuple(range(-12, 13, step)))
    minutes = min(minutes, 1.0) if quick else minutes
    kinds = [(game, crf) for game in GAMES for crf in qualities]
    results: list[Recovery] = []
    with tempfile.TemporaryDirectory(prefix="ghostpad-bench-") as temporary:
        readers = reference_of(GAMES, PLAYERS, minutes, seed + REFERENCE_SEED, Path(temporary) / "reference")
        with progress("align", len(kinds) * len(lags), "lags") as advance:
            for game, crf in kinds:
                folder = Path(temporary) / f"{game}-{crf}"
                results += recover(game, PLAYERS, crf, lags, minutes, seed, folder, readers.get(game), advance)
    show({"lags_frames": lags, "kinds": [asdict(one) for one in results]}, out, recovery_text(results))


def recovery_text(results: Sequence[Recovery]) -> str:
    """The tables that the command prints: shares of videos x lags, and how often a lag was reported for another video's rows."""
    head = ("game", "player", "crf", "tried", "reported", "right of these", "right of all", "for wrong rows", "worst, frames")
    tables = []
    for way, title in (("reference", "with a reference"), ("alone", "without")):
        if some := [one for one in results if one.way == way]:
            rows = [[one.game, one.player, str(one.crf), *_shares([one]), f"{one.worst_frames:.1f}"] for one in some]
            tables.append(f"{title}:\n" + text_table(head, [*rows, ["all", "", "", *_shares(some), ""]], left=2))
    return "\n\n".join(tables)


def _shares(some: Sequence[Recovery]) -> list[str]:
    tried, reported, right, wrong, pairs = (
        sum(getattr(one, name) for one in some) for name in ("tried", "reported", "right", "wrong_reported", "wrong_rows")
    )
    shares = [f"{100 * part / whole:.1f} %" if whole else "none" for part, whole in ((reported, tried), (right, reported), (right, tried))]
    return [str(tried), *shares, f"{wrong} of {pairs}"]

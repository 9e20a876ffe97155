"""`ghostpad bench align`: whether known lags are found again."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ghostpad.base.errors import SettingsError
from ghostpad.base.files import write_json
from ghostpad.base.progress import progress
from ghostpad.corpus.align_check import Recovery, recover

GAMES, PLAYERS = ("doom", "racing"), ("novice", "expert")


def bench_align(*, minutes: float = 4.0, seed: int = 0, step: int = 4, out: Path | None = None, quick: bool = False) -> None:
    """Record games, move their rows by known lags, and measure how often each lag is found again to within a frame.

    Doom and racing, novice and expert, x264 quality 18, 25 and 32, lags of -12 to 12 frames. Also tells how often the rows of another
    video are taken for a video's own. Takes about five minutes.

    Args:
        minutes: Footage to record for each game, player and quality.
        seed: Where all chance comes from: another seed gives other episodes.
        step: Frames between the lags that are tried.
        out: The JSON file to write.
        quick: One quality, two lags and a minute: shows that it works, measures little.
    """
    if not 1 <= step <= 12:
        raise SettingsError(f"step is {step}: it must be 1 to 12")
    qualities, lags = ((25,), (-12, 12)) if quick else ((18, 25, 32), tuple(range(-12, 13, step)))
    kinds = [(game, player, crf) for game in GAMES for player in PLAYERS for crf in qualities]
    found = []
    with tempfile.TemporaryDirectory(prefix="ghostpad-bench-") as temporary, progress("align", len(kinds) * len(lags), "lags") as advance:
        for game, player, crf in kinds:
            folder = Path(temporary) / f"{game}-{player}-{crf}"
            found.append(recover(game, player, crf, lags, min(minutes, 1.0) if quick else minutes, seed, folder, advance))
    if out is not None:
        write_json(out, {"lags_frames": lags, "kinds": [asdict(one) for one in found]})
    print(recovery_text(found))


def recovery_text(found: Sequence[Recovery]) -> str:
    """The table that the command prints."""
    lines = ["game, player, crf: videos x lags, told, of those within a frame, worst in frames; told of another video's rows"]
    for one in found:
        told = f"{_share(one.told, one.tried)} told, {_share(one.right, one.told)} right, worst {one.worst_frames:.1f}"
        lines.append(f"  {one.game:>6} {one.player:>6} {one.crf}: {one.tried:>4}, {told}; {one.wrong_told} of {one.wrong_rows}")
    tried, told, right = (sum(getattr(one, name) for one in found) for name in ("tried", "told", "right"))
    lines.append(f"  all: {tried}, {_share(told, tried)} told, {_share(right, told)} of those right, {_share(right, tried)} of all")
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "none"

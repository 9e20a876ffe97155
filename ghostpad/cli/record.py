"""`ghostpad record`: a scripted player plays a game, and its video and gamepad are added to a corpus."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ghostpad.base.errors import SettingsError
from ghostpad.base.progress import progress
from ghostpad.cli.arguments import GameName, PlayerName
from ghostpad.corpus.record import Recorded, record_corpus
from ghostpad.games.spec import game_spec


def record(
    game: GameName,
    *,
    player: PlayerName = "expert",
    minutes: float = 10.0,
    seed: int = 0,
    out: Path = Path("corpus"),
    withhold: bool = False,
    truth: Path | None = None,
    crf: int = 23,
) -> None:
    """Let a scripted player play a game, and save the video and the gamepad of every frame.

    Writes videos/<id>.mp4, actions/recorded/<id>.parquet and a row of videos.parquet for each episode to the corpus --out, which is
    created if needed. Safe to interrupt: re-run to resume. 'ghostpad lab record' also draws controllers and adds lags.

    Args:
        minutes: Minutes of play to record.
        seed: Random seed; another one gives other episodes.
        out: The corpus to add to.
        withhold: Keep the recorded pads out of the corpus, as if this were footage from elsewhere.
        truth: The folder for withheld pads, outside the corpus [default: <out>-truth].
        crf: Video quality on x264's scale: 0 lossless, 23 ordinary, 51 worst.
    """
    aside = aside_of(out, withhold, truth)
    record = partial(record_corpus, game, player, minutes=minutes, seed=seed, out=out, withhold=aside, crf=crf)
    found = with_bar(game, minutes, lambda tell: record(progress=tell))
    print_recorded(out, game, player, found, aside)


def aside_of(out: Path, withhold: bool, truth: Path | None) -> Path | None:
    """The folder of withheld pads, None if they are not withheld. Raises `SettingsError` for a folder without --withhold."""
    if truth is not None and not withhold:
        raise SettingsError("--truth says where withheld pads go: add --withhold, or leave --truth out")
    return (truth or out.with_name(f"{out.name}-truth")) if withhold else None


def with_bar(game: str, minutes: float, work: Callable[[Callable[[int, int], None]], Recorded]) -> Recorded:
    """Show a bar of `minutes` while `work` records; it calls what it is given with the frames done and all frames."""
    fps = float(game_spec(game).fps)
    with progress(f"record {game}", minutes, "minutes") as advance:
        told = 0

        def tell(done: int, total: int) -> None:
            nonlocal told
            advance((done - told) / fps / 60)  # the first call also tells what an earlier run had recorded
            told = done

        return work(tell)


def print_recorded(out: Path, game: str, player: str, found: Recorded, aside: Path | None) -> None:
    """Print what was recorded."""
    print(
        f"{out}: {found.minutes:.1f} min of {game} by {player} in {found.episodes} episodes, "
        f"{found.recorded_now} of them recorded now; mean return {found.mean_return:.1f}"
    )
    if aside is not None:
        print(f"{aside}: the withheld pads")

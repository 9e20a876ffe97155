"""`ghostpad record`: a scripted player plays, and a corpus grows."""

from pathlib import Path

from ghostpad.base.errors import SettingsError
from ghostpad.base.progress import progress
from ghostpad.cli.arguments import GameName, PlayerName
from ghostpad.corpus.record import Recorded, record_corpus
from ghostpad.games.overlay import Overlay
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
    """Let a scripted player play a game, and keep the video and the pad of every frame.

    Adds videos/<id>.mp4, actions/recorded/<id>.parquet and rows of videos.parquet to the corpus at --out, which is made if
    it is not there. Stopped, the same command goes on with the next episode. 'ghostpad lab record' also draws controllers and adds lags.

    Args:
        minutes: Footage to record, in minutes of play (not of waiting).
        seed: Where all chance comes from: another seed gives other episodes.
        out: The corpus to add to.
        withhold: Keep the true pads out of the corpus, as if this were footage from elsewhere.
        truth: Where withheld pads go, a folder outside the corpus [default: <out>-truth].
        crf: Quality of the video, x264's scale: 0 is exact, 23 ordinary, 51 worst.
    """
    aside = aside_of(out, withhold, truth)
    found = recorded(game, player, minutes=minutes, seed=seed, out=out, withhold=aside, crf=crf)
    print_recorded(out, game, player, found, aside)


def aside_of(out: Path, withhold: bool, truth: Path | None) -> Path | None:
    """The folder of withheld pads, None if they are not withheld. Raises `SettingsError` for a folder without --withhold."""
    if truth is not None and not withhold:
        raise SettingsError("--truth says where withheld pads go: add --withhold, or leave --truth out")
    return (truth or out.with_name(f"{out.name}-truth")) if withhold else None


def recorded(
    game: str,
    player: str,
    *,
    minutes: float,
    seed: int,
    out: Path,
    withhold: Path | None,
    crf: int,
    overlay: Overlay | None = None,
    lag_frames: int = 0,
) -> Recorded:
    """`record_corpus` under a bar of minutes."""
    fps = float(game_spec(game).fps)
    with progress(f"record {game}", minutes, "minutes") as advance:
        told = 0

        def tell(done: int, total: int) -> None:
            nonlocal told
            advance((done - told) / fps / 60)  # the first call also tells what an earlier run had recorded
            told = done

        return record_corpus(
            game,
            player,
            minutes=minutes,
            seed=seed,
            out=out,
            withhold=withhold,
            crf=crf,
            overlay=overlay,
            lag_frames=lag_frames,
            progress=tell,
        )


def print_recorded(out: Path, game: str, player: str, found: Recorded, aside: Path | None) -> None:
    """Say what a recording came to."""
    print(
        f"{out}: {found.minutes:.1f} min of {game} by {player} in {found.episodes} episodes, "
        f"{found.recorded_now} of them recorded now; mean return {found.mean_return:.1f}"
    )
    if aside is not None:
        print(f"{aside}: the true pads, withheld from the corpus")

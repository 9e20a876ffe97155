"""`ghostpad record`: a scripted player plays, and a corpus grows."""

from pathlib import Path

from ghostpad.base.errors import SettingsError
from ghostpad.base.progress import progress
from ghostpad.cli.arguments import GameName, PlayerName
from ghostpad.corpus.record import record_corpus
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
    it is not there. Stopped, the same command goes on with the next episode.

    Args:
        minutes: Footage to record, in minutes of play (not of waiting).
        seed: Where all chance comes from: another seed gives other episodes.
        out: The corpus to add to.
        withhold: Keep the true pads out of the corpus, as if this were footage from elsewhere.
        truth: Where withheld pads go, a folder outside the corpus [default: <out>-truth].
        crf: Quality of the video, x264's scale: 0 is exact, 23 ordinary, 51 worst.
    """
    if truth is not None and not withhold:
        raise SettingsError("--truth says where withheld pads go: add --withhold, or leave --truth out")
    aside = (truth or out.with_name(f"{out.name}-truth")) if withhold else None
    fps = float(game_spec(game).fps)
    with progress(f"record {game}", minutes, "minutes") as advance:
        told = 0

        def tell(done: int, total: int) -> None:
            nonlocal told
            advance((done - told) / fps / 60)  # the first call also tells what an earlier run had recorded
            told = done

        recorded = record_corpus(game, player, minutes=minutes, seed=seed, out=out, withhold=aside, crf=crf, progress=tell)
    print(
        f"{out}: {recorded.minutes:.1f} min of {game} by {player} in {recorded.episodes} episodes, "
        f"{recorded.recorded_now} of them recorded now; mean return {recorded.mean_return:.1f}"
    )
    if aside is not None:
        print(f"{aside}: the true pads, withheld from the corpus")

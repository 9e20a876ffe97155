"""`ghostpad record`: a scripted player plays a game, and its video and gamepad are added to a corpus."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ghostpad.base.errors import SettingsError
from ghostpad.base.places import Place
from ghostpad.base.progress import progress
from ghostpad.cli.arguments import GameName, PlacePath, PlayerName
from ghostpad.corpus.record import Recorded, record_corpus
from ghostpad.games.spec import game_spec


def record(
    game: GameName,
    *,
    player: PlayerName = "expert",
    minutes: float = 10.0,
    seed: int = 0,
    out: PlacePath = Path("corpus"),
    withhold: bool = False,
    truth: Path | None = None,
    crf: int = 23,
) -> None:
    """Let a scripted player play a game, and save the video and the gamepad of every frame.

    Writes videos/<id>.mp4, actions/recorded/<id>.parquet and a row of the catalogue for each episode to the corpus --out, which is
    created if needed. Safe to interrupt: re-run to resume. 'ghostpad lab record' also draws controllers and adds lags.

    Args:
        minutes: Minutes of play to record.
        seed: Random seed; another seed gives other episodes.
        out: The corpus to add to: a folder or an address.
        withhold: Keep the recorded pads out of the corpus, as if this were footage from elsewhere.
        truth: The folder for withheld pads, outside the corpus [default: <out>-truth; needed where --out is an address].
        crf: Video quality on x264's scale: 0 lossless, 23 ordinary, 51 worst.
    """
    aside = aside_of(out, withhold, truth)
    record = partial(record_corpus, game, player, minutes=minutes, seed=seed, out=out, withhold=aside, crf=crf)
    record_with_bar(record, game, player, minutes, out, aside)


def aside_of(out: Place, withhold: bool, truth: Path | None) -> Path | None:
    """The folder for withheld pads, None if they are not withheld. Raises `SettingsError` for a folder without --withhold."""
    if truth is not None and not withhold:
        raise SettingsError("--truth says where withheld pads go: add --withhold, or leave --truth out")
    if not withhold or truth is not None:
        return truth
    if not isinstance(out, Path):
        raise SettingsError(f"withheld pads lie on this machine and {out} does not: name a folder for them with --truth")
    return out.with_name(f"{out.name}-truth")


def record_with_bar(record: Callable[..., Recorded], game: str, player: str, minutes: float, out: Place, aside: Path | None) -> None:
    """Run `record`, a `record_corpus` that lacks its `progress`, behind a bar of `minutes`, and print what was recorded."""
    frames_a_minute, shown = 60 * float(game_spec(game).fps), 0
    with progress(f"record {game}", minutes, "minutes") as advance:

        def update(done: int, total: int) -> None:
            nonlocal shown
            advance((done - shown) / frames_a_minute)  # the first call adds what an earlier run recorded
            shown = done

        recorded = record(progress=update)
    print(
        f"{out}: {recorded.minutes:.1f} min of {game} by {player} in {recorded.episodes} episodes, "
        f"{recorded.recorded_now} of them recorded now; mean return {recorded.mean_return:.1f}"
    )
    if aside is not None:
        print(f"{aside}: the withheld pads")

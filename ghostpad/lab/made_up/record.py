"""`ghostpad lab record`: footage with a known drawn controller, lag or swapped buttons, as a corpus or in NitroGen's layout."""

from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Literal

from ghostpad.base.errors import SettingsError
from ghostpad.cli.arguments import GameName, PlacePath, PlayerName
from ghostpad.cli.record import aside_of, record_with_bar
from ghostpad.corpus.record import record_corpus
from ghostpad.games.overlay import Overlay
from ghostpad.games.spec import game_spec
from ghostpad.lab.made_up.nitrogen_corpus import TRUTH, Shard, write_nitrogen


def lab_record(
    game: GameName,
    *,
    player: PlayerName = "expert",
    minutes: float = 10.0,
    seed: int = 0,
    out: PlacePath = Path("corpus"),
    withhold: bool = False,
    truth: Path | None = None,
    crf: int = 23,
    overlay: Literal["none", "xbox", "ps5"] = "none",
    corner: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = "bottom-right",
    opacity: float = 0.9,
    lag_frames: int = 0,
    rebind: str = "",
    as_nitrogen: bool = False,
    label_fps: str | None = None,
    processed_share: float = 0.0,
) -> None:
    """Record as 'ghostpad record' does, with a controller drawn in, a lag, swapped buttons, or as shards in NitroGen's layout.

    Adds videos/<id>.mp4, actions/recorded/<id>.parquet and rows of the catalogue to the corpus at --out; with --as-nitrogen writes
    SHARD_0000.tar.gz and videos/ there. Safe to interrupt: re-run to resume.

    Args:
        minutes: Minutes of play to record.
        seed: Random seed; another seed gives other episodes.
        out: The corpus to add to: a folder, or an address without --as-nitrogen.
        withhold: Keep the recorded pads out of the corpus, as if this were footage from elsewhere.
        truth: The folder for withheld pads, outside the corpus [default: <out>-truth; needed where --out is an address].
        crf: Video quality on x264's scale: 0 lossless, 23 ordinary, 51 worst.
        overlay: Draw this controller into the picture, as creators do.
        corner: The corner of the picture where it is drawn.
        opacity: Its opacity, above 0 and up to 1.
        lag_frames: Frames by which the picture is later than the rows (below 0: earlier); rows without a frame are left out.
        rebind: Buttons that the player has swapped, such as south=east,west=north; needs --overlay.
        as_nitrogen: Write NitroGen's layout: SHARD_0000.tar.gz and videos/, with the true rows in a corpus truth/ beside them.
        label_fps: With --as-nitrogen, rows a second of the labels, such as 59.94 or 60000/1001 [default: one a frame].
        processed_share: With --as-nitrogen, the share of videos that also have processed rows, in the game's own layout.
    """
    if not as_nitrogen and (label_fps or processed_share):
        raise SettingsError("--label-fps and --processed-share belong to NitroGen's layout: add --as-nitrogen")
    if as_nitrogen and (overlay == "none" or withhold):
        raise SettingsError("--as-nitrogen needs --overlay xbox or ps5, which its metadata names, and excludes --withhold")
    aside, local = aside_of(out, withhold, truth), out if isinstance(out, Path) else None
    if as_nitrogen and local is None:
        raise SettingsError(f"--as-nitrogen writes into a folder of this machine, and {out} is none: name one with --out")
    rate, drawn = _rate(label_fps), _overlay(overlay, corner, opacity, rebind)
    _check_lag(lag_frames, game, minutes)
    shard = Shard(local, overlay, lag_frames, rate, processed_share, drawn.swaps if drawn else ()) if as_nitrogen and local else None
    if shard:
        shard.check()
    record = partial(
        record_corpus, game, player, minutes=minutes, seed=seed, out=out / TRUTH if as_nitrogen else out, withhold=aside, crf=crf,
        overlay=drawn, lag_frames=0 if as_nitrogen else lag_frames,
    )  # fmt: skip
    record_with_bar(record, game, player, minutes, out, aside)
    if shard:
        print(f"{write_nitrogen(shard)}: its labels, {lag_frames} frames ahead of the picture; {out / TRUTH}: the truth")


def _overlay(style: str, corner: str, opacity: float, rebind: str) -> Overlay | None:
    if style == "none":
        if rebind:
            raise SettingsError("--rebind changes what a drawn controller shows: add --overlay xbox or ps5")
        return None
    pairs = [pair.partition("=") for pair in filter(None, rebind.split(","))]
    return Overlay(style, corner, opacity, tuple((one.strip(), other.strip()) for one, _, other in pairs))


def _check_lag(lag_frames: int, game: str, minutes: float) -> None:
    frames = minutes * 60 * float(game_spec(game).fps)
    if 0 < frames <= abs(lag_frames):
        raise SettingsError(f"lag-frames is {lag_frames}, and the whole recording has {frames:.0f} frames: no row would be left")


def _rate(text: str | None) -> Fraction | None:
    try:
        return Fraction(text).limit_denominator(1001) if text else None
    except (ValueError, ZeroDivisionError):
        raise SettingsError(f"--label-fps is '{text}': write rows a second, such as 59.94 or 60000/1001") from None

"""One episode played and recorded: a video file and the pads between its frames.

Row i is the pad in force between showing frame i and showing frame i+1, exactly as applied; the last frame shown has no row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import SettingsError
from ghostpad.base.pad import PAD_DIM, Mask, Pad
from ghostpad.games.overlay import Overlay
from ghostpad.games.spec import Game, Player
from ghostpad.video.record import VideoRecorder


@dataclass(frozen=True)
class Episode:
    """An episode in a video of `frames` frames."""

    pts_s: NDArray[np.float64]
    """[frames-1], when each row's frame is shown."""
    pads: NDArray[np.float32]
    """[frames-1, 25]."""
    known: Mask
    """[25], the slots that the game reads; the others have no effect and are unknown."""
    frames: int
    return_: float
    """Sum of all rewards, including that of a last step without a picture."""


def record_episode(
    game: Game,
    player: Player,
    seed: int,
    path: Path,
    *,
    max_frames: int,
    crf: int = 23,
    on_frame: Callable[[], object] = lambda: None,
    overlay: Overlay | None = None,
) -> Episode:
    """Play the episode of `seed` to its end, or until `max_frames` (2 or more) are shown, into an H.264 file at `path`.

    With `overlay` a controller is drawn into every frame after the player has seen it, in the state of the frame's own row (the
    last frame has no row and shows the pad that the player would have held). `on_frame` is called after every frame.
    The same arguments give the same file. Raises `SettingsError` for `max_frames` below 2.
    """
    if max_frames < 2:
        raise SettingsError(f"max_frames is {max_frames}: an episode needs 2 frames to have a pad between them")
    player.reset(seed)
    frame = game.reset(seed)
    pads: list[Pad] = []
    return_, done = 0.0, False
    with VideoRecorder(path, game.spec.fps, crf=crf) as video:
        pad = player.act(game)
        video.add(overlay.draw(frame, pad) if overlay else frame)
        on_frame()
        while not done and len(pads) + 1 < max_frames:
            shown, reward, done = game.step(pad)
            return_ += reward
            if shown is not None:
                pads.append(pad)
                if not done:
                    pad = player.act(game)
                video.add(overlay.draw(shown, pad) if overlay else shown)
                on_frame()
    return Episode(
        pts_s=np.array([float(row / game.spec.fps) for row in range(len(pads))]),
        pads=np.array(pads, np.float32).reshape(-1, PAD_DIM),
        known=game.spec.known,
        frames=len(pads) + 1,
        return_=return_,
    )

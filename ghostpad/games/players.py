"""What scripted players share: the random player, how long novices hold a stick, and returns on one scale.

Source of numbers: a novice's holds of 3-18 frames are measured; the random player's 1-6 are a guess between one frame
(Doom returns 346) and a novice's (900: blind walking in long lines collects medkits).
"""

import numpy as np

from ghostpad.base.pad import Pad, is_stick, neutral, slot
from ghostpad.games.spec import Game, Player

HOLD_FRAMES = (3, 18)
"""A novice holds a value this many frames, both ends included."""
RANDOM_HOLD_FRAMES = (1, 6)
"""The random player's holds, frames."""


def hold_frames(rng: np.random.Generator, between: tuple[int, int] = HOLD_FRAMES) -> int:
    """How long to hold the next value, frames."""
    return int(rng.integers(between[0], between[1] + 1))


class RandomPlayer(Player):
    """Holds every slot that the game reads at a random value for a random short time; sticks over their whole range."""

    def reset(self, seed: int) -> None:
        """Start again from `seed`."""
        self._rng = np.random.default_rng(seed)
        self._pad, self._left_frames = neutral(), 0

    def act(self, game: Game) -> Pad:
        """The pad held now, float32 [25]."""
        if self._left_frames == 0:
            self._left_frames = hold_frames(self._rng, RANDOM_HOLD_FRAMES)
            for name in game.spec.slots:
                value = np.clip(self._rng.uniform(-1.2, 1.2), -1, 1) if is_stick(name) else self._rng.random() < 0.5
                self._pad[slot(name)] = value
        self._left_frames -= 1
        return self._pad.copy()


def normalized_return(value: float, low: float, high: float) -> float | None:
    """A return on the scale from random play (0) to the expert (1); None where the two do not differ.

    Games have no common zero, so their returns compare, and have ratios, only on this scale.
    """
    return (value - low) / (high - low) if high != low else None

"""A game of your own: catch the falling ball with the left stick. `python examples/own_game.py catch.mp4` plays and records an episode.

For the commands, install this folder as a package (`pip install -e examples`): its pyproject.toml registers this file, and
`ghostpad record catch --player expert --out catch` and `ghostpad eval policy RUN --games catch` then work.
"""

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

from ghostpad.base.pad import Pad, neutral, slot
from ghostpad.games.episode import record_episode
from ghostpad.games.players import RandomPlayer, hold_frames
from ghostpad.games.spec import Frame, Game, GameSpec, Player, Step

WIDTH_PX, HEIGHT_PX, BALL_PX, PADDLE_PX = 96, 72, 6, 16
STEER = slot("left_x")
STEPS = 300


class Catch(Game):
    """One ball at a time; 1 for a catch, 0 for a miss. A pure function of the seed and the pads since `reset`."""

    spec = GameSpec(
        name="catch", title="Catch", fps=Fraction(20), width_px=WIDTH_PX, height_px=HEIGHT_PX, slots=("left_x",), hide=(),
        licence="CC0", source_max_s=STEPS / 20,
    )  # fmt: skip

    def reset(self, seed: int) -> Frame:
        """Start the episode of `seed` and show its first frame."""
        self._rng, self._step = np.random.default_rng(seed), 0
        self.paddle_px = WIDTH_PX / 2
        self._drop()
        return self._picture()

    def step(self, pad: Pad) -> Step:
        """Hold `pad` for a frame: the paddle moves by up to 4 pixels, the ball falls by 3."""
        self._step += 1
        self.paddle_px = float(np.clip(self.paddle_px + 4 * pad[STEER], PADDLE_PX / 2, WIDTH_PX - PADDLE_PX / 2))
        self.ball_y_px += 3
        reward = 0.0
        if self.ball_y_px >= HEIGHT_PX - BALL_PX:
            reward = float(abs(self.ball_x_px - self.paddle_px) < PADDLE_PX / 2)
            self._drop()
        return Step(self._picture(), reward, self._step >= STEPS - 1)

    def close(self) -> None:
        """There is no engine to stop."""

    def _drop(self) -> None:
        self.ball_x_px, self.ball_y_px = float(self._rng.integers(BALL_PX, WIDTH_PX - BALL_PX)), 0

    def _picture(self) -> Frame:
        frame = np.full((HEIGHT_PX, WIDTH_PX, 3), 40, np.uint8)
        left = round(self.ball_x_px - BALL_PX / 2)
        frame[self.ball_y_px : self.ball_y_px + BALL_PX, left : left + BALL_PX] = (240, 200, 60)
        left = round(self.paddle_px - PADDLE_PX / 2)
        frame[-4:, left : left + PADDLE_PX] = (80, 160, 240)
        return frame


class Expert(Player):
    """Steers under the ball."""

    def reset(self, seed: int) -> None:
        """Nothing here is random."""

    def act(self, game: Game) -> Pad:
        """Full stick when far, less when near."""
        assert isinstance(game, Catch)
        pad = neutral()
        pad[STEER] = np.clip((game.ball_x_px - game.paddle_px) / 8, -1, 1)
        return pad


class Novice(Expert):
    """Looks at the ball only now and then."""

    def reset(self, seed: int) -> None:
        """All randomness comes from `seed`."""
        self._rng, self._left_frames = np.random.default_rng(seed), 0

    def act(self, game: Game) -> Pad:
        """Holds the pad that was right when it last looked."""
        if not self._left_frames:
            self._pad, self._left_frames = super().act(game), hold_frames(self._rng)
        self._left_frames -= 1
        return self._pad.copy()


GAMES = {"catch": Catch}
PLAYERS = {"random": RandomPlayer, "novice": Novice, "expert": Expert}

if __name__ == "__main__":
    with Catch() as engine:
        episode = record_episode(engine, Expert(), seed=1, path=Path(sys.argv[1]), max_frames=STEPS)
    print(f"{sys.argv[1]}: {episode.frames} frames, {episode.return_:.0f} balls caught")

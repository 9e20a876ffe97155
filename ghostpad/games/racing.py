"""Racing seen from above: steer a car round a random track.

`racing` steers with the left stick while a cruise assist inside the game works the pedals; `racing-pedals` adds them as the
triggers; `racing-recoloured` is `racing` in other random colours for every seed (the held-out look). Physics and rewards are
gymnasium's CarRacing-v3 (MIT, all procedural): 1000/tiles for every tile of road reached, -0.1 a physics step.

Only the picture is ours: each frame is drawn once, at twice its size, instead of 1000x800 at every physics step, and
without the bar that shows steering and pedals, the score and the opening zoom. No window, no display.
About 450 frames/s on one loaded core (measured). Source of numbers: measured; cruise and expert were tuned here (expert returns 671).
"""

import warnings
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import SettingsError
from ghostpad.base.pad import PRESSED, Pad, neutral, slot
from ghostpad.games.players import RandomPlayer, hold_frames
from ghostpad.games.spec import Frame, Game, GameSpec, Player, Step, games_extra

WIDTH_PX, HEIGHT_PX = 240, 160
OVERSAMPLE = 2
"""The picture is drawn this many times larger and then averaged."""
PX_PER_UNIT = 3.9
"""Scale of the picture: as wide a view as the original's (1000 px at 16.2 px a unit)."""
CAR_AT = (0.5, 0.75)
"""The car's middle in the picture, as shares of width and height from the top left corner."""
STEPS_PER_FRAME, STEPS_PER_S = 2, 50
"""The physics' clock; a pad is held for two steps."""
PURSUIT, AHEAD_TILES, HAND_PER_FRAME = 2.5, 6, 0.2
"""The expert's stick per radian to the road ahead, how far ahead it looks, and the most its stick moves in a frame: six
settings returned between 465 and 685 on 4 tracks; this one steers firmly, which a video shows, and returns 594 ± 12 on 40 (measured)."""
EPISODE_FRAMES = 500
"""Pads in an episode, 20 s."""
GAS, BRAKE = 0.8, 0.6
"""What a pressed trigger does (full gas spins the wheels, a brake of 0.9 locks them)."""

_STEER, _GAS, _BRAKE = slot("left_x"), slot("right_trigger"), slot("left_trigger")


class Racing(Game):
    """A car on a random track, frames uint8 [160, 240, 3] at 25 fps."""

    def __init__(self, name: str, title: str, pedals: bool = False, recolour: bool = False):
        self.spec = GameSpec(
            name=name,
            title=title,
            fps=Fraction(STEPS_PER_S, STEPS_PER_FRAME),
            width_px=WIDTH_PX,
            height_px=HEIGHT_PX,
            slots=("left_trigger", "right_trigger", "left_x") if pedals else ("left_x",),
            hide=(),  # the bar and the score are not drawn at all
            licence="gymnasium MIT, procedural",
            source_max_s=EPISODE_FRAMES * STEPS_PER_FRAME / STEPS_PER_S,
        )
        self._pedals, self._recolour = pedals, recolour
        self._env: Any = None
        self._painter: _Painter | None = None
        self._middle = np.zeros((0, 2))
        self._frames = 0

    def reset(self, seed: int) -> Frame:
        """Start the episode of `seed` and show its first frame."""
        with games_extra(self.spec.name), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the bindings' generator
            import Box2D  # noqa: F401  (first, because gymnasium hides its absence behind an error of its own)
            from gymnasium.envs.box2d.car_racing import CarRacing
        # A new one every time: a used Box2D world keeps contacts and orders that would leak into this episode.
        self._env = CarRacing(domain_randomize=self._recolour)
        self._env._render = lambda mode: None  # its step() would draw 1000x800 pixels that nobody sees
        self._env.reset(seed=seed)
        self._middle = np.array([tile[2:4] for tile in self._env.track])
        self._painter = _Painter(self._env)
        self._frames = 0
        return self._frame()

    def step(self, pad: Pad) -> Step:
        """Hold `pad` for two physics steps."""
        steer, reward, done = float(np.clip(pad[_STEER], -1, 1)), 0.0, False
        for _ in range(STEPS_PER_FRAME):
            gas, brake = (GAS * (pad[_GAS] >= PRESSED), BRAKE * (pad[_BRAKE] >= PRESSED)) if self._pedals else cruise(self.speed, steer)
            _, gained, done, _, _ = self._env.step(np.array([steer, gas, brake]))
            reward += gained
            if done:
                break
        self._frames += 1
        return Step(self._frame(), float(reward), done or self._frames == EPISODE_FRAMES)

    def close(self) -> None:
        """Forget the track; there is no engine to stop."""
        self._env = self._painter = None

    @property
    def speed(self) -> float:
        """The car's speed, units/s (a tile of road is 3.5 units long): for the cruise assist and scripted players."""
        return float(np.hypot(*self._env.car.hull.linearVelocity))

    def road_angle(self, tiles_ahead: int) -> float:
        """Direction to the road's middle `tiles_ahead`, radians from the car's heading, positive is right: for scripted players."""
        hull = self._env.car.hull
        from_car = self._middle - np.array(hull.position)
        nearest = int(np.argmin(np.hypot(*from_car.T)))
        dx, dy = from_car[(nearest + tiles_ahead) % len(from_car)]
        away = np.arctan2(-dx, dy) - hull.angle
        return float(-((away + np.pi) % (2 * np.pi) - np.pi))

    def _frame(self) -> Frame:
        assert self._painter is not None
        return self.spec.hide_controls(self._painter.paint())


def cruise(speed: float, steer: float) -> tuple[float, float]:
    """Gas and brake (0...1 each) that hold a speed which falls as the wheel turns; `speed` in units/s."""
    error = 40.0 - 18.0 * abs(steer) - speed
    return float(np.clip(0.1 * error, 0, 0.5)), float(np.clip(-0.05 * error, 0, 0.3))


class _Painter:
    """Draws what CarRacing draws, from its polygons and with its camera, onto a small surface."""

    def __init__(self, env: Any):
        import pygame
        from gymnasium.envs.box2d import car_racing

        self._pygame, self._env = pygame, env
        self._surface = pygame.Surface((WIDTH_PX * OVERSAMPLE, HEIGHT_PX * OVERSAMPLE), depth=24)
        self._size = np.array(self._surface.get_size(), np.float64)
        size, edge = car_racing.GRASS_DIM, car_racing.PLAYFIELD
        self._field = np.array([[edge, edge], [edge, -edge], [-edge, -edge], [-edge, edge]])
        corners = np.array([(x, y) for x in range(-20, 20, 2) for y in range(-20, 20, 2)], np.float64)
        self._grass = size * (corners[:, None] + np.array([(1, 0), (0, 0), (0, 1), (1, 1)]))
        self._road = np.array([quad for quad, _ in env.road_poly])
        self._road_colours = [colour for _, colour in env.road_poly]  # a tile's own array: it changes when the tile is reached

    def paint(self) -> Frame:
        """The picture now."""
        car, zoom = self._env.car, PX_PER_UNIT * OVERSAMPLE
        angle = -car.hull.angle
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * zoom
        shift = self._size * (CAR_AT[0], 1 - CAR_AT[1]) - np.array(car.hull.position) @ turn  # y up here, flipped below
        self._surface.fill(0)
        self._polygon(self._field @ turn + shift, self._env.bg_color)
        for quad in self._visible(self._grass @ turn + shift)[0]:
            self._polygon(quad, self._env.grass_color)
        for quad, index in zip(*self._visible(self._road @ turn + shift), strict=True):
            self._polygon(quad, self._road_colours[index])
        car.draw(self._surface, zoom, tuple(shift), angle)
        small = self._pygame.transform.smoothscale(self._surface, (WIDTH_PX, HEIGHT_PX))
        return np.ascontiguousarray(self._pygame.surfarray.array3d(small).transpose(1, 0, 2)[::-1])

    def _visible(self, quads: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The quads [n, 4, 2] whose bounding boxes overlap the picture, and their indices."""
        inside = np.flatnonzero((quads.max(1) >= 0).all(1) & (quads.min(1) <= self._size).all(1))
        return quads[inside], inside

    def _polygon(self, points: NDArray[np.float64], colour: Any) -> None:
        self._pygame.draw.polygon(self._surface, [int(part) for part in colour], points.tolist())


class RacingNovice(Player):
    """A stick that wanders over its whole range, pulled weakly to the road; triggers pressed at random."""

    def reset(self, seed: int) -> None:
        """Start again from `seed`."""
        self._rng = np.random.default_rng(seed)
        self._pad, self._left_frames, self._aim = neutral(), 0, 0.0

    def act(self, game: Game) -> Pad:
        """The pad for the frame now shown, float32 [25]."""
        if self._left_frames == 0:
            self._left_frames = hold_frames(self._rng)
            # Wider than the stick and clipped, so that both ends occur exactly; the pull alone would never leave the road.
            # Half of the aims are small, because most steering is.
            swing = 1.5 if self._rng.random() < 0.5 else 0.4
            self._aim = float(np.clip(self._rng.uniform(-swing, swing) + 0.6 * _racing(game).road_angle(tiles_ahead=4), -1, 1))
            if "right_trigger" in game.spec.slots:
                self._pad[_GAS], self._pad[_BRAKE] = self._rng.random() < 0.7, self._rng.random() < 0.2
        self._left_frames -= 1
        self._pad[_STEER] += np.clip(self._aim - self._pad[_STEER], -0.3, 0.3)
        return self._pad.copy()


class RacingLearner(Player):
    """Roughly keeps to the road: its pull to the road and the speed of its hand change at random, and its aim is always a little off.

    It meets the speeds and bends that an expert meets and a novice on the grass does not (it returns 361 and is off the road a quarter of
    the time, the novice 13 and three quarters; measured on 4 tracks). Its triggers are a novice's.
    """

    def reset(self, seed: int) -> None:
        """Start again from `seed`."""
        self._rng = np.random.default_rng(seed)
        self._pad, self._left_frames = neutral(), 0
        self._off, self._pull, self._hand = 0.0, 0.0, 0.0

    def act(self, game: Game) -> Pad:
        """The pad for the frame now shown, float32 [25]."""
        if self._left_frames == 0:
            self._left_frames = hold_frames(self._rng, (2, 10))
            swing = (1.5, 0.6, 0.2)[self._rng.integers(3)]
            self._pull = 2.0 if self._rng.random() < 0.6 else 0.6
            self._off, self._hand = float(self._rng.uniform(-swing, swing)), float(self._rng.uniform(0.05, 0.4))
            if "right_trigger" in game.spec.slots:
                self._pad[_GAS], self._pad[_BRAKE] = self._rng.random() < 0.7, self._rng.random() < 0.2
        self._left_frames -= 1
        aim = float(np.clip(self._off + self._pull * _racing(game).road_angle(tiles_ahead=5), -1, 1))
        self._pad[_STEER] += np.clip(aim - self._pad[_STEER], -self._hand, self._hand)
        return self._pad.copy()


class RacingExpert(Player):
    """Steers smoothly at the middle of the road some way ahead; with pedals it also holds the speed of the cruise assist."""

    def reset(self, seed: int) -> None:
        """Start again; nothing here is random."""
        self._steer, self._gas, self._brake = 0.0, True, False

    def act(self, game: Game) -> Pad:
        """The pad for the frame now shown, float32 [25]."""
        racing, pad = _racing(game), neutral()
        # A damped pursuit with a derivative returns a little more, but chatters between -0.4 and -1 from frame to frame, which no car
        # can follow and so no video shows.
        wanted = float(np.clip(PURSUIT * racing.road_angle(AHEAD_TILES), -1, 1))
        self._steer += float(np.clip(wanted - self._steer, -HAND_PER_FRAME, HAND_PER_FRAME))
        pad[_STEER] = self._steer
        if "right_trigger" in game.spec.slots:
            gas, brake = cruise(racing.speed, self._steer)  # two limits each, so that the triggers do not flicker
            self._gas, self._brake = gas > (0.05 if self._gas else 0.3), brake > (0.05 if self._brake else 0.15)
            pad[_GAS], pad[_BRAKE] = self._gas, self._brake
        return pad


def _racing(game: Game) -> Racing:
    if not isinstance(game, Racing):
        raise SettingsError(f"this player drives the racing games, not {game.spec.name}")
    return game


GAMES = {
    "racing": lambda: Racing("racing", "Racing: steering only"),
    "racing-pedals": lambda: Racing("racing-pedals", "Racing: steering and pedals", pedals=True),
    "racing-recoloured": lambda: Racing("racing-recoloured", "Racing: steering only, other colours", recolour=True),
}
"""The games of this file by name."""
PLAYERS = {"random": RandomPlayer, "novice": RacingNovice, "learner": RacingLearner, "expert": RacingExpert}
"""The scripted players of these games by name."""

"""Doom, first person: the engine of all Doom games, and two levels in which the player walks and turns to medkits to stay alive.

`doom` is ViZDoom's health gathering level, `doom-supreme` its harder one with other walls and floor (the held-out level).
Engine: ViZDoom (MIT) with the Freedoom art in its wheel (BSD-3); no display, no sound. About 700 frames/s with the labels and
depth buffers that the expert reads (measured, one loaded core). The reward is the scenario's: 1 a tic alive, -100 at death.
Source of numbers: measured (7 degrees a frame is about the most that a motion model can read at 17.5 fps).
"""

import os
import shlex
import sys
from contextlib import chdir
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import PlaceError, SettingsError
from ghostpad.base.pad import PRESSED, Pad, is_stick, neutral, slot
from ghostpad.games.players import HOLD_FRAMES, RandomPlayer, hold_frames
from ghostpad.games.spec import Frame, Game, GameSpec, Player, Step, games_extra

TICS_PER_FRAME, TICS_PER_S = 2, 35
"""Doom's clock; a pad is held for two tics."""
EPISODE_TICS = 2100
"""The scenario's own limit."""
WALK_PER_TIC = 40.0
"""Forward thrust of a full stick, Doom units (25 is a walk, 50 a run)."""
TURN_DEG_PER_TIC = 3.5
"""Turn of a full stick, degrees."""
MEDKITS = ("Medikit", "CustomMedikit")
"""Object names of the two levels' medkits."""

CONTROLS = {
    "left_y": ("MOVE_FORWARD_BACKWARD_DELTA", -WALK_PER_TIC),
    "right_x": ("TURN_LEFT_RIGHT_DELTA", TURN_DEG_PER_TIC),
    "right_trigger": ("ATTACK", 1.0),
}
"""Pad slots that a Doom game can read: the engine's button, and its value for a full stick or a pressed trigger."""
LONG_HOLD_FRAMES, LONG_SHARE, PUSH = (18, 45), 0.25, 1.8
"""Like an expert's, a quarter of the novice's holds are long and 44 % of its pushes full. With short holds and a range of 1.3, an IDM
that learns from it reads the expert's turns at R2 0.93 instead of 0.96, and on the unseen level at 0.85 instead of 0.90 (measured, one
seed, on episodes that no table uses)."""

_FORWARD, _TURN = slot("left_y"), slot("right_x")


class Doom(Game):
    """A level of ViZDoom, frames uint8 [240, 320, 3] at 17.5 fps.

    `slots` are names out of `CONTROLS`; `engine_args` are Doom's own settings, as on its command line; the first `start_tics` of
    an episode are not shown.
    """

    def __init__(
        self,
        name: str,
        title: str,
        scenario: str,
        slots: tuple[str, ...] = ("left_y", "right_x"),
        engine_args: str = "",
        start_tics: int | None = None,
    ):
        self.spec = GameSpec(
            name=name,
            title=title,
            fps=Fraction(TICS_PER_S, TICS_PER_FRAME),
            width_px=320,
            height_px=240,
            slots=slots,
            hide=(),  # the scenario draws no status bar
            licence="ViZDoom scenario MIT, Freedoom BSD-3-Clause",
            source_max_s=EPISODE_TICS / TICS_PER_S,
        )
        self._scenario, self._engine_args, self._start_tics = scenario, engine_args, start_tics
        self._engine: Any = None
        self._folder: TemporaryDirectory[str] | None = None

    def reset(self, seed: int) -> Frame:
        """Start the episode of `seed` (its low 32 bits) and show its first frame."""
        if self._engine is None:
            self._start()
        self._engine.set_seed(seed % 2**32)
        self._engine.new_episode()
        return self._frame()

    def step(self, pad: Pad) -> Step:
        """Hold `pad` for two tics."""
        held = {name: float(pad[slot(name)]) for name in self.spec.slots}
        held |= {name: float(value >= PRESSED) for name, value in held.items() if not is_stick(name)}
        action = [value * CONTROLS[name][1] for name, value in held.items()]
        reward = float(self._engine.make_action(action, TICS_PER_FRAME))
        done = bool(self._engine.is_episode_finished())
        return Step(None if done else self._frame(), reward, done)

    def close(self) -> None:
        """Stop the engine."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    @property
    def state(self) -> Any:
        """ViZDoom's own state of the frame now shown, with labels and depth: for scripted players."""
        return self._engine.get_state()

    @property
    def weapon_ready(self) -> bool:
        """Whether a trigger pressed now fires at once: for scripted players."""
        import vizdoom

        return bool(self._engine.get_game_variable(vizdoom.GameVariable.ATTACK_READY))

    @property
    def pose(self) -> NDArray[np.float64]:
        """Place and motion of the player in the frame now shown, [5]: x, y (Doom units), heading (degrees, anticlockwise), and speed along
        x and y (units a tic). For oracles: no picture shows it this exactly."""
        import vizdoom

        names = ("POSITION_X", "POSITION_Y", "ANGLE", "VELOCITY_X", "VELOCITY_Y")
        return np.array([self._engine.get_game_variable(getattr(vizdoom.GameVariable, name)) for name in names])

    def _frame(self) -> Frame:
        return self.spec.hide_controls(np.array(self._engine.get_state().screen_buffer))

    def _start(self) -> None:
        with games_extra(self.spec.name):
            import vizdoom
        engine = vizdoom.DoomGame()
        engine.load_config(os.path.join(vizdoom.scenarios_path, self._scenario))
        engine.set_available_buttons([getattr(vizdoom.Button, CONTROLS[name][0]) for name in self.spec.slots])
        engine.set_screen_resolution(vizdoom.ScreenResolution.RES_320X240)
        engine.set_screen_format(vizdoom.ScreenFormat.RGB24)
        engine.set_labels_buffer_enabled(True)
        engine.set_depth_buffer_enabled(True)
        engine.set_window_visible(False)
        engine.set_sound_enabled(False)
        engine.add_game_args("-nosound")  # without both, opening the sound device can abort the process
        engine.add_game_args(self._engine_args)
        if self._start_tics is not None:
            engine.set_episode_start_time(self._start_tics)
        self._folder = TemporaryDirectory(prefix="ghostpad-doom-")
        script = _kill_with_parent(Path(vizdoom.__file__).with_name("vizdoom"), Path(self._folder.name, "engine"))
        if sys.platform == "linux" and os.access(script, os.X_OK):  # some systems forbid running temporary files
            engine.set_vizdoom_path(script)
        with chdir(self._folder.name):  # the engine leaves `_vizdoom/` and `_vizdoom.ini` where it is started
            try:
                engine.init()
            except (vizdoom.MessageQueueException, vizdoom.SharedMemoryException) as error:
                raise PlaceError(
                    f"{self.spec.name} cannot start ({error}): make room in /dev/shm, and run the same command again"
                ) from None
        self._engine = engine


def _kill_with_parent(engine: Path, script: Path) -> str:
    """Write a `script` that starts `engine` so that the kernel kills it with its parent process, and return its path.

    Otherwise the engine of a killed process waits for ever. PR_SET_PDEATHSIG (1) with SIGKILL (9), Linux only.
    """
    code = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"
    words = shlex.join([sys.executable, "-ISc", code, str(engine)])
    script.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    script.chmod(0o700)
    return str(script)


class DoomNovice(Player):
    """Holds each of its `sticks` at random values for random times, now and then for a second or two. It does not look."""

    sticks: tuple[str, ...] = ("left_y", "right_x")

    def reset(self, seed: int) -> None:
        """Start again from `seed`."""
        self._rng = np.random.default_rng(seed)
        self._pad, self._left_frames = neutral(), {slot(name): 0 for name in self.sticks}

    def act(self, game: Game) -> Pad:
        """The pad held now, float32 [25]."""
        for stick in self._left_frames:
            if self._left_frames[stick] == 0:
                long = self._rng.random() < LONG_SHARE
                self._left_frames[stick] = hold_frames(self._rng, LONG_HOLD_FRAMES if long else HOLD_FRAMES)
                self._pad[stick] = self._push()
            self._left_frames[stick] -= 1
        return self._pad.copy()

    def _push(self) -> float:
        # Drawn wider than the stick and clipped, so that both ends occur exactly and often.
        return 0.0 if self._rng.random() < 0.05 else float(np.clip(self._rng.uniform(-PUSH, PUSH), -1, 1))


class DoomExpert(Player):
    """Turns to the largest medkit in view and runs into it; with none in view, walks where the depth buffer shows space."""

    def reset(self, seed: int) -> None:
        """Start again; `seed` decides which way it first looks round."""
        self._round = 1.0 if np.random.default_rng(seed).random() < 0.5 else -1.0

    def act(self, game: Game) -> Pad:
        """The pad for the frame now shown, float32 [25]."""
        if not isinstance(game, Doom):
            raise SettingsError(f"this player plays Doom, not {game.spec.name}")
        state, pad = game.state, neutral()
        medkits = [label for label in state.labels if label.object_name in MEDKITS]
        if medkits:
            largest = max(medkits, key=lambda label: label.width * label.height)
            half_px = game.spec.width_px / 2
            offset = (largest.x + largest.width / 2 - half_px) / half_px
            pad[_TURN] = np.clip(3.5 * offset, -1, 1)
            pad[_FORWARD] = -0.3 if abs(offset) > 0.5 else -1.0
        else:
            self._roam(state.depth_buffer, pad)
        return pad

    def _roam(self, depth: Frame, pad: Pad) -> None:
        """Walk on while the way is open; at a wall turn to the deeper side, and keep turning that way."""
        middle = depth[depth.shape[0] // 2 - 10 : depth.shape[0] // 2 + 10].astype(np.float32).mean(0)
        left, ahead, right = (float(part.mean()) for part in np.array_split(middle, 3))
        if ahead > 12.0:
            self._round = 1.0 if right > left else -1.0
            pad[_TURN] = 0.3 * self._round
            pad[_FORWARD] = -1.0
        else:
            pad[_TURN] = self._round
            pad[_FORWARD] = -0.2


GAMES = {
    "doom": lambda: Doom("doom", "Doom: health gathering", "health_gathering.cfg"),
    "doom-supreme": lambda: Doom("doom-supreme", "Doom: health gathering supreme", "health_gathering_supreme.cfg"),
}
"""The games of this file by name."""
PLAYERS = {"random": RandomPlayer, "novice": DoomNovice, "expert": DoomExpert}
"""The scripted players of these games by name."""

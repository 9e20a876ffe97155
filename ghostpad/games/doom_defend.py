"""Doom with a trigger: stand in the middle of a round hall, turn with the right stick and shoot the monsters that come.

`doom-defend` is ViZDoom's defend the center level with bullets that never run out, so that no press meets an empty pistol. The
reward is the scenario's: 1 a kill, -1 at death. The status bar is not drawn: nothing but the pistol shows a press. Returns over eight
episodes: novice 2.0 ± 0.6 in 207 frames (then it is dead), expert 44.5 ± 4.4 in 909 (measured); ten others: random 1.0 ± 0.6 in 184.

What of a press can be seen (measured tic by tic; `ghostpad lab study visible` measures it frame by frame):
- a press with the pistol ready changes nothing for 4 tics; the flash is in the third frame after the press (5 tics, 0.14 s);
- the pistol is busy for 19 tics, in which the engine looks at the trigger once, at tic 14: if it is held then, it shoots again at once.
  A held trigger shoots every 14 tics (7 frames), separate presses every 19 tics (9-10 frames) at most;
- so a tap in the other tics is invisible, and so is the length of a press, except whether it covers tic 14.
Changing a row in which the trigger is down changes a picture in 33 % (expert) and 25 % (novice) of cases; the first row of a press in 100
and 80 %; removing a whole press in 100 and 95 %; the first row after a press in 0 and 10 % (`ghostpad lab study visible`, 78-108 presses
each). So an IDM can know when a press begins, but hardly when it ends.
"""

import numpy as np

from ghostpad.base.errors import SettingsError
from ghostpad.base.pad import Pad, neutral, slot
from ghostpad.games.doom import Doom, DoomNovice
from ghostpad.games.players import RandomPlayer, hold_frames
from ghostpad.games.spec import Game, Player

START_TICS = 20
"""The pistol is up and ready 17 tics after the level starts (measured); before that no press does anything."""
MONSTERS = ("Demon", "MarineChainsawVzd")
"""Object names of the level's monsters while they live."""
TAP_FRAMES, HOLD_FRAMES, PAUSE_FRAMES = (2, 3), (4, 10), (2, 20)
"""How long the novice taps, holds and leaves the trigger (guess: short of and beyond the 7 frames between two shots)."""
PRESS_FRAMES = (2, 4)
"""How long the expert presses for one shot (guess: 0.1-0.2 s, as people click)."""
AIM, HAND_PER_FRAME, KEEP = 3.0, 0.3, 2.0
"""The expert's stick for a target half a picture off, the most that its stick moves in a frame, and how much larger another monster
must look to become the target. Without a limit and a kept target (3.5, 2, 1) the stick flips between its ends in 8 % of frames, which
no thumb does and no video shows, and changes sides in 14 %; with them in 0 % and 2.4 % (8 episodes). Returns are 44.5 ± 4.4, without
41.4 ± 5.6; an aim of 2.5 gives 38.9 ± 5.9, an aim of 2 35.0 ± 7.8 (measured)."""

_TURN, _TRIGGER = slot("right_x"), slot("right_trigger")


class DefendNovice(DoomNovice):
    """Holds the turn stick at random values, and taps or holds the trigger at random. It sees nothing."""

    sticks = ("right_x",)

    def reset(self, seed: int) -> None:
        """Start again from `seed`."""
        super().reset(seed)
        self._fingers = np.random.default_rng([seed, 1])
        self._trigger_frames = hold_frames(self._fingers, PAUSE_FRAMES)

    def act(self, game: Game) -> Pad:
        """The pad held now, float32 [25]."""
        if self._trigger_frames == 0:
            self._pad[_TRIGGER] = 1 - self._pad[_TRIGGER]
            press = TAP_FRAMES if self._fingers.random() < 0.5 else HOLD_FRAMES
            self._trigger_frames = hold_frames(self._fingers, press if self._pad[_TRIGGER] else PAUSE_FRAMES)
        self._trigger_frames -= 1
        return super().act(game)


class DefendExpert(Player):
    """Turns smoothly to the largest monster in view and shoots once when it is in the sights and the pistol is ready; with none in view
    it looks round."""

    def reset(self, seed: int) -> None:
        """Start again; `seed` decides which way it first looks round and how long it presses."""
        self._rng = np.random.default_rng(seed)
        self._round = 1.0 if self._rng.random() < 0.5 else -1.0
        self._turn, self._target, self._press_frames = 0.0, -1, 0

    def act(self, game: Game) -> Pad:
        """The pad for the frame now shown, float32 [25]."""
        if not isinstance(game, Doom) or "right_trigger" not in game.spec.slots:
            raise SettingsError(f"this player plays doom-defend, not {game.spec.name}")
        pad, wanted = neutral(), self._round
        monsters = [label for label in game.state.labels if label.object_name in MONSTERS]
        if monsters:
            # Two monsters of one size on either side would otherwise take turns at being the largest.
            target = max(monsters, key=lambda label: label.width * label.height * (KEEP if label.object_id == self._target else 1))
            off_px = target.x + target.width / 2 - game.spec.width_px / 2
            wanted = float(np.clip(AIM * off_px / (game.spec.width_px / 2), -1, 1))
            self._target, self._round = target.object_id, 1.0 if off_px > 0 else -1.0
            if game.weapon_ready and self._press_frames == 0 and abs(off_px) < max(2.0, 0.3 * target.width):
                self._press_frames = hold_frames(self._rng, PRESS_FRAMES)
        self._turn += float(np.clip(wanted - self._turn, -HAND_PER_FRAME, HAND_PER_FRAME))
        pad[_TURN] = self._turn
        if self._press_frames:
            self._press_frames -= 1
            pad[_TRIGGER] = 1
        return pad


GAMES = {
    "doom-defend": lambda: Doom(
        "doom-defend",
        "Doom: defend the center",
        "defend_the_center.cfg",
        slots=("right_x", "right_trigger"),
        engine_args="+sv_infiniteammo 1",
        start_tics=START_TICS,
    ),
}
"""The games of this file by name."""
PLAYERS = {"random": RandomPlayer, "novice": DefendNovice, "expert": DefendExpert}
"""The scripted players of these games by name."""

"""How the player of a Doom game really moved, by the engine itself: the most that a reader of pictures could know.

Plays episodes and writes nothing. About 1 ms a frame (measured, one loaded core). Numbers of the engine are from ZDoom's source;
`free_sticks` checks them: where nothing stops the player, it gives the stick to R2 0.996 (measured).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.pad import slot
from ghostpad.games.doom import TICS_PER_FRAME, TURN_DEG_PER_TIC, WALK_PER_TIC, Doom
from ghostpad.games.spec import Player

THRUST = WALK_PER_TIC / 32
"""What a full forward stick adds to the speed each tic, Doom units a tic."""
KEEP_PER_TIC = 0xE800 / 0x10000
"""The share of its speed that the player keeps each tic; of a frame's two tics, 0.82."""
FREE_WITHIN = 0.05
"""Way of a frame, Doom units, that the rule of motion may leave unexplained: 0.003 where nothing is in the way, 0.06 to 3 at a wall
(measured)."""
WALLS = 16
"""Columns of the depth profile."""


class Track(NamedTuple):
    """An episode: n frames in which a pad was held, and the frame after the last of them."""

    poses: NDArray[np.float64]
    """[n + 1, 5], as `Doom.pose` says."""
    walls: NDArray[np.float64]
    """[n, 16], how far away things are at middle height, from left to right, in the depth buffer's steps (0...255)."""
    sticks: NDArray[np.float64]
    """[n, 2]: forward (left_y, negative is ahead), turn (right_x)."""


def watch(game: Doom, player: Player, seed: int, frames: int) -> Track:
    """Let `player` play the episode of `seed` for at most `frames` frames."""
    player.reset(seed)
    game.reset(seed)
    poses, walls, sticks = [game.pose], [], []
    for _ in range(frames):
        middle, pad = game.state.depth_buffer[115:125].astype(float).mean(0), player.act(game)
        if game.step(pad).done:
            break
        poses.append(game.pose)
        walls.append(middle.reshape(WALLS, -1).mean(1))
        sticks.append(pad[[slot("left_y"), slot("right_x")]])
    return Track(np.array(poses), np.array(walls).reshape(-1, WALLS), np.array(sticks, np.float64).reshape(-1, 2))


def steps(track: Track) -> NDArray[np.float64]:
    """The motion of each row's frame, [n, 3]: way ahead and to the left by the heading before it (Doom units), and turn (radians)."""
    heading = np.radians(track.poses[:, 2])
    (x, y), turn = np.diff(track.poses[:, :2], axis=0).T, np.diff(heading)
    cos, sin = np.cos(heading[:-1]), np.sin(heading[:-1])
    return np.stack([x * cos + y * sin, y * cos - x * sin, np.angle(np.exp(1j * turn))], 1)


def inputs(track: Track, around: int, walls: bool) -> NDArray[np.float64]:
    """An oracle's inputs for each row, [n, d]: `steps` of the rows up to `around` before and after it, the ends repeated; with `walls`
    also the depth profile and its reciprocal, as near walls matter most."""
    moved, rows = steps(track), len(track.sticks)
    near = np.clip(np.arange(rows)[:, None] + np.arange(-around, around + 1), 0, max(rows - 1, 0))
    motion = moved[near].reshape(rows, 3 * (2 * around + 1))
    return np.concatenate([motion, track.walls, 1 / (1 + track.walls)], 1) if walls else motion


class Free(NamedTuple):
    """Each row by Doom's own rule of motion."""

    sticks: NDArray[np.float64]
    """[n, 2], forward and turn, clipped to -1...1."""
    free: NDArray[np.bool_]
    """[n], whether the rule explains the way of the frame, as it does where nothing stops the player. (A player who pushes head on against
    a wall stands still, as one who does not push: 0.1 % of the novice's rows, measured.)"""


def free_sticks(track: Track) -> Free:
    """The sticks by Doom's rule of motion from the speed before a frame and the way in it: the most that can be known.

    Each tic the player turns and gets thrust along its heading, moves by its speed, and loses a tenth of that.
    """
    start, turn = track.poses[:-1], steps(track)[:, 2]
    way = np.diff(track.poses[:, :2], axis=0) - (1 + KEEP_PER_TIC) * start[:, 3:]
    first, second = (_along(np.radians(start[:, 2]) + share * turn) for share in (1 / TICS_PER_FRAME, 1.0))
    pushed = THRUST * ((1 + KEEP_PER_TIC) * first + second)  # the way that a full stick adds to that of the old speed
    stick = (way * pushed).sum(1) / (pushed**2).sum(1)
    left_over = np.linalg.norm(way - stick[:, None] * pushed, axis=1)
    full_turn = np.radians(TICS_PER_FRAME * TURN_DEG_PER_TIC)
    return Free(np.clip(np.stack([-stick, -turn / full_turn], 1), -1, 1), left_over < FREE_WITHIN)


def _along(heading: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.cos(heading), np.sin(heading)], 1)

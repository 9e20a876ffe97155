"""Playing for a score: many episodes side by side in one process, so that the policy acts on a batch.

Every episode has its own game and its own source of chance, seeded by its seed, and the policy always acts on the same number of rows
(`ROWS_AT_ONCE`; the spare ones idle), so an episode does not depend on which others are played beside it. Frames are resized by the same
scaler that made the training frames. Cost: a chunk of the small policy for 20 episodes about 30 ms on one core, the game comes on top
(measured); a large one costs what a chunk of it costs, for each episode.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ghostpad.base.errors import SettingsError
from ghostpad.base.pad import Pad, neutral
from ghostpad.base.progress import Advance, progress
from ghostpad.games.spec import Frame, Game, Player, make_game, make_player
from ghostpad.policy.model import Policy
from ghostpad.video.decode import resize_image

SIDE_BY_SIDE = 20
"""Episodes at a time: each has an engine of its own, about 100 MB for Doom."""

ROWS_AT_ONCE = {"conv": SIDE_BY_SIDE, "siglip": 1}
"""Episodes that a policy with this encoder looks for together. A small net costs mostly the call, so spare rows are nearly free. SigLIP has
256 rows of tokens to a frame: there 19 spare frames would cost 19 times the one that is played."""

Watched = list[tuple[Frame, Pad]]
"""Frames uint8 [H, W, 3], each with the pad float32 [25] chosen for it."""

OnFrame = Callable[[int, Frame, Pad], None]
"""Called with the episode's place in `seeds`, the frame shown and the pad chosen for it."""


@dataclass(frozen=True)
class EpisodeResult:
    """How one episode went: the sum of its rewards and the number of frames it was played for."""

    seed: int
    return_: float
    frames: int


@dataclass
class Seat:
    """One running episode. `memory` is the actor's own, made by its `begin`."""

    index: int
    seed: int
    game: Game
    frame: Frame
    memory: Any = None
    return_: float = 0.0
    frames: int = 0
    done: bool = False


class Actor(ABC):
    """Somebody who plays several episodes at once."""

    @abstractmethod
    def begin(self, seat: Seat) -> None:
        """Prepare for an episode whose first frame is shown; all its chance comes from `seat.seed`."""

    @abstractmethod
    def act(self, seats: Sequence[Seat]) -> list[Pad]:
        """A pad, float32 [25], for the frame each seat now shows."""


class ScriptedActor(Actor):
    """A scripted player of a game by name, e.g. "random", "novice" or "expert"; one for every episode."""

    def __init__(self, game_name: str, player: str):
        self.game_name, self.player = game_name, player
        make_player(game_name, player)  # a mistyped name is refused before anything is started

    def begin(self, seat: Seat) -> None:
        """Give the seat its own player."""
        seat.memory = make_player(self.game_name, self.player)
        seat.memory.reset(seat.seed)

    def act(self, seats: Sequence[Seat]) -> list[Pad]:
        """Let every seat's player choose."""
        players: list[Player] = [seat.memory for seat in seats]
        return [player.act(seat.game) for player, seat in zip(players, seats, strict=True)]


@dataclass
class _Memory:
    """The last frames of an episode, oldest first, the rows still to play, and its chance."""

    generator: torch.Generator
    frames: deque[Frame]
    rows: list[Pad] = field(default_factory=list)


class PolicyActor(Actor):
    """A policy, looking again after every `execute` rows of a chunk, for `batch` episodes at once (0: as `ROWS_AT_ONCE` says; a GPU may
    gain from more with a large policy); on the CPU or wherever its weights are.

    It is told the name of the `game` as `Policy.told` says. A chunk whose first row is due later (`action_shift`) is played when it is due;
    before the first one nothing is pressed.
    """

    def __init__(self, policy: Policy, game: str | None = None, batch: int = 0):
        self.policy, self.batch = policy.eval(), batch or ROWS_AT_ONCE[policy.settings.encoder]
        self.game = policy.told(game)
        self.shift = policy.settings.action_shift

    def begin(self, seat: Seat) -> None:
        """Start with no past: frames before the first are the first."""
        reach = 1 - min(self.policy.window.frame_offsets)
        seat.memory = _Memory(torch.Generator().manual_seed(seat.seed), deque([seat.frame] * reach, maxlen=reach))
        seat.memory.frames.pop()  # `act` adds the frame now shown
        seat.memory.rows = [neutral() for _ in range(self.shift)]

    def act(self, seats: Sequence[Seat]) -> list[Pad]:
        """The next row of every seat's chunk; seats that have none left look, together, and get a new chunk."""
        for seat in seats:
            seat.memory.frames.append(seat.frame)
        looking = [seat for seat in seats if len(seat.memory.rows) <= self.shift]
        for start in range(0, len(looking), self.batch):
            self._look(looking[start : start + self.batch])
        return [seat.memory.rows.pop(0) for seat in seats]

    def _look(self, seats: Sequence[Seat]) -> None:
        window = self.policy.window
        frames = np.zeros((self.batch, len(window.frame_offsets), window.height_px, window.width_px, 1 if window.gray else 3), np.uint8)
        noise = torch.zeros_like(self.policy.draw_noise(self.batch, torch.Generator()))
        for row, seat in enumerate(seats):
            seen = [seat.memory.frames[offset - 1] for offset in window.frame_offsets]  # the last of the past is offset 0
            frames[row] = [resize_image(image, window.width_px, window.height_px, window.gray) for image in seen]
            noise[row] = self.policy.draw_noise(1, seat.memory.generator)[0]
        pads = self.policy.act_from(torch.from_numpy(frames).to(self.policy.device), noise, self.game).cpu().numpy()
        for row, seat in enumerate(seats):
            seat.memory.rows += list(pads[row, : self.policy.settings.execute])


def play_episodes(
    game_name: str,
    actor: Actor,
    seeds: Sequence[int],
    *,
    max_frames: int | None = None,
    on_frame: OnFrame | None = None,
    make: Callable[[str], Game] = make_game,
    side_by_side: int = SIDE_BY_SIDE,
    advance: Advance | None = None,
) -> list[EpisodeResult]:
    """Play the episode of every seed to its end, or for `max_frames` pads, and return the results in the order of `seeds`.

    `side_by_side` games run at a time. With `advance` the caller shows the progress: it is told every finished episode.
    Raises `SettingsError` for no seeds or an unknown game, `MissingError` without its engine.
    """
    if not seeds:
        raise SettingsError("there are no seeds to play: give at least one")
    results: list[EpisodeResult] = []
    games = [make(game_name) for _ in range(min(side_by_side, len(seeds)))]
    try:
        with nullcontext(advance) if advance else progress(f"play {game_name}", len(seeds), "episodes") as tell:
            for start in range(0, len(seeds), len(games)):
                places = range(start, min(start + len(games), len(seeds)))
                wave = [Seat(place, seeds[place], game, game.reset(seeds[place])) for place, game in zip(places, games, strict=False)]
                _play_wave(wave, actor, max_frames, on_frame, tell)
                results += [EpisodeResult(seat.seed, seat.return_, seat.frames) for seat in wave]
    finally:
        for game in games:
            game.close()
    return results


def watch_episode(game_name: str, actor: Actor, seed: int, max_frames: int, make: Callable[[str], Game] = make_game) -> Watched:
    """The first `max_frames` frames of the episode of `seed` and the pads chosen for them, exactly as it is played for a score.

    So torch has one thread meanwhile, as it has there: with more, sums end differently.
    """
    shown: list[tuple[Frame, Pad]] = []

    def keep(episode: int, frame: Frame, pad: Pad) -> None:
        shown.append((frame.copy(), pad.copy()))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        play_episodes(game_name, actor, [seed], max_frames=max_frames, on_frame=keep, make=make)
    finally:
        torch.set_num_threads(threads)
    return shown


def _play_wave(wave: Sequence[Seat], actor: Actor, max_frames: int | None, on_frame: OnFrame | None, advance: Advance) -> None:
    """Play these episodes in lock-step until each is over."""
    for seat in wave:
        actor.begin(seat)
    while running := [seat for seat in wave if not seat.done]:
        for seat, pad in zip(running, actor.act(running), strict=True):
            if on_frame:
                on_frame(seat.index, seat.frame, pad)
            frame, reward, over = seat.game.step(pad)
            seat.return_, seat.frames = seat.return_ + reward, seat.frames + 1
            seat.done = over or seat.frames == max_frames
            if frame is not None:
                seat.frame = frame
            advance(seat.done)

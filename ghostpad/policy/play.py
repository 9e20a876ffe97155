"""Playing for a score: many episodes side by side in one process, so that the policy acts on a batch.

Every episode has its own game and its own random generator, and the policy always acts on the same number of rows (`ROWS_AT_ONCE`, some
of them unused), so an episode does not depend on those played beside it. Frames are resized by the scaler that made the training frames.
Cost: about 30 ms of one core for a chunk of the small policy for 20 episodes, and the game's time (measured); a large policy takes the
time of a chunk for each episode.
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
"""Rows in a batch of a policy with this encoder. A small net's cost is mostly the call, so unused rows are nearly free. SigLIP has 256
tokens to a frame: there 19 unused frames would cost 19 times the one that is played."""

OnFrame = Callable[[int, Frame, Pad], None]
"""Called with the episode's place in `seeds`, the frame shown uint8 [H, W, 3] and the pad chosen for it float32 [25]."""


@dataclass(frozen=True)
class EpisodeResult:
    """The return of one episode, the sum of its rewards, and the number of frames played."""

    seed: int
    return_: float
    frames: int


@dataclass
class Episode:
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
    """Plays several episodes at once."""

    @abstractmethod
    def begin(self, episode: Episode) -> None:
        """Prepare for an episode that shows its first frame; all randomness comes from `episode.seed`."""

    @abstractmethod
    def act(self, episodes: Sequence[Episode]) -> list[Pad]:
        """A pad, float32 [25], for the frame each episode now shows."""


class ScriptedActor(Actor):
    """A scripted player of a game by name, e.g. "random", "novice" or "expert"; one for every episode."""

    def __init__(self, game_name: str, player: str):
        self.game_name, self.player = game_name, player
        make_player(game_name, player)  # refuses a mistyped name before anything starts

    def begin(self, episode: Episode) -> None:
        """Make the episode's own player."""
        episode.memory = make_player(self.game_name, self.player)
        episode.memory.reset(episode.seed)

    def act(self, episodes: Sequence[Episode]) -> list[Pad]:
        """Let every episode's player choose."""
        players: list[Player] = [episode.memory for episode in episodes]
        return [player.act(episode.game) for player, episode in zip(players, episodes, strict=True)]


@dataclass
class _Memory:
    """The random generator of an episode, its last frames, oldest first, and the rows still to play."""

    generator: torch.Generator
    frames: deque[Frame]
    rows: list[Pad] = field(default_factory=list)


class PolicyActor(Actor):
    """A policy that samples a new chunk after `execute` rows, for `batch` episodes at once (0: `ROWS_AT_ONCE`; a large policy on a GPU may
    gain from more), on the device of its weights.

    It is conditioned on `game` as `Policy.conditioning` allows. A chunk whose first row is due later (`action_shift`) is played when it
    is due; before the first one nothing is pressed.
    """

    def __init__(self, policy: Policy, game: str | None = None, batch: int = 0):
        self.policy, self.batch = policy.eval(), batch or ROWS_AT_ONCE[policy.settings.encoder]
        self.game = policy.conditioning(game)
        self.shift = policy.settings.action_shift

    def begin(self, episode: Episode) -> None:
        """Start without a past: frames before the first are copies of it."""
        reach = 1 - min(self.policy.window.frame_offsets)
        episode.memory = _Memory(torch.Generator().manual_seed(episode.seed), deque([episode.frame] * reach, maxlen=reach))
        episode.memory.frames.pop()  # `act` adds the frame now shown
        episode.memory.rows = [neutral() for _ in range(self.shift)]

    def act(self, episodes: Sequence[Episode]) -> list[Pad]:
        """The next row of every episode's chunk; episodes without one get a new chunk, together."""
        for episode in episodes:
            episode.memory.frames.append(episode.frame)
        looking = [episode for episode in episodes if len(episode.memory.rows) <= self.shift]
        for start in range(0, len(looking), self.batch):
            self._look(looking[start : start + self.batch])
        return [episode.memory.rows.pop(0) for episode in episodes]

    def _look(self, episodes: Sequence[Episode]) -> None:
        window = self.policy.window
        frames = np.zeros((self.batch, len(window.frame_offsets), window.height_px, window.width_px, 1 if window.gray else 3), np.uint8)
        noise = torch.zeros_like(self.policy.draw_noise(self.batch, torch.Generator()))
        for row, episode in enumerate(episodes):
            seen = [episode.memory.frames[offset - 1] for offset in window.frame_offsets]  # the last frame has offset 0
            frames[row] = [resize_image(image, window.width_px, window.height_px, window.gray) for image in seen]
            noise[row] = self.policy.draw_noise(1, episode.memory.generator)[0]
        pads = self.policy.act_from(torch.from_numpy(frames).to(self.policy.device), noise, self.game).cpu().numpy()
        for row, episode in enumerate(episodes):
            episode.memory.rows += list(pads[row, : self.policy.settings.execute])


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

    `side_by_side` games run at a time. With `advance`, which is called for every finished episode, the caller shows the progress.
    Raises `SettingsError` for no seeds or an unknown game, `MissingError` without its engine.
    """
    if not seeds:
        raise SettingsError("there are no seeds to play: give at least one")
    results: list[EpisodeResult] = []
    games = [make(game_name) for _ in range(min(side_by_side, len(seeds)))]
    try:
        with nullcontext(advance) if advance else progress(f"play {game_name}", len(seeds), "episodes") as show:
            for start in range(0, len(seeds), len(games)):
                places = range(start, min(start + len(games), len(seeds)))
                batch = [Episode(place, seeds[place], game, game.reset(seeds[place])) for place, game in zip(places, games, strict=False)]
                _play_batch(batch, actor, max_frames, on_frame, show)
                results += [EpisodeResult(episode.seed, episode.return_, episode.frames) for episode in batch]
    finally:
        for game in games:
            game.close()
    return results


def watch_episode(
    game_name: str, actor: Actor, seed: int, max_frames: int, make: Callable[[str], Game] = make_game
) -> list[tuple[Frame, Pad]]:
    """The first `max_frames` frames of the episode of `seed` and the pads chosen for them, exactly as it is played for a score.

    Torch has one thread meanwhile, as it has there: with more, sums round differently.
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


def _play_batch(batch: Sequence[Episode], actor: Actor, max_frames: int | None, on_frame: OnFrame | None, advance: Advance) -> None:
    """Play these episodes in lock-step until each is over."""
    for episode in batch:
        actor.begin(episode)
    while running := [episode for episode in batch if not episode.done]:
        for episode, pad in zip(running, actor.act(running), strict=True):
            if on_frame:
                on_frame(episode.index, episode.frame, pad)
            frame, reward, over = episode.game.step(pad)
            episode.return_, episode.frames = episode.return_ + reward, episode.frames + 1
            episode.done = over or episode.frames == max_frames
            if frame is not None:
                episode.frame = frame
            advance(episode.done)

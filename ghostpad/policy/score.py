"""A policy's or a scripted player's score on a game, JSON-able, on episodes that no recording used."""

from pathlib import Path
from typing import Any

import numpy as np

from ghostpad.base.errors import SettingsError
from ghostpad.policy.measure import summarise
from ghostpad.policy.play import Actor, PolicyActor, ScriptedActor, play_episodes
from ghostpad.policy.train import load_policy


def score_policy(game: str, policy: Path | None, player: str | None, episodes: int, seed: int, arm: str | None) -> dict[str, Any]:
    """Play `episodes` of `game` with the policy of a run or a scripted player (one of the two) and return the arm's record.

    Raises `SettingsError` unless exactly one of `policy` and `player` is given and `episodes` is 1 or more.
    """
    seeds = evaluation_seeds(seed, episodes)
    results = play_episodes(game, actor_of(game, policy, player), seeds)
    return {
        "game": game,
        "arm": arm or (policy.name if policy else player),
        "run": str(policy) if policy else None,
        "player": player,
        "episodes": episodes,
        "seeds": seeds,
        "frames": [result.frames for result in results],
        **summarise(results),
    }


def actor_of(game: str, policy: Path | None, player: str | None) -> Actor:
    """Who plays: the policy of a run, or a scripted player by name. Raises `SettingsError` unless exactly one is given."""
    if policy is not None and player is None:
        return PolicyActor(load_policy(policy))
    if player is not None and policy is None:
        return ScriptedActor(game, player)
    raise SettingsError("say who plays: either the run of a policy or the name of a player")


def evaluation_seeds(seed: int, episodes: int) -> list[int]:
    """The episodes' own 31-bit seeds: a sequence apart from that of recordings, which start from (seed, episode)."""
    return [int(np.random.SeedSequence((seed, episode, 0xE7A1)).generate_state(1)[0] >> 1) for episode in range(episodes)]

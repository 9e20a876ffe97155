"""Returns of policies and scripted players in games, JSON-able, on episodes that no recording used.

Episodes are played in batches, one process a batch where `workers` allows, each with one torch thread. An episode depends on its
seed alone, so neither the number of processes nor the other episodes of its batch change a return. Cost: a batch of 20 Doom
episodes of a minute takes half a minute of one core and 2 GB, most of it the engines (measured).

A ledger keeps the batches that were played, so that a killed evaluation is resumed by re-running it: JSON lines of
game, who (`Contestant.key`) and episodes.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ghostpad.base.engines.settings import usable_cores
from ghostpad.base.errors import SettingsError
from ghostpad.base.files import append_json, read_json_lines
from ghostpad.base.progress import progress
from ghostpad.policy import load as load_policy
from ghostpad.policy.play import SIDE_BY_SIDE, Actor, EpisodeResult, PolicyActor, ScriptedActor, play_episodes
from ghostpad.train.checkpoint import run_fingerprint


@dataclass(frozen=True)
class Contestant:
    """Who plays: the policy of a run, or a scripted player by name. Raises `SettingsError` unless it is one of them."""

    policy: Path | None = None
    player: str | None = None
    arm: str | None = None

    def __post_init__(self) -> None:
        if (self.policy is None) == (self.player is None):
            raise SettingsError("say who plays: either the run of a policy or the name of a player")

    @property
    def name(self) -> str:
        """`arm` if it has one, else the run's or the player's name."""
        return self.arm or (self.policy.resolve().name if self.policy else str(self.player))

    @property
    def key(self) -> str:
        """What identifies it in a ledger: the bytes of a policy, the name of a scripted player."""
        return f"policy {run_fingerprint(self.policy)}" if self.policy else f"player {self.player}"

    def actor(self, game: str) -> Actor:
        """An actor that plays `game`; a large policy's layers are packed, because they do not change any more.

        Raises `MissingError` or `FormatError` for a run that is no finished policy.
        """
        if self.policy is not None:
            policy = load_policy(self.policy)
            return PolicyActor(policy.quicken(pack=policy.settings.encoder == "siglip"), game)
        return ScriptedActor(game, str(self.player))


def score_games(
    games: Sequence[str], players: Sequence[Contestant], seeds: Sequence[int], workers: int = 0, ledger: Path | None = None
) -> list[dict[str, Any]]:
    """Let every contestant play the episodes of all `seeds` in every game, in this process (`workers` 0) or in a pool.

    Episodes in the file `ledger` are not played again, and every batch played is added to it.

    Returns for each game {"game", "rows"}; a row is one contestant's arm, run, player, mean, sem, n and the returns, frames and seeds of
    its episodes in the order of `seeds`. A pool has at most as many processes as this one may use cores. Raises what `play_episodes` does.
    """
    keys = {who: who.key for who in players}  # the bytes of a large policy take seconds to read
    played, jobs = _read(ledger), list[_Job]()
    for game in games:
        for who in players:
            left = [seed for seed in seeds if seed not in played[game, keys[who]]]
            size = _batch_size(who.actor(game), len(seeds), workers)  # raises here, before any work, for who cannot play
            jobs += [_Job(game, who, tuple(left[start : start + size])) for start in range(0, len(left), size)]
    total = len(games) * len(players) * len(seeds)
    with progress("play", total, "episodes", total - sum(len(job.seeds) for job in jobs)) as advance:
        for job, results in zip(jobs, _results(jobs, workers), strict=True):
            played[job.game, keys[job.who]] |= {result.seed: result for result in results}
            if ledger is not None:
                append_json(ledger, {"game": job.game, "who": keys[job.who], "episodes": [asdict(result) for result in results]})
            advance(len(results))
    return [{"game": game, "rows": [_row(who, [played[game, keys[who]][seed] for seed in seeds]) for who in players]} for game in games]


def _read(ledger: Path | None) -> defaultdict[tuple[str, str], dict[int, EpisodeResult]]:
    """The episodes of a ledger by seed, of each (game, who)."""
    played: defaultdict[tuple[str, str], dict[int, EpisodeResult]] = defaultdict(dict)
    for batch in read_json_lines(ledger) if ledger is not None else ():
        results = [EpisodeResult(**episode) for episode in batch["episodes"]]
        played[batch["game"], batch["who"]] |= {result.seed: result for result in results}
    return played


def evaluation_seeds(seed: int, episodes: int) -> list[int]:
    """31-bit seeds of episodes, from another sequence than that of recordings, which start from (seed, episode)."""
    return [int(np.random.SeedSequence((seed, episode, 0xE7A1)).generate_state(1)[0] >> 1) for episode in range(episodes)]


def summarise(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """The mean return of played episodes, its standard error (None for a single one), n and the returns. `SettingsError` for none."""
    if not results:
        raise SettingsError("no episode was played: there is no mean return")
    returns = [result.return_ for result in results]
    sem = float(np.std(returns, ddof=1) / np.sqrt(len(returns))) if len(returns) > 1 else None
    return {"mean": float(np.mean(returns)), "sem": sem, "n": len(returns), "returns": returns}


def median_episode(row: dict[str, Any]) -> int:
    """The place of the episode whose return is the median (the lower one of two, the first of equals), of which clips are made."""
    order = np.argsort(row["returns"], kind="stable")
    return int(order[(len(order) - 1) // 2])


@dataclass(frozen=True)
class _Job:
    game: str
    who: Contestant
    seeds: tuple[int, ...]


def _batch_size(actor: Actor, episodes: int, workers: int) -> int:
    """Episodes that one process plays side by side: fewer with more processes, unless a policy computes a full batch in any case."""
    shared = isinstance(actor, PolicyActor) and actor.batch > 1
    return SIDE_BY_SIDE if shared else max(1, min(SIDE_BY_SIDE, -(-episodes // max(1, workers))))


def _results(jobs: Sequence[_Job], workers: int) -> Iterator[list[EpisodeResult]]:
    processes = min(workers, usable_cores(), len(jobs))
    if processes <= 1:
        yield from map(_play, jobs)
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield from pool.map(_play, jobs)


def _play(job: _Job) -> list[EpisodeResult]:
    torch.set_num_threads(1)  # more take cores from other processes and round sums differently
    return play_episodes(job.game, job.who.actor(job.game), job.seeds, advance=lambda amount: None)


def _row(who: Contestant, results: Sequence[EpisodeResult]) -> dict[str, Any]:
    return {
        "arm": who.name,
        "run": str(who.policy) if who.policy else None,
        "player": who.player,
        "frames": [result.frames for result in results],
        "seeds": [result.seed for result in results],
        **summarise(results),
    }

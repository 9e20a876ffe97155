"""Measures of a policy: its score at play beside the baselines', and, cheaper, the error of its chunks on windows.

Play decides; the chunk error only helps to find out why. Every table carries scripted players on the same seeds, because a score
says nothing without what random and expert play reach.
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
import torch

from ghostpad.base.errors import SettingsError
from ghostpad.base.pad import SLOTS
from ghostpad.feed.batch import Batch
from ghostpad.games.spec import player_names
from ghostpad.policy.model import Policy
from ghostpad.policy.play import EpisodeResult, ScriptedActor, play_episodes


class Score(TypedDict):
    """Returns of some episodes in the order of their seeds, their mean and its standard error (None for a single episode)."""

    mean: float
    sem: float | None
    n: int
    returns: list[float]


def summarise(results: Sequence[EpisodeResult]) -> Score:
    """The score of played episodes. Raises `SettingsError` for none."""
    if not results:
        raise SettingsError("no episode was played: there is no score to tell")
    returns = [result.return_ for result in results]
    return Score(mean=float(np.mean(returns)), sem=_standard_error(returns), n=len(returns), returns=returns)


def difference(score: Score, other: Score) -> Score:
    """By how much `score` is above `other`, episode by episode; both must have played the same seeds."""
    if score["n"] != other["n"]:
        raise SettingsError(f"scores over {score['n']} and {other['n']} episodes cannot be paired: play the same seeds")
    gains = [mine - theirs for mine, theirs in zip(score["returns"], other["returns"], strict=True)]
    return Score(mean=float(np.mean(gains)), sem=_standard_error(gains), n=len(gains), returns=gains)


def baselines(game_name: str, seeds: Sequence[int], *, max_frames: int | None = None) -> dict[str, Score]:
    """The scores of every scripted player of a game, by the player's name."""
    players = {name: ScriptedActor(game_name, name) for name in player_names(game_name)}
    return {name: summarise(play_episodes(game_name, actor, seeds, max_frames=max_frames)) for name, actor in players.items()}


def score_table(scores: Mapping[str, Score]) -> str:
    """A Markdown table with a row for each player or arm, best first."""
    rows = ["| who plays | mean return | ± s.e. | episodes | lowest | highest |", "|---|---:|---:|---:|---:|---:|"]
    for name, score in sorted(scores.items(), key=lambda item: -item[1]["mean"]):
        sem = "" if score["sem"] is None else f"{score['sem']:.1f}"
        low, high = min(score["returns"]), max(score["returns"])
        rows.append(f"| {name} | {score['mean']:.1f} | {sem} | {score['n']} | {low:.1f} | {high:.1f} |")
    return "\n".join(rows) + "\n"


def chunk_error(policy: Policy, batch: Batch, generator: torch.Generator) -> dict[str, float]:
    """Mean absolute error of the rows that would be executed, by slot name; slots that no row knows are left out.

    One draw is compared with one truth, so where several actions are right the error cannot reach 0.
    """
    rows = policy.settings.execute
    error = (policy.act(batch.frames, generator) - batch.pads).abs()[:, :rows]
    known = (batch.weight[:, :rows] > 0).float()
    found = {}
    for index in policy.slots:
        if known[..., index].any():
            found[SLOTS[index]] = float((error * known)[..., index].sum() / known[..., index].sum())
    return found


def _standard_error(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None

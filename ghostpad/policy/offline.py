"""How well a policy predicts a player's next rows, on recorded videos whose pads were withheld: measures that need no game.

At every `execute`-th frame (a *look*) the policy reads the frames up to it, as when it plays, and proposes chunks from several draws of
noise. These measures do not replace returns: a policy that copies the player's last row does well here and cannot play. Cost: about 15 ms
a look with the small policy (guess).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ghostpad.base.errors import MissingError
from ghostpad.base.pad import PAD_DIM, SLOTS
from ghostpad.base.places import AnyPlace
from ghostpad.base.progress import Advance, progress
from ghostpad.corpus.folder import Corpus
from ghostpad.feed.footage import Footage
from ghostpad.feed.load import load_footage
from ghostpad.feed.rows import WithheldRows
from ghostpad.measure.match import Matched, aligned, pool
from ghostpad.measure.scores import baseline_scores, score_rows
from ghostpad.policy.model import Policy

DRAWS = 4
"""Chunks proposed at every look; their mean is its prediction (a guess: more change little)."""

LOOKS = 32
"""Looks in a batch."""


@dataclass(frozen=True)
class Proposals:
    """What a policy proposed for one video: n looks, chunks of K rows, D draws.

    starts    int64 [n], the row of each look
    chunks    float32 [n, D, K, 25]
    """

    clip: Footage
    starts: NDArray[np.int64]
    chunks: NDArray[np.float32]


def offline_measures(policy: Policy, pairs: Sequence[tuple[AnyPlace, Path]], draws: int = DRAWS, seed: int = 0) -> list[dict[str, Any]]:
    """The measures on every game of some corpora, each with the folder of its withheld pads: [{"game", "videos", "minutes", ...}].

    chunk_error   mean |proposed - true| over the rows of a chunk, by slot and of all (`mean`), in stick units or as a share of a press;
                  of single draws, not of their mean. `by_row` has it for the first, second, ... row of a chunk
    baselines     the same for nothing pressed, and for holding the true row before the chunk, which no policy sees
    rows          `ghostpad.measure.scores.score_rows` of the rows that would be played (the first `execute` of a chunk, mean of the draws):
                  sticks' r2 and rmse, buttons' ap and onset_f1; `rows_baselines` the same for trivial rows

    Raises `MissingError` if no video has withheld pads that the policy can play.
    """
    proposals: dict[str, list[Proposals]] = {}
    clips: list[Footage] = []
    for corpus_path, truth in pairs:
        corpus = Corpus.open(corpus_path)
        clips += load_footage(corpus, corpus.ok_ids(), WithheldRows(truth), policy.window)
    looks = sum(-(-len(clip.pads) // policy.settings.execute) for clip in clips)
    with progress("propose chunks", looks, "looks") as advance:
        for clip in clips:
            proposals.setdefault(clip.game, []).append(_propose(policy, clip, draws, seed, advance))
    if not proposals:
        raise MissingError(f"no video of {', '.join(str(corpus) for corpus, _ in pairs)} has withheld pads: name the right --truth")
    return [{"game": game, **_measures(policy, ones)} for game, ones in sorted(proposals.items())]


def _propose(policy: Policy, clip: Footage, draws: int, seed: int, advance: Advance) -> Proposals:
    generator = torch.Generator().manual_seed(seed)
    game = policy.conditioning(clip.game)
    starts = np.arange(0, len(clip.pads), policy.settings.execute)
    parts = []
    for at in range(0, len(starts), LOOKS):
        rows = starts[at : at + LOOKS]
        seen = np.stack([clip.frames[policy.window.frames_at(int(row), len(clip.frames))] for row in rows])
        noise = torch.stack([policy.draw_noise(len(rows), generator) for _ in range(draws)], 1)
        parts.append(policy.act_draws(torch.from_numpy(seen).to(policy.device), noise, game).cpu().numpy())
        advance(len(rows))
    return Proposals(clip, starts, np.concatenate(parts).astype(np.float32))


def _measures(policy: Policy, proposals: Sequence[Proposals]) -> dict[str, Any]:
    rows = [_played_rows(policy, one) for one in proposals]
    errors = [_chunk_errors(policy, one) for one in proposals]
    own, released, held, weight = (np.concatenate([error[part] for error in errors]) for part in range(4))
    return {
        "videos": len(proposals),
        "minutes": float(sum(one.clip.seconds for one in proposals) / 60),
        "chunk_error": _mean_error(own, weight),
        "baselines": {"always_released": _mean_error(released, weight), "hold_last": _mean_error(held, weight)},
        "rows": score_rows(pool(rows)),
        "rows_baselines": baseline_scores(rows, None),
    }


def _chunk_errors(policy: Policy, proposals: Proposals) -> tuple[NDArray[np.float32], ...]:
    """|error| of the proposal, of nothing pressed and of holding the last true row, and the mask of known numbers, each [n, K, 25]."""
    clip, spec = proposals.clip, policy.window
    pads, weight = clip.pads[:], clip.weight[:]
    places = [spec.rows_at(int(row), len(pads)) for row in proposals.starts]
    truth = np.stack([pads[rows] for rows, _ in places])
    known = np.stack([(weight[rows] > 0) & inside[:, None] for rows, inside in places]) & _played(policy)
    last = np.where(proposals.starts[:, None] > 0, pads[np.maximum(proposals.starts - 1, 0)], 0)[:, None]
    own = np.abs(proposals.chunks - truth[:, None]).mean(axis=1)
    return own, np.abs(truth), np.abs(last - truth), known.astype(np.float32)


def _mean_error(error: NDArray[np.float32], weight: NDArray[np.float32]) -> dict[str, Any]:
    counts = weight.sum(axis=(0, 1))
    slots = {name: float((error * weight)[..., index].sum() / counts[index]) for index, name in enumerate(SLOTS) if counts[index]}
    by_row = [float((error * weight)[:, row].sum() / total) for row in range(error.shape[1]) if (total := weight[:, row].sum())]
    return {"mean": float((error * weight).sum() / max(1.0, counts.sum())), "by_row": by_row, "slots": slots}


def _played_rows(policy: Policy, proposals: Proposals) -> Matched:
    """The rows that would be played, matched with the true ones; those before the first is due are unknown."""
    clip, count, shift = proposals.clip, len(proposals.clip.pads), policy.settings.action_shift
    chosen = proposals.chunks.mean(axis=1)[:, : policy.settings.execute].reshape(-1, PAD_DIM)
    rows = np.concatenate([np.zeros((shift, PAD_DIM), np.float32), chosen])[:count]
    known = (clip.weight[:] > 0) & _played(policy) & (np.arange(count) >= shift)[:, None]
    spreads = np.full((count, 4), np.nan, np.float32)
    return aligned(clip.pts_s[:-1], rows, spreads, clip.pads[:], known, 1 / float(np.median(np.diff(clip.pts_s[:]))))


def _played(policy: Policy) -> NDArray[np.bool_]:
    """bool [25], the slots that the policy plays."""
    played = np.zeros(PAD_DIM, np.bool_)
    played[policy.slots] = True
    return played

"""The footage of one training: what it learns from and what it holds out, each video with the best rows it has.

Recorded pads come first; a video without them gives an IDM's pseudo-labels, weighed by confidence and verdicts, or for an oracle the
truth that was withheld. Whole videos with recorded pads are held out, by a hash of their ids. Reads corpora; writes the cache of pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ghostpad.base.errors import MissingError
from ghostpad.base.pad import SLOTS
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.feed.footage import Footage, first_minutes, label_source, labelled_rows, load_footage, truth_rows, withheld_rows
from ghostpad.feed.settings import DataSettings
from ghostpad.feed.split import split_videos
from ghostpad.feed.window import WindowSpec


@dataclass(frozen=True)
class Gathered:
    """Footage to learn from, with recorded pads and with pseudo-labels (or withheld truth), and footage held out, with recorded pads.

    sources           where the pseudo-labels of each corpus that has videos without recorded pads come from; "none" for nowhere
    recorded_minutes  minutes of `recorded`, each video once, though `data.reencode_crf` repeats it
    """

    recorded: list[Footage]
    pseudo: list[Footage]
    held_out: list[Footage]
    sources: list[str]
    recorded_minutes: float

    @property
    def groups(self) -> list[list[Footage]]:
        """The groups that a batch is mixed from: recorded, pseudo-labelled; those that are not empty."""
        return [group for group in (self.recorded, self.pseudo) if group]

    def shares(self, recorded_share: float) -> list[float]:
        """The share of a batch (0...1) that each of `groups` gives."""
        return [recorded_share, 1 - recorded_share] if len(self.groups) == 2 else [1.0]

    @property
    def minutes(self) -> dict[str, float]:
        """Facts for `run.json`: minutes learned from by recorded pads and by pseudo-labels, and minutes held out, not learned from."""
        found = {
            "learned_minutes": self.recorded_minutes,
            "pseudo_label_minutes": minutes_of(self.pseudo),
            "held_out_minutes": minutes_of(self.held_out),
        }
        return {name: round(value, 4) for name, value in found.items()}


def gather(corpora: Sequence[Corpus], data: DataSettings, spec: WindowSpec, withheld: Path | None = None) -> Gathered:
    """The footage of a training on `corpora` as a model of window `spec` sees it.

    `withheld`, a folder of withheld truth, takes the place of pseudo-labels. Raises `MissingError` where pseudo-labels are asked for and a
    corpus with videos without recorded pads has none, or no verdicts on them.
    """
    recorded, held_out, pseudo, sources, seconds = [], [], [], [], 0.0
    for corpus in corpora:
        known, ok = set(corpus.ids_with_rows(RECORDED)), corpus.ok_ids()
        learned, kept_out = split_videos([id for id in ok if id in known], data.validation_share)
        once = load_footage(corpus, learned, truth_rows, spec)
        seconds += 60 * minutes_of(once)
        recorded += once
        for crf in data.reencode_crf:
            recorded += load_footage(corpus, learned, truth_rows, spec, crf)
        held_out += load_footage(corpus, kept_out, truth_rows, spec)
        if others := [id for id in ok if id not in known]:
            found, source = _pseudo_labelled(corpus, others, data, spec, withheld)
            pseudo += first_minutes(found, data.label_minutes)
            sources.append(source)
    return Gathered(recorded, pseudo, held_out, sources, seconds / 60)


def _pseudo_labelled(
    corpus: Corpus, videos: Sequence[str], data: DataSettings, spec: WindowSpec, withheld: Path | None
) -> tuple[list[Footage], str]:
    """Footage of videos without recorded pads, and where its rows come from."""
    if withheld is not None:
        return load_footage(corpus, videos, withheld_rows(withheld), spec), "withheld truth"
    source = label_source(corpus, data.labels)
    if source is None:
        if data.labels == "none":
            return [], "none"
        raise MissingError(f"{corpus.root} has neither recorded pads nor labels: run 'ghostpad label {corpus.root} --idm RUN'")
    return load_footage(corpus, videos, labelled_rows(corpus, source, data), spec), source


def minutes_of(footage: Sequence[Footage]) -> float:
    """How long `footage` lasts."""
    return float(sum(clip.pts_s[-1] - clip.pts_s[0] for clip in footage) / 60)


def known_slots(footage: Sequence[Footage]) -> list[str]:
    """The slots that any row of `footage` knows, in the pad's order."""
    weighed = np.any([clip.weight.any(axis=0) for clip in footage], axis=0) if footage else np.zeros(len(SLOTS), bool)
    return [name for name, known in zip(SLOTS, weighed, strict=True) if known]


def slots_by_game(footage: Sequence[Footage]) -> dict[str, list[str]]:
    """The slots that each game's footage knows; footage of no named game is left out."""
    games = sorted({clip.game for clip in footage if clip.game})
    return {game: known_slots([clip for clip in footage if clip.game == game]) for game in games}

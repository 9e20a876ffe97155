"""The footage of one training: what it learns from and what it holds out, each video with the best rows it has.

Those are its recorded pads, else an IDM's pseudo-labels, weighted by confidence and verdicts, or for an oracle the truth that was withheld.
Whole videos with recorded pads are held out, by a hash of their ids. Reads corpora; writes the cache of pictures.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ghostpad.base.engines.settings import usable_cores
from ghostpad.base.errors import MissingError
from ghostpad.base.pad import SLOTS
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.feed.footage import Footage, first_minutes
from ghostpad.feed.load import load_footage
from ghostpad.feed.rows import PseudoLabelRows, RecordedRows, RowSource, WithheldRows, label_source
from ghostpad.feed.settings import DataSettings
from ghostpad.feed.window import WindowSpec

MOST_READERS = 4
"""Processes that decode ahead, unless more are asked for. At 256 px each gives 400 windows of a policy a second, or 80 of an IDM."""

FACTS = {"games": "game", "players": "player", "fps": "fps", "sources": "source", "licences": "licence"}
"""Facts that say where a model's knowledge comes from and are kept in its run: by name, their column of the table of videos."""


@dataclass(frozen=True)
class Gathered:
    """Footage to learn from, with recorded pads and with pseudo-labels (or withheld truth), and footage held out, with recorded pads.

    sources           the source of the pseudo-labels of each corpus that has videos without recorded pads; "none" where none are used
    recorded_minutes  minutes of `recorded`, each video once, though `data.reencode_crf` repeats it
    """

    recorded: Sequence[Footage]
    pseudo: Sequence[Footage] = ()
    held_out: Sequence[Footage] = ()
    sources: list[str] = field(default_factory=list)
    recorded_minutes: float = 0.0

    @property
    def groups(self) -> list[Sequence[Footage]]:
        """The groups that a batch is mixed from, recorded first, without empty ones."""
        return [group for group in (self.recorded, self.pseudo) if group]

    def workers(self, wanted: int | None) -> int:
        """How many processes read ahead: as many as `wanted`, for None up to 4 where pictures are decoded, and none where they are not."""
        coded = any(clip.coded for group in self.groups for clip in group)
        return wanted if wanted is not None else min(MOST_READERS, max(1, usable_cores() - 1)) * coded

    def shares(self, recorded_share: float) -> list[float]:
        """The share of a batch (0...1) that each of `groups` gives."""
        return [recorded_share, 1 - recorded_share] if len(self.groups) == 2 else [1.0]

    @property
    def minutes(self) -> dict[str, float]:
        """Facts for `run.json`: minutes learned from by recorded pads and by pseudo-labels, and minutes held out."""
        pseudo, held_out = minutes_of(self.pseudo), minutes_of(self.held_out)
        minutes = {"learned_minutes": self.recorded_minutes, "pseudo_label_minutes": pseudo, "held_out_minutes": held_out}
        return {name: round(value, 4) for name, value in minutes.items()}


def gather(corpora: Sequence[Corpus], data: DataSettings, spec: WindowSpec, withheld: Path | None = None) -> Gathered:
    """The footage of a training on `corpora` as a model of window `spec` sees it.

    `withheld`, a folder of withheld truth, takes the place of pseudo-labels. Raises `MissingError` where pseudo-labels are asked for and a
    corpus with videos without recorded pads has none, or no verdicts on them, or where the verdicts drop every row.
    """
    recorded, pseudo, held_out, sources, recorded_minutes = list[Footage](), list[Footage](), list[Footage](), list[str](), 0.0
    for corpus in corpora:
        known, ok = set(corpus.ids_with_rows(RECORDED)), corpus.ok_ids()
        learned, kept_out = split_videos([id for id in ok if id in known], data.validation_share)
        for crf in (None, *data.reencode_crf):
            footage = load_footage(corpus, learned, RecordedRows(), spec, data, crf)
            recorded_minutes += minutes_of(footage) if crf is None else 0.0
            recorded += footage
        held_out += load_footage(corpus, kept_out, RecordedRows(), spec, data)
        if others := [id for id in ok if id not in known]:
            source, rows = _source(corpus, data, withheld)
            sources.append(source)
            if rows is not None:
                pseudo += first_minutes(load_footage(corpus, others, rows, spec, data), data.label_minutes)
    if pseudo and withheld is None and data.verdicts != "none" and not any(clip.known.any() for clip in pseudo):
        roots = [str(corpus.root) for corpus in corpora]
        raise MissingError(
            f"the verdicts '{data.verdicts}' drop every row of {' and '.join(sources)} in {', '.join(roots)}: "
            "run 'ghostpad filter' again with milder cuts, or train on all rows with --data.verdicts none"
        )
    return Gathered(recorded, pseudo, held_out, sources, recorded_minutes)


def _source(corpus: Corpus, data: DataSettings, withheld: Path | None) -> tuple[str, RowSource | None]:
    """The name of the source that serves the videos of a corpus without recorded pads, and its rows; None where they are left out."""
    if withheld is not None:
        return "withheld truth", WithheldRows(withheld)
    if data.labels == "none":
        return "none", None
    if (source := label_source(corpus, data.labels)) is None:
        raise MissingError(f"{corpus.root} has neither recorded pads nor labels: run 'ghostpad label {corpus.root} --idm RUN'")
    return source, PseudoLabelRows(corpus, source, data)


def split_videos(videos: Sequence[str], held_out_share: float) -> tuple[list[str], list[str]]:
    """(learned, held out) of `videos`, each in their order.

    The videos with the smallest hash of their id are held out, so adding a video moves few others. At least one is held out if the share
    is above 0 and there are two or more.
    """
    wanted = round(held_out_share * len(videos))
    if held_out_share > 0 and len(videos) >= 2:
        wanted = min(max(1, wanted), len(videos) - 1)
    chosen = set(sorted(videos, key=lambda id: hashlib.sha256(id.encode()).hexdigest())[:wanted])
    return [id for id in videos if id not in chosen], [id for id in videos if id in chosen]


def minutes_of(footage: Sequence[Footage]) -> float:
    """How long `footage` lasts, in minutes."""
    return sum(clip.seconds for clip in footage) / 60


def corpus_facts(corpora: Sequence[Corpus]) -> dict[str, Any]:
    """The `FACTS` of the footage in `corpora`, each sorted; JSON-able."""
    facts: dict[str, set[Any]] = {fact: set() for fact in FACTS}
    for table in (table for corpus in corpora for table in corpus.scan(list(FACTS.values()), "ok")):
        for fact, column in FACTS.items():
            facts[fact].update(table.column(column).unique().drop_null().to_pylist())
    return {fact: sorted(values) for fact, values in facts.items()}


def known_slots(footage: Sequence[Footage]) -> list[str]:
    """The slots that are known in any row of `footage`, in the pad's order."""
    weighed = np.any([clip.known for clip in footage], axis=0) if footage else np.zeros(len(SLOTS), bool)
    return [name for name, known in zip(SLOTS, weighed, strict=True) if known]


def slots_by_game(footage: Sequence[Footage]) -> dict[str, list[str]]:
    """The known slots of each game's footage; footage of unknown games is left out."""
    games = sorted({clip.game for clip in footage if clip.game})
    return {game: known_slots([clip for clip in footage if clip.game == game]) for game in games}

"""What `ghostpad lab study pseudo-labels` trains and plays, as data: the arms, and the units of each part by priority.

Pure. A unit is one training of an agent and the games it is judged on. Its settings are the demo's, the same for every arm of a game,
and so are its optimiser steps; the seeds of recordings and of evaluation episodes were used for nothing else before. Seconds are what the
stages of the demo took on one of two loaded cores.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from ghostpad.cli.demo import TRUTH_SHARE

ARMS: dict[str, str] = {
    "truth": "a novice's recorded minutes alone",
    "pseudo": "and an IDM's pseudo-labels of an expert's footage, filtered, weighed by confidence",
    "shuffled": "the same pseudo-labels under other moments of their videos",
    "unfiltered": "the IDM's pseudo-labels as they are, neither filtered nor weighed",
    "oracle": "the expert's recorded pads in the place of pseudo-labels",
}
"""What an agent learned from."""

TUNED = "tuned"
"""An agent of an unlabelled level that does not start anew, but from the first level's agent that learned from labels."""

TUNING, TUNING_SHARE = ("--train.lr=1e-3", "--train.weight-decay=0.05", "--data.batch-size=96"), 3
"""How it learns on: at half the usual rate, for a third of the usual steps (guesses; nothing was tried)."""

EVALUATION_SEED = 5000
"""A training seed s is judged on the episodes of this + s. Nothing was chosen on them."""

NOVICE_SEED, EXPERT_SEED = 51, 52
"""Where the recordings' episodes come from."""


@dataclass(frozen=True)
class Domain:
    """What a kind of agent learns and is judged on.

    games    whose novices gave labels        tests   the games it plays
    footage  whose experts are unlabelled     longer  times the usual steps, of the IDM and the agent
    """

    words: str
    games: tuple[str, ...]
    footage: tuple[str, ...]
    tests: tuple[str, ...]
    truth_share: str
    longer: int = 1


DOMAINS: dict[str, Domain] = {
    "doom": Domain("Doom", ("doom",), ("doom",), ("doom", "doom-supreme"), TRUTH_SHARE["doom"]),
    "racing": Domain("racing", ("racing",), ("racing",), ("racing",), TRUTH_SHARE["racing"]),
    "all": Domain(
        "one agent and one IDM for both games", ("doom", "racing"), ("doom", "racing"), ("doom", "doom-supreme", "racing"), "0.1", 2
    ),
    "supreme": Domain(
        "Doom's unseen level, seen only unlabelled", ("doom",), ("doom-supreme",), ("doom-supreme", "doom"), TRUTH_SHARE["doom"]
    ),
}
"""Agents by what they learn: two specialists, a generalist, and one of a level that nobody recorded pads in."""


@dataclass(frozen=True)
class Scale:
    """How much of everything: minutes of both kinds, what stands in the centre, steps, episodes of each test, settings that differ."""

    labelled: tuple[float, ...] = (1, 2.5, 5, 10)
    unlabelled: tuple[float, ...] = (0, 8, 30, 60)
    centre: float = 5
    steps: int = 900
    idm_steps: int = 500
    episodes: int = 20
    domains: tuple[str, ...] = ("doom", "racing")
    tests: tuple[str, ...] = ("doom", "doom-supreme", "racing")
    idm_settings: tuple[str, ...] = ()
    policy_settings: tuple[str, ...] = ()
    filter_flags: tuple[str, ...] = ()

    @property
    def most(self) -> float:
        """The most unlabelled minutes: so many are recorded and labelled, smaller amounts are their beginning."""
        return max(self.unlabelled)

    @property
    def transfer(self) -> float:
        """Unrecorded minutes of a game that nobody recorded pads in."""
        return max(minutes for minutes in self.unlabelled if minutes <= self.most / 2) or self.most

    def footage_minutes(self, game: str) -> float:
        """How long the footage of a game's expert is."""
        return self.most if any(game in DOMAINS[name].games for name in self.domains) else self.transfer


QUICK = Scale(
    labelled=(0.4,), unlabelled=(0, 0.2), centre=0.4, steps=4, idm_steps=4, episodes=2, domains=("doom",), tests=("doom",),
    idm_settings=(
        "--model.width-px=64", "--model.height-px=48", "--model.dim=16", "--model.heads=2", "--model.clip-rows=16",
        "--data.batch-size=4", "--data.validation-share=0.5",
    ),
    policy_settings=(
        "--model.width-px=32", "--model.height-px=24", "--model.dim=16", "--model.heads=2", "--model.conv-width=4", "--data.batch-size=8",
        "--data.confidence-power=0",
    ),
    filter_flags=("--skip", "confidence"),  # an IDM of four steps is sure of nothing
)  # fmt: skip
"""The same code on next to no footage; its figures say nothing. Six minutes of a core with three seeds (measured)."""


@dataclass(frozen=True)
class Unit:
    """One training: a domain, an arm, minutes of both kinds and the training seed."""

    domain: str
    arm: str
    labelled: float
    unlabelled: float
    seed: int

    @property
    def name(self) -> str:
        """The name of its run and its evaluation, e.g. doom-pseudo-5-60-s0."""
        return f"{self.domain}-{self.arm}-{self.labelled:g}-{self.unlabelled:g}-s{self.seed}"

    def starts_from(self, scale: Scale) -> "Unit | None":
        """The agent that this one is tuned from: that of the labelled level with all of its footage."""
        return Unit("doom", "pseudo", self.labelled, scale.most, self.seed) if self.arm == TUNED else None


def _centre(scale: Scale, seeds: tuple[int, ...]) -> Iterator[Unit]:
    """All arms with the most footage and recorded pads alone, then less footage; seed by seed."""
    most = scale.most
    for seed in seeds:
        for domain in scale.domains:
            yield Unit(domain, "truth", scale.centre, 0, seed)
            yield from (Unit(domain, arm, scale.centre, most, seed) for arm in ("pseudo", "shuffled", "oracle", "unfiltered"))
            yield from (Unit(domain, "pseudo", scale.centre, minutes, seed) for minutes in scale.unlabelled if 0 < minutes < most)


def _labels(scale: Scale, seeds: tuple[int, ...]) -> Iterator[Unit]:
    """Fewer and more recorded minutes, without and with the most footage."""
    for seed in seeds:
        for domain in scale.domains:
            for labelled in (labelled for labelled in scale.labelled if labelled != scale.centre):
                yield Unit(domain, "pseudo", labelled, scale.most, seed)
                yield Unit(domain, "truth", labelled, 0, seed)


def _one_for_all(scale: Scale, seeds: tuple[int, ...]) -> Iterator[Unit]:
    for seed in seeds:
        yield from (Unit("all", arm, scale.centre, scale.most, seed) for arm in ("pseudo", "oracle"))


def _transfer(scale: Scale, seeds: tuple[int, ...]) -> Iterator[Unit]:
    for seed in seeds:
        yield from (Unit("supreme", arm, scale.centre, scale.transfer, seed) for arm in (TUNED, "pseudo", "oracle"))


def _pairs(scale: Scale, seeds: tuple[int, ...], arms: tuple[str, ...]) -> Iterator[Unit]:
    """These arms at every pair of minutes, seed by seed, those nearest to the centre first; some of it stands in other parts."""
    for seed in seeds:
        for labelled in sorted(scale.labelled, key=lambda minutes: minutes != scale.centre):
            for domain in scale.domains:
                for unlabelled in (minutes for minutes in sorted(scale.unlabelled, reverse=True) if minutes):
                    yield from (Unit(domain, arm, labelled, unlabelled, seed) for arm in arms)


PARTS: dict[str, Callable[[Scale, tuple[int, ...]], Iterator[Unit]]] = {
    "centre": _centre,
    "labels": _labels,
    "generalist": _one_for_all,
    "transfer": _transfer,
    "grid": partial(_pairs, arms=("pseudo",)),
    "controls": partial(_pairs, arms=("oracle", "shuffled", "unfiltered")),
}
"""The units of each part, in the order in which they are worked through; what stands in an earlier part is not done again."""


def units_of(parts: Iterable[str], scale: Scale, seeds: tuple[int, ...]) -> dict[str, list[Unit]]:
    """The units of each part, each once."""
    given: set[Unit] = set()
    found: dict[str, list[Unit]] = {}
    for part in parts:
        found[part] = [unit for unit in PARTS[part](scale, seeds) if unit not in given]
        given |= set(found[part])
    return found

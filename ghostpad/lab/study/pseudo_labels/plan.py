"""What `ghostpad lab study pseudo-labels` trains and plays, as data: the arms, and the units of each part by priority.

Pure. A unit is one training of an agent and the games it plays. Settings are the demo's; they and the optimiser steps are the same for
every arm of a game. The seeds of recordings and of evaluation episodes were used for nothing else before.
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
"""An agent of an unlabelled level that starts from the first level's agent, which learned from pseudo-labels."""

TUNING, TUNING_SHARE = ("--train.lr=1e-3", "--train.weight-decay=0.05", "--data.batch-size=96"), 3
"""How it is fine-tuned: at half the usual learning rate, for a third of the usual steps (guesses; nothing was tried)."""

EVALUATION_SEED = 5000
"""An agent of training seed s plays the episodes of seed 5000 + s. Nothing was chosen on them."""

RECORDING_SEEDS = {"novice": 51, "expert": 52}
"""Seeds of the recordings by player."""


@dataclass(frozen=True)
class Domain:
    """What a kind of agent learns from and plays.

    games    their novices are recorded       tests   the games it plays
    footage  their experts are unlabelled     longer  times the usual steps, of the IDM and the agent
    """

    words: str
    games: tuple[str, ...]
    footage: tuple[str, ...]
    tests: tuple[str, ...]
    truth_share: str
    longer: int = 1


_BOTH, _DOOM_SHARE = ("doom", "racing"), TRUTH_SHARE["doom"]

DOMAINS: dict[str, Domain] = {
    "doom": Domain("Doom", ("doom",), ("doom",), ("doom", "doom-supreme"), _DOOM_SHARE),
    "racing": Domain("racing", ("racing",), ("racing",), ("racing",), TRUTH_SHARE["racing"]),
    "all": Domain("one agent and one IDM for both games", _BOTH, _BOTH, ("doom", "doom-supreme", "racing"), "0.1", longer=2),
    "supreme": Domain("Doom's second level, unlabelled", ("doom",), ("doom-supreme",), ("doom-supreme", "doom"), _DOOM_SHARE),
}
"""Agents by what they learn: two specialists, a generalist, and one of a level whose pads nobody recorded."""


@dataclass(frozen=True)
class Scale:
    """How much of everything: recorded and unlabelled minutes, recorded ones of the centre, steps, episodes of each test, settings."""

    recorded: tuple[float, ...] = (1, 2.5, 5, 10)
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
        """The most unlabelled minutes. All are pseudo-labelled; smaller amounts are the first of them."""
        return max(self.unlabelled)

    @property
    def transfer(self) -> float:
        """Unlabelled minutes of a game whose pads nobody recorded."""
        return max(minutes for minutes in self.unlabelled if minutes <= self.most / 2) or self.most

    def footage_minutes(self, game: str) -> float:
        """Minutes of a game's expert footage."""
        return self.most if any(game in DOMAINS[name].games for name in self.domains) else self.transfer


QUICK = Scale(
    recorded=(0.4,), unlabelled=(0, 0.2), centre=0.4, steps=4, idm_steps=4, episodes=2, domains=("doom",), tests=("doom",),
    idm_settings=(
        "--model.width-px=64", "--model.height-px=48", "--model.dim=16", "--model.heads=2", "--model.clip-rows=16",
        "--data.batch-size=4", "--data.validation-share=0.5",
    ),
    policy_settings=(
        "--model.width-px=32", "--model.height-px=24", "--model.dim=16", "--model.heads=2", "--model.conv-width=4", "--data.batch-size=8",
        "--data.confidence-power=0",
    ),
    filter_flags=("--skip", "confidence"),  # after four steps an IDM is confident of nothing
)  # fmt: skip
"""The same code on next to no footage; its figures say nothing. Six minutes of a core with three seeds (measured)."""


@dataclass(frozen=True)
class Unit:
    """One training: a domain, an arm, recorded and unlabelled minutes, and the training seed."""

    domain: str
    arm: str
    recorded: float
    unlabelled: float
    seed: int

    @property
    def name(self) -> str:
        """The name of its run and its evaluation, e.g. doom-pseudo-5-60-s0."""
        return f"{self.domain}-{self.arm}-{self.recorded:g}-{self.unlabelled:g}-s{self.seed}"

    def steps(self, scale: Scale) -> int:
        """The optimiser steps of its training."""
        steps = scale.steps * DOMAINS[self.domain].longer
        return steps // TUNING_SHARE if self.arm == TUNED else steps

    def starts_from(self, scale: Scale) -> "Unit | None":
        """The agent that this one is fine-tuned from: that of the recorded level with all of its footage."""
        return Unit("doom", "pseudo", self.recorded, scale.most, self.seed) if self.arm == TUNED else None


def _centre(scale: Scale, seed: int) -> Iterator[Unit]:
    """All arms with the most footage and recorded pads alone, then less footage."""
    for domain in scale.domains:
        yield Unit(domain, "truth", scale.centre, 0, seed)
        yield from (Unit(domain, arm, scale.centre, scale.most, seed) for arm in ("pseudo", "shuffled", "oracle", "unfiltered"))
        yield from (Unit(domain, "pseudo", scale.centre, minutes, seed) for minutes in scale.unlabelled if 0 < minutes < scale.most)


def _labels(scale: Scale, seed: int) -> Iterator[Unit]:
    """Fewer and more recorded minutes, without and with the most footage."""
    for domain in scale.domains:
        for recorded in (recorded for recorded in scale.recorded if recorded != scale.centre):
            yield Unit(domain, "pseudo", recorded, scale.most, seed)
            yield Unit(domain, "truth", recorded, 0, seed)


def _one_for_all(scale: Scale, seed: int) -> Iterator[Unit]:
    yield from (Unit("all", arm, scale.centre, scale.most, seed) for arm in ("pseudo", "oracle"))


def _transfer(scale: Scale, seed: int) -> Iterator[Unit]:
    yield from (Unit("supreme", arm, scale.centre, scale.transfer, seed) for arm in (TUNED, "pseudo", "oracle"))


def _pairs(scale: Scale, seed: int, arms: tuple[str, ...]) -> Iterator[Unit]:
    """These arms at every pair of minutes, those nearest to the centre first; other parts have some of them too."""
    for recorded in sorted(scale.recorded, key=lambda minutes: minutes != scale.centre):
        for domain in scale.domains:
            for unlabelled in (minutes for minutes in sorted(scale.unlabelled, reverse=True) if minutes):
                yield from (Unit(domain, arm, recorded, unlabelled, seed) for arm in arms)


PARTS: dict[str, Callable[[Scale, int], Iterator[Unit]]] = {
    "centre": _centre,
    "labels": _labels,
    "generalist": _one_for_all,
    "transfer": _transfer,
    "grid": partial(_pairs, arms=("pseudo",)),
    "controls": partial(_pairs, arms=("oracle", "shuffled", "unfiltered")),
}
"""The units of each part for a training seed, in the order of work; a unit of an earlier part is not trained again."""


def units_of(parts: Iterable[str], scale: Scale, seeds: tuple[int, ...]) -> dict[str, list[Unit]]:
    """The units of each part, seed by seed, each once."""
    units: dict[str, list[Unit]] = {}
    for part in parts:
        earlier = {unit for others in units.values() for unit in others}
        units[part] = [unit for seed in seeds for unit in PARTS[part](scale, seed) if unit not in earlier]
    return units

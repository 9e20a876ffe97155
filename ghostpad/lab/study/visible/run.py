"""`ghostpad lab study visible`: what no reader of pictures could know, by oracles that know more than any picture tells.

Reads no corpus: it plays Doom and doom-defend itself. Pure functions of the seed up to the last digits of a processor's arithmetic.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import SettingsError
from ghostpad.base.files import write_json
from ghostpad.base.pad import PAD_DIM, slot
from ghostpad.base.progress import Advance, progress
from ghostpad.games.doom import Doom
from ghostpad.games.spec import make_game, make_player
from ghostpad.lab.study.visible.odometry import Track, free_sticks, inputs, steps, watch
from ghostpad.lab.study.visible.plan import AROUND, DEFEND_FRAMES, DOOM_FRAMES, NET, PLAYERS, SLOTS, STEPS, STEPS_PER_EPISODE, TRIGGER
from ghostpad.lab.study.visible.replay import WITHIN_FRAMES, press_is_visible, presses, row_is_visible
from ghostpad.lab.study.visible.tables import table_text
from ghostpad.measure.slots import r2


def study_visible(*, out: Path, episodes: int = 14, seed: int = 0) -> None:
    """Measure what pictures cannot tell: Doom's sticks by oracles with perfect odometry, doom-defend's trigger by playing again.

    Stick oracles know the player's exact way and turn over nine frames, some also how far the walls are. Linear rules and small nets
    learn from the novice and are tested on other episodes; beside them Doom's own rule of motion. A trigger's row is visible if
    the game, played again without it, shows another picture. Takes about two minutes; prints a table.

    Args:
        out: The JSON file to write.
        episodes: The novice's episodes to learn from; half as many test, and are played again.
        seed: Where all chance comes from.
    """
    problems = [] if 1 <= episodes <= 1000 else [f"episodes is {episodes}: it must be 1 to 1000"]
    problems += [] if 0 <= seed < 2**20 else [f"seed is {seed}: it must be 0 or more and below 2**20"]
    if out.is_dir():
        problems.append(f"{out} is a folder: name the JSON file to write, for example {out / 'visible.json'}")
    if problems:
        raise SettingsError(problems)
    tests = (episodes + 1) // 2
    with progress("play", episodes + 3 * tests, "episodes") as advance:
        tracks = {
            "learned": _watch("novice", episodes, _seeds(seed, 0), advance),
            "novice": _watch("novice", tests, _seeds(seed, 1), advance),
            "expert": _watch("expert", tests, _seeds(seed, 2), advance),
            "others": _watch("expert", tests, _seeds(seed, 3), advance),
        }
    doom = stick_oracles(tracks, seed, min(STEPS, STEPS_PER_EPISODE * episodes))
    with progress("play again", len(PLAYERS) * tests, "episodes") as advance:
        defend = {player: trigger_shares(player, tests, _seeds(seed, 4), advance) for player in PLAYERS}
    report = {"episodes": episodes, "seed": seed, "doom": doom, "doom-defend": defend}
    write_json(out, report)
    print(table_text(report))


def _seeds(seed: int, part: int) -> Callable[[int], int]:
    """The seed of each episode of a part: no two parts or study seeds share one."""
    return lambda episode: (seed * 8 + part) * 1000 + episode


def _watch(player: str, episodes: int, seed_of: Callable[[int], int], advance: Advance) -> list[Track]:
    tracks = []
    with make_game("doom") as game:
        assert isinstance(game, Doom)
        for episode in range(episodes):
            tracks.append(watch(game, make_player("doom", player), seed_of(episode), DOOM_FRAMES[player]))
            advance(1)
    return tracks


def stick_oracles(tracks: Mapping[str, Sequence[Track]], seed: int, net_steps: int = STEPS) -> dict[str, Any]:
    """R2 and RMSE of every oracle on the novice's and the expert's tracks, and the expert's forward stick value by value.

    `tracks` are those `learned` from, the tests `novice` and `expert`, and `others` of the expert, which one net learns from instead.
    """
    from ghostpad.lab.study.visible.oracle import fit_linear, fit_net  # here, because torch takes seconds to import

    tests = ("novice", "expert")
    truth = {name: np.concatenate([track.sticks for track in some]) for name, some in tracks.items()}
    ruled = {name: [free_sticks(track) for track in tracks[name]] for name in tests}
    free = {name: np.concatenate([one.free for one in some]) for name, some in ruled.items()}
    net = partial(fit_net, seed=seed, steps=net_steps)
    rules = (("linear", fit_linear, "learned"), ("net", net, "learned"), ("net of the expert's", net, "others"))
    told: dict[str, dict[str, NDArray[np.float64]]] = {}
    for walls in (False, True):
        x = {name: np.concatenate([inputs(track, AROUND, walls) for track in some]) for name, some in tracks.items()}
        known, asked = " and walls" if walls else "", [x[name] for name in tests]
        for who, fit, source in rules:
            told[f"{who}, odometry{known}"] = dict(zip(tests, fit(x[source], truth[source], *asked), strict=True))
    told["rule of motion"] = {name: np.concatenate([one.sticks for one in some]) for name, some in ruled.items()}
    best = {name: np.where(free[name][:, None], told["rule of motion"][name], told[NET][name]) for name in tests}
    told["rule of motion, at walls the net"] = best
    free_rows = {name: np.where(free[name][:, None], told["rule of motion"][name], np.nan) for name in tests}
    scores = {
        who: {name: _stick_scores(one[name], truth[name]) for name in tests}
        for who, one in (told | {"rule of motion, free rows": free_rows}).items()
    }
    ahead = np.concatenate([steps(track)[:, 0] for track in tracks["expert"]])
    runs = np.concatenate([_run_frames(track.sticks[:, 0]) for track in tracks["expert"]])
    shown = {who: told[who]["expert"][:, 0] for who in (NET, "rule of motion")}
    return {
        "rows": {name: len(rows) for name, rows in truth.items()},
        **{key: {who: {name: one[name][key] for name in tests} for who, one in scores.items()} for key in ("r2", "rmse")},
        "free_share": {name: float(rows.mean()) for name, rows in free.items()},
        "expert_forward": _by_value(truth["expert"][:, 0], shown, ahead, runs, free["expert"], np.abs(truth["expert"][:, 1])),
    }


def _stick_scores(read: NDArray[np.float64], truth: NDArray[np.float64]) -> dict[str, dict[str, float | None]]:
    """{"r2", "rmse"} of each stick, over the rows [n, 2] that were read (not NaN)."""
    rows = ~np.isnan(read).any(axis=1)
    found: dict[str, dict[str, float | None]] = {"r2": {}, "rmse": {}}
    for column, name in enumerate(SLOTS):
        ours, theirs = read[rows, column], truth[rows, column]
        found["r2"][name] = r2(ours, theirs)
        found["rmse"][name] = float(np.sqrt(np.mean((ours - theirs) ** 2))) if len(ours) else None
    return found


def _run_frames(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Of each row how many frames in a row its value was held, [n]."""
    starts = np.flatnonzero(np.concatenate([[True], np.diff(values) != 0]))
    lengths = np.diff([*starts, len(values)])
    return np.repeat(lengths, lengths)


def _by_value(
    truth: NDArray[np.float64],
    shown: Mapping[str, NDArray[np.float64]],
    ahead: NDArray[np.float64],
    runs: NDArray[np.int64],
    free: NDArray[np.bool_],
    turn: NDArray[np.float64],
) -> list[dict[str, Any]]:
    """The expert's rows by the value of its forward stick, furthest ahead first."""
    found = []
    for value in np.unique(truth.round(3)):
        rows = np.abs(truth - value) < 1e-3
        facts: dict[str, Any] = {"value": float(value), "share": float(rows.mean()), "free_share": float(free[rows].mean())}
        facts |= {
            "hold_frames": float(1 / (1 / runs[rows]).mean()),
            "ahead_units": float(ahead[rows].mean()),
            "turn": float(turn[rows].mean()),
        }
        wrong = {who: (one - truth) ** 2 for who, one in shown.items()}
        facts["oracles"] = {
            who: {"mean": float(one[rows].mean()), "error_share": float(wrong[who][rows].sum() / max(wrong[who].sum(), 1e-12))}
            for who, one in shown.items()
        }
        found.append(facts)
    return found


def trigger_shares(player: str, episodes: int, seed_of: Callable[[int], int], advance: Advance = lambda amount: None) -> dict[str, Any]:
    """Of the trigger in doom-defend: rows held, first rows of presses, first rows after presses, and whole presses, how many there are
    and which share the pictures tell. Frames after the last row that is asked about are played too, as a press takes time to show."""
    asked: dict[str, list[NDArray[np.bool_]]] = {"held_rows": [], "first_rows": [], "rows_after": [], "whole_presses": []}
    with make_game("doom-defend") as game:
        for seed in map(seed_of, range(episodes)):
            hand, pads, done = make_player("doom-defend", player), np.zeros((0, PAD_DIM), np.float32), False
            hand.reset(seed)
            game.reset(seed)
            while not done and len(pads) < DEFEND_FRAMES + WITHIN_FRAMES:
                pads = np.concatenate([pads, hand.act(game)[None]])
                done = game.step(pads[-1]).done
            held = pads[:, slot(TRIGGER)] >= 0.5
            runs, rows = presses(held), np.flatnonzero(held[:DEFEND_FRAMES])
            counted = runs.start < DEFEND_FRAMES
            seen = row_is_visible(game, seed, pads, TRIGGER, rows=rows.tolist())
            after = runs.end[runs.end < min(len(pads), DEFEND_FRAMES)]
            asked["held_rows"].append(seen)
            asked["first_rows"].append(seen[np.searchsorted(rows, runs.start[counted])])
            asked["rows_after"].append(row_is_visible(game, seed, pads, TRIGGER, rows=after.tolist()))
            asked["whole_presses"].append(press_is_visible(game, seed, pads, TRIGGER)[counted])
            advance(1)
    found = {name: np.concatenate(answers) for name, answers in asked.items()}
    return {name: {"n": len(seen), "visible_share": float(seen.mean()) if len(seen) else None} for name, seen in found.items()}

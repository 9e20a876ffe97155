"""`ghostpad lab study visible`: what no reader of pictures could know, by oracles that know more than any picture shows.

Reads no corpus: it plays Doom and doom-defend itself. The seed decides every figure, up to the last digits of a processor's arithmetic.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import SettingsError
from ghostpad.base.files import write_json
from ghostpad.base.pad import PAD_DIM, PRESSED, slot
from ghostpad.base.progress import Advance, progress
from ghostpad.games.doom import Doom
from ghostpad.games.spec import make_game, make_player
from ghostpad.lab.study.visible.odometry import Track, free_sticks, inputs, steps, watch
from ghostpad.lab.study.visible.plan import AROUND, DEFEND_FRAMES, DOOM_FRAMES, NET, PLAYERS, SLOTS, STEPS, STEPS_PER_EPISODE, TRIGGER
from ghostpad.lab.study.visible.replay import WITHIN_FRAMES, press_is_visible, presses, row_is_visible
from ghostpad.lab.study.visible.tables import TESTS, table_text
from ghostpad.measure.slots import r2


def study_visible(*, out: Path, episodes: int = 14, seed: int = 0) -> None:
    """Measure what pictures cannot show: Doom's sticks by oracles with perfect odometry, doom-defend's trigger by replays.

    Stick oracles know the player's exact way and turn over nine frames, some also how far the walls are. Linear rules and small nets
    learn from the novice and are tested on other episodes, as is Doom's own rule of motion. A trigger's row is visible if
    a replay without it shows another picture. Takes about two minutes; prints tables.

    Args:
        out: The JSON file to write.
        episodes: The novice's episodes to learn from; half as many are for testing and for replays.
        seed: Random seed of episodes and nets.
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
            "learned": _watch("novice", _seeds(seed, 0, episodes), advance),
            "novice": _watch("novice", _seeds(seed, 1, tests), advance),
            "expert": _watch("expert", _seeds(seed, 2, tests), advance),
            "others": _watch("expert", _seeds(seed, 3, tests), advance),
        }
    doom = stick_oracles(tracks, seed, min(STEPS, STEPS_PER_EPISODE * episodes))
    with progress("replay", len(PLAYERS) * tests, "episodes") as advance:
        defend = {player: trigger_shares(player, _seeds(seed, 4, tests), advance) for player in PLAYERS}
    report = {"episodes": episodes, "seed": seed, "doom": doom, "doom-defend": defend}
    write_json(out, report)
    print(table_text(report))


def _seeds(seed: int, part: int, episodes: int) -> range:
    """The seed of each episode of a part: no two parts or study seeds share one."""
    first = (seed * 8 + part) * 1000
    return range(first, first + episodes)


def _watch(player: str, seeds: Iterable[int], advance: Advance) -> list[Track]:
    tracks = []
    with make_game("doom") as game:
        assert isinstance(game, Doom)
        for seed in seeds:
            tracks.append(watch(game, make_player("doom", player), seed, DOOM_FRAMES[player]))
            advance(1)
    return tracks


def stick_oracles(tracks: Mapping[str, Sequence[Track]], seed: int, net_steps: int = STEPS) -> dict[str, Any]:
    """R2 and RMSE of every oracle on the novice's and the expert's tracks, and the expert's forward stick value by value.

    `tracks` are those `learned` from, the tests `novice` and `expert`, and `others` of the expert, which one net learns from instead.
    """
    from ghostpad.lab.study.visible.oracle import fit_linear, fit_net  # here, because torch takes seconds to import

    truth = {name: np.concatenate([track.sticks for track in some]) for name, some in tracks.items()}
    ruled = {name: [free_sticks(track) for track in tracks[name]] for name in TESTS}
    free = {name: np.concatenate([one.free for one in some]) for name, some in ruled.items()}
    net = partial(fit_net, seed=seed, steps=net_steps)
    rules = (("linear", fit_linear, "learned"), ("net", net, "learned"), ("net of the expert's", net, "others"))
    read: dict[str, dict[str, NDArray[np.float64]]] = {}
    for walls in (False, True):
        x = {name: np.concatenate([inputs(track, AROUND, walls) for track in some]) for name, some in tracks.items()}
        for who, fit, source in rules:
            predicted = fit(x[source], truth[source], *(x[name] for name in TESTS))
            read[f"{who}, odometry{' and walls' if walls else ''}"] = dict(zip(TESTS, predicted, strict=True))
    rule = {name: np.concatenate([one.sticks for one in some]) for name, some in ruled.items()}
    read["rule of motion"] = rule
    read["rule of motion, at walls the net"] = {name: np.where(free[name][:, None], rule[name], read[NET][name]) for name in TESTS}
    read["rule of motion, free rows"] = {name: np.where(free[name][:, None], rule[name], np.nan) for name in TESTS}
    scores = {who: {name: _stick_scores(one[name], truth[name]) for name in TESTS} for who, one in read.items()}
    ahead = np.concatenate([steps(track)[:, 0] for track in tracks["expert"]])
    held = np.concatenate([_run_frames(track.sticks[:, 0]) for track in tracks["expert"]])
    shown = {who: read[who]["expert"][:, 0] for who in (NET, "rule of motion")}
    return {
        "rows": {name: len(rows) for name, rows in truth.items()},
        **{key: {who: {name: one[name][key] for name in TESTS} for who, one in scores.items()} for key in ("r2", "rmse")},
        "free_share": {name: float(rows.mean()) for name, rows in free.items()},
        "expert_forward": _by_value(truth["expert"], shown, ahead, held, free["expert"]),
    }


def _stick_scores(read: NDArray[np.float64], truth: NDArray[np.float64]) -> dict[str, dict[str, float | None]]:
    """{"r2", "rmse"} of each stick, over the rows [n, 2] that were read (not NaN)."""
    rows = ~np.isnan(read).any(axis=1)
    ours, theirs = read[rows], truth[rows]
    rmse = np.sqrt(np.mean((ours - theirs) ** 2, axis=0)).tolist() if rows.any() else [None, None]
    return {"r2": {name: r2(ours[:, at], theirs[:, at]) for at, name in enumerate(SLOTS)}, "rmse": dict(zip(SLOTS, rmse, strict=True))}


def _run_frames(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Of each row how many frames in a row its value was held, [n]."""
    starts = np.flatnonzero(np.concatenate([[True], np.diff(values) != 0]))
    lengths = np.diff([*starts, len(values)])
    return np.repeat(lengths, lengths)


def _by_value(
    sticks: NDArray[np.float64],
    shown: Mapping[str, NDArray[np.float64]],
    ahead: NDArray[np.float64],
    held: NDArray[np.int64],
    free: NDArray[np.bool_],
) -> list[dict[str, Any]]:
    """The expert's rows by the value of its forward stick, furthest ahead first."""
    lines, (truth, turn) = [], sticks.T
    wrong = {who: (one - truth) ** 2 for who, one in shown.items()}
    for value in np.unique(truth.round(3)):
        rows = np.abs(truth - value) < 1e-3
        lines.append(
            {
                "value": float(value),
                "share": float(rows.mean()),
                "free_share": float(free[rows].mean()),
                "hold_frames": float(1 / (1 / held[rows]).mean()),
                "ahead_units": float(ahead[rows].mean()),
                "turn": float(np.abs(turn[rows]).mean()),
                "oracles": {
                    who: {"mean": float(one[rows].mean()), "error_share": float(wrong[who][rows].sum() / max(wrong[who].sum(), 1e-12))}
                    for who, one in shown.items()
                },
            }
        )
    return lines


def trigger_shares(player: str, seeds: Iterable[int], advance: Advance = lambda amount: None) -> dict[str, Any]:
    """Of the trigger in doom-defend: rows held, first rows of presses, first rows after presses, and whole presses: how many there are
    and which share is visible. Frames after the last row that counts are played too, as a press takes time to show."""
    visible: dict[str, list[NDArray[np.bool_]]] = {"held_rows": [], "first_rows": [], "rows_after": [], "whole_presses": []}
    with make_game("doom-defend") as game:
        for seed in seeds:
            hand, pads, done = make_player("doom-defend", player), np.zeros((0, PAD_DIM), np.float32), False
            hand.reset(seed)
            game.reset(seed)
            while not done and len(pads) < DEFEND_FRAMES + WITHIN_FRAMES:
                pads = np.concatenate([pads, hand.act(game)[None]])
                done = game.step(pads[-1]).done
            held = pads[:, slot(TRIGGER)] >= PRESSED
            runs, rows = presses(held), np.flatnonzero(held[:DEFEND_FRAMES])
            counted = runs.start < DEFEND_FRAMES
            held_rows = row_is_visible(game, seed, pads, TRIGGER, rows=rows.tolist())
            after = runs.end[runs.end < min(len(pads), DEFEND_FRAMES)]
            visible["held_rows"].append(held_rows)
            visible["first_rows"].append(held_rows[np.searchsorted(rows, runs.start[counted])])
            visible["rows_after"].append(row_is_visible(game, seed, pads, TRIGGER, rows=after.tolist()))
            visible["whole_presses"].append(press_is_visible(game, seed, pads, TRIGGER)[counted])
            advance(1)
    rows_of = {name: np.concatenate(parts) for name, parts in visible.items()}
    return {name: {"n": len(rows), "visible_share": float(rows.mean()) if len(rows) else None} for name, rows in rows_of.items()}

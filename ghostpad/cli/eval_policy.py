"""`ghostpad eval policy`: what an agent brings home in some games, beside players that make the number mean something.

Reads a run and, for offline measures, corpora with withheld pads; writes JSON, clips and a page if asked to.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from ghostpad.base.errors import GhostpadError, SettingsError
from ghostpad.base.files import read_json, write_json
from ghostpad.cli.arguments import seed_numbers
from ghostpad.games.players import normalized_return
from ghostpad.games.spec import game_names, game_spec, make_player

PLAYERS = ("random", "novice", "expert")
"""The scripted players whose rows stand beside the agent's."""


def eval_policy(
    run: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]", help="The run folder of a trained policy.")] = None,
    *,
    games: tuple[str, ...] = (),
    players: tuple[str, ...] = PLAYERS,
    episodes: int = 40,
    seeds: str = "0",
    arm: str | None = None,
    corpora: tuple[Path, ...] = (),
    truth: tuple[Path, ...] = (),
    out: Path | None = None,
    clips: Path | None = None,
    seconds: float = 20.0,
    html: Annotated[tuple[Path, ...] | None, tyro.conf.arg(metavar="[PATH]")] = None,
    workers: int = 0,
) -> None:
    """Let an agent play games for a score, beside a random player, a novice and the expert on the same episodes.

    Episode k of a seed depends on the two alone, so everybody meets the same episodes, whatever plays beside them. Prints a table;
    on the scale at its right random play is 0 and the expert 1. Killed, the same command goes on if it writes to a file (--out, --html):
    what was played is kept beside it until all is done.

    Args:
        games: Games to play [default: those that the agent learned from].
        players: Scripted players to let play too; without a name after it: none.
        episodes: How many episodes each plays for every seed.
        seeds: Where the episodes' own seeds come from, e.g. 0,1; recordings use other sequences.
        arm: What to call the agent [default: the name of its folder].
        corpora: Recorded footage to measure what it would do next, on pads withheld from it: offline measures.
        truth: The folder of withheld pads of each corpus, in the same order.
        out: The JSON file to write.
        clips: Write a clip of the agent with its pad to this folder, <game>.mp4: the episode of median return.
        seconds: Length of a clip at most.
        html: Write the page, clips in it; without a PATH it lies beside --out, or in RUN.
        workers: Processes that play side by side, one core each (0: this one); each takes up to 2 GB, and a large policy twice its weights.
    """
    sequences = seed_numbers(seeds)
    games = games or _learned_games(run)
    _check(run, games, players, episodes, seconds, corpora, truth, html)
    from ghostpad.policy.evaluate import Who, evaluation_seeds, score_games  # here, because torch takes seconds to import

    who = [Who(run, arm=arm)] if run is not None else []
    numbers = [number for seed in sequences for number in evaluation_seeds(seed, episodes)]
    report: dict[str, Any] = {"run": str(run) if run else None, "arm": who[0].name if who else None, "seeds": list(sequences)}
    report["offline"] = _offline(run, corpora, truth)  # before the games, which take longer and need no footage
    page = _page(run, out, html)
    ledger = file.with_name(f".{file.name}.played") if (file := out or page) else None
    report["games"] = score_games(games, [*who, *(Who(player=name) for name in players)], numbers, workers, ledger)
    folder = clips or (page.with_name(f"{page.stem}-clips") if page else None)
    if run is not None and folder is not None:
        _write_clips(report, run, folder, seconds)
    if out is not None:
        write_json(out, report)
    print(games_table(report))
    if page is not None:
        from ghostpad.view.policy_page import write_policy_page

        print(write_policy_page(report, page))
    if ledger is not None:
        ledger.unlink(missing_ok=True)


def games_table(report: dict[str, Any]) -> str:
    """Lines for people: game by game everybody's mean return, its standard error over episodes, and the place between random and expert."""
    lines = []
    for game in report["games"]:
        lines.append(f"{game['game']:<24} {'mean return':>12} {'± s.e.':>8} {'episodes':>9} {'random 0, expert 1':>19}")
        scale = {row["player"]: row["mean"] for row in game["rows"]}
        for row in game["rows"]:
            sem = "-" if row["sem"] is None else f"{row['sem']:.1f}"
            at = _between(row["mean"], scale)
            lines.append(f"  {row['arm']:<22} {row['mean']:>12.1f} {sem:>8} {row['n']:>9} {'-' if at is None else format(at, '.2f'):>19}")
    for one in report["offline"] or ():
        error, held = one["chunk_error"], one["baselines"]["hold_last"]
        lines.append(f"{one['game']}, {one['minutes']:.1f} min of withheld pads")
        lines.append(f"  chunk error {error['mean']:.3f}; of holding the last true row {held['mean']:.3f}")
        lines += [f"  {name:<22} R2 {_number(values['r2'])}" for name, values in one["rows"]["sticks"].items()]
        lines += [
            f"  {name:<22} AP {_number(values['ap'])} (pressed {_number(values['prevalence'])}), onset F1 within 50 ms "
            f"{_number(values['onset_f1_50ms'])}"
            for name, values in one["rows"]["buttons"].items()
        ]
    return "\n".join(lines)


def _between(value: float, scale: dict[str | None, float]) -> float | None:
    return normalized_return(value, scale["random"], scale["expert"]) if {"random", "expert"} <= set(scale) else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _learned_games(run: Path | None) -> tuple[str, ...]:
    """The games that a run learned from, as far as they are here to be played."""
    if run is None or not (run / "run.json").exists():
        return ()
    return tuple(name for name in read_json(run / "run.json").get("facts", {}).get("games", []) if name in game_names())


def _check(
    run: Path | None,
    games: Sequence[str],
    players: Sequence[str],
    episodes: int,
    seconds: float,
    corpora: Sequence[Path],
    truth: Sequence[Path],
    html: tuple[Path, ...] | None,
) -> None:
    """Raise one `SettingsError` for everything that cannot work."""
    problems = []
    if run is None and not players:
        problems.append("nobody plays: name the RUN of a policy, or --players")
    if run is None and corpora:
        problems.append("--corpora measures a policy: name its RUN")
    if not games:
        problems.append("say what to play: --games NAME...")
    for game in games:
        for name in players or ("random",):
            try:
                make_player(game, name)
            except GhostpadError as error:
                problems += [line for line in str(error).splitlines() if line not in problems]
    if episodes < 1:
        problems.append(f"episodes is {episodes}: it must be 1 or more")
    if not 0 < seconds < float("inf"):
        problems.append(f"seconds is {seconds:g}: it must be a number above 0")
    if len(corpora) != len(truth):
        problems.append(f"{len(corpora)} --corpora and {len(truth)} --truth: name one folder of withheld pads for each corpus")
    if html is not None and len(html) > 1:
        problems.append(f"--html takes one file, not {len(html)}")
    if problems:
        raise SettingsError(problems)


def _offline(run: Path | None, corpora: Sequence[Path], truth: Sequence[Path]) -> list[dict[str, Any]] | None:
    if run is None or not corpora:
        return None
    from ghostpad.policy import load as load_policy
    from ghostpad.policy.offline import offline_measures

    return offline_measures(load_policy(run), list(zip(corpora, truth, strict=True)))


def _page(run: Path | None, out: Path | None, html: tuple[Path, ...] | None) -> Path | None:
    if html is None:
        return None
    if html:
        return html[0]
    return out.with_suffix(".html") if out else (run / "eval.html" if run else Path("eval.html"))


def _write_clips(report: dict[str, Any], run: Path, folder: Path, seconds: float) -> None:
    """Write each game's clip of the agent and note in the report which episode it is."""
    from ghostpad.policy.evaluate import Who, median_episode
    from ghostpad.policy.play import watch_episode
    from ghostpad.view.clip import write_agent_clip

    for game in report["games"]:
        row, spec = game["rows"][0], game_spec(game["game"])
        place = median_episode(row)
        shown = watch_episode(spec.name, Who(run).actor(spec.name), row["seeds"][place], max(1, round(seconds * spec.fps)))
        frames, pads = zip(*shown, strict=True)
        path = write_agent_clip(frames, pads, spec, folder / f"{spec.name}.mp4")
        game["clip"] = {"path": str(path), "episode": place, "seed": row["seeds"][place], "return": row["returns"][place]}

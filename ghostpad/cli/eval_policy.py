"""`ghostpad eval policy`: an agent's returns in some games, beside those of scripted players."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from ghostpad.base.errors import GhostpadError, SettingsError
from ghostpad.base.files import read_json, write_json
from ghostpad.base.lines import text_table
from ghostpad.base.places import Place
from ghostpad.cli.arguments import Html, PlacePath, below_one, page_path, seed_numbers
from ghostpad.cli.quality import number
from ghostpad.games.players import normalized_return
from ghostpad.games.spec import game_names, game_spec, make_player

PLAYERS = ("random", "novice", "expert")
"""The scripted players that an agent is compared with."""


def eval_policy(
    run: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]", help="The run folder of a trained policy.")] = None,
    *,
    games: tuple[str, ...] = (),
    players: tuple[str, ...] = PLAYERS,
    episodes: int = 40,
    seeds: str = "0",
    arm: str | None = None,
    corpora: tuple[PlacePath, ...] = (),
    truth: tuple[Path, ...] = (),
    out: Path | None = None,
    clips: Path | None = None,
    seconds: float = 20.0,
    html: Html = None,
    workers: int = 0,
) -> None:
    """Measure an agent's returns, beside a random player, a novice and an expert on the same episodes.

    Episode k of a seed is the same for every player. Prints mean returns; in the last column random play is 0 and the expert 1.
    Writes JSON (--out), clips (--clips) and an HTML page (--html). With --out or --html it is safe to interrupt: re-run to resume.

    Args:
        games: Games to play [default: the games that the agent was trained on].
        players: Scripted players to compare with; --players without a name for none.
        episodes: Episodes that each plays for every seed.
        seeds: Seeds of the episodes, e.g. 0,1; recordings never use them.
        arm: A name for the agent [default: the name of its folder].
        corpora: Corpora with withheld pads, to measure the actions that the agent predicts (offline measures).
        truth: The folder of withheld pads for each corpus, in the same order.
        out: The JSON file to write.
        clips: A folder for clips of the agent and its pad, <game>.mp4: its episode of median return.
        seconds: Longest clip, seconds.
        html: Write an HTML page with the clips: to PATH, or without one beside --out, or in RUN.
        workers: Processes that play in parallel, one core each (0: this one); each takes up to 2 GB, and a large policy twice its weights.
    """
    sequences = seed_numbers(seeds)
    games = games or _learned_games(run)
    _check(run, games, players, episodes, workers, seconds, corpora, len(truth))
    page = page_path(html, out.with_suffix(".html") if out else (run or Path()) / "eval.html")
    from ghostpad.policy.evaluate import Contestant, evaluation_seeds, score_games  # here, because torch takes seconds to import

    agents = [Contestant(run, arm=arm)] if run is not None else []
    numbers = [number for seed in sequences for number in evaluation_seeds(seed, episodes)]
    report: dict[str, Any] = {"run": str(run) if run else None, "arm": agents[0].name if agents else None, "seeds": list(sequences)}
    report["offline"] = _offline(run, corpora, truth)  # before the games, which take longer and need no footage
    ledger = file.with_name(f".{file.name}.played") if (file := out or page) else None
    report["games"] = score_games(games, [*agents, *(Contestant(player=name) for name in players)], numbers, workers, ledger)
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
    """Text tables: for each game the mean returns, their standard errors over episodes, and the place between random and expert."""
    lines = []
    for game in report["games"]:
        scale = {row["player"]: row["mean"] for row in game["rows"]}
        rows = []
        for row in game["rows"]:
            returns = [number(row["mean"], ".1f"), number(row["sem"], ".1f"), str(row["n"])]
            place = normalized_return(row["mean"], scale["random"], scale["expert"]) if {"random", "expert"} <= set(scale) else None
            rows.append([f"  {row['arm']}", *returns, number(place, ".2f")])
        lines.append(text_table([game["game"], "mean return", "± s.e.", "episodes", "random 0, expert 1"], rows))
    for one in report["offline"] or ():
        error, held = one["chunk_error"], one["baselines"]["hold_last"]
        lines.append(f"{one['game']}, {one['minutes']:.1f} min of withheld pads")
        lines.append(f"  chunk error {error['mean']:.3f}; of holding the last true row {held['mean']:.3f}")
        sticks = [[name, number(values["r2"])] for name, values in one["rows"]["sticks"].items()]
        lines.append(text_table(["stick", "R2"], sticks))
        measures = ("ap", "prevalence", "onset_f1_50ms")
        buttons = [[name, *(number(values[key]) for key in measures)] for name, values in one["rows"]["buttons"].items()]
        lines += [text_table(["button", "AP", "pressed", "onset F1 within 50 ms"], buttons)] if buttons else []
    return "\n".join(lines)


def _learned_games(run: Path | None) -> tuple[str, ...]:
    """The games that a run learned from and that can be played here."""
    if run is None or not (run / "run.json").exists():
        return ()
    return tuple(name for name in read_json(run / "run.json").get("facts", {}).get("games", []) if name in game_names())


def _check(
    run: Path | None,
    games: Sequence[str],
    players: Sequence[str],
    episodes: int,
    workers: int,
    seconds: float,
    corpora: Sequence[Place],
    truths: int,
) -> None:
    """Raise one `SettingsError` for all problems."""
    problems = []
    if run is None and not players:
        problems.append("nobody plays: name the RUN of a policy, or --players")
    if run is None and corpora:
        problems.append("--corpora measures a policy: name its RUN")
    if not games:
        problems.append("nothing to play: add --games NAME...")
    for game in games:
        for name in players or ("random",):
            try:
                make_player(game, name)
            except GhostpadError as error:
                problems += [line for line in str(error).splitlines() if line not in problems]
    problems += below_one(episodes=episodes)
    if workers < 0:
        problems.append(f"workers is {workers}: it must be 0, to play in this process, or more")
    if not 0 < seconds < float("inf"):
        problems.append(f"seconds is {seconds:g}: it must be a number above 0")
    if len(corpora) != truths:
        problems.append(f"{len(corpora)} --corpora and {truths} --truth: name one folder of withheld pads for each corpus")
    if problems:
        raise SettingsError(problems)


def _offline(run: Path | None, corpora: Sequence[Place], truth: Sequence[Path]) -> list[dict[str, Any]] | None:
    if run is None or not corpora:
        return None
    from ghostpad.policy import load as load_policy
    from ghostpad.policy.offline import offline_measures

    return offline_measures(load_policy(run), list(zip(corpora, truth, strict=True)))


def _write_clips(report: dict[str, Any], run: Path, folder: Path, seconds: float) -> None:
    """Write a clip of the agent for each game, and note its episode in the report."""
    from ghostpad.policy.evaluate import Contestant, median_episode
    from ghostpad.policy.play import watch_episode
    from ghostpad.view.clip import write_agent_clip

    for game in report["games"]:
        row, spec = game["rows"][0], game_spec(game["game"])
        place = median_episode(row)
        shown = watch_episode(spec.name, Contestant(run).actor(spec.name), row["seeds"][place], max(1, round(seconds * spec.fps)))
        frames, pads = zip(*shown, strict=True)
        path = write_agent_clip(frames, pads, spec, folder / f"{spec.name}.mp4")
        game["clip"] = {"path": str(path), "episode": place, "seed": row["seeds"][place], "return": row["returns"][place]}

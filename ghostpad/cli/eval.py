"""`ghostpad eval idm` and `ghostpad eval policy`: how good, beside the baselines that make the number mean something."""

from pathlib import Path
from typing import Any

from ghostpad.base.errors import SettingsError
from ghostpad.base.files import write_json
from ghostpad.cli.arguments import CorpusPath, GameName, RunPath, player_problems
from ghostpad.corpus.folder import Corpus


def eval_idm(
    run: RunPath, corpus: CorpusPath, *, truth: Path, prior: tuple[Path, ...] = (), out: Path | None = None, workers: int = 0
) -> None:
    """Measure an IDM on footage whose true pads were withheld from it, beside trivial baselines.

    Labels first what is not labelled yet. Writes the whole report as JSON to --out: measures a slot, baselines, calibration,
    risk by confidence, each video alone.

    Args:
        truth: The folder of withheld pads.
        prior: Corpora that the IDM learned from, for the baseline that always answers their mean.
        out: The JSON file to write.
        workers: Processes that label side by side (0: this one).
    """
    opened = Corpus.open(corpus)
    from ghostpad.idm.evaluate import evaluate_labels
    from ghostpad.label.label import label_corpus  # here, because torch takes seconds to import

    labelled = label_corpus(opened, run, workers=workers)
    report = {"run": str(run)} | evaluate_labels(opened, labelled.source, truth, prior)
    if out is not None:
        write_json(out, report)
    print(f"{run} on {corpus}: {report['videos']} videos, {report['minutes']:.1f} min")
    print(quality_table(report))


def quality_table(report: dict[str, Any]) -> str:
    """Lines for people: R2 and mean error of each stick, average precision and onset F1 of each button, IDM and baselines."""
    rows = {"IDM": report["idm"]} | {name.replace("_", " "): scores for name, scores in report["baselines"].items()}
    heads = [(f"{axis} {measure}", "sticks", axis, measure) for axis in report["idm"]["sticks"] for measure in ("r2", "mae")]
    heads += [(f"{name} {measure}", "buttons", name, measure) for name in report["idm"]["buttons"] for measure in ("ap", "onset_f1_50ms")]
    width = max(len(name) for name in rows)
    lines = [" " * width + "".join(f"  {head}" for head, *_ in heads)]
    for name, scores in rows.items():
        values = [scores[group].get(slot, {}).get(measure) for _, group, slot, measure in heads]
        cells = ["-" if value is None else f"{value:.3f}" for value in values]
        lines.append(f"{name:<{width}}" + "".join(f"  {cell:>{len(head)}}" for cell, (head, *_) in zip(cells, heads, strict=True)))
    return "\n".join(lines)


def eval_policy(
    game: GameName,
    *,
    policy: Path | None = None,
    player: str | None = None,
    episodes: int = 40,
    seed: int = 0,
    arm: str | None = None,
    out: Path | None = None,
) -> None:
    """Play a game for a score, many episodes side by side: a trained policy, or a scripted player as a baseline.

    Episode k is played on a seed that follows from --seed and k alone, so that arms meet the same episodes. Writes the returns
    as JSON to --out.

    Args:
        policy: The run folder of a trained policy.
        player: A scripted player instead: random, novice or expert.
        episodes: How many episodes.
        seed: Where the episodes' own seeds come from; recordings use another sequence.
        arm: What to call this in the report [default: the run's or player's name].
        out: The JSON file to write.
    """
    if problems := player_problems(policy, player, episodes):
        raise SettingsError(problems)
    from ghostpad.policy.score import score_policy  # here, because torch takes seconds to import

    found = score_policy(game, policy, player, episodes, seed, arm)
    if out is not None:
        write_json(out, found)
    sem = "" if found["sem"] is None else f" ± {found['sem']:.1f}"
    print(f"{found['arm']} plays {game}: mean return {found['mean']:.1f}{sem} (standard error) over {found['n']} episodes")

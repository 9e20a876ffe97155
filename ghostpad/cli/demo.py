"""`ghostpad demo`: the whole pipeline on a real game, run as the commands that a user would type."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ghostpad.base.files import read_json, write_json
from ghostpad.base.lines import text_table
from ghostpad.cli.arguments import below_one, seed_numbers
from ghostpad.cli.quality import number
from ghostpad.cli.tasks import Task, claim, run_tasks

ARMS = ("recorded", "pseudo", "oracle")
"""Trained arms: the recorded pads alone; with pseudo-labels for the other footage; with the withheld pads in place of these."""

PLAYERS = ("random", "expert")
"""Scripted players to compare the arms with."""

TRUTH_SHARE = {"doom": "0.1", "racing": "0.02"}
"""Share of the novice's recorded pads in a batch beside the expert's footage, the same for pseudo and oracle. A racing novice is a bad
example (0.02 returns 600, 0.1 returns 570; one seed), a Doom novice shows corners (measured; docs/results.md); chosen on other seeds
than the evaluation's."""

EVALUATION_SEED = 2000
"""Seed of the evaluation episodes; nothing was chosen on them (some settings were, on those of seeds 1000 and 7)."""


@dataclass(frozen=True)
class Demo:
    """What to run."""

    game: str
    out: Path
    seeds: tuple[int, ...]
    episodes: int

    def corpus(self, name: str) -> str:
        """A folder of the demo by name, as text."""
        return str(self.out / name)

    def evaluation(self, name: str) -> Path:
        """The JSON file of an evaluation by name."""
        return self.out / "eval" / f"{name}.json"


def demo(
    *, game: Literal["doom", "racing"] = "doom", out: Path = Path("demo"), seeds: str = "0", episodes: int = 40, workers: int = 2
) -> None:
    """Run the whole pipeline: record a novice, and an expert whose pads are withheld; train an IDM on the first, pseudo-label and
    filter the second, train agents, let them play, and write the report.

    Writes --out/results.json, --out/report.html, and every corpus and run they come from. Each step is a ghostpad command, printed as it
    starts. Safe to interrupt: re-run to resume. Takes about seven minutes on two cores with one seed.

    Args:
        game: The game to learn.
        out: The folder to write.
        seeds: Training seeds, e.g. 0,1,2: every model is trained once for each.
        episodes: Evaluation episodes, the same for every agent.
        workers: Commands to run in parallel, one core each.
    """
    plan = Demo(game, out, seed_numbers(seeds), episodes)
    facts = {"game": game, "episodes": episodes, "evaluation_seed": EVALUATION_SEED}
    claim(out / "demo.json", facts, below_one(episodes=episodes, workers=workers))
    seconds = run_tasks(_tasks(plan), workers, out / "seconds.json")
    results = collect(plan, seconds)
    write_json(out / "results.json", results)
    clip = out / "clips" / "agent.mp4"
    last = [
        Task("clip", "play", ("play", game, "--policy", plan.corpus(f"pseudo-s{plan.seeds[0]}"), "--video", str(clip)), done=clip),
        Task("report", "report", ("report", str(out)), needs=("clip",)),
    ]
    seconds = run_tasks(last, 1, out / "seconds.json")
    write_json(out / "results.json", results | {"seconds": seconds})
    print(arms_table(results))
    print(f"more in {out / 'report.html'} and {out / 'results.json'}")


def _tasks(plan: Demo) -> list[Task]:
    recorded, wild, truth = (plan.corpus(name) for name in ("recorded", "wild", "truth"))
    tasks = [
        Task("novice", "record", ("record", plan.game, "--player", "novice", "--minutes", "5", "--seed", "1", "--out", recorded)),
        Task(
            "footage", "record",
            ("record", plan.game, "--player", "expert", "--minutes", "8", "--seed", "2", "--out", wild, "--withhold", "--truth", truth),
        ),
    ]  # fmt: skip
    for seed in plan.seeds:
        tasks += _seed_tasks(plan, seed, recorded, wild, truth)
    return tasks + [_play_task(plan, player, ("--players", player), ()) for player in PLAYERS]


def _seed_tasks(plan: Demo, seed: int, recorded: str, wild: str, truth: str) -> list[Task]:
    """IDM, pseudo-labels and verdicts of one training seed, then the three arms and their games."""
    idm, verdicts, own = plan.corpus(f"idm-s{seed}"), f"s{seed}", (f"--train.seed={seed}", "--train.threads=1")
    measured = plan.evaluation(f"idm-s{seed}")
    tasks = [
        Task(f"idm-s{seed}", "train idm", ("train", "idm", recorded, "--out", idm, *own), ("novice",)),
        Task(f"label-s{seed}", "label", ("label", wild, "--idm", idm), (f"idm-s{seed}", "footage")),
        Task(
            f"measure-s{seed}", "eval idm",
            ("eval", "idm", idm, wild, "--truth", truth, "--prior", recorded, "--out", str(measured)), (f"label-s{seed}",), measured,
        ),
        Task(f"filter-s{seed}", "filter", ("filter", wild, "--labels", f"@{idm}", "--name", verdicts), (f"label-s{seed}",)),
    ]  # fmt: skip
    share = f"--data.truth-share={TRUTH_SHARE[plan.game]}"
    arms: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
        "recorded": ((recorded,), (), ("novice",)),
        "oracle": ((recorded, wild), ("--oracle", truth, share), ("novice", "footage")),
        "pseudo": ((recorded, wild), (f"--data.labels=@{idm}", f"--data.verdicts={verdicts}", share), (f"filter-s{seed}", "novice")),
    }
    for arm, (corpora, flags, needs) in arms.items():
        run = plan.corpus(f"{arm}-s{seed}")
        command = ("train", "policy", *corpora, "--out", run, *own, *flags)
        tasks.append(Task(f"{arm}-s{seed}", "train policy", command, needs))
        tasks.append(_play_task(plan, f"{arm}-s{seed}", (run, "--arm", arm, "--players"), (f"{arm}-s{seed}",)))
    return tasks


def _play_task(plan: Demo, name: str, who: Sequence[str], needs: tuple[str, ...]) -> Task:
    out = plan.evaluation(name)
    words = ("eval", "policy", *who, "--games", plan.game, "--episodes", str(plan.episodes), "--seeds", str(EVALUATION_SEED))
    return Task(f"play {name}", "eval policy", (*words, "--out", str(out)), needs, out)


def collect(plan: Demo, seconds: dict[str, float]) -> dict[str, Any]:
    """The content of results.json from the evaluation files of every arm and seed."""
    import numpy as np

    arms = {}
    for arm in (*ARMS, *PLAYERS):
        names = [f"{arm}-s{seed}" for seed in plan.seeds] if arm in ARMS else [arm]
        scores = [read_json(plan.evaluation(name))["games"][0]["rows"][0] for name in names]
        returns = np.concatenate([score["returns"] for score in scores])
        by_seed = {str(seed): score["mean"] for seed, score in zip(plan.seeds, scores, strict=False)} if arm in ARMS else {}
        arms[arm] = {
            "mean": float(returns.mean()),
            "sem": float(returns.std(ddof=1) / np.sqrt(len(returns))) if len(returns) > 1 else None,
            "n": len(returns),
            "by_seed": by_seed,
            "sd_seeds": float(np.std(list(by_seed.values()), ddof=1)) if len(by_seed) > 1 else None,
        }
    reports = [read_json(plan.evaluation(f"idm-s{seed}")) for seed in plan.seeds]
    idm: dict[str, Any] = dict(_flat([report["idm"] for report in reports]))
    idm["baselines"] = {name: _flat([report["baselines"][name] for report in reports]) for name in reports[0]["baselines"]}
    return {"game": plan.game, "seeds": list(plan.seeds), "arms": arms, "idm": idm, "seconds": seconds}


def _flat(scores: list[dict[str, Any]]) -> dict[str, float]:
    """`left_y_r2: value` for every stick and button measure, the mean over seeds."""
    flat: dict[str, float] = {}
    for group in ("sticks", "buttons"):
        for slot, measures in scores[0][group].items():
            for measure in measures:
                values = [value for score in scores if (value := score[group][slot][measure]) is not None]
                if values:
                    flat[f"{slot}_{measure}"] = sum(values) / len(values)
    return flat


def arms_table(results: dict[str, Any]) -> str:
    """A text table: every arm's mean return, its standard error over episodes and its spread over training seeds."""
    rows = [
        [name, number(arm["mean"], ".1f"), number(arm["sem"], ".1f"), str(arm["n"]), number(arm["sd_seeds"], ".1f")]
        for name, arm in results["arms"].items()
    ]
    return text_table(["who plays", "mean return", "± s.e.", "episodes", "sd over seeds"], rows)

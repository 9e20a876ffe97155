"""`ghostpad lab study pseudo-labels`: what an IDM's labels are worth to an agent, against every control, as commands a user would type.

Writes OUT/footage and OUT/truth (corpora), OUT/runs, OUT/eval (one JSON file a unit), and from these OUT/results.json and
OUT/report.html, whatever of them is there. What is done is not done again.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ghostpad.base.files import write_json
from ghostpad.cli.arguments import seed_numbers
from ghostpad.cli.tasks import Task, claim, run_tasks
from ghostpad.lab.study.common import parts_named, seconds_by_stage
from ghostpad.lab.study.pseudo_labels.plan import (
    DOMAINS,
    EVALUATION_SEED,
    EXPERT_SEED,
    NOVICE_SEED,
    PARTS,
    QUICK,
    TUNING,
    TUNING_SHARE,
    Scale,
    Unit,
    units_of,
)
from ghostpad.lab.study.pseudo_labels.tables import collect, table_text

START_S, RECORD_S_PER_MIN, LABEL_S_PER_MIN, IDM_STEP_S, POLICY_STEP_S = 4.0, 2.0, 1.1, 0.28, 0.117
"""What a command's start, a minute of footage and a step took in the demo, one of two loaded cores (measured), for the estimate."""
EPISODE_S = {"doom": 1.6, "doom-supreme": 1.6, "racing": 1.15}
"""The same for an episode of an agent that plays well."""
PLAYERS = ("random", "novice", "expert")
"""Scripted players that the arms stand between."""


@dataclass(frozen=True)
class PseudoLabelStudy:
    """What to do: the folder, the parts and their training seeds, and how much of everything."""

    out: Path
    seeds: tuple[int, ...]
    parts: tuple[str, ...]
    scale: Scale

    def novice(self, game: str, minutes: float) -> str:
        """The corpus of a novice's labelled minutes."""
        return str(self.out / "footage" / f"{game}-novice-{minutes:g}")

    def expert(self, game: str) -> str:
        """The corpus of an expert's unlabelled footage."""
        return str(self.out / "footage" / f"{game}-expert")

    @property
    def truth(self) -> str:
        """The folder of all withheld pads."""
        return str(self.out / "truth")

    def run(self, name: str) -> str:
        """The run folder of an agent or IDM by name."""
        return str(self.out / "runs" / name)

    def evaluation(self, name: str) -> Path:
        """The JSON file of an evaluation."""
        return self.out / "eval" / f"{name}.json"


@dataclass(frozen=True)
class Planned:
    """A command, and about how long it takes."""

    task: Task
    seconds: float


def study_pseudo_labels(
    *,
    out: Path = Path("pseudo-labels"),
    seeds: str = "0,1,2",
    only: tuple[str, ...] = (),
    workers: int = 2,
    quick: bool = False,
    page: bool = False,
) -> None:
    """Measure what an IDM's pseudo-labels are worth to an agent, against shuffled and unfiltered ones, recorded pads alone and an oracle.

    In two games and a level nobody recorded pads in, over recorded and unlabelled minutes; then one agent for both games beside the
    specialists, and an agent of the level that is seen only unlabelled. Writes --out/results.json, --out/report.html, and every corpus,
    run and evaluation on the way. Each step is a ghostpad command, printed as it starts, the most telling first; safe
    to interrupt: re-run to resume. The centre takes an hour and a quarter on two cores with three seeds, all of it eight hours (estimated).

    Args:
        out: The folder to write.
        seeds: Training seeds, e.g. 0,1,2: everything is trained once for each.
        only: Parts to do [default: all]: centre, labels, generalist, transfer, grid, controls.
        workers: Commands that run side by side, one core each.
        quick: The same code on next to no footage, six minutes of a core with three seeds; its figures say nothing.
        page: Only write the page of what is there.
    """
    study = PseudoLabelStudy(out, seed_numbers(seeds), parts_named(PARTS, only), QUICK if quick else Scale())
    claim(out / "study.json", {"quick": quick}, [] if workers >= 1 else [f"workers is {workers}: it must be 1 or more"])
    if not page:
        planned = {part: list(planned_tasks(study, units)) for part, units in units_of(study.parts, study.scale, study.seeds).items()}
        print(estimate(planned, workers), flush=True)
        try:
            tasks = {one.task.name: one.task for part in planned.values() for one in part}
            run_tasks(list(tasks.values()), workers, out / "seconds.json", keep_going=True)
        finally:
            text = _write(study)
        print(text)
    else:
        print(_write(study))


def _write(study: PseudoLabelStudy) -> str:
    """Write results.json and the page from the evaluations that are there; returns the table for a terminal."""
    from ghostpad.lab.study.pseudo_labels.page import write_page  # here, because matplotlib takes a second to import

    results = collect(study.out, study.scale, study.seeds, seconds_by_stage(study.out))
    write_json(study.out / "results.json", results)
    where = write_page(results, study.out / "report.html")
    return f"{table_text(results)}\n{where} and {study.out / 'results.json'} hold the rest"


def planned_tasks(study: PseudoLabelStudy, units: list[Unit]) -> Iterator[Planned]:
    """The commands of the units that are not evaluated yet: what a unit needs, its training, its games. Some are named for several."""
    for place, unit in enumerate(units):
        if not study.evaluation(unit.name).exists():
            yield from _train(study, unit)
            yield _play(study, unit.name, (study.run(unit.name), "--arm", unit.arm, "--players"), DOMAINS[unit.domain].tests, unit.seed)
        last = place + 1 == len(units) or units[place + 1].seed != unit.seed
        if last and not study.evaluation(f"players-s{unit.seed}").exists():
            yield _scripted(study, unit.seed)


def _train(study: PseudoLabelStudy, unit: Unit) -> Iterator[Planned]:
    domain, scale = DOMAINS[unit.domain], study.scale
    corpora = [study.novice(game, unit.labelled) for game in domain.games]
    needs = [f"{game} novice {unit.labelled:g}" for game in domain.games]
    flags: tuple[str, ...] = ()
    steps, before = scale.steps * domain.longer, unit.starts_from(scale)
    settings = scale.policy_settings
    if before is not None:  # the model is what it was
        yield from _train(study, before)
        steps, flags, needs = steps // TUNING_SHARE, ("--init", study.run(before.name)), [*needs, before.name]
        settings = (*TUNING, *(word for word in settings if not word.startswith("--model.")))
    settings = (f"--train.seed={unit.seed}", "--train.threads=1", f"--train.steps={steps}", *settings)
    yield from (_novice(study, game, unit.labelled) for game in domain.games)
    if unit.arm != "truth":
        corpora += [study.expert(game) for game in domain.footage]
        settings += (f"--data.truth-share={domain.truth_share}", f"--data.label-minutes={unit.unlabelled:g}")
        needs += [f"{game} expert" for game in domain.footage]
        yield from (_expert(study, game) for game in domain.footage)
    if unit.arm == "oracle":
        flags = ("--oracle", study.truth)
    elif unit.arm != "truth":
        idm = idm_name(unit)
        yield from _labelled(study, unit, idm)
        believed = ("--data.verdicts=none", "--data.confidence-power=0") if unit.arm == "unfiltered" else (f"--data.verdicts={idm}",)
        settings += (f"--data.labels=@{study.run(idm)}", *believed)
        settings += (f"--data.shuffle-seed={unit.seed}",) if unit.arm == "shuffled" else ()
        needs += [f"filter {game} by {idm}" for game in domain.footage]
    words = ("train", "policy", *corpora, "--out", study.run(unit.name), *flags, *settings)
    done = Path(study.run(unit.name), "model.safetensors")
    seconds = START_S + POLICY_STEP_S * steps
    yield Planned(Task(unit.name, "train policy", words, tuple(needs), done), seconds)


def idm_name(unit: Unit) -> str:
    """The IDM that labels for a unit, shared by all with these games, labelled minutes and seed; its verdicts have the same name."""
    return f"idm-{'-'.join(DOMAINS[unit.domain].games)}-{unit.labelled:g}-s{unit.seed}"


def _labelled(study: PseudoLabelStudy, unit: Unit, idm: str) -> Iterator[Planned]:
    """The unit's IDM, and its labels and verdicts under all of the footage."""
    domain, scale, run = DOMAINS[unit.domain], study.scale, study.run(idm)
    settings = (f"--train.seed={unit.seed}", "--train.threads=1", f"--train.steps={scale.idm_steps * domain.longer}", *scale.idm_settings)
    settings += ("--model.binding=game",) if len(domain.games) > 1 else ()
    words = ("train", "idm", *(study.novice(game, unit.labelled) for game in domain.games), "--out", run, *settings)
    needs = tuple(f"{game} novice {unit.labelled:g}" for game in domain.games)
    seconds = START_S + IDM_STEP_S * scale.idm_steps * domain.longer
    yield Planned(Task(idm, "train idm", words, needs, Path(run, "calibration.json")), seconds)
    for game in domain.footage:
        corpus, label = study.expert(game), f"label {game} by {idm}"
        done = Path(corpus, "verdicts", f"{idm}.parquet")  # written once all is labelled
        task = Task(label, "label", ("label", corpus, "--idm", run), (idm, f"{game} expert"), done)
        yield Planned(task, START_S + LABEL_S_PER_MIN * scale.footage_minutes(game))
        words = ("filter", corpus, "--labels", f"@{run}", "--name", idm, *scale.filter_flags)
        yield Planned(Task(f"filter {game} by {idm}", "filter", words, (label,), done), START_S)


def _novice(study: PseudoLabelStudy, game: str, minutes: float) -> Planned:
    words = ("record", game, "--player", "novice", "--minutes", f"{minutes:g}", "--seed", str(NOVICE_SEED))
    task = Task(f"{game} novice {minutes:g}", "record", (*words, "--out", study.novice(game, minutes)))
    return Planned(task, START_S + RECORD_S_PER_MIN * minutes)


def _expert(study: PseudoLabelStudy, game: str) -> Planned:
    minutes = study.scale.footage_minutes(game)
    words = ("record", game, "--player", "expert", "--minutes", f"{minutes:g}", "--seed", str(EXPERT_SEED), "--out")
    task = Task(f"{game} expert", "record", (*words, study.expert(game), "--withhold", "--truth", study.truth))
    return Planned(task, START_S + RECORD_S_PER_MIN * minutes)


def _play(study: PseudoLabelStudy, name: str, who: tuple[str, ...], tests: tuple[str, ...], seed: int) -> Planned:
    games, out = [game for game in tests if game in study.scale.tests], study.evaluation(name)
    words = ("eval", "policy", *who, "--games", *games, "--episodes", str(study.scale.episodes), "--seeds", str(EVALUATION_SEED + seed))
    seconds = START_S + study.scale.episodes * sum(EPISODE_S[game] for game in games)
    needs = () if who[0] == "--players" else (name,)
    return Planned(Task(f"play {name}", "eval policy", (*words, "--out", str(out)), needs, out), seconds)


def _scripted(study: PseudoLabelStudy, seed: int) -> Planned:
    """The scripted players, on the episodes of a training seed."""
    planned = _play(study, f"players-s{seed}", ("--players", *PLAYERS), study.scale.tests, seed)
    return replace(planned, seconds=len(PLAYERS) * planned.seconds)


def estimate(planned: dict[str, list[Planned]], workers: int) -> str:
    """How many trainings are left in each part and about how long it takes."""
    lines, given = [], set[str]()
    for part, steps in planned.items():
        left = {step.task.name: step for step in steps if step.task.name not in given and not (step.task.done and step.task.done.exists())}
        given |= {step.task.name for step in steps}
        minutes = sum(_seconds_left(step) for step in left.values()) / min(workers, os.cpu_count() or 1) / 60
        agents = sum(step.task.stage == "train policy" for step in left.values())
        lines.append(f"{part}: {agents} agents and {len(left)} commands to do, about {minutes:.0f} min")
    return "\n".join(lines)


def _seconds_left(step: Planned) -> float:
    """A recording or labelling that is there takes a moment; whether it is whole its own command knows."""
    words = step.task.words
    there = step.task.stage == "record" and Path(words[words.index("--out") + 1], "videos.parquet").exists()
    return START_S if there else step.seconds

"""`ghostpad lab study pseudo-labels`: what an IDM's pseudo-labels are worth to an agent, beside every control, by a user's commands.

Writes OUT/footage and OUT/truth (corpora), OUT/runs, OUT/eval (one JSON file a unit), and from the evaluations that are there
OUT/results.json and OUT/report.html. What is done is not done again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ghostpad.base.files import write_json
from ghostpad.cli.arguments import below_one, seed_numbers
from ghostpad.cli.tasks import Task, claim, run_tasks, seconds_by_stage
from ghostpad.lab.study.common import StudyFolder, minutes_left, parts_named, record_task, task, tasks_left
from ghostpad.lab.study.pseudo_labels.plan import DOMAINS, EVALUATION_SEED, PARTS, QUICK, RECORDING_SEEDS, TUNING, Scale, Unit, units_of
from ghostpad.lab.study.pseudo_labels.tables import collect, table_text

LABEL_S_PER_MIN, IDM_STEP_S, POLICY_STEP_S = 1.1, 0.28, 0.117
"""What labelling a minute of footage and a step took in the demo, one of two loaded cores (measured), for the estimate."""
EPISODE_S = {"doom": 1.6, "doom-supreme": 1.6, "racing": 1.15}
"""The same for an episode of an agent that plays well."""
PLAYERS = ("random", "novice", "expert")
"""Scripted players that the arms are compared with."""


@dataclass(frozen=True)
class PseudoLabelStudy(StudyFolder):
    """What to do: the folder, the parts and their training seeds, and how much of everything."""

    parts: tuple[str, ...]
    scale: Scale

    def evaluation(self, name: str) -> Path:
        """The JSON file of an evaluation."""
        return self.out / "eval" / f"{name}.json"


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

    In two games and a level whose pads nobody recorded, over recorded and unlabelled minutes; then one agent for both games beside the
    specialists, and an agent of the level that is seen only unlabelled. Writes --out/results.json, --out/report.html, and every corpus,
    run and evaluation on the way. Each step is a ghostpad command, printed as it starts, the most informative first. Safe
    to interrupt: re-run to resume. The centre takes an hour and a quarter on two cores with three seeds, all of it eight hours (estimated).

    Args:
        out: The folder to write.
        seeds: Training seeds, e.g. 0,1,2: everything is trained once for each.
        only: Parts to do [default: all]: centre, labels, generalist, transfer, grid, controls.
        workers: Commands to run in parallel, one core each.
        quick: The same code on next to no footage, six minutes of a core with three seeds; its figures say nothing.
        page: Only write the page of what is there.
    """
    study = PseudoLabelStudy(out, seed_numbers(seeds), parts_named(PARTS, only), QUICK if quick else Scale())
    claim(out / "study.json", {"quick": quick}, below_one(workers=workers))
    try:
        if not page:
            tasks = {part: list(planned_tasks(study, units)) for part, units in units_of(study.parts, study.scale, study.seeds).items()}
            print(estimate(tasks, workers), flush=True)
            once = {one.name: one for part in tasks.values() for one in part}
            run_tasks(list(once.values()), workers, out / "seconds.json", keep_going=True)
    finally:
        print(_write(study))


def _write(study: PseudoLabelStudy) -> str:
    """Write results.json and the page from the evaluations that are there; returns the table for a terminal."""
    from ghostpad.lab.study.pseudo_labels.page import write_page  # here, because matplotlib takes a second to import

    results = collect(study.out, study.scale, study.seeds, seconds_by_stage(study.out / "seconds.json"))
    write_json(study.out / "results.json", results)
    where = write_page(results, study.out / "report.html")
    return f"{table_text(results)}\nMore in {where} and {study.out / 'results.json'}"


def planned_tasks(study: PseudoLabelStudy, units: list[Unit]) -> Iterator[Task]:
    """The commands of the units that are not evaluated yet: what a unit needs, its training, its games. Several units may need the same."""
    for place, unit in enumerate(units):
        if not study.evaluation(unit.name).exists():
            yield from _train(study, unit)
            yield _play(study, unit.name, (study.run(unit.name), "--arm", unit.arm, "--players"), DOMAINS[unit.domain].tests, unit.seed)
        last = place + 1 == len(units) or units[place + 1].seed != unit.seed
        if last and not study.evaluation(f"players-s{unit.seed}").exists():
            played = _play(study, f"players-s{unit.seed}", ("--players", *PLAYERS), study.scale.tests, unit.seed)
            yield replace(played, seconds=len(PLAYERS) * played.seconds)


def _train(study: PseudoLabelStudy, unit: Unit) -> Iterator[Task]:
    """What the training of a unit needs, and the training."""
    domain, scale, flags = DOMAINS[unit.domain], study.scale, list[object]()
    novices = [_novice(study, game, unit.recorded) for game in domain.games]
    experts = [_expert(study, game) for game in domain.footage] if unit.arm != "truth" else []
    yield from (*novices, *experts)
    needs = [one.name for one in (*novices, *experts)]
    corpora, own_settings = [study.corpus(name) for name in needs], scale.policy_settings
    if (before := unit.starts_from(scale)) is not None:
        yield from _train(study, before)
        flags, needs = ["--init", study.run(before.name)], [*needs, before.name]
        own_settings = (*TUNING, *(word for word in own_settings if not word.startswith("--model.")))  # the model is that of `before`
    settings = [f"--train.seed={unit.seed}", "--train.threads=1", f"--train.steps={unit.steps(scale)}", *own_settings]
    if experts:
        settings += [f"--data.truth-share={domain.truth_share}", f"--data.label-minutes={unit.unlabelled:g}"]
    if unit.arm == "oracle":
        flags = ["--oracle", study.truth()]
    elif experts:
        idm = idm_name(unit)
        yield from _pseudo_labelled(study, unit, idm, [one.name for one in novices])
        weighed = ["--data.verdicts=none", "--data.confidence-power=0"] if unit.arm == "unfiltered" else [f"--data.verdicts={idm}"]
        settings += [f"--data.labels=@{study.run(idm)}", *weighed]
        settings += [f"--data.shuffle-seed={unit.seed}"] if unit.arm == "shuffled" else []
        needs += [f"filter {game} by {idm}" for game in domain.footage]
    run, seconds = study.run(unit.name), POLICY_STEP_S * unit.steps(scale)
    words = ("train", "policy", *corpora, "--out", run, *flags, *settings)
    yield task(unit.name, "train policy", *words, needs=needs, done=run / "model.safetensors", seconds=seconds)


def idm_name(unit: Unit) -> str:
    """The IDM that labels for a unit, shared by all with these games, recorded minutes and seed; its verdicts have the same name."""
    return f"idm-{'-'.join(DOMAINS[unit.domain].games)}-{unit.recorded:g}-s{unit.seed}"


def _pseudo_labelled(study: PseudoLabelStudy, unit: Unit, idm: str, novices: list[str]) -> Iterator[Task]:
    """The unit's IDM, and its labels and verdicts under all of the footage."""
    domain, scale, run = DOMAINS[unit.domain], study.scale, study.run(idm)
    steps = scale.idm_steps * domain.longer
    settings = [f"--train.seed={unit.seed}", "--train.threads=1", f"--train.steps={steps}", *scale.idm_settings]
    settings += ["--model.binding=game"] if len(domain.games) > 1 else []
    words = ("train", "idm", *map(study.corpus, novices), "--out", run, *settings)
    yield task(idm, "train idm", *words, needs=novices, done=run / "calibration.json", seconds=IDM_STEP_S * steps)
    for game in domain.footage:
        corpus, label, seconds = study.corpus(game, "expert"), f"label {game} by {idm}", LABEL_S_PER_MIN * scale.footage_minutes(game)
        done = corpus / "verdicts" / f"{idm}.parquet"  # written once all is labelled
        yield task(label, "label", "label", corpus, "--idm", run, needs=(idm, corpus.name), done=done, seconds=seconds)
        words = ("filter", corpus, "--labels", f"@{run}", "--name", idm, *scale.filter_flags)
        yield task(f"filter {game} by {idm}", "filter", *words, needs=[label], done=done)


def _novice(study: PseudoLabelStudy, game: str, minutes: float) -> Task:
    out = study.corpus(game, "novice", f"{minutes:g}")
    return record_task(out.name, game, "novice", minutes, RECORDING_SEEDS["novice"], out)


def _expert(study: PseudoLabelStudy, game: str) -> Task:
    out, minutes = study.corpus(game, "expert"), study.scale.footage_minutes(game)
    return record_task(out.name, game, "expert", minutes, RECORDING_SEEDS["expert"], out, truth=study.truth())


def _play(study: PseudoLabelStudy, name: str, who: tuple[object, ...], tests: tuple[str, ...], seed: int) -> Task:
    games, out, episodes = [game for game in tests if game in study.scale.tests], study.evaluation(name), study.scale.episodes
    words = ("eval", "policy", *who, "--games", *games, "--episodes", episodes, "--seeds", EVALUATION_SEED + seed, "--out", out)
    needs, seconds = () if who[0] == "--players" else (name,), episodes * sum(EPISODE_S[game] for game in games)
    return task(f"play {name}", "eval policy", *words, needs=needs, done=out, seconds=seconds)


def estimate(tasks: dict[str, list[Task]], workers: int) -> str:
    """How many trainings are left in each part and about how long it takes."""
    lines, earlier = [], set[str]()
    for part, own in tasks.items():
        left = tasks_left({one.name: one for one in own if one.name not in earlier}.values())
        earlier |= {one.name for one in own}
        agents, minutes = sum(one.stage == "train policy" for one in left), minutes_left(left, workers)
        lines.append(f"{part}: {agents} agents and {len(left)} commands to do, about {minutes:.0f} min")
    return "\n".join(lines)

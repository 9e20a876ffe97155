"""`ghostpad lab study idm`: trains and tests the IDM as the study's table asks, by commands that a user would type.

Writes OUT/footage and OUT/truth (corpora), OUT/runs, OUT/eval (one JSON file for each arm, test and training seed), and from the
evaluations that are there OUT/results.json and OUT/report.html. What is done is not done again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ghostpad.base.files import write_json
from ghostpad.cli.arguments import seed_numbers
from ghostpad.cli.tasks import Task, run_tasks, seconds_by_stage
from ghostpad.lab.study.common import StudyFolder, claim_scaled, evaluation_file, minutes_left, parts_named, record_task, task, tasks_left
from ghostpad.lab.study.idm.plan import FOOTAGE, PARTS, Arm, arm_named, seeds_of
from ghostpad.lab.study.idm.tables import collect, table_text

STEP_S, FRAME_STEP_S, LABEL_S_PER_MIN = 0.23, 0.06, 0.5
"""What a step (of a single-frame model) and labelling a minute of footage take on one loaded core (measured), for the estimate."""


@dataclass(frozen=True)
class Study(StudyFolder):
    """What to do: the folder, training seeds, parts, steps (None: the recipe's own) and the factor on every number of minutes."""

    parts: tuple[str, ...]
    steps: int | None
    minutes_scale: float

    def minutes(self, name: str) -> float:
        """The minutes of a corpus."""
        return FOOTAGE[name].minutes * self.minutes_scale

    def steps_of(self, arm: Arm) -> int:
        """The optimiser steps that an arm trains."""
        from ghostpad.idm.settings import IdmRun

        return round((self.steps or IdmRun().train.steps) * arm.longer)


def study_idm(
    *,
    out: Path = Path("study"),
    seeds: str = "0,1,2",
    only: tuple[str, ...] = (),
    steps: int | None = None,
    minutes_scale: float = 1.0,
    workers: int = 2,
    page: bool = False,
) -> None:
    """Measure the IDM against targets, baselines and smaller models, over recorded minutes, games and parts of the model.

    Writes --out/results.json, --out/report.html, and every corpus, run and evaluation on the way. Each step is a ghostpad command,
    printed as it starts. Interrupted or failed, it still writes the page of what is there: re-run to resume. An hour and a
    quarter on two cores with three seeds.

    Args:
        out: The folder to write.
        seeds: Training seeds, e.g. 0,1,2: everything is trained once for each, curve and ablations for the first two.
        only: Parts to do [default: all]: table, generalist, curve, ablation, pedals.
        steps: Optimiser steps of a training [default: the recipe's own]; the generalists take twice as many.
        minutes_scale: Record this many times the usual minutes, e.g. 0.1 for a quick look.
        workers: Commands to run in parallel, one core each.
        page: Only write the page of what is there.
    """
    study = Study(out, seed_numbers(seeds), parts_named(PARTS, only), steps, minutes_scale)
    claim_scaled(out, workers, steps, minutes_scale)
    try:
        if not page:
            tasks = list(study_tasks(study))
            print(estimate(tasks, workers), flush=True)
            run_tasks(tasks, workers, out / "seconds.json")
    finally:
        print(_write(study))


def _write(study: Study) -> str:
    """Write results.json and the page from the evaluations that are there; returns the table for a terminal."""
    from ghostpad.lab.study.idm.page import write_page  # here, because matplotlib takes a second to import

    results = collect(study.out, study.seeds, seconds_by_stage(study.out / "seconds.json"))
    write_json(study.out / "results.json", results)
    where = write_page(results, study.out / "report.html")
    return f"{table_text(results)}\nMore in {where} and {study.out / 'results.json'}"


def study_tasks(study: Study) -> Iterator[Task]:
    """Every command in the order of priority: what an arm needs, its trainings with all seeds and their tests, then the next arm."""
    arms = [(arm, seed) for part in study.parts for arm in PARTS[part] for seed in seeds_of(part, arm, study.seeds)]
    yield from {one.name: one for arm, seed in arms for one in (*_train(study, arm, seed), *_tests(study, arm, seed))}.values()


def _record(study: Study, name: str) -> Task:
    one, out = FOOTAGE[name], study.corpus(name)
    truth = study.truth(name) if one.withheld else None
    return record_task(name, one.game, one.player, study.minutes(name), one.seed, out, "--crf", one.crf, truth=truth)


def _train(study: Study, arm: Arm, seed: int) -> Iterator[Task]:
    """The recordings that a training needs, its teacher's training and labels, and the training itself."""
    yield from (_record(study, name) for name in arm.corpora)
    settings, needs = [f"--train.seed={seed}", "--train.threads=1", *arm.settings], list(arm.corpora)
    if study.steps is not None or arm.longer != 1:
        settings.append(f"--train.steps={study.steps_of(arm)}")
    if arm.teacher is not None:
        teacher = f"{arm.teacher}-s{seed}"
        yield from _train(study, arm_named(arm.teacher), seed)
        for name in (name for name in arm.corpora if FOOTAGE[name].withheld):
            needs.append(f"label {name} by {teacher}")
            label_s = LABEL_S_PER_MIN * study.minutes(name)
            yield task(needs[-1], "label", "label", study.corpus(name), "--idm", study.run(teacher), needs=(teacher, name), seconds=label_s)
        settings.append(f"--data.labels=@{study.run(teacher)}")
    run, step_s = study.run(f"{arm.name}-s{seed}"), FRAME_STEP_S if "--model.variant=frame" in arm.settings else STEP_S
    words = ("train", "idm", *map(study.corpus, arm.corpora), "--out", run, *settings)
    train_s = step_s * study.steps_of(arm)
    yield task(run.name, "train idm", *words, needs=needs, done=run / "calibration.json", seconds=train_s)


def _tests(study: Study, arm: Arm, seed: int) -> Iterator[Task]:
    name, recorded = f"{arm.name}-s{seed}", [study.corpus(name) for name in arm.corpora if not FOOTAGE[name].withheld]
    for test in arm.tests:
        yield _record(study, test)
        out, label_s = evaluation_file(study.out, arm.name, test, seed), LABEL_S_PER_MIN * study.minutes(test)
        words = ("eval", "idm", study.run(name), study.corpus(test), "--truth", study.truth(test), "--prior", *recorded)
        yield task(f"{name} on {test}", "eval idm", *words, "--out", out, needs=(name, test), done=out, seconds=label_s)


def estimate(tasks: list[Task], workers: int) -> str:
    """How many commands are left and about how long they take."""
    left = tasks_left(tasks)
    stages = [one.stage for one in left]
    minutes = minutes_left(left, workers)
    return f"{stages.count('train idm')} trainings and {stages.count('eval idm')} evaluations to do, about {minutes:.0f} min"

"""`ghostpad lab study idm`: trains and tests the IDM in every way the table of the study asks for, as the very commands a user would type.

Writes OUT/footage and OUT/truth (corpora), OUT/runs, OUT/eval (one JSON file for each arm, test and training seed), and from these
OUT/results.json and OUT/report.html, whatever of them is there. What is done is not done again.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ghostpad.base.files import write_json
from ghostpad.cli.arguments import seed_numbers
from ghostpad.cli.tasks import Task, claim, run_tasks
from ghostpad.lab.study.common import evaluation_file, parts_named, seconds_by_stage
from ghostpad.lab.study.idm.plan import FOOTAGE, PARTS, Arm, arm_named, seeds_of
from ghostpad.lab.study.idm.tables import collect, table_text

STEP_S, FRAME_STEP_S, START_S, RECORD_S_PER_MIN, LABEL_S_PER_MIN = 0.23, 0.06, 5.0, 2.3, 0.5
"""What a step (of a single-frame model), a command's start and a minute of footage take on one loaded core (measured), for the
estimate that is printed first."""


@dataclass(frozen=True)
class Study:
    """What to do: the folder, training seeds, parts, steps (None: the recipe's own) and the factor on every number of minutes."""

    out: Path
    seeds: tuple[int, ...]
    parts: tuple[str, ...]
    steps: int | None
    minutes_scale: float

    def corpus(self, name: str) -> str:
        """The folder of a corpus by name, as text."""
        return str(self.out / "footage" / name)

    def truth(self, name: str) -> str:
        """The folder of a corpus's withheld pads."""
        return str(self.out / "truth" / name)

    def run(self, arm: Arm, seed: int) -> str:
        """The run folder of an arm and training seed."""
        return str(self.out / "runs" / f"{arm.name}-s{seed}")

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
    """Measure the IDM: against targets, baselines and smaller models, over labelled minutes, games and what each part brings.

    Writes --out/results.json, --out/report.html, and every corpus, run and evaluation on the way. Each step is a ghostpad command,
    printed as it starts; stopped or failed, it still writes the page of what is there: re-run to resume. An hour and a
    quarter on two cores with three seeds.

    Args:
        out: The folder to write.
        seeds: Training seeds, e.g. 0,1,2: everything is trained once for each, curve and ablations for the first two.
        only: Parts to do [default: all]: table, generalist, curve, ablation, pedals.
        steps: Optimiser steps of a training [default: the recipe's own]; the generalists take twice as many.
        minutes_scale: Record this many times the usual minutes, e.g. 0.1 for a quick look.
        workers: Commands that run side by side, one core each.
        page: Only write the page of what is there.
    """
    study = Study(out, seed_numbers(seeds), parts_named(PARTS, only), steps, minutes_scale)
    _claim(study, workers)
    if page:
        print(_write(study))
        return
    tasks = list(study_tasks(study))
    print(estimate(study, tasks, workers), flush=True)
    try:
        run_tasks(tasks, workers, out / "seconds.json")
    finally:
        text = _write(study)
    print(text)


def _claim(study: Study, workers: int) -> None:
    """Make the folder this study's; refuse settings that cannot work, and a folder that holds a study with other settings."""
    numbers = {"workers": workers} | ({} if study.steps is None else {"steps": study.steps})
    problems = [f"{name} is {value}: it must be 1 or more" for name, value in numbers.items() if value < 1]
    if not 0 < study.minutes_scale <= 100:
        problems.append(f"minutes-scale is {study.minutes_scale}: it must be above 0 and at most 100")
    claim(study.out / "study.json", {"steps": study.steps, "minutes_scale": study.minutes_scale}, problems)


def _write(study: Study) -> str:
    """Write results.json and the page from the evaluations that are there; returns the table for a terminal."""
    from ghostpad.lab.study.idm.page import write_page  # here, because matplotlib takes a second to import

    results = collect(study.out, study.seeds, seconds_by_stage(study.out))
    write_json(study.out / "results.json", results)
    where = write_page(results, study.out / "report.html")
    return f"{table_text(results)}\n{where} and {study.out / 'results.json'} hold the rest"


def study_tasks(study: Study) -> Iterator[Task]:
    """Every command in the order of priority: what an arm needs, its trainings with all seeds and their tests, then the next arm."""
    given: set[str] = set()
    for part in study.parts:
        for arm in PARTS[part]:
            for seed in seeds_of(part, arm, study.seeds):
                for task in (*_train(study, arm, seed), *_tests(study, arm, seed)):
                    if task.name not in given:
                        given.add(task.name)
                        yield task


def _record(study: Study, name: str) -> Task:
    one = FOOTAGE[name]
    minutes = f"{one.minutes * study.minutes_scale:g}"
    words = ("record", one.game, "--player", one.player, "--minutes", minutes, "--seed", str(one.seed), "--crf", str(one.crf))
    aside = ("--withhold", "--truth", study.truth(name)) if one.withheld else ()
    return Task(name, "record", (*words, "--out", study.corpus(name), *aside))


def _train(study: Study, arm: Arm, seed: int) -> list[Task]:
    """The recordings that a training needs, its teacher's training and labels, and the training itself."""
    tasks, needs = [_record(study, name) for name in arm.corpora], list(arm.corpora)
    settings = (f"--train.seed={seed}", "--train.threads=1", *arm.settings)
    if study.steps is not None or arm.longer != 1:
        settings += (f"--train.steps={study.steps_of(arm)}",)
    if arm.teacher is not None:
        teacher = arm_named(arm.teacher)
        run = study.run(teacher, seed)
        tasks += _train(study, teacher, seed)
        for name in (name for name in arm.corpora if FOOTAGE[name].withheld):
            label = f"label {name} by {teacher.name}-s{seed}"
            tasks.append(Task(label, "label", ("label", study.corpus(name), "--idm", run), (f"{teacher.name}-s{seed}", name)))
            needs.append(label)
        settings = (*settings, f"--data.labels=@{run}")
    run = study.run(arm, seed)
    words = ("train", "idm", *map(study.corpus, arm.corpora), "--out", run, *settings)
    return [*tasks, Task(f"{arm.name}-s{seed}", "train idm", words, tuple(needs), Path(run, "calibration.json"))]


def _tests(study: Study, arm: Arm, seed: int) -> Iterator[Task]:
    recorded = [study.corpus(name) for name in arm.corpora if not FOOTAGE[name].withheld]
    for test in arm.tests:
        yield _record(study, test)
        out = evaluation_file(study.out, arm.name, test, seed)
        words = ("eval", "idm", study.run(arm, seed), study.corpus(test), "--truth", study.truth(test), "--prior", *recorded)
        yield Task(f"{arm.name}-s{seed} on {test}", "eval idm", (*words, "--out", str(out)), (f"{arm.name}-s{seed}", test), out)


def estimate(study: Study, tasks: list[Task], workers: int) -> str:
    """How many commands are left and about how long they take."""
    left = [task for task in tasks if task.done is None or not task.done.exists()]
    seconds = {"record": 0.0, "train idm": 0.0, "label": 0.0, "eval idm": 0.0}
    for task in left:
        seconds[task.stage] += START_S
    for part in study.parts:
        for arm in PARTS[part]:
            for seed in seeds_of(part, arm, study.seeds):
                if not Path(study.run(arm, seed), "calibration.json").exists():
                    step_s = FRAME_STEP_S if "--model.variant=frame" in arm.settings else STEP_S
                    seconds["train idm"] += step_s * study.steps_of(arm)
    for task in left:
        if task.stage == "record" and not Path(study.corpus(task.name)).exists():
            seconds["record"] += RECORD_S_PER_MIN * FOOTAGE[task.name].minutes * study.minutes_scale
        if task.stage in ("label", "eval idm"):
            name = task.needs[-1]
            seconds[task.stage] += LABEL_S_PER_MIN * FOOTAGE[name].minutes * study.minutes_scale
    minutes = sum(seconds.values()) / min(workers, os.cpu_count() or 1) / 60
    trainings = sum(task.stage == "train idm" for task in left)
    return f"{trainings} trainings and {sum(task.stage == 'eval idm' for task in left)} evaluations to do, about {minutes:.0f} min"

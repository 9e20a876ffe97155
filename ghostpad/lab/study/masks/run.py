"""`ghostpad lab study masks`: does a drawn controller spoil an IDM, and does masking it help?

Four IDMs learn from the same episodes of two games, with and without a drawn controller, masked or not, and are tested on clean footage
and on footage with a controller. Writes OUT/footage and OUT/truth (corpora; where masks are ignored, a copy without the boxes), OUT/runs,
OUT/eval (one JSON file for each arm, test and training seed), and from these OUT/results.json and OUT/report.html. What is done is not
done again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ghostpad.base.errors import FormatError, SettingsError
from ghostpad.base.files import link_or_copy, read_json, write_json
from ghostpad.cli.arguments import seed_numbers
from ghostpad.cli.tasks import Task, run_tasks, seconds_by_stage
from ghostpad.corpus.folder import RECORDED, Corpus, truth_table
from ghostpad.lab.study.common import StudyFolder, claim_scaled, evaluation_file, record_task, task
from ghostpad.lab.study.masks.plan import ARMS, CLEAN, GAMES, LEARN, MASKED, MINUTES, OVERLAY, SEEDS, STEPS, TEST, TESTS, UNMASKED, Arm
from ghostpad.lab.study.masks.tables import collect, measure, table_text


@dataclass(frozen=True)
class MaskStudy(StudyFolder):
    """What to do: the folder, training seeds, optimiser steps and the factor on every number of minutes."""

    steps: int
    minutes_scale: float

    def withheld(self, seen: str) -> Path:
        """The withheld pads of a test, which an unmasked one shares with the masked one that it is a copy of."""
        return self.truth(TEST, MASKED if seen == UNMASKED else seen)


def study_masks(
    *, out: Path = Path("masks"), seeds: str = "0,1", steps: int = STEPS, minutes_scale: float = 1.0, workers: int = 2, page: bool = False
) -> None:
    """Measure what a controller drawn into the footage does to an IDM, with its mask and without.

    IDMs learn from the same episodes of two games: clean, with a controller and its mask, with a controller whose mask is ignored,
    and clean with random masks. Each is tested on clean footage, and on footage with a controller, masked and not. Prints the
    tables; writes --out/results.json and --out/report.html. Safe to interrupt: re-run to resume. About 25 minutes of one core.

    Args:
        out: The folder to write.
        seeds: Training seeds, e.g. 0,1: every IDM is trained once for each.
        steps: Optimiser steps of a training.
        minutes_scale: Record this many times the usual minutes, e.g. 0.1 for a quick look.
        workers: Commands to run in parallel, one core each.
        page: Only write the page of what is there.
    """
    study = MaskStudy(out, seed_numbers(seeds), steps, minutes_scale)
    claim_scaled(out, workers, steps, minutes_scale)
    if not page:
        times = out / "seconds.json"
        run_tasks(list(recordings(study)), workers, times)
        for use in (LEARN, TEST):
            check_same_play(study, use)
            copy_without_boxes(study.corpus(use, MASKED), study.corpus(use, UNMASKED))
        for arms in (ARMS[:-1], ARMS[-1:]):  # all seeds of what the claims need, then the rest
            for seed in study.seeds:
                run_tasks([task for arm in arms for task in readings(study, arm, seed)], workers, times)
                for arm in arms:
                    _measure(study, arm, seed)
    print(_write(study))


def recordings(study: MaskStudy) -> Iterator[Task]:
    """Every recording: each episode once clean and once with a controller."""
    for use in (LEARN, TEST):
        for seen, overlay in ((CLEAN, "none"), (MASKED, OVERLAY)):
            out, truth = study.corpus(use, seen), study.withheld(seen) if use == TEST else None
            for game in GAMES:
                for player, minutes in MINUTES[use].items():
                    name, scaled = f"{use} {seen} {game} {player}", minutes * study.minutes_scale
                    yield record_task(name, game, player, scaled, SEEDS[use], out, "--overlay", overlay, truth=truth, lab=True)


def readings(study: MaskStudy, arm: Arm, seed: int) -> Iterator[Task]:
    """The training of an arm with a seed, and its IDM's labels of each test."""
    name = f"{arm.name}-s{seed}"
    run = study.run(name)
    words = ("train", "idm", study.corpus(LEARN, arm.corpus), "--out", run)
    settings = (f"--train.seed={seed}", "--train.threads=1", f"--train.steps={study.steps}", *arm.settings)
    yield task(name, "train idm", *words, *settings, done=run / "calibration.json")
    for test in TESTS:
        done = evaluation_file(study.out, arm.name, test, seed)
        yield task(f"{name} on {test}", "label", "label", study.corpus(TEST, test), "--idm", run, needs=[name], done=done)


def check_same_play(study: MaskStudy, use: str) -> None:
    """Raise `FormatError` unless the clean footage and that with a controller hold the same episodes, frame for frame."""
    clean, drawn = (Corpus.open(study.corpus(use, seen)) for seen in (CLEAN, MASKED))
    facts = [[(one.id, one.seed, one.frames, one.return_) for one in corpus.list_videos()] for corpus in (clean, drawn)]
    if facts[0] != facts[1]:
        raise FormatError(f"{clean.root} and {drawn.root} hold different episodes: remove both and re-run")
    for id in clean.ok_ids():
        one, other = (
            corpus.actions(RECORDED, id) if use == LEARN else truth_table(study.withheld(seen), id)
            for corpus, seen in ((clean, CLEAN), (drawn, MASKED))
        )
        if one is None or other is None or not one.equals(other):
            raise FormatError(f"{id} was played differently in {clean.root} and in {drawn.root}: remove both and re-run")


def copy_without_boxes(source: Path, target: Path) -> Corpus:
    """A corpus with the videos and rows of `source` in which no box says where a controller is drawn; its table is written last."""
    old, new = Corpus.open(source), Corpus.create(target)
    videos = old.list_videos()
    if [one.id for one in videos] != [one.id for one in new.list_videos()]:
        for one in videos:
            link_or_copy(source / one.path, target / one.path)
            if old.actions_path(RECORDED, one.id).exists():
                rows = Path("actions") / RECORDED / f"{one.id}.parquet"
                link_or_copy(source / rows, target / rows)
        new.put_videos(replace(one, overlay_px=None, overlay_of_px=None) for one in videos)
    return new


def _measure(study: MaskStudy, arm: Arm, seed: int) -> None:
    for test in TESTS:
        path = evaluation_file(study.out, arm.name, test, seed)
        if not path.exists():
            write_json(path, measure(study.corpus(TEST, test), study.run(f"{arm.name}-s{seed}"), study.withheld(test)))


def _write(study: MaskStudy) -> str:
    """Write results.json and the page from the evaluations that are there; returns the table for a terminal."""
    from ghostpad.lab.study.masks.page import write_page  # here, because matplotlib takes a second to import

    if not Corpus(study.corpus(TEST, MASKED)).catalogue.exists():
        raise SettingsError(f"{study.out} holds nothing to show yet: run the same command without --page")
    results = collect(study.out, study.seeds)
    results |= {"settings": read_json(study.out / "study.json"), "seconds": seconds_by_stage(study.out / "seconds.json")}
    write_json(study.out / "results.json", results)
    where = write_page(results, {seen: study.corpus(TEST, seen) for seen in TESTS}, study.out / "report.html")
    return f"{table_text(results)}\nMore in {where} and {study.out / 'results.json'}"

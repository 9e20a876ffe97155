"""The trial with footage: broken files of every kind beside good ones."""

import csv
import json
import re
from pathlib import Path

from ghostpad.base.records import read_facts
from ghostpad.corpus.folder import Corpus
from ghostpad.lab.bench.trust.stage import Stage, Trial, ended_badly, run
from ghostpad.lab.made_up.broken_videos import MadeVideo, make_broken_videos, make_good_videos
from ghostpad.label.labeller import label_source_of


def broken(stage: Stage, good: int) -> Trial:
    """Every good file is taken and labelled, every bad one is a row with the right reason, and the exit status says so.

    One that is damaged in the middle is labelled in its good parts, and its gaps are told. Broken ones are tried again when asked for.
    """
    trial, root, folder = Trial("broken files"), stage.corpus("broken"), stage.folder / "mixed"
    for part in ("broken", "good"):
        (folder / part).mkdir(parents=True)
    files = [*make_broken_videos(folder / "broken"), *make_good_videos(folder / "good", good)]
    made = {f"v{number:03d}": one for number, one in enumerate(files)}
    words = ["corpus", "add", str(root), str(_manifest(folder / "all.csv", made))]
    added = run(words)
    trial.expect(added.returncode == 1 and not ended_badly(added), f"corpus add ended with status {added.returncode}: {ended_badly(added)}")
    labelled = run(["label", str(root), "--idm", str(stage.idm)])
    right = labelled.returncode == 1 and not ended_badly(labelled)  # a single frame has no pad
    trial.expect(right, f"label ended with status {labelled.returncode}: {ended_badly(labelled) or labelled.stdout}")
    for id, one in made.items():
        wrong = _wrong(Corpus.open(root), label_source_of(stage.idm), id, one)
        trial.expect(not wrong, f"{one.name} ({one.outcome}): {wrong}")
    again = run([*words, "--retry", "is empty"])
    tried = {made[id].name for id, video in Corpus.open(root).find(made).items() if video.attempts > 1}
    right = "empty.mp4" in tried and "noise.mp4" not in tried
    trial.expect(again.returncode == 1 and right, f"--retry 'is empty' tried again: {', '.join(sorted(tried)) or 'nothing'}")
    return trial


def _manifest(path: Path, made: dict[str, MadeVideo]) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "id"))
        writer.writerows((one.path, id) for id, one in made.items())
    return path


def _wrong(corpus: Corpus, source: str, id: str, one: MadeVideo) -> str:
    """What is wrong with what the corpus says of a file; "" for nothing."""
    video = corpus.find([id]).get(id)
    if video is None:
        return "it has no row"
    is_within = "memory" in one.reason and video.status == "ok"  # of the commands, who may use more of it than `LIMITS`
    if not is_within and (one.outcome == "broken" or one.reason):
        right = video.status == "broken" and video.attempts == 1 and re.search(one.reason, video.reason or "")
        return "" if right else f"{video.status}, {video.attempts} attempts: {video.reason}"
    rows = corpus.actions(source, id)
    if one.frames < 2:
        return "" if rows is None else "one frame has no pad, and was labelled"
    if video.status != "ok" or rows is None:
        return f"{video.status}: {video.reason or 'it was not labelled'}"
    gaps = json.loads(read_facts(corpus.actions_path(source, id), "labels").get("gaps", "[]"))
    return "" if bool(gaps) == (one.outcome == "parts") else f"its gaps are {gaps}"

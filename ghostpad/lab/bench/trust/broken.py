"""The trial with footage: broken files of every kind beside good ones."""

from ghostpad.corpus.folder import Corpus
from ghostpad.lab.bench.trust.stage import Stage, Trial, bug_in, run
from ghostpad.lab.made_up.broken_videos import make_broken_videos, make_good_videos
from ghostpad.label.label import label_source_of


def broken(stage: Stage, good: int) -> Trial:
    """Every good file is taken and labelled, every bad one is a row with the right reason, and the exit status says so."""
    trial, root, folder = Trial("broken files"), stage.corpus("broken"), stage.folder / "mixed"
    for part in ("broken", "good"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    made = [*make_broken_videos(folder / "broken"), *make_good_videos(folder / "good", good)]
    added = run(["corpus", "add", str(root), *(str(one.path) for one in made)])
    trial.expect(added.returncode == 1 and not bug_in(added), f"corpus add ended with status {added.returncode}: {bug_in(added)}")
    labelled = run(["label", str(root), "--idm", str(stage.idm)])
    trial.expect(not bug_in(labelled), f"label: {bug_in(labelled)}")
    corpus = Corpus.open(root)
    rows = set(corpus.ids_with_rows(label_source_of(stage.idm)))
    told = added.stdout + added.stderr + labelled.stdout
    for one in made:
        lines = [line for line in told.splitlines() if str(one.path) in line or one.path.stem in line]
        is_labelled = one.path.stem in rows
        if one.outcome == "broken":
            trial.expect(not is_labelled and bool(lines), f"{one.name}: {lines or 'nothing was said about it'}")
        else:
            trial.expect(is_labelled, f"{one.name} ({one.outcome}) was not labelled: {lines}")
    return trial

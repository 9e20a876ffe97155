"""Train a policy on recorded pads, labelled footage, or a mixture of both.

Every video gives the best rows it has: its recorded pads, else an IDM's rows as weighed by confidence and verdicts. With both
kinds at hand a fixed share of every batch is truth, because a little truth everywhere beats a lot of filtered guesses (LAOM,
Genie). `oracle` puts withheld truth in the place of the labels, all else equal: the bound that no labels can beat.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ghostpad.base.errors import MissingError
from ghostpad.corpus.folder import Corpus
from ghostpad.feed.footage import Footage, first_minutes, label_source, labelled_rows, load_footage, truth_rows, withheld_rows
from ghostpad.feed.split import split_videos
from ghostpad.feed.window import WindowSpec
from ghostpad.idm.train import known_slots
from ghostpad.policy.model import Policy, policy_window
from ghostpad.policy.settings import PolicyRun
from ghostpad.policy.tune import hold_back, inherited_facts, start_from
from ghostpad.train.facts import corpus_facts
from ghostpad.train.loop import Training, train


@dataclass(frozen=True)
class TrainedPolicy:
    """What a training saw: minutes with recorded pads and with labels (or withheld truth), and the sources of the labels."""

    truth_minutes: float
    label_minutes: float
    sources: list[str]


def train_policy(corpora: Sequence[Path], out: Path, run: PolicyRun, oracle: Path | None = None, init: Path | None = None) -> TrainedPolicy:
    """Train to the end, or go on where an earlier process stopped; see `ghostpad.train.loop.train` for the errors.

    With `init` it starts from the weights of that finished run, whose settings of the model `run` must have
    (`ghostpad.policy.tune.finetune_settings`). Raises `MissingError` where a corpus without recorded pads has no labels either, or no
    verdicts on them, and as `ghostpad.policy.tune` does.
    """
    truth, labelled, facts = _gather(corpora, run, oracle)
    groups = [group for group in (truth, labelled) if group]
    if not groups:
        raise MissingError(
            f"no video of {', '.join(map(str, corpora))} has rows to learn from: 'ghostpad record' or 'ghostpad label' makes some"
        )
    shares = [run.data.truth_share, 1 - run.data.truth_share] if len(groups) == 2 else [1.0]
    sources = facts["labels"]
    if init is not None:
        facts = inherited_facts(init, out, facts)
    if run.tune.how != "full":
        facts = facts | {"tuned": run.tune.model_dump(mode="json")}

    def prepare(model: Policy) -> None:
        if init is not None:
            start_from(model, init)
        hold_back(model, run.tune)

    train(Training(Policy, run.model, facts, groups, shares, run.data, run.train, out, prepare))
    return TrainedPolicy(_minutes(truth), _minutes(labelled), sources)


def _gather(corpora: Sequence[Path], run: PolicyRun, oracle: Path | None) -> tuple[list[Footage], list[Footage], dict[str, Any]]:
    """Footage with recorded pads, footage with labels (or withheld truth), and the facts of both."""
    opened = [Corpus.open(path) for path in corpora]
    spec = policy_window(run.model)
    truth: list[Footage] = []
    labelled: list[Footage] = []
    sources: list[str] = []
    for corpus in opened:
        recorded, ok = set(corpus.labelled_ids("recorded")), corpus.ok_ids()
        learned, _ = split_videos([id for id in ok if id in recorded], run.data.validation_share)
        others = [id for id in ok if id not in recorded]
        truth += load_footage(corpus, learned, truth_rows, spec)
        if others:
            found, source = _labels(corpus, others, run, spec, oracle)
            labelled += first_minutes(found, run.data.label_minutes)
            sources.append(source)
    slots = known_slots(truth + labelled) if truth or labelled else []
    return truth, labelled, corpus_facts(opened) | {"slots": slots, "labels": sources, "oracle": oracle is not None}


def _labels(corpus: Corpus, videos: Sequence[str], run: PolicyRun, spec: WindowSpec, oracle: Path | None) -> tuple[list[Footage], str]:
    if oracle is not None:
        return load_footage(corpus, videos, withheld_rows(oracle), spec), "withheld truth"
    source = label_source(corpus, run.data.labels)
    if source is None:
        if run.data.labels == "none":
            return [], "none"
        raise MissingError(f"{corpus.root} has neither recorded pads nor labels: run 'ghostpad label {corpus.root} --idm RUN'")
    return load_footage(corpus, videos, labelled_rows(corpus, source, run.data), spec), source


def _minutes(footage: Sequence[Footage]) -> float:
    return float(sum(clip.pts_s[-1] - clip.pts_s[0] for clip in footage) / 60)

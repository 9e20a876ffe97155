"""Train a policy on recorded pads, pseudo-labels, or both.

Every video gives its recorded pads if it has any, else pseudo-labels weighted by confidence and verdicts. With both kinds a fixed share
of every batch is recorded, because some true rows everywhere beat many filtered guesses (LAOM, Genie). `oracle` replaces the
pseudo-labels by withheld pads: the upper bound of what labels can give.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ghostpad.base.errors import MissingError
from ghostpad.base.places import AnyPlace
from ghostpad.corpus.folder import Corpus
from ghostpad.feed.gather import corpus_facts, gather, known_slots
from ghostpad.policy.model import Policy, policy_window
from ghostpad.policy.settings import PolicyRun
from ghostpad.policy.tune import apply_tuning, finetune_facts, load_init
from ghostpad.train.loop import Training, train


@dataclass(frozen=True)
class TrainedPolicy:
    """The data of a training: minutes with recorded pads and with pseudo-labels (or withheld pads), minutes held out, and the sources of
    the pseudo-labels."""

    learned_minutes: float
    pseudo_label_minutes: float
    held_out_minutes: float
    sources: list[str]


def train_policy(
    corpora: Sequence[AnyPlace], out: Path, run: PolicyRun, oracle: Path | None = None, init: Path | None = None
) -> TrainedPolicy:
    """Train to the end, or resume where an earlier process stopped; see `ghostpad.train.loop.train` for the errors.

    With `init` it starts from the weights of that finished run; the model's settings in `run` must be the same
    (`ghostpad.policy.tune.finetune_settings`). Raises `MissingError` for a corpus with neither recorded pads nor pseudo-labels with
    verdicts, and as `ghostpad.policy.tune` does.
    """
    opened = [Corpus.open(path) for path in corpora]
    footage = gather(opened, run.data, policy_window(run.model), oracle)
    if not footage.groups:
        raise MissingError(
            f"no video of {', '.join(map(str, corpora))} has rows to learn from: 'ghostpad record' or 'ghostpad label' makes some"
        )
    slots = known_slots([*footage.recorded, *footage.pseudo])
    facts = corpus_facts(opened) | {"slots": slots, "labels": footage.sources, "oracle": oracle is not None} | footage.minutes
    if init is not None:
        facts = finetune_facts(init, out, facts)
    if run.tune.how != "full":
        facts = facts | {"tuned": run.tune.model_dump(mode="json")}

    def prepare(model: Policy) -> None:
        if init is not None:
            load_init(model, init)
        apply_tuning(model, run.tune)

    train(Training(Policy, run.model, facts, footage, run.data, run.train, out, prepare))
    return TrainedPolicy(**footage.minutes, sources=footage.sources)

"""`ghostpad lab`: the commands of the laboratory. The entry point `ghostpad.commands` in pyproject.toml leads here."""

from collections.abc import Sequence

from ghostpad.cli.main import Command, Groups, run

GROUPS: Groups = {
    "Studies": {
        "study idm": Command("ghostpad.lab.study.idm.run", "study_idm", "measure the IDM against targets, baselines and parts of itself"),
        "study masks": Command(
            "ghostpad.lab.study.masks.run", "study_masks", "measure what a drawn controller does to an IDM, masked and not"
        ),
        "study pseudo-labels": Command(
            "ghostpad.lab.study.pseudo_labels.run", "study_pseudo_labels", "measure what an IDM's pseudo-labels are worth to an agent"
        ),
        "study visible": Command(
            "ghostpad.lab.study.visible.run", "study_visible", "measure how much of sticks and trigger pictures can tell, by oracles"
        ),
    },
    "Made-up data": {
        "record": Command("ghostpad.lab.made_up.record", "lab_record", "record with a drawn controller, a lag, or as NitroGen shards"),
    },
    "Benchmarks": {
        "bench align": Command(
            "ghostpad.lab.bench.align", "bench_align", "measure whether known lags are found, by game, player and quality"
        ),
        "bench index": Command(
            "ghostpad.lab.bench.index", "bench_index", "measure what indexing a shard costs beside tar -tzf, and its memory"
        ),
        "bench label": Command(
            "ghostpad.lab.bench.label", "bench_label", "measure what labelling costs beside plain decoding, and its memory"
        ),
        "bench policy": Command(
            "ghostpad.lab.bench.policy", "bench_policy", "measure what a chunk of the policy costs beside the reference's schedule"
        ),
        "bench proxy": Command(
            "ghostpad.lab.bench.proxy", "bench_proxy", "measure what small copies cost beside plain decoding and resizing"
        ),
    },
}
"""Every command of the laboratory under its heading."""

COMMANDS: dict[str, Command] = {words: command for group in GROUPS.values() for words, command in group.items()}
"""Every command of the laboratory by the words that call it."""


def main(words: Sequence[str]) -> int:
    """Run the command of the laboratory that `words` name; returns the exit status."""
    return run("ghostpad lab", GROUPS, list(words))

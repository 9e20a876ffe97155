"""`ghostpad lab`: the commands of the laboratory. The entry point `ghostpad.commands` in pyproject.toml leads here."""

from ghostpad.cli.main import Command, Groups

GROUPS: Groups = {
    "Studies": {
        "study idm": Command("ghostpad.lab.study.idm.run", "study_idm", "the IDM against targets, baselines and parts of itself"),
        "study masks": Command("ghostpad.lab.study.masks.run", "study_masks", "what a drawn controller does to an IDM, masked or not"),
        "study pseudo-labels": Command("ghostpad.lab.study.pseudo_labels.run", "study_pseudo_labels", "what agents gain by pseudo-labels"),
        "study visible": Command("ghostpad.lab.study.visible.run", "study_visible", "the most that pictures can show, by oracles"),
    },
    "Made-up data": {
        "record": Command("ghostpad.lab.made_up.record", "lab_record", "record with a drawn controller, a lag, or as NitroGen shards"),
    },
    "Benchmarks": {
        "bench add": Command("ghostpad.lab.bench.add", "bench_add", "what adding short videos costs as a corpus grows"),
        "bench align": Command("ghostpad.lab.bench.align", "bench_align", "how well known lags are measured, by game, player and quality"),
        "bench catalogue": Command("ghostpad.lab.bench.catalogue", "bench_catalogue", "what a catalogue costs as it grows, beside SQLite"),
        "bench engines": Command("ghostpad.lab.bench.engines.run", "bench_engines", "kills under every engine, what one costs, its memory"),
        "bench feed": Command("ghostpad.lab.bench.feed", "bench_feed", "how the feed starts and goes on with thousands of hours"),
        "bench index": Command("ghostpad.lab.bench.index", "bench_index", "what indexing a shard costs beside tar -tzf"),
        "bench label": Command("ghostpad.lab.bench.label", "bench_label", "what labelling costs beside plain decoding"),
        "bench policy": Command("ghostpad.lab.bench.policy", "bench_policy", "what a chunk of actions costs beside the reference"),
        "bench trust": Command("ghostpad.lab.bench.trust.run", "bench_trust", "kills, two machines, outages, full disks: what is lost"),
        "bench proxy": Command("ghostpad.lab.bench.proxy", "bench_proxy", "what segments cost beside decoding and resizing"),
    },
}
"""Every command of the laboratory under its heading."""

COMMANDS: dict[str, Command] = {words: command for group in GROUPS.values() for words, command in group.items()}
"""Every command of the laboratory by the words that call it."""

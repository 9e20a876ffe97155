"""The front door: finds the command that was named, imports only its file, and turns errors into exit statuses.

`ghostpad` and `ghostpad --help` import nothing but the standard library, so the list of commands appears at once
(about 0.1 s; torch alone takes 2 s). A command's flags are the parameters of its function, read by tyro.

Exit status: 0 done, 1 an error the user can mend, 2 wrong words or settings, 130 stopped with Ctrl-C. Anything else is a
bug and keeps its traceback.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from ghostpad import __version__
from ghostpad.base.errors import GhostpadError, SettingsError, unknown


class Command(NamedTuple):
    """Where a command lives and what it does."""

    module: str
    """Name of its file in `ghostpad/cli/`, without the suffix."""
    function: str
    """The function whose parameters are the command's flags and whose docstring is its help."""
    summary: str
    """One line for the list of commands."""


COMMANDS: dict[str, Command] = {
    "record": Command("record", "record", "let a scripted player play a game; keep the video and the pad"),
    "corpus index": Command("corpus_index", "corpus_index", "put the labels of NitroGen's shards into a corpus"),
    "corpus fetch": Command("corpus_fetch", "corpus_fetch", "download the footage that is missing; say which sites lost it"),
    "corpus add": Command("corpus_add", "corpus_add", "add footage from elsewhere: probed, hashed, each content once"),
    "corpus proxy": Command("proxy", "proxy", "make small copies of the videos that can be read at any frame"),
    "corpus align": Command("corpus_align", "corpus_align", "measure how late each video's picture shows what its rows say"),
    "corpus leaks": Command("corpus_leaks", "corpus_leaks", "check that no button can be read beside the masks of drawn controllers"),
    "corpus status": Command("status", "status", "say what a corpus holds, what is missing and why, and what to run next"),
    "train idm": Command("train", "train_idm", "learn to read the pad between frames from footage with known pads"),
    "adapt idm": Command("adapt", "adapt_idm", "teach an IDM another game from a few minutes of known pads"),
    "label": Command("label", "label", "write the IDM's belief under every frame of a corpus"),
    "filter": Command("filter", "filter_labels", "say which labelled rows to believe, and count the hours"),
    "report": Command("report", "report", "put what came of it on one HTML page"),
    "train policy": Command("train", "train_policy", "train an agent on recorded pads, labels, or both"),
    "eval idm": Command("eval", "eval_idm", "measure an IDM against withheld pads, beside baselines"),
    "eval policy": Command("eval_policy", "eval_policy", "let an agent play games for a score, beside random, novice and expert"),
    "policy import-nitrogen": Command("policy_nitrogen", "import_nitrogen", "make a run of NitroGen's checkpoint, read safely"),
    "policy export-nitrogen": Command("policy_nitrogen", "export_nitrogen", "write such a run, tuned or not, as a NitroGen checkpoint"),
    "play": Command("play", "play", "watch an agent or a scripted player: each return, and a clip"),
    "demo": Command("demo", "demo", "run the whole pipeline on a real game and write its report"),
    "study idm": Command("study", "study_idm", "measure the IDM against targets, baselines and parts of itself, on one page"),
    "study masks": Command("study_masks", "study_masks", "measure what a drawn controller does to an IDM, masked and not"),
    "study promotion": Command("study_promotion", "study_promotion", "measure what an IDM's labels are worth to an agent"),
    "study visible": Command("study_visible", "study_visible", "measure how much of sticks and trigger pictures can tell, by oracles"),
    "bench align": Command("bench_align", "bench_align", "measure whether known lags are found again, by game, player and quality"),
    "bench index": Command("bench_index", "bench_index", "measure what indexing a shard costs beside tar -tzf, and its memory"),
    "bench label": Command("bench", "bench_label", "measure what labelling costs beside plain decoding, and its memory"),
    "bench policy": Command("bench_policy", "bench_policy", "measure what a chunk of the policy costs beside the reference's schedule"),
    "bench proxy": Command("bench_proxy", "bench_proxy", "measure what small copies cost beside plain decoding and resizing"),
    "proxy": Command("proxy", "proxy", "the same as 'corpus proxy'"),
    "status": Command("status", "status", "the same as 'corpus status'"),
    "settings": Command("settings", "settings", "list every setting of a training run, as a recipe"),
}
"""Every command by the words that call it, in the order of the pipeline."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (default: the process's) name; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except GhostpadError as error:
        for line in str(error).splitlines():
            print(f"ghostpad: error: {line}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ghostpad: stopped; the same command continues", file=sys.stderr)
        return 130


def overview() -> str:
    """The text of `ghostpad --help`: every command and what it does."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {words:<{width}}  {command.summary}" for words, command in COMMANDS.items())
    return (
        f"ghostpad {__version__}: gameplay video in, gamepad labels and agents out\n\n"
        f"usage: ghostpad COMMAND [flags]\n\n{commands}\n\n'ghostpad COMMAND --help' lists its flags"
    )


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help", "help"}:
        print(overview())
        return 0
    if words[0] == "--version":
        print(f"ghostpad {__version__}")
        return 0
    name = _find(words)
    return _run(name, words[len(name.split()) :])


def _find(words: list[str]) -> str:
    """The command that `words` begin with; raises `SettingsError` with the nearest one."""
    for count in (2, 1):
        if (name := " ".join(words[:count])) in COMMANDS:
            return name
    group = [name for name in COMMANDS if name.split()[0] == words[0]]
    if not group:
        raise unknown("command", words[0], {name.split()[0] for name in COMMANDS})
    if len(words) == 1 or words[1].startswith("-"):
        raise SettingsError(f"'{words[0]}' needs a second word: {', '.join(group)}")
    raise unknown("command", " ".join(words[:2]), group)


def _run(name: str, flags: list[str]) -> int:
    command = COMMANDS[name]
    function = getattr(import_module(f"ghostpad.cli.{command.module}"), command.function)
    import tyro  # here, because it takes longer to import than the list of commands takes to print

    tyro.cli(function, prog=f"ghostpad {name}", args=flags, config=(tyro.conf.FlagCreatePairsOff,))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The front door: finds the command that was named, imports only its file, and turns errors into exit statuses.

`ghostpad` and `ghostpad --help` import nothing but the standard library, so the list of commands appears at once
(about 0.1 s; torch alone takes 2 s). A command's flags are the parameters of its function, read by tyro.

Exit status: 0 done, 1 an error the user can mend, 2 wrong words or settings, 130 stopped with Ctrl-C. Anything else is a
bug and keeps its traceback.
"""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import NamedTuple

from ghostpad import __version__
from ghostpad.base.errors import GhostpadError, SettingsError, unknown


class Command(NamedTuple):
    """Where a command lives and what it does."""

    module: str
    """Name of its module."""
    function: str
    """The function whose parameters are the command's flags and whose docstring is its help."""
    summary: str
    """One line for the list of commands."""


Groups = Mapping[str, Mapping[str, Command]]
"""Heading -> the words that call a command -> the command."""

GROUPS: Groups = {
    "Footage": {
        "record": Command("ghostpad.cli.record", "record", "let a scripted player play a game; keep the video and the pad"),
        "corpus index": Command("ghostpad.cli.corpus_index", "corpus_index", "put the labels of NitroGen's shards into a corpus"),
        "corpus fetch": Command("ghostpad.cli.corpus_fetch", "corpus_fetch", "download missing footage; say which sites lost it"),
        "corpus add": Command("ghostpad.cli.corpus_add", "corpus_add", "add footage from elsewhere: probed, hashed, each content once"),
        "corpus align": Command("ghostpad.cli.corpus_align", "corpus_align", "measure how late each video shows what its rows say"),
        "corpus check-masks": Command(
            "ghostpad.cli.corpus_check_masks", "check_masks", "check that no button can be read beside the masks of drawn controllers"
        ),
        "corpus proxy": Command("ghostpad.cli.corpus_proxy", "proxy", "make small copies of the videos that can be read at any frame"),
        "corpus status": Command(
            "ghostpad.cli.corpus_status", "status", "say what a corpus holds, what is missing and why, and what to run next"
        ),
    },
    "Inverse dynamics model": {
        "train idm": Command("ghostpad.cli.train", "train_idm", "learn to read the pad between frames from footage with known pads"),
        "eval idm": Command("ghostpad.cli.eval_idm", "eval_idm", "measure an IDM against withheld pads, beside baselines"),
    },
    "Pseudo-labels": {
        "label": Command("ghostpad.cli.label", "label", "write the IDM's belief under every frame of a corpus"),
        "filter": Command("ghostpad.cli.filter", "filter_labels", "say which labelled rows to believe, and count the hours"),
    },
    "Agents": {
        "train policy": Command("ghostpad.cli.train", "train_policy", "train an agent on recorded pads, labels, or both"),
        "eval policy": Command(
            "ghostpad.cli.eval_policy", "eval_policy", "let an agent play games for a score, beside random, novice and expert"
        ),
        "play": Command("ghostpad.cli.play", "play", "watch an agent or a scripted player: each return, and a clip"),
        "import nitrogen": Command("ghostpad.cli.nitrogen", "import_nitrogen", "make a run of NitroGen's checkpoint, read safely"),
        "export nitrogen": Command("ghostpad.cli.nitrogen", "export_nitrogen", "write such a run, tuned or not, as a NitroGen checkpoint"),
    },
    "All of it": {
        "demo": Command("ghostpad.cli.demo", "demo", "run the whole pipeline on a real game and write its report"),
        "report": Command("ghostpad.cli.report", "report", "put what came of it on one HTML page"),
        "settings": Command("ghostpad.cli.settings", "settings", "list every setting of a training run, as a recipe"),
    },
}
"""Every command under its heading, in the order of the work."""

COMMANDS: dict[str, Command] = {words: command for group in GROUPS.values() for words, command in group.items()}
"""Every command by the words that call it."""

EXTENSIONS = "ghostpad.commands"
"""Entry points of this group add a first word of their own, such as `ghostpad lab`, whose function reads the words behind it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (default: the process's) name; returns the exit status."""
    return run("ghostpad", GROUPS, list(sys.argv[1:] if arguments is None else arguments))


def run(prog: str, groups: Groups, words: list[str]) -> int:
    """Run the command of `groups` that `words` begin with, errors told on stderr; returns the exit status."""
    try:
        return _dispatch(prog, groups, words)
    except GhostpadError as error:
        for line in str(error).splitlines():
            print(f"ghostpad: error: {line}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ghostpad: stopped; re-run the same command to resume", file=sys.stderr)
        return 130


def overview(prog: str = "ghostpad", groups: Groups = GROUPS) -> str:
    """The text of `ghostpad --help`: every command and what it does, under its heading."""
    width = max(len(words) for group in groups.values() for words in group)
    lines = [f"ghostpad {__version__}: gameplay video in, gamepad labels and agents out", "", f"usage: {prog} COMMAND [flags]"]
    for heading, group in groups.items():
        lines += ["", f"{heading}:", *(f"  {words:<{width}}  {command.summary}" for words, command in group.items())]
    more = f"'{prog} COMMAND --help' lists its flags"
    return "\n".join([*lines, "", more + ("; 'ghostpad lab --help' lists studies and benchmarks" if groups is GROUPS else "")])


def _dispatch(prog: str, groups: Groups, words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help", "help"}:
        print(overview(prog, groups))
        return 0
    if words[0] == "--version":
        print(f"ghostpad {__version__}")
        return 0
    commands = {name: command for group in groups.values() for name, command in group.items()}
    if groups is GROUPS and words[0] not in {name.split()[0] for name in commands}:
        for extension in entry_points(group=EXTENSIONS, name=words[0]):
            return int(extension.load()(words[1:]))
    name = _find(commands, words)
    return _run(prog, name, commands[name], words[len(name.split()) :])


def _find(commands: Mapping[str, Command], words: list[str]) -> str:
    """The command that `words` begin with; raises `SettingsError` with the nearest one."""
    for count in (2, 1):
        if (name := " ".join(words[:count])) in commands:
            return name
    group = [name for name in commands if name.split()[0] == words[0]]
    if not group:
        raise unknown("command", words[0], {name.split()[0] for name in commands})
    if len(words) == 1 or words[1].startswith("-"):
        raise SettingsError(f"'{words[0]}' needs a second word: {', '.join(group)}")
    raise unknown("command", " ".join(words[:2]), group)


def _run(prog: str, name: str, command: Command, flags: list[str]) -> int:
    function = getattr(import_module(command.module), command.function)
    import tyro  # here, because it takes longer to import than the list of commands takes to print

    tyro.cli(function, prog=f"{prog} {name}", args=flags, config=(tyro.conf.FlagCreatePairsOff,))
    return 0


if __name__ == "__main__":
    sys.exit(main())

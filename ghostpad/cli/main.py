"""The entry point: finds the command, imports only its file, and turns errors into exit statuses.

`ghostpad` and `ghostpad --help` import nothing but the standard library, so the list of commands appears at once
(about 0.1 s; torch alone takes 2 s). A command's flags are the parameters of its function, read by tyro.

Exit status: 0 done; 1 an error that the user can fix, or done but for videos that could not be read, which are listed; 2 wrong words or
settings; 130 stopped with Ctrl-C. Anything else is a bug and keeps its traceback.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from importlib import import_module
from importlib.metadata import entry_points
from typing import Literal, NamedTuple

from ghostpad import __version__
from ghostpad.base.errors import GhostpadError, SettingsError, unknown


class Command(NamedTuple):
    """Where a command lives and what it does."""

    module: str
    function: str  # its parameters are the command's flags, its docstring is the help
    summary: str  # for the list of commands


Groups = Mapping[str, Mapping[str, Command]]
"""Heading -> the words that call a command -> the command."""

GROUPS: Groups = {
    "Footage": {
        "record": Command("ghostpad.cli.record", "record", "let a scripted player play a game; save video and gamepad"),
        "corpus index": Command("ghostpad.cli.corpus_index", "corpus_index", "read NitroGen's label shards into a corpus"),
        "corpus fetch": Command("ghostpad.cli.corpus_fetch", "corpus_fetch", "download missing footage; report what is gone"),
        "corpus add": Command("ghostpad.cli.corpus_add", "corpus_add", "add videos, with or without a recorded gamepad"),
        "corpus align": Command("ghostpad.cli.corpus_align", "corpus_align", "measure how late each video shows its inputs"),
        "corpus check-masks": Command("ghostpad.cli.corpus_check_masks", "check_masks", "check that drawn controllers give no button away"),
        "corpus set-mask": Command("ghostpad.cli.corpus_set_mask", "set_mask", "say where a controller is drawn into videos"),
        "corpus proxy": Command("ghostpad.cli.corpus_proxy", "proxy", "make the copy that training reads"),
        "corpus status": Command("ghostpad.cli.corpus_status", "status", "show what a corpus holds, lacks and needs next"),
    },
    "Inverse dynamics model (IDM)": {
        "train idm": Command("ghostpad.cli.train", "train_idm", "train an IDM on recorded gamepads, or fine-tune one"),
        "eval idm": Command("ghostpad.cli.eval_idm", "eval_idm", "measure an IDM on withheld gamepads, beside baselines"),
    },
    "Pseudo-labels": {
        "label": Command("ghostpad.cli.label", "label", "predict gamepad labels for every frame of a corpus"),
        "filter": Command("ghostpad.cli.filter", "filter_labels", "choose which pseudo-labels to trust; count the hours"),
    },
    "Agents": {
        "train policy": Command("ghostpad.cli.train", "train_policy", "train an agent on recorded gamepads, pseudo-labels or both"),
        "eval policy": Command("ghostpad.cli.eval_policy", "eval_policy", "measure an agent's returns, beside scripted players"),
        "play": Command("ghostpad.cli.play", "play", "watch an agent or a scripted player; save a clip"),
        "import nitrogen": Command("ghostpad.cli.nitrogen", "import_nitrogen", "turn NitroGen's checkpoint into a run folder"),
        "export nitrogen": Command("ghostpad.cli.nitrogen", "export_nitrogen", "write such a run as a NitroGen checkpoint again"),
    },
    "The whole pipeline": {
        "demo": Command("ghostpad.cli.demo", "demo", "run everything on a real game and write its report"),
        "report": Command("ghostpad.cli.report", "report", "write an HTML report of a folder of results"),
    },
    "Settings and shell": {
        "settings": Command("ghostpad.cli.settings", "settings", "print every setting of a training run as a recipe"),
        "completion": Command("ghostpad.cli.main", "completion", "print a completion script for bash, zsh or fish"),
    },
}
"""Every command under its heading, in the order of the work."""

COMMANDS: dict[str, Command] = {words: command for group in GROUPS.values() for words, command in group.items()}
"""Every command by the words that call it."""

EXTENSIONS = "ghostpad.commands"
"""Entry points of this group add a first word of their own, such as `ghostpad lab`: a module whose `GROUPS` are the commands behind it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (default: the process's) name; returns the exit status."""
    return run("ghostpad", GROUPS, list(sys.argv[1:] if arguments is None else arguments))


def run(prog: str, groups: Groups, words: list[str]) -> int:
    """Run the command of `groups` that `words` begin with, and print its errors to stderr; returns the exit status."""
    try:
        return _dispatch(prog, groups, words)
    except GhostpadError as error:
        return _print_error(error)
    except Exception as error:
        from ghostpad.base.places import place_error  # here, because it takes longer to import than the list of commands takes to print

        if (told := place_error(error)) is None:
            raise
        return _print_error(told)
    except KeyboardInterrupt:
        print("ghostpad: stopped; re-run the same command to resume", file=sys.stderr)
        return 130


def _print_error(error: GhostpadError) -> int:
    for line in str(error).splitlines():
        print(f"ghostpad: error: {line}", file=sys.stderr)
    return error.exit_code


def overview(prog: str = "ghostpad", groups: Groups = GROUPS) -> str:
    """The text of `ghostpad --help`: every command and what it does, under its heading."""
    width = max(len(words) for group in groups.values() for words in group)
    lines = [f"ghostpad {__version__}: gameplay video in, gamepad labels and agents out", "", f"usage: {prog} COMMAND [flags]"]
    for heading, group in groups.items():
        lines += ["", f"{heading}:", *(f"  {words:<{width}}  {command.summary}" for words, command in group.items())]
    more = f"'{prog} COMMAND --help' lists its flags"
    return "\n".join([*lines, "", more + ("; 'ghostpad lab --help' lists studies and benchmarks" if groups is GROUPS else "")])


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print a script with which the tab key completes ghostpad's commands, flags, settings and their choices.

    Writes to the terminal only; print it again after an update. bash: 'ghostpad completion bash > ~/.ghostpad-completion' and
    'source ~/.ghostpad-completion' in ~/.bashrc. zsh: 'ghostpad completion zsh > ~/.zfunc/_ghostpad', with ~/.zfunc in fpath before
    compinit. fish: 'ghostpad completion fish > ~/.config/fish/completions/ghostpad.fish'.

    Args:
        shell: Your shell.
    """
    from ghostpad.cli.completion import completion_script  # here, because it imports tyro

    commands = dict(COMMANDS)
    for extension in entry_points(group=EXTENSIONS):
        commands |= {f"{extension.name} {words}": command for words, command in import_module(extension.module).COMMANDS.items()}
    print(completion_script({words: _function(command) for words, command in commands.items()}, shell))


def _function(command: Command) -> Callable[..., None]:
    function: Callable[..., None] = getattr(import_module(command.module), command.function)
    return function


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
            return _dispatch(f"ghostpad {words[0]}", import_module(extension.module).GROUPS, words[1:])
        if words[0] == "lab":
            raise SettingsError("'ghostpad lab' needs ghostpad to be installed, as its commands are entry points: pip install -e FOLDER")
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


def _run(prog: str, name: str, command: Command, words: list[str]) -> int:
    function = _function(command)
    import tyro  # here, because it takes longer to import than the list of commands takes to print

    from ghostpad.cli.flags import CONFIG, settings_registry, with_unknown

    # tyro only collects the values here, so that unknown words and all problems of the settings are reported together.
    called, unknown_words = tyro.cli(
        wraps(function)(lambda *values, **named: partial(function, *values, **named)),
        prog=f"{prog} {name}",
        args=words,
        config=CONFIG,
        registry=settings_registry(),
        return_unknown_args=True,
    )
    return with_unknown(called, unknown_words)() or 0  # a command returns its exit status, or nothing

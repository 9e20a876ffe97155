"""Scripts with which bash, zsh and fish complete commands, flags, settings and their choices, for `ghostpad completion`.

tyro writes the script. It contains every word, so the tab key starts neither ghostpad nor torch.
"""

import contextlib
import io
from collections.abc import Callable, Mapping
from typing import Any

from tyro.extras import SubcommandApp

from ghostpad.cli.flags import CONFIG, settings_registry

_FILES = {
    'if [[ "$completions" ==': 'if [[ -z "$completions" || "$completions" ==',
    'COMPREPLY=($(compgen -f -- "$cur"))': "COMPREPLY=()",
    "complete -F": "complete -o default -F",
    "complete --no-files": "complete",
}
"""Changes to tyro's script, which completes no file where one may stand without a flag, such as a corpus: let the shell do so."""


def completion_script(functions: Mapping[str, Callable[..., Any]], shell: str) -> str:
    """The script for `shell`. `functions` are the commands: the words that call each, and its function."""
    apps, script = {"": SubcommandApp()}, io.StringIO()

    def below(words: str) -> SubcommandApp:
        if words not in apps:
            above, _, last = words.rpartition(" ")
            apps[words] = below(above).command(SubcommandApp(), name=last)
        return apps[words]

    for words, function in functions.items():
        above, _, last = words.rpartition(" ")
        below(above).command(name=last)(function)
    with contextlib.redirect_stdout(script), contextlib.suppress(SystemExit):
        command, registry = ["--tyro-print-completion", shell], settings_registry(choices=True)
        below("").cli(prog="ghostpad", args=command, config=CONFIG, registry=registry)
    text = script.getvalue()
    for old, new in _FILES.items():
        text = text.replace(old, new)
    return text

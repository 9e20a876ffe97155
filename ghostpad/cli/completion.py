"""Scripts with which bash, zsh and fish complete commands, flags, settings and their choices, for `ghostpad completion`.

tyro writes the script. It holds all words itself, so that the tab key starts neither ghostpad nor torch.
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
"""tyro completes no file where a command takes one without a flag before it, such as a corpus: where it knows nothing, shells do."""


def completion_script(functions: Mapping[str, Callable[..., Any]], shell: str) -> str:
    """The script for `shell` that completes commands: the words that call each, and its function."""
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

"""Writes `docs/commands.md`: the help of every command, as the command prints it.

Run `python -m ghostpad.lab.docs docs/commands.md` (or `make docs`) after changing a command; a test compares the two.
"""

import contextlib
import io
import os
import sys
import textwrap
from pathlib import Path
from unittest.mock import patch

from ghostpad.base.files import atomic_path
from ghostpad.cli.main import COMMANDS, main, overview
from ghostpad.lab.main import COMMANDS as LAB_COMMANDS
from ghostpad.lab.main import GROUPS as LAB_GROUPS

WIDTH = 100  # columns of the page; with a terminal's own width the page would depend on who wrote it


def commands_page() -> str:
    """The whole page as markdown: the list of commands, then each one's help."""
    head = "# Commands\n\nWritten by `make docs` from the commands themselves: change the command, not this page.\n"
    parts = [head, _block(overview()), *map(_entry, COMMANDS)]
    parts += ["# The laboratory\n", _block(overview("ghostpad lab", LAB_GROUPS)), *(_entry(f"lab {words}") for words in LAB_COMMANDS)]
    return "\n".join(parts)


def _entry(name: str) -> str:
    return f"## ghostpad {name}\n\n{_block(help_text(name))}"


def help_text(name: str) -> str:
    """What `ghostpad <name> --help` prints into a file 100 columns wide: plain text, no colours."""
    printed = io.StringIO()
    with patch.dict(os.environ, COLUMNS=str(WIDTH)), contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*name.split(), "--help"])
    return printed.getvalue()


def _block(text: str) -> str:
    lines = [part for line in text.strip().splitlines() for part in textwrap.wrap(line, WIDTH) or [""]]
    return "```text\n" + "\n".join(lines) + "\n```\n"


if __name__ == "__main__":
    with atomic_path(Path(sys.argv[1])) as page:
        page.write_text(commands_page(), encoding="utf-8")

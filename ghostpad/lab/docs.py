"""Writes `docs/commands.md`: the help of every command, as the command prints it, so that the page cannot lie.

Run `python -m ghostpad.lab.docs docs/commands.md` (or `make docs`) after changing a command; a test compares the two.
"""

import contextlib
import io
import os
import sys
import textwrap
from pathlib import Path

from ghostpad.base.files import atomic_path
from ghostpad.cli.main import COMMANDS, main, overview
from ghostpad.lab.main import COMMANDS as LAB_COMMANDS
from ghostpad.lab.main import GROUPS as LAB_GROUPS

WIDTH = 100  # columns of the page; a terminal's own width would make the page depend on who wrote it


def commands_page() -> str:
    """The whole page as markdown: the list of commands, then each one's help."""
    head = "# Commands\n\nWritten by `make docs` from the commands themselves: change the command, not this page.\n"
    parts = [head, _block(overview())]
    parts += [f"## ghostpad {name}\n\n{_block(help_text(name))}" for name in COMMANDS]
    parts += ["# The laboratory\n", _block(overview("ghostpad lab", LAB_GROUPS))]
    parts += [f"## ghostpad {name}\n\n{_block(help_text(name))}" for name in (f"lab {words}" for words in LAB_COMMANDS)]
    return "\n".join(parts)


def help_text(name: str) -> str:
    """What `ghostpad <name> --help` prints into a file at a width of 100 columns: plain letters, no colours."""
    printed, before = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(WIDTH)
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main([*name.split(), "--help"])
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return printed.getvalue()


def _block(text: str) -> str:
    lines = [part for line in text.strip().splitlines() for part in textwrap.wrap(line, WIDTH) or [""]]
    return "```text\n" + "\n".join(lines) + "\n```\n"


if __name__ == "__main__":
    with atomic_path(Path(sys.argv[1])) as page:
        page.write_text(commands_page(), encoding="utf-8")

"""Writes `docs/api.md` from the signatures and docstrings of what other programs may use: `python -m ghostpad.lab.api_docs docs/api.md`
or `make docs`. Tests compare the two and run the examples."""

import ast
import inspect
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import ghostpad
from ghostpad.base.files import atomic_path
from ghostpad.base.pad import SLOTS
from ghostpad.corpus.folder import Corpus
from ghostpad.filters.contract import Filter
from ghostpad.games.spec import Game, GameSpec, Player, Step
from ghostpad.idm.model import Idm
from ghostpad.policy import from_nitrogen
from ghostpad.policy.model import Policy

WIDTH = 100  # columns at which a signature is wrapped

_HEAD = f"""# Python API

Written by `make docs` from the code: change the docstrings, not this page. The tests run its examples, in this order. Whole programs
are in [examples/](../examples). What is not on this page may change in any version.

`import ghostpad` loads nothing else: each of the names below loads its libraries when it is first used. `ghostpad.SLOTS` names the 25
numbers of a pad, in order: `{", ".join(SLOTS)}`. Buttons are 0...1; sticks are -1...1, right and **down** positive.
`ghostpad.GhostpadError` is the base of every error that a user can cause; it says what happened, to which file, and what to do next.
"""

CLASSES: dict[type, str] = {
    Corpus: "videos list_videos video_path ok_ids sources ids_with_rows actions write_actions verdicts add_video",
    Idm: "label predict slots_of", Policy: "act act_from sample sample_batch flow_loss quicken", Filter: "score keep",
    GameSpec: "", Step: "", Game: "reset step close", Player: "reset act",
}  # fmt: skip
"""The classes on the page, each with the methods that are meant for other programs."""


def api_page() -> str:
    """The whole page as markdown."""
    functions = {f"ghostpad.{name}": getattr(ghostpad, name) for name in ghostpad.__all__}
    functions["ghostpad.policy.from_nitrogen"] = from_nitrogen
    parts = [_HEAD, *(_entry("##", title, one) for title, one in functions.items() if inspect.isfunction(one))]
    for cls, methods in CLASSES.items():
        parts.append(f"## {cls.__name__}\n\n`{cls.__module__}.{cls.__name__}`\n\n{_text(cls)}")
        parts += [_entry("###", f"{cls.__name__}.{name}", getattr(cls, name)) for name in methods.split()]
    return "\n".join(parts)


def _entry(level: str, title: str, function: Any) -> str:
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body
    assert isinstance(node, ast.FunctionDef) and node.returns
    line = f"{title.rpartition('.')[2]}({ast.unparse(node.args)}) -> {ast.unparse(node.returns).strip(chr(39))}"
    return f"{level} {title}\n\n```python\n{textwrap.fill(line, WIDTH, subsequent_indent='    ')}\n```\n\n{_text(function)}"


def _text(documented: Any) -> str:
    """A docstring as markdown, with examples and columns in blocks of their own."""
    text = re.sub(r"^>>> (?s:.*?)(?=\n\n|\Z)", r"```pycon\n\g<0>\n```", inspect.getdoc(documented) or "", flags=re.MULTILINE)
    return re.sub(r"(?<=\n\n)\S+ {2,}\S(?s:.*?)(?=\n\n|\Z)", r"```text\n\g<0>\n```", text) + "\n"


if __name__ == "__main__":
    with atomic_path(Path(sys.argv[1])) as page:
        page.write_text(api_page(), encoding="utf-8")

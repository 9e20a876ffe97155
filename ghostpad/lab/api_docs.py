"""Writes `docs/api.md` from the signatures and docstrings of what other programs may use.

Run `python -m ghostpad.lab.api_docs docs/api.md` (or `make docs`) after changing one; a test compares the two and runs the examples.
"""

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Sequence
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

WIDTH = 100  # columns of a signature before it goes on in the next line

HEAD = """# Python API

Written by `make docs` from the code: change the docstrings, not this page. The tests run its examples, in this order. Whole programs
are in [examples/](../examples).

`import ghostpad` offers `{names}`. Each loads its libraries when it is first used. What is not on this page may change in any version.

`ghostpad.SLOTS` names the 25 numbers of a pad, in order: `{slots}`. Buttons are 0...1; sticks are -1...1, right and **down** positive.

`ghostpad.GhostpadError` is the base of every error that a user can cause. It says what happened, to which file, and what to do next.
"""

CLASSES: tuple[tuple[type, Sequence[str]], ...] = (
    (Corpus, ("videos", "video_path", "ok_ids", "sources", "labelled_ids", "actions", "write_actions", "verdicts", "add_video")),
    (Idm, ("label", "predict", "slots_of")),
    (Policy, ("act", "act_from", "sample", "sample_batch", "flow_loss", "quicken")),
    (Filter, ("score", "keep")),
    (GameSpec, ()),
    (Step, ()),
    (Game, ("reset", "step", "close")),
    (Player, ("reset", "act")),
)
"""The classes on the page, each with the methods that are meant for other programs."""


def api_page() -> str:
    """The whole page as markdown."""
    names = [name for name in ghostpad.__all__ if not name.startswith("__")]
    parts = [HEAD.format(names=", ".join(names), slots=", ".join(SLOTS))]
    parts += [_entry(f"ghostpad.{name}", getattr(ghostpad, name), "##") for name in names if inspect.isfunction(getattr(ghostpad, name))]
    parts.append(_entry("ghostpad.policy.from_nitrogen", from_nitrogen, "##"))
    for cls, methods in CLASSES:
        parts.append(f"## {cls.__name__}\n\n`{cls.__module__}.{cls.__name__}`\n\n{_text(cls)}")
        parts += [_entry(f"{cls.__name__}.{name}", getattr(cls, name), "###") for name in methods]
    return "\n".join(parts)


def _entry(title: str, function: Any, level: str) -> str:
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body
    assert isinstance(node, ast.FunctionDef) and node.returns
    line = f"{title.rpartition('.')[2]}({ast.unparse(node.args)}) -> {ast.unparse(node.returns).strip(chr(39))}"
    return f"{level} {title}\n\n```python\n{chr(10).join(textwrap.wrap(line, WIDTH, subsequent_indent='    '))}\n```\n\n{_text(function)}"


def _text(found: Any) -> str:
    """A docstring as markdown: examples and lists in columns stand in blocks of their own."""
    text = inspect.getdoc(found) or ""
    paragraphs = []
    for paragraph in text.split("\n\n"):
        kind = "pycon" if paragraph.startswith(">>>") else "text" if re.search(r"^\S+ {2,}\S", paragraph, re.MULTILINE) else None
        paragraphs.append(f"```{kind}\n{paragraph}\n```" if kind else paragraph)
    return "\n\n".join(paragraphs) + "\n"


if __name__ == "__main__":
    with atomic_path(Path(sys.argv[1])) as page:
        page.write_text(api_page(), encoding="utf-8")

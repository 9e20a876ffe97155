"""Tables for a terminal, laid out by rich without colours or lines, so that they can be pasted elsewhere; and lists cut to fit it."""

from collections.abc import Iterable, Sequence
from io import StringIO

MOST_LINES = 12
"""Most lines of one kind; one line sums up any others, so that all fits a screen."""

MOST_NAMES = 4
"""Most names on a line."""


def text_table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A table as wide as its contents need: the first `left` columns aligned to the left, the numbers after them to the right."""
    from rich.console import Console  # here, because commands that print no table need not wait for it
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, name in enumerate(head):
        table.add_column(name, justify="left" if place < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    text = StringIO()
    Console(file=text, width=1000, color_system=None, markup=False, emoji=False, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def few_lines(lines: list[str], what: str, count: int | None = None) -> list[str]:
    """The first of `count` lines (None: of those given), at most `MOST_LINES`; the last then says how many more `what` there are."""
    count = len(lines) if count is None else count
    kept = lines if count <= MOST_LINES else lines[: MOST_LINES - 1]
    return kept + ([f"  and {count - len(kept)} more {what}: see --json"] if count > len(kept) else [])


def few_names(names: Sequence[str], count: int) -> str:
    """The first of `count` names, at most `MOST_NAMES`, and how many more there are."""
    others = f" and {count - MOST_NAMES} more" if count > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + others

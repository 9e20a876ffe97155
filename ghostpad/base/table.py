"""Tables for a terminal, laid out by rich without colours or lines, so that they can be pasted elsewhere."""

from collections.abc import Iterable, Sequence
from io import StringIO


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

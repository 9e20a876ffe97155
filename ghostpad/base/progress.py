"""Progress of long work: a bar with rate and time left on a terminal, a plain line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_EVERY_S = 15.0
"""Seconds between two lines where the output is not a terminal (a guess at what suits a log)."""

Advance = Callable[[float], None]
"""Call it with the amount of work done since the last call."""


@contextmanager
def progress(title: str, total: float, unit: str, start: float = 0.0, note: Callable[[], str] = lambda: "") -> Iterator[Advance]:
    """Show `title` with done/total `unit`, rate, seconds left and a `note` while the block runs; `start` is work of an earlier process."""
    if sys.stderr.isatty():
        yield from _bar(title, total, unit, start, note)
    else:
        yield from _lines(title, total, unit, start, note)


def _bar(title: str, total: float, unit: str, start: float, note: Callable[[], str]) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.4g}/{task.total:.4g} " + unit + ", {task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=start, rate="", note="")  # type: ignore[arg-type]

        def advance(amount: float) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, advance=amount, rate=f"{speed:.3g} {unit}/s" if speed else "", note=note())

        yield advance


def _lines(title: str, total: float, unit: str, start: float, note: Callable[[], str]) -> Iterator[Advance]:
    done, began, last = start, time.monotonic(), time.monotonic()

    def advance(amount: float) -> None:
        nonlocal done, last
        done += amount
        now = time.monotonic()
        if now - last >= LINE_EVERY_S:
            last = now
            rate = (done - start) / (now - began)
            left = f"{(total - done) / rate:.0f} s left" if rate > 0 else ""
            parts = [f"{title}: {done:.4g}/{total:.4g} {unit}", f"{rate:.3g} {unit}/s", *filter(None, [left, note()])]
            print(", ".join(parts), file=sys.stderr, flush=True)

    yield advance

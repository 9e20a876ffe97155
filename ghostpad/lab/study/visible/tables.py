"""The tables that `ghostpad lab study visible` prints of its report."""

from collections.abc import Mapping
from typing import Any

from ghostpad.base.lines import text_table
from ghostpad.cli.quality import number
from ghostpad.lab.study.visible.plan import NET, SLOTS

TESTS = ("novice", "expert")
"""Whose tracks the oracles of the sticks are tested on."""


def table_text(report: Mapping[str, Any]) -> str:
    """Oracles of the sticks, the expert's forward stick by value, and the visible share of the trigger."""
    doom, defend = report["doom"], report["doom-defend"]
    head = [f"{stick}, {name}" for stick in SLOTS for name in TESTS]
    rows = [
        (who, *(f"{number(scores[name][stick])} ({number(doom['rmse'][who][name][stick])})" for stick in SLOTS for name in TESTS))
        for who, scores in doom["r2"].items()
    ]
    free = ", ".join(f"{name} {_percent(doom['free_share'][name])}" for name in TESTS)
    values = []
    for one in doom["expert_forward"]:
        net, held, way = one["oracles"][NET], f"{one['hold_frames']:.1f} frames", f"{one['ahead_units']:.1f} units"
        read = [f"{one['turn']:.2f}", f"{net['mean']:.2f}", _percent(net["error_share"])]
        values.append([f"{one['value']:.2f}", _percent(one["share"]), _percent(one["free_share"]), held, way, *read])
    shares = [(player, *(f"{_percent(one['visible_share'])} of {one['n']}" for one in each.values())) for player, each in defend.items()]
    names = [name.replace("_", " ") for name in next(iter(defend.values()))]
    parts = [
        text_table(("Doom, R2 (RMSE) of an oracle", *head), rows) + f"\nfree rows: {free}",
        text_table(("expert forward", "rows", "free", "held", "way ahead", "|turn|", "net reads", "of its error"), values),
        text_table(("doom-defend, visible", *names), shares),
    ]
    return "\n\n".join(parts)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"

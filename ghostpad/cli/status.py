"""`ghostpad status`: what a corpus holds."""

from json import dumps
from pathlib import Path

from ghostpad.cli.arguments import CorpusPath
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.summary import Summary, summarise


def status(corpus: CorpusPath, *, json: bool = False) -> None:
    """Say what a corpus holds: hours by game and player, who labelled what, which stretches are kept, what is broken and why.

    Writes nothing.

    Args:
        json: Print JSON for programs instead of lines for people.
    """
    summary = summarise(Corpus.open(corpus))
    print(dumps(summary, indent=2) if json else _lines(corpus, summary))


def _lines(corpus: Path, summary: Summary) -> str:
    total = {key: sum(group[key] for group in summary["videos"]) for key in ("videos", "hours")}
    lines = [f"{corpus}: {_amount(total)}"]
    for group in summary["videos"]:
        lines.append(f"  {group['game'] or 'unknown game'} by {group['player'] or 'unknown player'}, {group['status']}: {_amount(group)}")
    lines += [f"  broken: {reason}: {', '.join(ids)}" for reason, ids in summary["broken"].items()]
    lines += [f"rows from {source}: {_amount(amount)}" for source, amount in summary["sources"].items()] or ["no rows yet"]
    for name, reasons in summary["verdicts"].items():
        lines.append(f"verdicts {name}: " + ", ".join(f"{reason} {hours:.2f} h" for reason, hours in reasons.items()))
    lines += [f"small copies at {px} px: {count} videos" for px, count in summary["proxies"].items()]
    return "\n".join(lines)


def _amount(amount: dict[str, float]) -> str:
    return f"{amount['videos']:.0f} videos, {amount['hours']:.2f} h"

"""`ghostpad corpus status`: what a corpus holds, what it lacks and why, and what to run next."""

from json import dumps
from pathlib import Path

from ghostpad.cli.arguments import CorpusPath
from ghostpad.cli.main import COMMANDS
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.nitrogen_videos import NOT_FETCHED
from ghostpad.corpus.summary import Summary, summarise

MOST_LINES = 12
"""Lines of one kind before the rest is one line: it has to fit a screen."""

MOST_NAMES = 4
"""Names of broken videos on a line."""


def status(corpus: CorpusPath, *, json: bool = False) -> None:
    """Say what a corpus holds: hours by game, source and state, who labelled what, what is missing or broken and why, what to run next.

    Writes nothing.

    Args:
        json: Print JSON for programs instead of lines for people: videos, chunks, hours, by_game, by_state, broken, and more.
    """
    summary = summarise(Corpus.open(corpus))
    print(dumps(summary, indent=2) if json else status_text(corpus, summary))


def status_text(corpus: Path, summary: Summary) -> str:
    """The lines that the command prints."""
    chunks = f", {summary['chunks']} chunks of labels" if summary["chunks"] else ""
    lines = [f"{corpus}: {_amount(summary)}{chunks}"]
    groups = sorted(summary["groups"], key=lambda group: -group["hours"])
    lines += _few([f"  {_group(group)}: {_amount(group)}" for group in groups], "groups")
    lines += _few([f"missing: {reason}: {count} videos" for reason, count in summary["missing"].items()], "reasons")
    lines += _few([f"broken: {reason}: {count}{_names(summary, reason)}" for reason, count in summary["broken"].items()], "reasons")
    lines += [f"rows from {source}: {_amount(amount)}" for source, amount in summary["sources"].items()] or ["no rows yet"]
    for name, reasons in summary["verdicts"].items():
        lines.append(f"verdicts {name}: " + ", ".join(f"{reason} {hours:.2f} h" for reason, hours in reasons.items()))
    lines += [f"small copies at {px} px: {count} videos" for px, count in summary["proxies"].items()]
    lines += [f"next: ghostpad {command}  ({why})" for command, why in next_steps(corpus, summary)]
    return "\n".join(lines)


def next_steps(corpus: Path, summary: Summary) -> list[tuple[str, str]]:
    """Commands that would bring a corpus on, the first one first, each with the reason. Only commands that there are."""
    ok = summary["by_state"].get("ok", {"videos": 0})["videos"]
    unfetched = summary["missing"].get(NOT_FETCHED, 0)
    copies = max(summary["proxies"].values(), default=0)
    steps = []
    if not summary["videos"]:
        steps.append(("record GAME --out " + str(corpus), "there are no videos"))
    if unfetched:
        steps.append((f"corpus fetch {corpus}", f"{unfetched} videos are not fetched yet"))
    if summary["chunks"] and summary["aligned"] < ok:
        steps.append((f"corpus align {corpus}", f"the lag of {ok - summary['aligned']} videos was not measured"))
    if copies < ok:
        steps.append((f"corpus proxy {corpus}", f"{ok - copies} videos have no small copy"))
    if ok and RECORDED in summary["sources"]:
        steps.append((f"train idm {corpus} --out RUN", "there are recorded rows to learn from"))
    elif ok and not summary["sources"]:
        steps.append((f"label {corpus} --idm RUN", "no video has rows"))
    known = {words.split()[0] for words in COMMANDS if " " not in words} | set(COMMANDS)
    return [(words, why) for words, why in steps if " ".join(words.split()[:2]) in known or words.split()[0] in known]


def _group(group: Summary) -> str:
    by = f" by {group['player'] or 'unknown player'}" if group["player"] or not group["source"] else ""
    return f"{group['game'] or 'unknown game'}{by}, {group['source'] or 'unknown source'}, {group['status']}"


def _names(summary: Summary, reason: str) -> str:
    ids = summary["broken_videos"].get(reason, [])
    rest = f" and {len(ids) - MOST_NAMES} more" if len(ids) > MOST_NAMES else ""
    return f" ({', '.join(ids[:MOST_NAMES])}{rest})" if ids else ""


def _few(lines: list[str], what: str) -> list[str]:
    kept = lines if len(lines) <= MOST_LINES else lines[: MOST_LINES - 1]
    return kept + ([f"  and {len(lines) - len(kept)} more {what}: see --json"] if len(lines) > len(kept) else [])


def _amount(amount: Summary) -> str:
    return f"{amount['videos']:.0f} videos, {amount['hours']:.2f} h"

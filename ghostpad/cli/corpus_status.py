"""`ghostpad corpus status`: what a corpus holds, what is missing and why, and what to run next."""

from json import dumps

from ghostpad.base.lines import MOST_LINES, few_lines, few_names, text_table
from ghostpad.base.places import Place
from ghostpad.cli.arguments import CorpusPath
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.nitrogen.videos import NOT_FETCHED
from ghostpad.corpus.summary import Amount, Group, Summary, summarise


def status(corpus: CorpusPath, *, json: bool = False) -> None:
    """Show what a corpus holds: hours by game, source and state; sources of rows; what is missing or broken and why; what to run next.

    Writes nothing.

    Args:
        json: Print JSON instead: videos, chunks, hours, by_game, by_state, broken, and more.
    """
    summary = summarise(Corpus.open(corpus))
    print(dumps(summary, indent=2) if json else status_text(corpus, summary))


def status_text(corpus: Place, summary: Summary) -> str:
    """The lines that the command prints."""
    chunks = f", {summary['chunks']} chunks of labels" if summary["chunks"] else ""
    lines = [f"{corpus}: {_amount(summary)}{chunks}"]
    lines += few_lines(_table(summary["groups"][:MOST_LINES]), "groups", len(summary["groups"]) + 1)
    lines += few_lines([f"missing: {reason}: {count} videos" for reason, count in summary["missing"].items()], "reasons")
    lines += few_lines([f"broken: {reason}: {count}{_names(summary, reason)}" for reason, count in summary["broken"].items()], "reasons")
    lines += [f"rows from {source}: {_amount(amount)}" for source, amount in summary["sources"].items()] or ["no rows yet"]
    for name, reasons in summary["verdicts"].items():
        lines.append(f"verdicts {name}: " + ", ".join(f"{reason} {hours:.2f} h" for reason, hours in reasons.items()))
    lines += [f"segments of {picture}: {count} videos" for picture, count in summary["proxies"].items()]
    lines += [f"next: ghostpad {command}  ({why})" for command, why in next_steps(corpus, summary)]
    return "\n".join(lines)


def next_steps(corpus: Place, summary: Summary) -> list[tuple[str, str]]:
    """The commands to run next, in order, each with the reason."""
    undone, steps = summary["undone"], []
    unfetched = summary["missing"].get(NOT_FETCHED, 0)
    if not summary["videos"]:
        steps.append((f"record GAME --out {corpus}", "there are no videos"))
        steps.append((f"corpus add {corpus} FILES", "or add your own"))
    if unfetched:
        steps.append((f"corpus fetch {corpus}", f"{unfetched} videos are not fetched yet"))
        steps.append((f"corpus add {corpus} FILES", "or, if you have the files: <id>.mp4 joins its labels"))
    if undone["align"]:
        steps.append((f"corpus align {corpus}", f"{undone['align']} videos have labels whose lag was not measured"))
    if undone["learn"]:
        steps.append((f"train idm {corpus} --out RUN", f"{undone['learn']} videos have recorded rows to learn from"))
    if undone["label"]:
        steps.append((f"label {corpus} --idm RUN", f"{undone['label']} videos have no rows"))
    return steps


def _table(groups: list[Group]) -> list[str]:
    rows = []
    for group in groups:
        words = (group["game"], group["player"], group["source"], group["status"])
        rows.append([*(word or "unknown" for word in words), str(group["videos"]), f"{group['hours']:.2f}"])
    table = text_table(["game", "player", "source", "state", "videos", "hours"], rows, left=4)
    return [f"  {line}" for line in table.splitlines()] if groups else []


def _names(summary: Summary, reason: str) -> str:
    ids = summary["broken_videos"].get(reason, [])
    return f" ({few_names(ids, len(ids))})" if ids else ""


def _amount(amount: Amount | Summary) -> str:
    return f"{amount['videos']:.0f} videos, {amount['hours']:.2f} h"

"""`ghostpad corpus fetch`: the footage of videos whose recorded rows are there."""

from ghostpad.base.settings import load_settings
from ghostpad.cli.arguments import CorpusPath
from ghostpad.cli.flags import Flags, SettingFlags
from ghostpad.corpus.fetch.errors import KINDS
from ghostpad.corpus.fetch.fetch import fetch_corpus
from ghostpad.corpus.fetch.ledger import link_rot
from ghostpad.corpus.fetch.settings import FetchSettings
from ghostpad.corpus.folder import Corpus

FETCH = Flags(FetchSettings())
"""How to fetch."""


def corpus_fetch(corpus: CorpusPath, *, videos: str | None = None, report: bool = False, settings: SettingFlags = FETCH) -> None:
    """Download the videos that are missing, with yt-dlp: the site's own pictures, their frame rate at least that of the recorded rows.

    Of a video whose rows cover less than 80 % only those stretches are asked for where the site allows (HLS, DASH, plain files with
    ranges); frames keep the time they have in the whole. A video appears in videos/ when it is complete, or not at all.
    Two at a time from one site; a site that asks for fewer requests gets a pause. Every try is kept in fetch/ledger.jsonl. Safe
    to interrupt: re-run to resume, also within a file.

    Args:
        videos: Only these, by id, with commas (--videos=-abc for an id that begins with a dash).
        report: Download nothing; say by site what became of what was asked for.
    """
    opened = Corpus.open(corpus)
    if not report:
        chosen = load_settings(FetchSettings, None, settings.values)
        counts = fetch_corpus(opened, chosen, videos.split(",") if videos else None)
        again = f"; {counts.skipped} that failed before were not asked again (--retry-failed true)" if counts.skipped else ""
        print(f"{corpus}: {counts.fetched} videos fetched, {len(counts.failed)} failed{again}")
        if not (counts.fetched or counts.failed or counts.skipped):
            print("  no video that has an address is missing")
        for id, failure in sorted(counts.failed.items()):
            print(f"  {id}: {failure.kind}: {failure.words}")
    print(report_text(link_rot(opened.root)))


def report_text(sites: dict[str, dict[str, int]]) -> str:
    """A line a site: how many videos were asked for and what became of them; then what the words mean."""
    if not sites:
        return "nothing was asked for yet"
    lines = []
    for site, outcomes in sites.items():
        lines.append(f"{site}: {sum(outcomes.values())} asked for: " + ", ".join(f"{count} {kind}" for kind, count in outcomes.items()))
    seen = [kind for kind in KINDS if any(kind in outcomes for outcomes in sites.values())]
    return "\n".join(lines + [f"  {kind}: {KINDS[kind]}" for kind in seen])

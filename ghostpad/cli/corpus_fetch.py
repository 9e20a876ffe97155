"""`ghostpad corpus fetch`: download the footage of indexed labels."""

from ghostpad.base.settings import load_settings
from ghostpad.cli.arguments import CorpusPath
from ghostpad.cli.flags import Flags, SettingFlags
from ghostpad.corpus.fetch.downloads import Downloads
from ghostpad.corpus.fetch.errors import KINDS
from ghostpad.corpus.fetch.fetch import FetchCounts, fetch_corpus
from ghostpad.corpus.fetch.settings import FetchSettings
from ghostpad.corpus.folder import Corpus

_FETCH = Flags(FetchSettings())


def corpus_fetch(corpus: CorpusPath, *, videos: str | None = None, report: bool = False, settings: SettingFlags = _FETCH) -> int:
    """Download the missing videos with yt-dlp, not re-encoded, at a frame rate no lower than that of the recorded rows.

    If the rows cover less than 80 % of a video, only those stretches are downloaded where the site allows it (HLS, DASH, plain files with
    ranges); frames keep their time stamps in the whole video. A video appears in videos/ when it is complete, or not at all. Downloads two
    at a time from a site, and pauses for a site that asks for fewer requests. Notes the last attempt at every video in fetch/. A file that
    is gone or was cut short is fetched again. Safe to interrupt, and beside other machines: re-run to resume, even within a file. The exit
    status is 1 if videos failed, now or before.

    Args:
        videos: Fetch only these ids, with commas between them (--videos=-abc for an id that begins with a dash).
        report: Download nothing; print the outcome of earlier downloads, site by site.
    """
    opened, failed = Corpus.open(corpus), False
    if not report:
        chosen = load_settings(FetchSettings, None, settings.values)
        counts = fetch_corpus(opened, chosen, videos.split(",") if videos else None)
        again = f"; {counts.skipped} that failed before were not tried again (--retry all)" if counts.skipped else ""
        print(f"{corpus}: {counts.fetched} videos fetched, {len(counts.failed)} failed{again}")
        if counts.elsewhere:
            print(f"  {counts.elsewhere} were or are being fetched by another process")
        if counts == FetchCounts():
            print("  nothing to fetch: no video with an address is missing")
        for id, failure in sorted(counts.failed.items()):
            print(f"  {id}: {failure.kind}: {failure.words}")
        failed = bool(counts.failed or counts.skipped)
    print(report_text(Downloads(opened).link_rot()))
    return 1 if failed else 0


def report_text(sites: dict[str, dict[str, int]]) -> str:
    """A line a site: how many videos were requested, and with what outcomes; then the meaning of each outcome."""
    if not sites:
        return "nothing was requested yet"
    lines = [
        f"{site}: {sum(outcomes.values())} requested: {', '.join(f'{count} {kind}' for kind, count in outcomes.items())}"
        for site, outcomes in sites.items()
    ]
    seen = [kind for kind in KINDS if any(kind in outcomes for outcomes in sites.values())]
    return "\n".join(lines + [f"  {kind}: {KINDS[kind]}" for kind in seen])

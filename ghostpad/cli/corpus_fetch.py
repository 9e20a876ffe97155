"""`ghostpad corpus fetch`: the footage of videos whose labels are there."""

from pathlib import Path

from pydantic import ByteSize, TypeAdapter, ValidationError

from ghostpad.base.errors import SettingsError
from ghostpad.cli.arguments import CorpusPath
from ghostpad.corpus.fetch.errors import KINDS
from ghostpad.corpus.fetch.fetch import fetch_corpus
from ghostpad.corpus.fetch.ledger import link_rot
from ghostpad.corpus.fetch.settings import FetchSettings
from ghostpad.corpus.folder import Corpus

_DEFAULT = FetchSettings()


def corpus_fetch(
    corpus: CorpusPath,
    *,
    videos: str | None = None,
    whole: bool = False,
    rate_limit: str | None = None,
    min_rate: str = "5K",
    cookies: Path | None = None,
    workers: int = _DEFAULT.workers,
    max_height: int = _DEFAULT.max_height,
    retry_failed: bool = False,
    report: bool = False,
) -> None:
    """Download the videos that are missing, with yt-dlp: the site's own pictures, their frame rate at least that of the labels.

    Of a video whose labels cover less than 80 % only those stretches are asked for where the site allows (HLS, DASH, plain files with
    ranges); frames keep the time they have in the whole. A video appears in videos/ when it is complete, or not at all.
    Two at a time from one site; a site that asks for fewer requests gets a pause. Every try is kept in fetch/ledger.jsonl. Safe to
    interrupt: re-run to resume, also within a file.

    Args:
        videos: Only these, by id, with commas (--videos=-abc for an id that begins with a dash).
        whole: The whole of every video.
        rate_limit: Bytes a second of one download, for example 2M.
        min_rate: Bytes a second below which a connection counts as stalled (0: none does).
        cookies: A file of cookies of your browser (Netscape format), for what needs a login.
        workers: Downloads at a time, over all sites.
        max_height: Pixels; more only where nothing smaller has the frame rate of the labels.
        retry_failed: Ask again for what failed for good before (dead, private, geo-blocked, ...).
        report: Download nothing; say by site what became of what was asked for.
    """
    opened = Corpus.open(corpus)
    if not report:
        settings = FetchSettings(
            max_height=max_height,
            whole=whole,
            workers=workers,
            rate_limit=bytes_of(rate_limit) if rate_limit else None,
            min_rate=bytes_of(min_rate),
            cookies=cookies,
            retry_failed=retry_failed,
        )
        counts = fetch_corpus(opened, settings, videos.split(",") if videos else None)
        again = f"; {counts.skipped} that failed before were not asked again (--retry-failed)" if counts.skipped else ""
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


def bytes_of(text: str) -> float:
    """Bytes out of 500K, 2M, 1.5G or plain digits. Raises `SettingsError` for anything else."""
    try:
        return float(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError:
        raise SettingsError(f"a rate is '{text}': write bytes a second, for example 500K or 2M") from None

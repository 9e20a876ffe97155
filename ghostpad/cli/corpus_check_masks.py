"""`ghostpad corpus check-masks`: whether the pad can be read beside the masks, or where one is missing."""

from ghostpad.base.errors import GhostpadError, MissingError
from ghostpad.base.progress import progress
from ghostpad.cli.arguments import CorpusPath
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.leaks.picture import write_leak_picture
from ghostpad.corpus.leaks.probe import LEAK_EXCESS, Probe, probe_leaks
from ghostpad.corpus.masks import MARGIN_PX

_ROW = "{:<28} {:<8} {:<12} {:<16} {:>6} {:>6} {:>6} {:>6} {:>7}"
_FAILURES = {
    "LEAKS": f"leak (excess above {LEAK_EXCESS:g}): correct their boxes with 'ghostpad corpus set-mask'",
    "broken": "are broken: correct the file, or the box with 'ghostpad corpus set-mask', as the line above says",
}


def check_masks(corpus: CorpusPath, *, margin_px: int = MARGIN_PX) -> None:
    """Check that nothing beside the masks of drawn controllers gives the buttons away, and that no drawn controller lacks a mask.

    Tries to read the pad from the pixels along each side of a video's mask, or from the corners of a video that has none, and prints a line
    a video: the place and the button read best there; how well it is read (AUC) there, further out, elsewhere in the picture, and with the
    rows moved in time; and the excess in log odds, which fails above 1. For a video that fails, leaks/<id>.png shows where. Exits with
    status 1 if one fails: correct its box with 'ghostpad corpus set-mask'. A video that cannot be read is reported and left as it is.

    Args:
        margin_px: Margin of the masks around the box in pixels, 8 everywhere else; below 0 the masks are too small on purpose.
    """
    opened = Corpus.open(corpus)
    recorded = set(opened.ids_with_rows(RECORDED))
    videos = [one for one in opened.list_videos() if one.status == "ok" and (one.overlay_px is not None or one.id in recorded)]
    if not videos:
        raise MissingError(f"{corpus} has no video with footage and recorded rows or a drawn controller: fetch footage, or record some")
    verdicts: list[str] = []
    print(_ROW.format("video", "verdict", "place", "reads best", "there", "beside", "others", "moved", "excess"))
    with progress("leaks", len(videos), "videos") as advance:
        for video in videos:
            picture = opened.root / "leaks" / f"{video.id}.png"
            try:
                probe = probe_leaks(opened, video, margin_px=margin_px)
            except GhostpadError as error:
                verdicts.append("broken")
                print(f"{video.id:<28} broken   {error}")
            else:
                verdicts.append(_print_verdict(video.id, probe))
                if probe is not None and probe.leaks:
                    write_leak_picture(probe, picture)
                    print(f"  {'there is no mask; ' if probe.mask is None else ''}see {picture}")
                else:
                    picture.unlink(missing_ok=True)
            advance(1)
    if failed := [f"{verdicts.count(verdict)} {words}" for verdict, words in _FAILURES.items() if verdict in verdicts]:
        raise GhostpadError(f"of {len(videos)} videos {'; '.join(failed)}")
    drawn = sum(video.overlay_px is not None for video in videos)
    unknown = f", {verdicts.count('unknown')} could not be judged" if "unknown" in verdicts else ""
    print(f"{corpus}: {len(videos)} videos, {drawn} with a drawn controller, none leaks{unknown}")


def _print_verdict(id: str, probe: Probe | None) -> str:
    if probe is None:
        print(f"{id:<28} unknown  too few rows, or nothing was pressed often enough")
        return "unknown"
    verdict = "LEAKS" if probe.leaks else "passes"
    aucs = [f"{auc:.3f}" for auc in (probe.auc, probe.beside_auc, probe.elsewhere_auc, probe.moved_auc)]
    print(_ROW.format(id, verdict, probe.place, probe.target, *aucs, f"{probe.excess:+.2f}"))
    return verdict

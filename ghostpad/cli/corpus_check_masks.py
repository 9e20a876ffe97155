"""`ghostpad corpus check-masks`: whether the pad can be read beside the masks, or where one is missing."""

from ghostpad.base.errors import GhostpadError, MissingError
from ghostpad.base.progress import progress
from ghostpad.cli.arguments import CorpusPath
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.leaks.picture import write_leak_picture
from ghostpad.corpus.leaks.probe import LEAK_EXCESS, Probe, probe_leaks
from ghostpad.corpus.masks import MARGIN_PX


def check_masks(corpus: CorpusPath, *, margin_px: int = MARGIN_PX) -> None:
    """Check that nothing beside the masks of drawn controllers gives the buttons away, and that no controller goes without a mask.

    Reads the pixels beside each side of a video's mask, or the corners of a video that has none, and prints a line a video: where
    and for what they read the pad best (AUC), how well pixels further out do, the same elsewhere in the picture, and labels moved in
    time; and the excess in log odds, which fails above 1. For a video that fails, leaks/<id>.png shows where. Ends with status 1
    if one fails: correct its box with 'ghostpad corpus set-mask'. What cannot be read is reported and stays as it is.

    Args:
        margin_px: Pixels that the masks reach beyond the box, 8 as everywhere else; below 0 they are too small, on purpose.
    """
    opened = Corpus.open(corpus)
    recorded = set(opened.labelled_ids(RECORDED))
    videos = [one for one in opened.list_videos() if one.status == "ok" and (one.overlay_px is not None or one.id in recorded)]
    if not videos:
        raise MissingError(f"{corpus} has no video with footage and recorded rows or a drawn controller: fetch footage, or record some")
    verdicts: list[str] = []
    print(
        f"{'video':<28} {'verdict':<8} {'place':<12} {'reads best':<16} {'there':>6} {'beside':>6} {'others':>6} {'moved':>6} {'excess':>7}"
    )
    with progress("leaks", len(videos), "videos") as advance:
        for video in videos:
            picture = opened.root / "leaks" / f"{video.id}.png"
            try:
                found = probe_leaks(opened, video, margin_px=margin_px)
            except GhostpadError as error:
                verdicts.append("broken")
                print(f"{video.id:<28} broken   {error}")
            else:
                verdicts.append(_verdict(found))
                print(_line(video.id, found))
                if found is not None and found.leaks:
                    write_leak_picture(found, picture)
                    print(f"  {'there is no mask; ' if found.mask is None else ''}see {picture}")
                else:
                    picture.unlink(missing_ok=True)
            advance(1)
    if wrong := [f"{verdicts.count(name)} {words}" for name, words in _WRONG.items() if name in verdicts]:
        raise GhostpadError(f"of {len(videos)} videos {'; '.join(wrong)}")
    drawn = sum(video.overlay_px is not None for video in videos)
    unknown = f", {verdicts.count('unknown')} could not be judged" if "unknown" in verdicts else ""
    print(f"{corpus}: {len(videos)} videos, {drawn} with a drawn controller, none leaks{unknown}")


_WRONG = {
    "LEAKS": f"leak (excess above {LEAK_EXCESS:g}): correct their boxes with 'ghostpad corpus set-mask'",
    "broken": "are broken: correct the file, or the box with 'ghostpad corpus set-mask', as the line above says",
}


def _verdict(found: Probe | None) -> str:
    return "unknown" if found is None else "LEAKS" if found.leaks else "passes"


def _line(id: str, found: Probe | None) -> str:
    if found is None:
        return f"{id:<28} unknown  too few rows, or nothing was pressed often enough"
    return (
        f"{id:<28} {_verdict(found):<8} {found.place:<12} {found.target:<16} {found.auc:>6.3f} {found.beside_auc:>6.3f} "
        f"{found.elsewhere_auc:>6.3f} {found.moved_auc:>6.3f} {found.excess:>+7.2f}"
    )

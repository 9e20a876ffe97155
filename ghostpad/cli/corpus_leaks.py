"""`ghostpad corpus leaks`: whether the pad can be read beside the masks."""

from ghostpad.base.errors import GhostpadError
from ghostpad.base.progress import progress
from ghostpad.cli.arguments import CorpusPath
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.leaks import MARGIN, Probe, probe_leaks
from ghostpad.corpus.leaks_picture import write_leak_picture
from ghostpad.corpus.overlay import PAD_PX


def corpus_leaks(corpus: CorpusPath, *, pad_px: int = PAD_PX) -> None:
    """Check that nothing beside the masks of drawn controllers gives the buttons away.

    Reads the ring of pixels around each video's mask and prints a line a video: how well it tells the pad (AUC), how well rings
    elsewhere in the picture do and labels moved in time, and the difference, which fails above 0.17. For a video that fails,
    leaks/<id>.png shows where. Ends with status 1 if one fails.

    Args:
        pad_px: Pixels that the masks reach beyond the box, 4 as everywhere else; below 0 they are too small, on purpose.
    """
    opened = Corpus.open(corpus)
    rows = [row for row in opened.rows() if row["status"] == "ok" and row["overlay_px"] is not None]
    failed = 0
    print(f"{'video':<28} {'verdict':<8} {'reads best':<16} {'ring':>6} {'others':>6} {'moved':>6} {'excess':>7}")
    with progress("leaks", len(rows), "videos") as advance:
        for row in rows:
            try:
                found = probe_leaks(opened, row, pad_px=pad_px)
            except GhostpadError as error:
                failed += 1
                print(f"{row['id']:<28} broken   {error}")
            else:
                failed += found is not None and found.leaks
                print(_line(row["id"], found))
                picture = opened.root / "leaks" / f"{row['id']}.png"
                if found is not None and found.leaks:
                    write_leak_picture(found, picture)
                    print(f"  see {picture}")
                else:
                    picture.unlink(missing_ok=True)
            advance(1)
    if failed:
        raise GhostpadError(f"{failed} of {len(rows)} masks leak or are broken (excess above {MARGIN:g}): correct their overlay_px")
    print(f"{corpus}: {len(rows)} videos with a drawn controller, none leaks")


def _line(id: str, found: Probe | None) -> str:
    if found is None:
        return f"{id:<28} unknown  too few rows, or nothing was pressed often enough"
    verdict = "LEAKS" if found.leaks else "passes"
    return (
        f"{id:<28} {verdict:<8} {found.target:<16} {found.ring_auc:>6.3f} {found.control_auc:>6.3f} "
        f"{found.shifted_auc:>6.3f} {found.excess:>+7.3f}"
    )

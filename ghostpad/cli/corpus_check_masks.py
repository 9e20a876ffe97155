"""`ghostpad corpus check-masks`: whether the pad can be read beside the masks, or where one is missing."""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from ghostpad.base.errors import GhostpadError, MissingError
from ghostpad.base.progress import progress
from ghostpad.base.records import VIDEOS
from ghostpad.cli.arguments import CorpusPath
from ghostpad.cli.flags import ENGINE, SettingFlags, engine_settings
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.corpus.leaks.check import check_videos, leak_picture
from ghostpad.corpus.leaks.probe import LEAK_EXCESS, Probe
from ghostpad.corpus.masks import MARGIN_PX

_ROW = "{:<28} {:<8} {:<12} {:<16} {:>6} {:>6} {:>6} {:>6} {:>7}"
_FAILURES = {
    "LEAKS": f"leak (excess above {LEAK_EXCESS:g}): correct their boxes with 'ghostpad corpus set-mask'",
    "broken": "are broken: correct the file, or the box with 'ghostpad corpus set-mask', as the line above says",
}


def check_masks(corpus: CorpusPath, *, margin_px: int = MARGIN_PX, engine: SettingFlags = ENGINE) -> None:
    """Check that nothing beside the masks of drawn controllers gives the buttons away, and that no drawn controller lacks a mask.

    Tries to read the pad from the pixels along each side of a video's mask, or from the corners of a video that has none, and prints a line
    a video: the place and the button read best there; how well it is read (AUC) there, further out, elsewhere in the picture, and with the
    rows moved in time; and the excess in log odds, which fails above 1. For a video that fails, leaks/<id>.png shows where. Exits with
    status 1 if one fails: correct its box with 'ghostpad corpus set-mask'. A video that cannot be read is reported and left as it is.

    Args:
        margin_px: Margin of the masks around the box in pixels, 8 everywhere else; below 0 the masks are too small on purpose.
    """
    opened, placed = Corpus.open(corpus), engine_settings(engine)
    ids = _checked(opened)
    if not len(ids):
        raise MissingError(f"{corpus} has no video with footage and recorded rows or a drawn controller: fetch footage, or record some")
    verdicts, drawn = Counter[str](), 0
    print(_ROW.format("video", "verdict", "place", "reads best", "there", "beside", "others", "moved", "excess"))
    with progress("leaks", len(ids), "videos") as advance:
        videos = (video for _, video in opened.each_of(map(str, ids)) if video is not None)
        for video, probe in check_videos(opened, videos, margin_px, placed):
            drawn += video.overlay_px is not None
            if isinstance(probe, GhostpadError):
                verdicts["broken"] += 1
                print(f"{video.id:<28} broken   {probe}")
            else:
                verdicts[_print_verdict(video.id, probe)] += 1
                if probe is not None and probe.leaks:
                    print(f"  {'there is no mask; ' if probe.mask is None else ''}see {leak_picture(opened, video.id)}")
            advance(1)
    if failed := [f"{verdicts[verdict]} {words}" for verdict, words in _FAILURES.items() if verdict in verdicts]:
        raise GhostpadError(f"of {len(ids)} videos {'; '.join(failed)}")
    unknown = f", {verdicts['unknown']} could not be judged" if "unknown" in verdicts else ""
    print(f"{corpus}: {len(ids)} videos, {drawn} with a drawn controller, none leaks{unknown}")


def _checked(corpus: Corpus) -> pa.ChunkedArray:
    """The ids of the videos to check: those whose footage is here and that have recorded rows or a drawn controller."""
    parts = [VIDEOS.empty_table().select(["id", "overlay_px"]), *corpus.scan(["id", "overlay_px"], "ok")]
    videos = pa.concat_tables(part.set_column(1, "drawn", pc.is_valid(part.column(1))) for part in parts)
    recorded = pc.is_in(videos.column("id"), value_set=corpus.with_rows(RECORDED))
    return videos.column("id").filter(pc.or_(videos.column("drawn"), recorded))


def _print_verdict(id: str, probe: Probe | None) -> str:
    if probe is None:
        print(f"{id:<28} unknown  too few rows, or nothing was pressed often enough")
        return "unknown"
    verdict = "LEAKS" if probe.leaks else "passes"
    aucs = [f"{auc:.3f}" for auc in (probe.auc, probe.beside_auc, probe.elsewhere_auc, probe.moved_auc)]
    print(_ROW.format(id, verdict, probe.place, probe.target, *aucs, f"{probe.excess:+.2f}"))
    return verdict

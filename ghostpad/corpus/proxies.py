"""Makes the small copies of a corpus's videos: reads videos/, writes proxy/<px>/<id>.mp4, one whole file at a time.

A copy that is there is not made again, so a killed run goes on where it was, unless labels that were indexed since tell of a controller
drawn into the picture that the copy does not hide. A video that cannot be read becomes a row with
status "broken" and the reason. Cost: see `ghostpad.video.proxy`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ghostpad.base.errors import MediaError, MissingError
from ghostpad.base.progress import progress
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.masks import video_mask
from ghostpad.video.proxy import has_mask, make_proxy


@dataclass
class ProxyCounts:
    """What a run made of the videos whose status was "ok" when it began."""

    made: int = 0
    present: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    """Video id -> why it cannot be read."""


def make_proxies(corpus: Corpus, px: int = 256) -> ProxyCounts:
    """Give every ok video of `corpus` a copy whose short side is `px` pixels; shows its progress in minutes of footage.

    Raises `SettingsError` if `px` is not possible; a video that cannot be read is marked broken in the corpus and counted.
    """
    counts = ProxyCounts()
    rows = [row for row in corpus.rows() if row["status"] == "ok"]
    missing = [row for row in rows if not _is_made(corpus, px, row)]
    counts.present = len(rows) - len(missing)
    with progress(f"copies at {px} px", sum(map(_minutes, missing)), "min") as advance:
        for row in missing:
            try:
                source = corpus.video_path(row["id"])
                make_proxy(source, corpus.proxy_path(px, row["id"]), px=px, mask=video_mask(row, source))
                counts.made += 1
            except (MediaError, MissingError) as error:
                corpus.mark_broken(row["id"], str(error))
                counts.broken[row["id"]] = str(error)
            advance(_minutes(row))
    return counts


def _is_made(corpus: Corpus, px: int, row: Mapping[str, Any]) -> bool:
    copy = corpus.proxy_path(px, row["id"])
    if not copy.exists() or row["overlay_px"] is None:
        return copy.exists()
    try:
        return has_mask(copy, video_mask(row, corpus.root / row["path"]))
    except (MediaError, MissingError):
        return False


def _minutes(row: Mapping[str, Any]) -> float:
    return (row["duration_s"] or 0.0) / 60

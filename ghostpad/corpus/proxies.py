"""Makes the small copies of a corpus's videos: reads videos/, writes proxy/<px>/<id>.mp4, one whole file at a time.

A copy that is there is not made again, so a killed run goes on where it was. A video that cannot be read becomes a row with
status "broken" and the reason. Cost: see `ghostpad.video.proxy`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from ghostpad.base.errors import MediaError, MissingError
from ghostpad.corpus.folder import Corpus
from ghostpad.video.proxy import make_proxy


@dataclass
class ProxyCounts:
    """What a run made of the videos whose status was "ok" when it began."""

    made: int = 0
    present: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    """Video id -> why it cannot be read."""


def make_proxies(corpus: Corpus, px: int = 256, progress: Callable[[float], None] = lambda amount: None) -> ProxyCounts:
    """Give every ok video of `corpus` a copy whose short side is `px` pixels; `progress` is told the seconds of footage dealt with.

    Raises `SettingsError` if `px` is not possible; a video that cannot be read is marked broken in the corpus and counted.
    """
    counts = ProxyCounts()
    for row in corpus.rows():
        if row["status"] != "ok":
            continue
        target = corpus.proxy_path(px, row["id"])
        if target.exists():
            counts.present += 1
        else:
            try:
                make_proxy(corpus.video_path(row["id"]), target, px=px)
                counts.made += 1
            except (MediaError, MissingError) as error:
                corpus.mark_broken(row["id"], str(error))
                counts.broken[row["id"]] = str(error)
        progress(row["duration_s"] or 0.0)
    return counts

"""Makes the small copies of a corpus's videos: reads videos/, writes proxy/<px>/<id>.mp4, one whole file at a time.

The copies are for looking at footage and for other tools: no command of ghostpad reads them. Re-run to resume: a copy is made again only
if it is cut off or the video's mask has changed since. A video that cannot be read is reported. Cost: see `ghostpad.video.proxy`.
"""

from dataclasses import dataclass, field

import pyarrow.compute as pc

from ghostpad.base.errors import MediaError, MissingError
from ghostpad.base.places import local_file
from ghostpad.base.progress import progress
from ghostpad.base.records import Video
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.masks import video_mask
from ghostpad.video.proxy import has_mask, make_proxy


@dataclass
class ProxyCounts:
    """What a run made of the videos whose status was "ok" when it began."""

    made: int = 0
    present: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)  # video id -> why it cannot be read


def make_proxies(corpus: Corpus, px: int = 256) -> ProxyCounts:
    """Give every ok video of `corpus` a copy whose short side is `px` pixels; shows its progress in minutes of footage.

    Raises `SettingsError` if `px` is not possible.
    """
    counts = ProxyCounts()
    length_s = sum(pc.sum(table.column("duration_s")).as_py() or 0.0 for table in corpus.scan(["duration_s"], "ok"))
    with progress(f"copies at {px} px", length_s / 60, "min") as advance:
        for video in corpus.each("ok"):
            try:
                if _is_made(corpus, px, video):
                    counts.present += 1
                else:
                    with corpus.footage(video) as source:
                        make_proxy(source, corpus.proxy_path(px, video.id), px=px, mask=video_mask(video, source))
                    counts.made += 1
            except (MediaError, MissingError) as error:
                counts.unreadable[video.id] = str(error)
            advance(video.minutes)
    return counts


def _is_made(corpus: Corpus, px: int, video: Video) -> bool:
    """Whether a video has a whole copy under its mask."""
    copy = corpus.proxy_path(px, video.id)
    try:
        with local_file(copy) as here:
            if video.overlay_px is None:
                return has_mask(here, ())
            with corpus.footage(video) as source:
                return has_mask(here, video_mask(video, source))
    except (MediaError, MissingError):
        return False

"""Makes the small copies of a corpus's videos: reads videos/, writes proxy/<px>/<id>.mp4, one whole file at a time.

The copies are for looking at footage and for other tools: no command of ghostpad reads them. Re-run to resume: a copy is made again only
if the video's mask has changed since. A video that cannot be read is reported. Cost: see `ghostpad.video.proxy`.
"""

from dataclasses import dataclass, field

from ghostpad.base.errors import MediaError, MissingError
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
    videos = [video for video in corpus.list_videos() if video.status == "ok"]
    missing = [video for video in videos if not _is_made(corpus, px, video)]
    counts.present = len(videos) - len(missing)
    with progress(f"copies at {px} px", sum(video.minutes for video in missing), "min") as advance:
        for video in missing:
            try:
                source = corpus.path_of(video)
                make_proxy(source, corpus.proxy_path(px, video.id), px=px, mask=video_mask(video, source))
                counts.made += 1
            except (MediaError, MissingError) as error:
                counts.unreadable[video.id] = str(error)
            advance(video.minutes)
    return counts


def _is_made(corpus: Corpus, px: int, video: Video) -> bool:
    copy = corpus.proxy_path(px, video.id)
    try:
        return copy.exists() and has_mask(copy, video_mask(video, corpus.path_of(video)))
    except (MediaError, MissingError):
        return False

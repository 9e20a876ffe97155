"""Whose turn it is to be downloaded: a few at a time from each site, and none from a site that asked for a pause."""

import time
from collections import Counter
from collections.abc import Iterable
from threading import Condition

from ghostpad.base.records import Video
from ghostpad.corpus.fetch.ledger import site_of

_LOOK_S = 0.5  # between two looks at the clock


class FetchQueue:
    """Videos with an address, shared by threads. Each that was taken must be given back by `done` or `again`."""

    def __init__(self, videos: Iterable[Video], per_site: int):
        self._waiting = list(videos)
        self._per_site = per_site
        self._running: Counter[str] = Counter()
        self._not_before: dict[str, float] = {}  # by site and by video id, which never look alike (a site has a dot or is one word)
        self._stopped = False
        self._changed = Condition()

    def take(self) -> Video | None:
        """The next video, waiting until one may start; None when all is done or after `stop`."""
        with self._changed:
            while not self._stopped and (self._waiting or self._running.total()):
                now = time.monotonic()
                for video in self._waiting:
                    site = site_of(video.url or "")
                    begin = max(self._not_before.get(f"site {site}", 0), self._not_before.get(f"video {video.id}", 0))
                    if self._running[site] < self._per_site and now >= begin:
                        self._waiting.remove(video)
                        self._running[site] += 1
                        return video
                self._changed.wait(_LOOK_S)
            return None

    def done(self, video: Video) -> None:
        """Give a video back for good."""
        with self._changed:
            self._running[site_of(video.url or "")] -= 1
            self._changed.notify_all()

    def again(self, video: Video, wait_s: float, whole_site: bool) -> None:
        """Give a video back to be tried after a wait, during which its site rests too if `whole_site`."""
        with self._changed:
            site = site_of(video.url or "")
            self._not_before[f"site {site}" if whole_site else f"video {video.id}"] = time.monotonic() + wait_s
            self._running[site] -= 1
            self._waiting.append(video)
            self._changed.notify_all()

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

"""Which video is downloaded next: a few at a time from each site, and none from a site that asked for a pause."""

import time
from collections import Counter
from collections.abc import Iterable
from threading import Condition

from ghostpad.base.records import Video
from ghostpad.corpus.fetch.ledger import site_of

_POLL_S = 0.5  # between two looks at the clock


class FetchQueue:
    """Videos with an address, shared by threads. Every `take` is followed by `done` or `again`."""

    def __init__(self, videos: Iterable[Video], per_site: int):
        self._waiting = list(videos)
        self._per_site = per_site
        self._running: Counter[str] = Counter()
        self._not_before: dict[str, float] = {}  # by "site <site>" and "video <id>"
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
                self._changed.wait(_POLL_S)
            return None

    def done(self, video: Video) -> None:
        """A video is finished with."""
        with self._changed:
            self._running[site_of(video.url or "")] -= 1
            self._changed.notify_all()

    def again(self, video: Video, wait_s: float, whole_site: bool) -> None:
        """A video is to be tried again after a wait, during which nothing is taken from its site if `whole_site`."""
        with self._changed:
            key = f"site {site_of(video.url or '')}" if whole_site else f"video {video.id}"
            self._not_before[key] = time.monotonic() + wait_s
            self._waiting.append(video)
            self.done(video)

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

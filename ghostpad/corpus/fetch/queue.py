"""Which video is downloaded next: a few at a time from each site, and none from a site that asked for a pause.

Memory: `AHEAD` videos that wait, and those that are to be tried again.
"""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from heapq import heappop, heappush
from threading import Condition

from ghostpad.base.records import Video
from ghostpad.corpus.fetch.downloads import site_of

AHEAD = 4096
"""Videos taken from the source before they are needed: where so many of one site wait for it, other sites wait too (a guess)."""

_POLL_S = 0.5  # between two looks at the clock


class FetchQueue:
    """Videos with an address, shared by threads. Every `take` is followed by `done` or `again`."""

    def __init__(self, videos: Iterable[Video], per_site: int):
        self._source, self._waiting, self._waiting_count = iter(videos), defaultdict[str, deque[Video]](deque), 0
        self._later: list[tuple[float, int, Video]] = []  # a heap: when to try it again, a number that no two share
        self._retries = 0
        self._per_site = per_site
        self._running: Counter[str] = Counter()
        self._not_before: dict[str, float] = {}  # by site
        self._stopped = False
        self._changed = Condition()

    def take(self) -> Video | None:
        """The next video, waiting until one may start; None when all is done or after `stop`. Raises what the source of videos raises."""
        with self._changed:
            while not self._stopped:
                self._fill()
                now = time.monotonic()
                for site, videos in self._waiting.items():
                    if videos and self._running[site] < self._per_site and now >= self._not_before.get(site, 0):
                        self._running[site] += 1
                        self._waiting_count -= 1
                        return videos.popleft()
                if not (self._waiting_count or self._later or self._running.total()):
                    break
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
            begin, site = time.monotonic() + wait_s, site_of(video.url or "")
            if whole_site:
                self._not_before[site] = max(begin, self._not_before.get(site, 0))
            self._retries += 1
            heappush(self._later, (begin, self._retries, video))
            self.done(video)

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _fill(self) -> None:
        while self._later and self._later[0][0] <= time.monotonic():
            self._wait_for(heappop(self._later)[2])
        while self._waiting_count < AHEAD and (video := next(self._source, None)) is not None:
            self._wait_for(video)

    def _wait_for(self, video: Video) -> None:
        self._waiting[site_of(video.url or "")].append(video)
        self._waiting_count += 1

"""Looks at files before they are added, which an engine places: the bytes, the facts and the fingerprint of each, each file by a child.

Whatever depends on other files stays in the process that adds: copies, names, the search for the same bytes and pictures, and commits. So a
worker reads a file once more than one process alone would. Files at addresses are not looked at; they are read where they are added.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ghostpad.base.engines.crew import Died
from ghostpad.base.engines.order import in_order
from ghostpad.base.engines.settings import EngineSettings
from ghostpad.base.errors import MediaError, MissingError
from ghostpad.base.files import file_sha256
from ghostpad.corpus.add.find import InputVideo
from ghostpad.corpus.add.fingerprint import Prints, fingerprint_video
from ghostpad.video.child import VideoChild
from ghostpad.video.probe import VideoInfo


@dataclass(frozen=True)
class Look:
    """What a worker saw in a file of these bytes: about 10 KB."""

    sha256: str
    info: VideoInfo
    prints: Prints


def looks(
    engine: EngineSettings, sources: Iterable[InputVideo], is_new: Callable[[InputVideo], bool]
) -> Iterator[tuple[InputVideo, Look | Died | None]]:
    """Each source, in order, with a look at its file; None here, for an address, for one that is not new, and where it cannot be read."""
    if engine.placed == "here":
        yield from ((source, None) for source in sources)
        return
    waiting = deque[InputVideo]()

    def paths() -> Iterator[tuple[str | None]]:
        for source in sources:
            waiting.append(source)
            yield (source.path if source.is_local and is_new(source) else None,)

    for _, outcome in in_order(engine, Looker, (), paths()):
        if isinstance(outcome, Exception) and not isinstance(outcome, Died):
            raise outcome
        yield waiting.popleft(), outcome


class Looker:
    """What a worker does with a path."""

    def __init__(self) -> None:
        self._child = VideoChild()

    def __call__(self, item: tuple[str | None]) -> Look | None:
        """The look at a path alone in its tuple; None for none, and for what cannot be read."""
        (path,) = item
        if path is None:
            return None
        try:
            return Look(file_sha256(path), self._child.probe(path), fingerprint_video(path, self._child))
        except (MediaError, MissingError, OSError):
            return None  # said by the process that adds, which reads it again

    def close(self) -> None:
        """End the child."""
        self._child.close()

"""The leak probe on many videos, placed by an engine. Writes leaks/<id>.png of a video that leaks, in the worker: no picture is sent."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from ghostpad.base.engines.order import in_order
from ghostpad.base.engines.settings import EngineSettings
from ghostpad.base.errors import GhostpadError
from ghostpad.base.places import Place
from ghostpad.base.records import Video
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.leaks.picture import write_leak_picture
from ghostpad.corpus.leaks.probe import Probe, probe_leaks


def leak_picture(corpus: Corpus, id: str) -> Place:
    """Where the picture of a video that leaks is."""
    return corpus.root / "leaks" / f"{id}.png"


def check_videos(
    corpus: Corpus, videos: Iterator[Video], margin_px: int, engine: EngineSettings
) -> Iterator[tuple[Video, Probe | GhostpadError | None]]:
    """Each video with its probe without pictures, None where too little can be judged, or why it could not be probed, in their order."""
    for video, outcome in in_order(engine, _check, (corpus, margin_px), videos):
        if isinstance(outcome, Exception) and not isinstance(outcome, GhostpadError):
            raise outcome
        yield video, outcome


def _check(corpus: Corpus, margin_px: int) -> Callable[[Video], Probe | None]:
    def check(video: Video) -> Probe | None:
        probe, picture = probe_leaks(corpus, video, margin_px=margin_px), leak_picture(corpus, video.id)
        if probe is None or not probe.leaks:
            picture.unlink(missing_ok=True)
        else:
            write_leak_picture(probe, picture)
        return probe and replace(probe, heat=np.zeros((0, 0)), image=np.zeros((0, 0, 3), np.uint8))

    return check

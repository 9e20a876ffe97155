"""What engines cost: their rate on videos of a minute, what they add to an item, and the memory of driver and workers as a corpus grows."""

import time
from collections.abc import Callable
from itertools import islice, repeat
from statistics import median
from typing import Any

from ghostpad.base.engines.results import results
from ghostpad.base.engines.settings import EngineSettings
from ghostpad.base.errors import GhostpadError
from ghostpad.base.settings import build_settings
from ghostpad.lab.bench.engines.noted import notes_of
from ghostpad.lab.bench.engines.scene import Case, Scene, engine_flags, memory_mb, workers_of

_LOOK_S = 0.5
"""Seconds between two looks at the memory of a run."""

_WARM = 100
"""Items before an engine's own cost is measured."""


def time_engines(scene: Scene, engines: tuple[str, ...], videos: int, few: int, times: int, items: int) -> dict[str, Any]:
    """Of each engine, with two workers where it has any: seconds of the clock for `few` and for `videos` videos of `times` 4 s, the seconds
    that one more video takes, how many times as quick that is as one process, and what it adds to an item that is no work."""
    report: dict[str, Any] = {}
    for engine in ("here", *(name for name in engines if name != "here")):
        few_s, all_s = (_label_s(scene.corpus(f"cost-{engine}-{count}", 0, count, times=times), engine) for count in (few, videos))
        report[engine] = {"few_s": few_s, "all_s": all_s, "video_s": (all_s - few_s) / (videos - few)}
    for engine, told in report.items():
        told["times_here"] = report["here"]["video_s"] / told["video_s"]
        told["item_ms"] = item_ms(engine, items)
        told["own_share"] = told["item_ms"] / 1000 / report["here"]["video_s"]
    return report


def _label_s(case: Case, engine: str) -> float:
    began_s = time.perf_counter()
    _ended(case, case.begin(*engine_flags(engine)).wait())
    return time.perf_counter() - began_s


def _ended(case: Case, status: int) -> None:
    if status:
        raise GhostpadError(f"labelling {case.root} ended with status {status}: {case.said()}")


def nothing() -> Callable[[int], int]:
    """A worker's function that does no work."""
    return int


def item_ms(engine: str, items: int) -> float:
    """Milliseconds that an engine with one worker adds to each item: the time of items that are no work."""
    words = {"engine": engine} | ({"workers": 1} if engine != "here" else {})
    running = results(build_settings(EngineSettings, words, "bench"), nothing, (), repeat(1, _WARM + items))
    for _ in islice(running, _WARM):
        pass
    began_s = time.perf_counter()
    for _ in running:
        pass
    return (time.perf_counter() - began_s) / items * 1000


def watch_memory(scene: Scene, engines: tuple[str, ...], videos: int) -> dict[str, Any]:
    """Of each engine: resident MB of the driver, and the most of a worker (with 'here' that is the driver), when from 10 to 20 % and when
    the last 10 % of the videos have begun, as the medians of what was seen."""
    report: dict[str, Any] = {}
    for engine in engines:
        case = scene.corpus(f"memory-{engine}", videos)
        process, seen = case.begin(*engine_flags(engine)), list[tuple[float, float, float]]()
        while process.poll() is None:
            notes = notes_of(case.run)
            share = notes.read_bytes().count(b"\n") / videos if notes.exists() else 0.0
            sizes_mb = [memory_mb(worker) for worker in workers_of(process.pid)] if engine != "here" else []
            seen.append((share, memory_mb(process.pid), max(sizes_mb, default=0.0)))
            time.sleep(_LOOK_S)
        _ended(case, process.returncode)
        early, late = ([one for one in seen if low <= one[0] <= high] for low, high in ((0.1, 0.2), (0.9, 1.0)))
        report[engine] = {
            f"{who}_{when}_mb": median(sizes) if (sizes := [one[at] for one in some if one[at]]) else None
            for when, some in (("early", early), ("late", late))
            for at, who in ((1, "driver"), *(((2, "worker"),) if engine != "here" else ()))
        }
    return report

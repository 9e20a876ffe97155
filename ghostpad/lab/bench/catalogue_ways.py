"""What `ghostpad lab bench catalogue` measures: the catalogue of a corpus, in a folder or at s3://, and SQLite with the same columns.

Every step runs in a process of its own, so that its peak memory is its own, and opens what it measures anew.
"""

import random
import resource
import sqlite3
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from ghostpad.base.places import Place, is_remote, open_place, place
from ghostpad.base.records import VIDEOS, Video
from ghostpad.corpus.folder import Corpus
from ghostpad.lab.bench.common import MAXRSS_MB

COLUMNS = ("id", "game", "status", "duration_s")
"""What a scan reads."""

HOT = 100
"""How many of the videos are changed, so that several processes meet at one row."""


class Way(Protocol):
    """A table of videos, opened or made in a folder or at an address."""

    def __init__(self, root: str): ...

    def add(self, rows: pa.Table) -> None:
        """Add rows in one commit."""

    def scan(self) -> Iterator[pa.Table]:
        """`COLUMNS` of all rows by id."""

    def find(self, id: str) -> Video:
        """One row."""

    def change(self, id: str) -> int:
        """Count its attempts up; how often that was tried."""


class Catalogue:
    """The catalogue of a corpus."""

    def __init__(self, root: str):
        self.corpus = Corpus.create(root)

    def add(self, rows: pa.Table) -> None:
        """See `Way`."""
        self.corpus.catalogue.put(rows)

    def scan(self) -> Iterator[pa.Table]:
        """See `Way`."""
        return self.corpus.scan(COLUMNS)

    def find(self, id: str) -> Video:
        """See `Way`."""
        return self.corpus.video(id)

    def change(self, id: str) -> int:
        """See `Way`."""
        tries = 0

        def count_up(video: Video) -> Video:
            nonlocal tries
            tries += 1
            return replace(video, attempts=video.attempts + 1)

        self.corpus.change([id], count_up)
        return tries


class Sqlite:
    """The same columns in SQLite: a log written ahead, flushed with every commit. Lists of numbers are text."""

    def __init__(self, root: str):
        Path(root).mkdir(parents=True, exist_ok=True)
        self.base = sqlite3.connect(Path(root) / "videos.sqlite", timeout=600, isolation_level=None)
        self.base.execute("PRAGMA journal_mode = WAL")
        self.base.execute("PRAGMA synchronous = FULL")
        self.base.execute(f"CREATE TABLE IF NOT EXISTS videos ({', '.join(VIDEOS.names)}, PRIMARY KEY (id)) WITHOUT ROWID")

    def add(self, rows: pa.Table) -> None:
        """See `Way`."""
        values = zip(*(rows.column(name).to_pylist() for name in VIDEOS.names), strict=True)
        self.base.execute("BEGIN IMMEDIATE")
        self.base.executemany(f"INSERT OR REPLACE INTO videos VALUES ({', '.join('?' * len(VIDEOS.names))})", values)
        self.base.execute("COMMIT")

    def scan(self) -> Iterator[pa.Table]:
        """See `Way`."""
        cursor = self.base.execute(f"SELECT {', '.join(COLUMNS)} FROM videos ORDER BY id")
        while rows := cursor.fetchmany(8192):
            yield pa.table(dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True)))

    def find(self, id: str) -> Video:
        """See `Way`."""
        row = self.base.execute("SELECT * FROM videos WHERE id = ?", (id,)).fetchone()
        return Video.of(dict(zip(VIDEOS.names, row, strict=True)))

    def change(self, id: str) -> int:
        """See `Way`."""
        self.base.execute("BEGIN IMMEDIATE")
        self.base.execute("UPDATE videos SET attempts = ? WHERE id = ?", (self.find(id).attempts + 1, id))
        self.base.execute("COMMIT")
        return 1


def made_up_rows(first: int, count: int) -> pa.Table:
    """Rows of videos `first` and following, whose ids lie all over the table: the worst case for files by id."""
    numbers = np.arange(first, first + count)
    ids = [id_of(number) for number in numbers]
    texts = {"id": ids, "path": [f"videos/{id}.mp4" for id in ids], "url": [f"https://videos.example/{id}" for id in ids]}
    texts |= {"sha256": [f"{hash(id) % 2**64:016x}" * 4 for id in ids], "game": [f"game-{number % 90}" for number in numbers]}
    texts |= {"player": [f"player-{number % 5000}" for number in numbers], "source": ["added"] * count, "fps": ["60"] * count}
    values: dict[str, Any] = texts | {"frames": numbers % 90_000 + 600, "duration_s": (numbers % 90_000 + 600) / 60}
    values |= {"width_px": np.full(count, 1920), "height_px": np.full(count, 1080), "status": ["ok"] * count}
    values |= {"attempts": np.zeros(count, np.int64), "size_bytes": numbers * 1000 + 1_000_000}
    arrays = [pa.array(values[one.name], one.type) if one.name in values else pa.nulls(count, one.type) for one in VIDEOS]
    return pa.Table.from_arrays(arrays, schema=VIDEOS)


def id_of(number: int | np.integer[Any]) -> str:
    """The id of a video by its number below 10,000,019."""
    return f"video-{int(number) * 7_654_321 % 10_000_019:08d}"


def peak_mb() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MAXRSS_MB


# ---- steps, each in a process of its own ----------------------------------------------------------------------------


def add_step(way: type[Way], root: str, first: int, last: int, step: int) -> dict[str, Any]:
    """Add rows, some at a time: the seconds that each commit took."""
    table, seconds = way(root), []
    for at in range(first, last, step):
        rows = made_up_rows(at, min(step, last - at))
        began_s = time.perf_counter()
        table.add(rows)
        seconds.append(time.perf_counter() - began_s)
    return {"s": seconds, "peak_mb": peak_mb()}


def scan_step(way: type[Way], root: str) -> dict[str, Any]:
    """Read `COLUMNS` of all rows once."""
    before_mb, began_s = peak_mb(), time.perf_counter()
    rows = sum(part.num_rows for part in way(root).scan())
    return {"s": time.perf_counter() - began_s, "rows": rows, "peak_mb": peak_mb(), "before_mb": before_mb}


def find_step(way: type[Way], root: str, rows: int) -> dict[str, Any]:
    """Find one row right after opening, and others after it."""
    chance, seconds = random.Random(rows), []
    began_s = time.perf_counter()
    table = way(root)
    for _ in range(21):
        table.find(id_of(chance.randrange(rows)))
        seconds.append(time.perf_counter() - began_s)
        began_s = time.perf_counter()
    return {"first_s": seconds[0], "s": seconds[1:], "peak_mb": peak_mb()}


def change_step(way: type[Way], root: str, changes: int, seed: int) -> dict[str, Any]:
    """Change single rows: the seconds of each, how often each was tried, and the requests that it took at s3://."""
    table, chance, seconds, tries = way(root), random.Random(seed), list[float](), 0
    requests = count_requests(place(root))
    for _ in range(changes):
        began_s = time.perf_counter()
        tries += table.change(id_of(chance.randrange(HOT)))
        seconds.append(time.perf_counter() - began_s)
    return {"s": seconds, "tries": tries, "requests": requests}


def attempts_in(way: type[Way], root: str) -> int:
    """The changes that have arrived."""
    table = way(root)
    return sum(table.find(id_of(number)).attempts for number in range(HOT))


def count_requests(root: Place) -> dict[str, int]:
    """How often each request is sent to an object store from now on; filled as it goes, empty for a folder."""
    counts: dict[str, int] = {}
    if is_remote(root):

        def count(model: Any, **_: Any) -> None:
            counts[model.name] = counts.get(model.name, 0) + 1

        root.fs.connect()  # type: ignore[union-attr]
        root.fs.s3.meta.events.register("before-call.s3", count)  # type: ignore[union-attr]
    return counts


def disk_of(root: str) -> dict[str, int]:
    """The bytes and files of a table."""
    files, path = open_place(root)
    sizes = [about["size"] for about in files.find(path, detail=True).values()]
    return {"bytes": sum(sizes), "files": len(sizes)}


def status_command(root: str) -> list[str]:
    """The command that counts a corpus."""
    return [sys.executable, "-m", "ghostpad", "corpus", "status", root]

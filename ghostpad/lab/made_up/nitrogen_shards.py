"""NitroGen's layout, and made-up shards in it with random actions: for tests and for `ghostpad lab bench index`. Holds nobody's data.

Layout as in the dataset card: `SHARD_XXXX/<video>/<video>_chunk_NNNN/` with metadata.json, actions_raw.parquet and for some chunks
actions_processed.parquet; 17 buttons as int32 and two columns of lists [x, y]. Resolution is [height, width], the overlay box x, y, width,
height in its pixels, the game area relative corners, `end_frame` inclusive.
"""

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ghostpad.base.files import atomic_path
from ghostpad.base.pad import DATASET_BUTTONS

CHUNK_S = 20  # seconds a chunk lasts in the dataset


@dataclass(frozen=True)
class SampleChunk:
    """A chunk of a made-up video, which begins at `number` x 20 s."""

    video: str = "aaaaaaaaaaa"
    number: int = 0
    rows: int = 1200
    game: str = "celeste"
    processed: bool = False
    duration_s: float = CHUNK_S

    @property
    def folder(self) -> str:
        """Its folder inside a shard."""
        return f"{self.video}/{self.video}_chunk_{self.number:04d}"

    def metadata(self) -> dict[str, Any]:
        """The content of its metadata.json."""
        start_s = self.number * CHUNK_S
        first = round(start_s * self.rows / self.duration_s)
        twitch = self.video[:1] == "v" and self.video[1:].isdigit()
        url = f"https://www.twitch.tv/videos/{self.video[1:]}" if twitch else f"https://www.youtube.com/watch?v={self.video}"
        source = "twitch" if twitch else "youtube"
        video = {"resolution": [1080, 1920], "video_id": self.video, "source": source, "url": url}
        facts = {"game": self.game, "controller_type": "xboxone", "bbox_controller_overlay": [1500, 800, 360, 240]}
        return chunk_metadata(video, self.number, range(first, first + self.rows), start_s, self.duration_s, facts)

    def table(self) -> pa.Table:
        """Its actions: buttons sometimes held for a while, a left stick often moved, a right one rarely."""
        rng = np.random.default_rng([self.number, *self.video.encode()])
        columns: dict[str, pa.Array] = {}
        for name in DATASET_BUTTONS:
            flips = rng.random(self.rows) < 0.02
            columns[name] = pa.array((np.cumsum(flips) % 4 == 1).astype(np.int32))
        for name, active in (("j_left", 0.5), ("j_right", 0.1)):
            moving = np.cumsum(rng.random((self.rows, 1)) < 0.02) % 10 < 10 * active
            sticks = np.round(rng.uniform(-1, 1, (self.rows, 2)), 3) * moving[:, None]
            columns[name] = stick_column(sticks)
        return pa.table(columns)

    def files(self) -> list[tuple[str, bytes]]:
        """Its members by name inside the shard, in the order of their names."""
        table = parquet_bytes(self.table())
        members = [(f"{self.folder}/actions_processed.parquet", table)] if self.processed else []
        members.append((f"{self.folder}/actions_raw.parquet", table))
        return [*members, (f"{self.folder}/metadata.json", json.dumps(self.metadata()).encode())]


def chunk_metadata(
    video: Mapping[str, Any], number: int, frames: range, start_s: Fraction | float, duration_s: Fraction | float, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of a chunk's metadata.json. `video`: resolution, video_id, source and url; `facts`: the game and its controller."""
    return {
        "uuid": f"{video['video_id']}_chunk_{number:04d}_actions",
        "chunk_id": f"{number:04d}",
        "chunk_size": len(frames),
        "original_video": {
            **video,
            "start_time": float(start_s),
            "end_time": float(start_s + duration_s),  # type: ignore[arg-type]
            "duration": float(duration_s),
            "start_frame": frames.start,
            "end_frame": frames.stop - 1,
        },
        **facts,
        "bbox_game_area": {"xtl": 0.0, "ytl": 0.0, "xbr": 1.0, "ybr": 1.0},
    }


def stick_column(sticks: NDArray[np.float64]) -> pa.Array:
    """A stick [rows, 2] as the dataset has it: lists [x, y]."""
    return pa.FixedSizeListArray.from_arrays(sticks.reshape(-1), 2).cast(pa.list_(pa.float64()))


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as the bytes of a parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def sample_files(chunks: Iterable[SampleChunk]) -> list[tuple[str, bytes]]:
    """The members of some chunks, in order."""
    return [member for chunk in chunks for member in chunk.files()]


def tar_bytes(files: Iterable[tuple[str, bytes]], prefix: str = "SHARD_0000/") -> bytes:
    """A tar archive of some members, `prefix` before every name; the same bytes every time."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        _add_members(archive, files, prefix)
    return sink.getvalue()


def write_shard(path: Path, files: Iterable[tuple[str, bytes]], prefix: str = "SHARD_0000/") -> None:
    """Write a `.tar.gz` of some members, `prefix` before every name, atomically; the same bytes every time. Holds one member at a time."""
    with (
        atomic_path(path) as temporary,
        gzip.GzipFile(temporary, "wb", compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        _add_members(archive, files, prefix)


def _add_members(archive: tarfile.TarFile, files: Iterable[tuple[str, bytes]], prefix: str) -> None:
    for name, body in files:
        member = tarfile.TarInfo(prefix + name)
        member.size = len(body)
        archive.addfile(member, io.BytesIO(body))

"""Take footage from elsewhere into a corpus: files, folders, a manifest or anything fsspec can list.

    videos/<id>.<ext>                  a copy, or a link with `link`, named when it is whole
    actions/recorded/<id>.parquet      where <stem>.parquet (table kind "actions") lies beside the video
    cache/fingerprints/<id>.npy        what tells a video that was encoded anew, see ghostpad.corpus.fingerprint
    videos.parquet                     one row a video, written last; what cannot be read becomes a row with the reason

A file whose bytes (sha256) are there, or whose pictures are, is not added again. So the same command goes on after a kill.
"""

import csv
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray

from ghostpad.base.errors import FormatError, MediaError, MissingError, SettingsError
from ghostpad.base.files import atomic_path, locked
from ghostpad.base.progress import progress
from ghostpad.base.records import VIDEOS, read_table
from ghostpad.corpus.fingerprint import MOST_BITS, differing_bits, fingerprint_video
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.video.probe import probe_video

SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".ts", ".flv", ".m4v", ".mpg", ".mpeg")
"""Files of a folder that are taken for videos."""

_FACTS = ("game", "player", "licence")


@dataclass(frozen=True)
class Given:
    """One video to add: where it lies, in which file system, and what was said about it."""

    path: str
    files: Any = field(repr=False)
    facts: dict[str, str | None] = field(default_factory=dict)


@dataclass
class AddCounts:
    """What a run came to."""

    added: int = 0
    present: int = 0
    """The same bytes were there."""
    same: dict[str, str] = field(default_factory=dict)
    """File -> id of the video that shows the same pictures."""
    broken: dict[str, str] = field(default_factory=dict)
    """Id -> why it cannot be read."""
    unread: dict[str, str] = field(default_factory=dict)
    """Id of a video that was added without the rows beside it -> why they cannot be read."""


def find_videos(places: Sequence[str], facts: dict[str, str | None]) -> list[Given]:
    """The videos at paths, folders, manifests (.csv with the column path, and game, player, licence as wanted) or URLs.

    Raises `MissingError` for what is not there and `FormatError` for a manifest without the column path.
    """
    found: list[Given] = []
    for place in places:
        if place.endswith(".csv") and "://" not in place:
            found += _manifest(Path(place), facts)
            continue
        files, path = _files(place)
        if not files.exists(path):
            raise MissingError(f"there is no video at {place}")
        inner = sorted(name for name in files.find(path) if name.lower().endswith(SUFFIXES)) if files.isdir(path) else [path]
        found += [Given(name, files, facts) for name in inner]
    return found


def add_videos(corpus: Corpus, given: Sequence[Given], link: bool = False) -> AddCounts:
    """Add videos to a corpus one by one. Raises `SettingsError` for a link to what is not on this machine."""
    if link and any(not isinstance(one.files, LocalFileSystem) for one in given):
        raise SettingsError("--link needs files on this machine: leave it out for addresses")
    counts = AddCounts()
    with locked(corpus.root / ".add.lock"), progress("add", len(given), "videos") as advance:
        (corpus.root / "videos").mkdir(exist_ok=True)
        for stale in (corpus.root / "videos").glob(".add.*"):
            stale.unlink()
        rows = {row["id"]: row for row in corpus.rows()}
        for one in given:
            incoming = corpus.root / "videos" / f".add{PurePosixPath(one.path).suffix.lower()}"
            try:
                _add(corpus, one, incoming, link, rows, counts)
            finally:
                incoming.unlink(missing_ok=True)
            advance(1)
    return counts


def _add(corpus: Corpus, given: Given, incoming: Path, link: bool, rows: dict[str, dict[str, Any]], counts: AddCounts) -> None:
    reason = None
    try:
        sha256 = _take(given, incoming, link)
    except OSError as error:
        reason, sha256 = f"it cannot be read: {error}", hashlib.sha256(given.path.encode()).hexdigest()
    if any(row["sha256"] == sha256 for row in rows.values()):
        counts.present += 1
        return
    id = _id_of(corpus, PurePosixPath(given.path).stem, sha256, rows)
    target = incoming.with_name(f"{id}{incoming.suffix}")
    row: dict[str, Any] = dict.fromkeys(VIDEOS.names) | {"id": id, "path": f"videos/{target.name}", "source": "added", "sha256": sha256}
    row |= given.facts
    try:
        if reason is None:
            info, prints = probe_video(incoming), fingerprint_video(incoming)
    except (MediaError, MissingError) as error:
        reason = str(error).replace(str(incoming), given.path)
    if reason is not None:
        counts.broken[id] = reason
        rows[id] = row | {"status": "broken", "reason": reason}
        corpus.add_video(rows[id])
        return
    if (same := _same(corpus, prints, rows)) is not None:
        counts.same[given.path] = same
        return
    try:
        actions = _actions_beside(given)
    except FormatError as error:
        actions, counts.unread[id] = None, str(error)
    os.replace(incoming, target)
    _keep_prints(corpus, id, prints)
    if actions is not None:
        corpus.write_actions(RECORDED, id, actions)
    rows[id] = row | info.columns() | {"status": "ok"}
    corpus.add_video(rows[id])
    counts.added += 1


def _take(given: Given, incoming: Path, link: bool) -> str:
    """Put the file's bytes, or a link to it, at `incoming`: their sha256."""
    if link:
        incoming.symlink_to(os.path.abspath(given.path))
        with open(incoming, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    with given.files.open(given.path, "rb") as source, open(incoming, "wb") as out:
        while block := source.read(1 << 20):
            digest.update(block)
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def _id_of(corpus: Corpus, stem: str, sha256: str, rows: dict[str, dict[str, Any]]) -> str:
    """A name of letters, digits, '-', '_' and '.' for a video, with a part of its hash where the plain one is another video's."""
    id = re.sub(r"[^\w.-]+", "_", stem, flags=re.ASCII).strip("._")[:100] or f"video-{sha256[:8]}"
    taken = id in rows
    for path in (corpus.root / "videos").glob(f"{id}.*"):
        if path.stem == id:  # of a killed run the same bytes may lie there
            with open(path, "rb") as file:
                taken = taken or hashlib.file_digest(file, "sha256").hexdigest() != sha256
    return f"{id}-{sha256[:8]}" if taken else id


def _same(corpus: Corpus, prints: NDArray[np.uint64], rows: dict[str, dict[str, Any]]) -> str | None:
    """The id of a video of the corpus that shows the same pictures, if there is one."""
    for id, row in rows.items():
        if row["status"] == "ok" and abs((row["duration_s"] or 0) - len(prints)) <= max(4, 0.1 * len(prints)):
            try:
                if differing_bits(prints, _prints(corpus, row)) <= MOST_BITS:
                    return id
            except (MediaError, MissingError):
                continue
    return None


def _prints(corpus: Corpus, row: dict[str, Any]) -> NDArray[np.uint64]:
    path = corpus.root / "cache" / "fingerprints" / f"{row['id']}.npy"
    if not path.exists():
        _keep_prints(corpus, row["id"], fingerprint_video(corpus.root / row["path"]))
    prints: NDArray[np.uint64] = np.load(path)
    return prints


def _keep_prints(corpus: Corpus, id: str, prints: NDArray[np.uint64]) -> None:
    with atomic_path(corpus.root / "cache" / "fingerprints" / f"{id}.npy") as temporary:
        np.save(temporary, prints)


def _actions_beside(given: Given) -> pa.Table | None:
    """The rows in <stem>.parquet beside a video on this machine, if it is a table of actions."""
    path = Path(given.path).with_suffix(".parquet")
    if not isinstance(given.files, LocalFileSystem) or not path.exists():
        return None
    return read_table(path, "actions")


def _files(place: str) -> tuple[Any, str]:
    if "://" not in place:
        return LocalFileSystem(), os.path.abspath(place)
    try:
        files, path = fsspec.core.url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise SettingsError(f"{place} cannot be read: {error}; install its fsspec driver, s3fs for s3://") from None
    return files, path


def _manifest(path: Path, facts: dict[str, str | None]) -> list[Given]:
    if not path.is_file():
        raise MissingError(f"there is no manifest at {path}")
    with open(path, newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    if not lines or "path" not in lines[0]:
        raise FormatError(f"{path} needs a first line with the column path, and one line a video")
    found = []
    for line in lines:
        place = line["path"] if "://" in line["path"] else str(path.parent / line["path"])
        files, inner = _files(place)
        found.append(Given(inner, files, facts | {name: line[name] for name in _FACTS if line.get(name)}))
    return found

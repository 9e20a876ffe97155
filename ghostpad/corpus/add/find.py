"""The videos to add: paths, folders, manifests (.csv) or addresses, listed before anything is read.

A manifest has one line a video and the column path (relative to the manifest, or an address); optional are id (the video's name in the
corpus; with that of indexed labels, the file is their footage), game, player and licence. Reads manifests and lists folders.
"""

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ghostpad.base.errors import FormatError, MissingError, SettingsError
from ghostpad.base.files import safe_name
from ghostpad.base.places import open_place, place_errors

SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".ts", ".flv", ".m4v", ".mpg", ".mpeg")
"""Files of a folder that count as videos; names that start with a dot are other programs' own."""

_FACTS = ("game", "player", "licence")

_STAMPS = ("mtime", "ETag", "etag", "LastModified", "last_modified", "updated", "modified", "created")
"""What file systems call the time or hash by which a changed file is recognised."""


@dataclass(frozen=True)
class InputVideo:
    """One video to add: its path, the file system, and its facts (game, player, licence)."""

    path: str
    files: Any = field(repr=False)
    facts: dict[str, Any] = field(default_factory=dict)
    id: str | None = None  # its id in the corpus; None: named after its file
    about: dict[str, Any] | None = field(default=None, repr=False)  # the file system's facts of it, from the listing of its folder

    @property
    def stem(self) -> str:
        """The file's name without its suffix."""
        return PurePosixPath(self.path).stem

    def key(self) -> str | None:
        """A hash of place, size and time of change, which recognises a file without reading it; None where the file system lacks them."""
        try:
            about = self.about or self.files.info(self.path)
        except place_errors():
            return None
        stamp = next((about[name] for name in _STAMPS if about.get(name) is not None), None)
        if stamp is None or about.get("size") is None:
            return None
        identity = json.dumps([self.files.unstrip_protocol(self.path), about["size"], str(stamp)])
        return hashlib.sha256(identity.encode()).hexdigest()[:32]


def find_videos(places: Sequence[str], facts: dict[str, Any]) -> list[InputVideo]:
    """The videos at paths, folders, manifests or addresses; `facts` are those of videos whose manifest does not give them.

    Raises `MissingError` for a place that does not exist or a folder without a video, `FormatError` for a manifest without the column path,
    and `SettingsError` for no places, a manifest at an address, and ids that cannot be names or occur twice.
    """
    if not places:
        raise SettingsError("no videos to add: name files, folders, manifests (.csv) or addresses")
    inputs: list[InputVideo] = []
    for place in places:
        if place.endswith(".csv"):
            if "://" in place:
                raise SettingsError(f"{place}: a manifest is read from this machine: copy it here; its lines may hold addresses")
            inputs += _manifest(Path(place), facts)
            continue
        files, path = open_place(place)
        try:
            if not files.exists(path):
                raise MissingError(f"there is no video at {place}")
            if not files.isdir(path):
                inputs.append(InputVideo(path, files, facts))
                continue
            inner = sorted(files.find(path, detail=True).items())
        except place_errors() as error:
            raise MissingError(f"{place} cannot be listed: {error}") from None
        videos = [InputVideo(name, files, facts, about=about) for name, about in inner if _is_video(name)]
        if not videos:
            raise MissingError(f"{place} holds no video ({', '.join(SUFFIXES)}): name other files by themselves")
        inputs += videos
    ids = [one.id for one in inputs if one.id]
    if twice := sorted({id for id in ids if ids.count(id) > 1}):
        raise SettingsError([f"two videos are called '{id}': change one line's id" for id in twice])
    return inputs


def _is_video(path: str) -> bool:
    return path.lower().endswith(SUFFIXES) and not PurePosixPath(path).name.startswith(".")


def _manifest(path: Path, facts: dict[str, Any]) -> list[InputVideo]:
    if not path.is_file():
        raise MissingError(f"there is no manifest at {path}")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{path} is not a table of text with commas ({error})") from None
    if not lines or "path" not in lines[0]:
        raise FormatError(f"{path} needs a first line with the column path, and one line a video")
    inputs, problems = [], []
    for number, line in enumerate(lines, 2):
        if not line["path"]:
            problems.append(f"{path}, line {number}: path is empty")
            continue
        try:
            id = safe_name(line["id"]) if line.get("id") else None
        except SettingsError as error:
            problems += [f"{path}, line {number}: {problem}" for problem in error.problems]
            continue
        files, inner = open_place(line["path"] if "://" in line["path"] else str(path.parent / line["path"]))
        inputs.append(InputVideo(inner, files, facts | {name: line[name] for name in _FACTS if line.get(name)}, id))
    if problems:
        raise SettingsError(problems)
    return inputs

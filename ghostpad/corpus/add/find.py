"""The videos to add: paths, folders, manifests (.csv) or addresses, listed before anything is read.

A manifest has one line a video and the column path (relative to the manifest, or an address); optional are id (the video's name in the
corpus; with that of indexed labels, the file is their footage), game, player and licence. Reads manifests and lists folders.
"""

import csv
import hashlib
import json
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ghostpad.base.errors import FormatError, MissingError, SettingsError
from ghostpad.base.files import safe_name
from ghostpad.base.places import is_local, open_place, place_errors

SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".ts", ".flv", ".m4v", ".mpg", ".mpeg")
"""Files of a folder that count as videos; names that start with a dot are other programs' own."""

_FACTS = ("game", "player", "licence")

_STAMPS = ("mtime", "ETag", "etag", "LastModified", "last_modified", "updated", "modified", "created")
"""What file systems call the time or hash by which a changed file is recognised."""

_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFDIR: "a folder"}


class About(NamedTuple):
    """What a file system says about a file without reading it."""

    size: int | None = None  # bytes
    stamp: str | None = None  # its time of change or hash
    problem: str | None = None  # why it cannot be read


@dataclass(frozen=True, slots=True)
class InputVideo:
    """One video to add: its path, the file system, and its facts (game, player, licence). About 400 bytes of memory."""

    path: str
    files: Any = field(repr=False)
    facts: dict[str, Any] = field(default_factory=dict)
    id: str | None = None  # its id in the corpus; None: named after its file
    listed: About | None = field(default=None, repr=False)  # from the listing of its folder

    @property
    def stem(self) -> str:
        """The file's name without its suffix."""
        return PurePosixPath(self.path).stem

    @property
    def name(self) -> str:
        """Its path as text that any table and terminal takes: bytes that are not UTF-8 are replaced."""
        return os.fsencode(self.path).decode(errors="replace")

    @property
    def is_local(self) -> bool:
        """Whether it lies on this machine."""
        return is_local(self.files)

    def about(self) -> About:
        """What its listing said about it, or what its file system says now."""
        if self.listed is not None:
            return self.listed
        try:
            return _local_about(self.path) if self.is_local else _about(self.files.info(self.path))
        except place_errors():
            return About()  # reading it will say why

    def key(self) -> str:
        """A hash of where it lies."""
        return place_key(self.files.unstrip_protocol(self.path))

    def state(self, about: About) -> str | None:
        """A hash of place, size and time of change, which recognises a file without reading it; None where the file system lacks them."""
        if about.size is None or about.stamp is None or about.problem:
            return None
        return _hash(json.dumps([self.files.unstrip_protocol(self.path), about.size, about.stamp]))


def place_key(address: str) -> str:
    """The key of the file at an address; a path of this machine stands for its file://, and bucket/name for s3://bucket/name."""
    return _hash(address if "://" in address else f"file://{address}" if address.startswith("/") else f"s3://{address}")


def _hash(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:32]


def _about(info: dict[str, Any]) -> About:
    stamp = next((info[name] for name in _STAMPS if info.get(name) is not None), None)
    return About(
        info.get("size"), None if stamp is None else str(stamp), "it is a folder, not a file" if info.get("type") == "directory" else None
    )


def _local_about(path: str) -> About:
    found = os.stat(path)
    kind = _KINDS.get(stat.S_IFMT(found.st_mode))
    return About(found.st_size, str(found.st_mtime), f"it is {kind}, not a file" if kind else None)


def find_videos(places: Sequence[str], facts: dict[str, Any]) -> list[InputVideo]:
    """The videos at paths, folders, manifests or addresses; `facts` are those of videos whose manifest does not give them.

    Raises `MissingError` for a place that does not exist or a folder without a video, `FormatError` for a manifest without the column path,
    and `SettingsError` for no places, a manifest at an address, facts that are no text, and ids that cannot be names or occur twice.
    """
    if odd := [name for name, value in facts.items() if value is not None and not is_text(value)]:
        raise SettingsError([f"--{name} is not UTF-8 text: type it again" for name in odd])
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
            videos = [InputVideo(name, files, facts, listed=about) for name, about in sorted(_inside(files, path))]
        except place_errors() as error:
            raise MissingError(f"{place} cannot be listed: {error}") from None
        if not videos:
            raise MissingError(f"{place} holds no video ({', '.join(SUFFIXES)}): name other files by themselves")
        inputs += videos
    counts = Counter(one.id for one in inputs if one.id)
    if twice := sorted(id for id, count in counts.items() if count > 1):
        raise SettingsError([f"two videos are called '{id}': change one line's id" for id in twice])
    return inputs


def _inside(files: Any, folder: str) -> Iterator[tuple[str, About | None]]:
    """The videos in a folder and those in it; links to folders are not followed."""
    if not is_local(files):
        yield from ((name, _about(info)) for name, info in files.find(folder, detail=True).items() if _is_video(name))
        return
    for root, _, names in os.walk(folder):
        for path in (os.path.join(root, name) for name in names if _is_video(name)):
            try:
                yield path, _local_about(path)
            except OSError:
                yield path, None


def is_text(value: str) -> bool:
    """Whether a table can hold it: the words of a command line may have bytes that are not UTF-8."""
    try:
        return bool(value.encode()) or True
    except UnicodeEncodeError:
        return False


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

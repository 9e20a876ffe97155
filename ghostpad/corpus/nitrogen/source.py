"""Where NitroGen's labels are: archives `SHARD_*.tar.gz` or extracted folders, on disk or behind any fsspec URL.

Reads them as streams and writes nothing. Names of members are only compared, never opened as paths.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

from ghostpad.base.errors import MissingError, SettingsError
from ghostpad.base.files import safe_name
from ghostpad.base.places import open_place, place_errors
from ghostpad.corpus.nitrogen.tar import DamageError, Fault, Member, tar_members

ARCHIVES = (".tar.gz", ".tgz", ".tar")
"""Endings of archives."""


@dataclass(frozen=True)
class Source:
    """A shard: an archive or a folder, recognised in a later run by `name`, which can name a file, and `size` (bytes)."""

    name: str
    path: str
    size: int
    files: Any = field(repr=False)  # its file system

    @property
    def archive(self) -> bool:
        """Whether it is an archive, not a folder."""
        return self.name.endswith(ARCHIVES)

    def members(self) -> Iterator[Member | Fault]:
        """Every file in it; damage is a `Fault` and raises nothing. A name that is not UTF-8 has U+FFFD in it."""
        if not self.archive:
            yield from self._folder()
            return
        try:
            opened = self.files.open(self.path, "rb")
        except place_errors() as error:
            yield Fault(None, f"it cannot be opened: {error}")
            return
        with opened as file:
            yield from tar_members(file, not self.name.endswith(".tar"))

    def _folder(self) -> Iterator[Member | Fault]:
        for path, about in sorted(self.files.find(self.path, detail=True).items()):
            yield Member(re.sub("[\ud800-\udfff]", "\ufffd", path), about["size"] or 0, partial(self._read, path))

    def _read(self, path: str) -> bytes:
        try:
            body: bytes = self.files.cat_file(path)
        except place_errors() as error:
            raise DamageError(f"reading stopped: {error}") from None
        return body


def find_sources(places: Sequence[str | os.PathLike[str]]) -> list[Source]:
    """The shards at some paths or URLs, by name; of a folder of archives or of `SHARD_*` folders all of them.

    Raises `MissingError` for a place that does not exist or a folder without a chunk, and `SettingsError`, listing every problem, for other
    files and for two shards of one name.
    """
    sources: dict[str, Source] = {}
    problems = []
    for place in map(str, places):
        files, path = open_place(place)
        try:
            paths = sorted(files.glob(path)) if "://" in place and "*" in place else [path]
            exists = bool(paths) and all(map(files.exists, paths))
        except place_errors() as error:
            raise MissingError(f"{place} cannot be listed: {error}") from None
        if not exists:
            raise MissingError(f"there are no labels at {place}: give SHARD_*.tar.gz files, or folders of them, extracted or not")
        for inner in (inner for path in paths for inner in _shards(files, path)):
            try:
                source = _source(files, inner)
            except SettingsError as error:
                problems += error.problems
                continue
            if sources.setdefault(source.name, source).path != source.path:
                problems.append(f"two shards are called {source.name}: rename one, or index them into two corpora")
    if problems:
        raise SettingsError(problems)
    return [sources[name] for name in sorted(sources)]


def _shards(files: Any, path: str) -> list[str]:
    if not files.isdir(path):
        return [path]
    inside = {entry["name"].rstrip("/"): entry["type"] for entry in files.ls(path, detail=True)}
    archives = sorted(name for name, kind in inside.items() if kind == "file" and name.endswith(ARCHIVES))
    folders = [name for name, kind in inside.items() if kind == "directory"]
    shards = sorted(name for name in folders if re.fullmatch(r"SHARD_\w+", name.rpartition("/")[2]))
    actions = [name for name in folders if name.rpartition("/")[2] == "actions"]
    return archives or shards or (_shards(files, actions[0]) if actions else [path])


def _name(name: str) -> str:
    """The name of a shard; one that cannot name a file is written as in an address."""
    try:
        return safe_name(name)
    except (SettingsError, UnicodeEncodeError):
        return quote(os.fsencode(name), safe="").removeprefix(".")[-150:]


def _source(files: Any, path: str) -> Source:
    name = _name(path.rstrip("/").rpartition("/")[2])
    if files.isdir(path):
        inside = files.find(path, detail=True)
        if not any(re.search(r"/(metadata\.json|actions_\w+\.parquet)$", name) for name in inside):
            raise MissingError(f"{path} holds no chunk of labels and no SHARD_*: give SHARD_*.tar.gz files, or folders of them")
        size = sum(about["size"] or 0 for about in inside.values())
        return Source(f"{name} extracted" if name.endswith(ARCHIVES) else name, path, size, files)
    if not name.endswith(ARCHIVES):
        raise SettingsError(f"{path} is no archive: its name must end in {', '.join(ARCHIVES)}")
    return Source(name, path, files.size(path) or 0, files)  # some servers state no size

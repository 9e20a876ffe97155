"""What the name and the place of a file to add say: ids that it may get or meet, and whether it is a corpus's own."""

import os
import posixpath
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath

from ghostpad.corpus.add.find import InputVideo, is_text
from ghostpad.corpus.folder import Corpus

OWN_FOLDERS = ("actions/", "add/", "cache/", "catalogue/", "failures/", "fetch/", "nitrogen/", "proxy/", "segments/", "verdicts/")
"""Folders of a corpus whose files are no footage to add. `proxy/` held the small copies of earlier versions."""


def path_inside(corpus: Corpus, source: InputVideo) -> str | None:
    """Where in the folder of the corpus a file lies, None for one outside it."""
    if isinstance(corpus.root, Path):
        parent = _resolved(os.path.dirname(source.path)) if source.is_local else None
        folder = _resolved(str(corpus.root))
    else:
        parent = None if source.is_local else source.files.unstrip_protocol(posixpath.dirname(source.path))
        folder = corpus.root.fs.unstrip_protocol(corpus.root.path).rstrip("/")
    if parent is None or not f"{parent}/".startswith(f"{folder}/"):
        return None
    return f"{parent}/{PurePosixPath(source.path).name}"[len(folder) + 1 :]


@lru_cache(256)
def _resolved(folder: str) -> str:
    return os.path.realpath(folder)


def in_brackets(source: InputVideo) -> str | None:
    """The id with which yt-dlp ends a file's name, None for none."""
    match = re.search(r"\[([^\[\]]+)\]$", source.stem)
    return match and match[1]


def slug(source: InputVideo) -> str:
    """What a file's name gives for an id; "" for nothing."""
    return re.sub(r"[^\w.-]+", "_", source.stem, flags=re.ASCII).strip("._")[:100]


def ids_of(source: InputVideo) -> Iterator[str]:
    """The ids of videos that a file may have to do with."""
    for id in (source.id, source.stem, in_brackets(source), slug(source), re.sub(r"-[0-9a-f]{8,64}$", "", source.stem)):
        if id and is_text(id):
            yield id

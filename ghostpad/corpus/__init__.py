"""Stage 1: footage and rows on disk. `open(path)` opens a corpus folder."""

import os

from ghostpad.corpus.folder import Corpus, truth_table

__all__ = ["Corpus", "open", "truth_table"]


def open(path: str | os.PathLike[str]) -> Corpus:
    """The corpus in a folder. Raises `MissingError`, naming the command that makes one, if there is none."""
    return Corpus.open(path)

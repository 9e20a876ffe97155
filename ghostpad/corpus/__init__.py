"""Footage and rows on disk. `open(path)` opens a corpus folder."""

import os

from ghostpad.corpus.folder import Corpus, truth_table

__all__ = ["Corpus", "open", "truth_table"]


def open(path: str | os.PathLike[str]) -> Corpus:
    """The corpus in a folder. Raises `MissingError`, naming the command that makes one, if there is none.

    >>> corpus = ghostpad.open_corpus("corpus")
    >>> id = corpus.videos()["id"][0].as_py()  # a pyarrow table, one row a video
    >>> recorded = corpus.actions("recorded", id)  # one row a frame; None where the video has no recorded pads
    """
    return Corpus.open(path)

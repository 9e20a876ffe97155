"""Which video of a corpus has given bytes: the sha256 of all videos in memory, and what other processes add meanwhile.

Reads the catalogue once, by columns, and then what has changed since. Memory: 110 bytes a video (measured), and 400 for each that came
while the run lasts.
"""

from bisect import bisect_left

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ghostpad.corpus.folder import Corpus

_COLUMNS = ["id", "sha256"]

_MOST_NEW = 100_000
"""Rows that came during the run, before they are sorted in among the others (a guess)."""


class KnownBytes:
    """The ids of a corpus's videos by the sha256 of their files."""

    def __init__(self, corpus: Corpus):
        self._catalogue, self._read = corpus.catalogue, set[str]()
        self._hashes, self._ids = pa.array([], pa.string()), pa.array([], pa.string())
        self._new = dict[str, str]()
        self.refresh()

    def refresh(self) -> None:
        """Learn what has been committed since the last time."""
        for table in self._catalogue.news(self._read, _COLUMNS):
            if table.num_rows + len(self._new) <= _MOST_NEW:
                self._new.update(zip(table.column("sha256").to_pylist(), table.column("id").to_pylist(), strict=True))
            else:
                self._sort_in(table)

    def id_of(self, sha256: str) -> str | None:
        """The id of a video that has these bytes, or had them: its row says which."""
        if (id := self._new.get(sha256)) is not None:
            return id
        at = bisect_left(range(len(self._hashes)), sha256, key=lambda index: self._hashes[index].as_py())
        return self._ids[at].as_py() if at < len(self._hashes) and self._hashes[at].as_py() == sha256 else None

    def _sort_in(self, table: pa.Table) -> None:
        """Sort rows and what came before them in among the others; of those with one hash the newest stays, since sorting is stable.

        Most are not new: files are merged again and again, and each merged one is read.
        """
        hashes = pa.concat_arrays([*table.column("sha256").chunks, pa.array(self._new, pa.string()), self._hashes])
        ids = pa.concat_arrays([*table.column("id").chunks, pa.array(self._new.values(), pa.string()), self._ids])
        order = pc.sort_indices(hashes)[: len(hashes) - hashes.null_count]  # nulls are last
        hashes, ids = hashes.take(order), ids.take(order)
        first = np.ones(len(hashes), np.bool_)
        first[1:] = pc.not_equal(hashes[1:], hashes[:-1]).to_numpy(zero_copy_only=False)
        self._hashes, self._ids = hashes.filter(pa.array(first)), ids.filter(pa.array(first))
        self._new.clear()

    def __len__(self) -> int:
        """How many hashes are known."""
        return len(self._hashes) + len(self._new)

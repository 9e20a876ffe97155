"""Whether a corpus has a video's pictures already: fingerprints in its cache, their codes in the table `add/prints`.

    cache/fingerprints/<sha256>.npy    a fingerprint, see ghostpad.corpus.add.fingerprint; derived, made again where it is gone
    add/prints                         the codes of all videos, by which the few to compare are found, see ghostpad.corpus.add.similar

Videos of other commands get theirs when a video of like length is added. Memory: the index of codes, and 30 bytes a video.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ghostpad.base.errors import MediaError, MissingError
from ghostpad.base.files import atomic_path
from ghostpad.base.records import PRINTS
from ghostpad.corpus.add.fingerprint import PRINT, Prints, fingerprint_video
from ghostpad.corpus.add.similar import SimilarIndex, codes_of
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.table import Table
from ghostpad.video.child import VideoChild


class Pictures:
    """The pictures of a corpus's ok videos. Reads the catalogue once; `put` writes the codes of those that `add` was told of."""

    def __init__(self, corpus: Corpus, child: VideoChild):
        self._corpus, self._child = corpus, child
        self._table, self._index = Table(corpus.root / "add" / "prints", "prints"), SimilarIndex()
        self._new, self._left_out = dict[str, str | None](), set[str]()
        rows = [table.select(["id", "sha256", "duration_s"]) for table in corpus.scan(["id", "sha256", "duration_s"], "ok")]
        self._ids = pa.concat_tables(rows).combine_chunks() if rows else None
        self._without = self._load()

    def same(self, prints: Prints, duration_s: float) -> str | None:
        """The id of a video of the corpus that shows the same pictures, its length at most a tenth or a second off, if one is found."""
        self._take_in(duration_s)
        return self._index.same(prints, duration_s, self._of)

    def add(self, id: str, sha256: str | None, duration_s: float, prints: Prints) -> pa.Table:
        """A video was added: the row to `put` once it is in the catalogue."""
        self._new[id] = sha256
        self._index.add([id], [duration_s], [codes_of(prints)])
        self._keep(id, sha256, prints)
        return pa.Table.from_pylist([{"id": id, "sha256": sha256, "codes": codes_of(prints)}], schema=PRINTS)

    def leave_out(self, id: str) -> None:
        """A video that was added does not count, as another has its bytes or its id."""
        self._left_out.add(id)

    def put(self, rows: Iterable[pa.Table]) -> None:
        """Write the rows of added videos."""
        if tables := list(rows):
            self._table.put(pa.concat_tables(tables))

    def _load(self) -> np.ndarray:
        """Fill the index; the places in `_ids` of the videos without codes, by length."""
        if self._ids is None:
            return np.zeros(0, np.int64)
        with_codes = np.zeros(len(self._ids), np.bool_)
        for table in self._table.scan():
            near = self._near(table.column("id")[0].as_py(), table.column("id")[-1].as_py())  # both are by id
            at = pc.add(pc.index_in(table.column("id"), self._ids.column("id")[near]), near.start)
            table = table.append_column("at", at).filter(pc.is_valid(at))
            rows = self._ids.take(table.column("at"))
            same = pc.fill_null(pc.equal(rows.column("sha256"), table.column("sha256")), False)
            table, rows = table.filter(same), rows.filter(same)
            lengths = rows.column("duration_s").fill_null(0).to_numpy()
            self._index.add(table.column("id").to_pylist(), lengths, table.column("codes").to_pylist())
            with_codes[table.column("at").to_numpy()] = True
        without = np.flatnonzero(~with_codes)
        return without[np.argsort(self._lengths(without), kind="stable")]

    def _near(self, first: str, last: str) -> slice:
        """The places in `_ids` of the ids from one to another."""
        assert self._ids is not None
        ids = self._ids.column("id")
        places = range(len(ids))
        return slice(bisect_left(places, first, key=lambda at: ids[at].as_py()), bisect_right(places, last, key=lambda at: ids[at].as_py()))

    def _lengths(self, at: np.ndarray) -> np.ndarray:
        if self._ids is None:
            return np.zeros(0)
        lengths: np.ndarray = self._ids.column("duration_s").fill_null(0).take(pa.array(at)).to_numpy()
        return lengths

    def _take_in(self, duration_s: float) -> None:
        """Give codes to the videos without that have such a length."""
        slack_s = max(1.0, 0.1 * duration_s)
        first, beyond = np.searchsorted(self._lengths(self._without), [duration_s - slack_s, duration_s + slack_s + 1e-6])
        rows, chosen = [], self._without[first:beyond]
        self._without = np.delete(self._without, np.s_[first:beyond])
        for at in np.sort(chosen).tolist():
            assert self._ids is not None
            row = self._ids.slice(at, 1).to_pylist()[0]
            prints = self._kept(row["id"], row["sha256"])
            prints = self._made(row["id"]) if prints is None else prints
            if prints is not None:  # else every run tries it again
                rows.append(self.add(row["id"], row["sha256"], row["duration_s"] or 0.0, prints))
        self.put(rows)

    def _of(self, id: str) -> Prints | None:
        """The fingerprint of a video, None for one that does not count."""
        if id in self._left_out:
            return None
        prints = self._kept(id, self._sha256(id))
        return self._made(id) if prints is None else prints

    def _sha256(self, id: str) -> str | None:
        if id in self._new or self._ids is None:
            return self._new.get(id)
        at = pc.index(self._ids.column("id"), id).as_py()
        return self._ids.column("sha256")[at].as_py() if at >= 0 else None

    def _made(self, id: str) -> Prints | None:
        with suppress(MediaError, MissingError):
            for video in self._corpus.find([id]).values():
                with self._corpus.footage(video) as path:
                    prints = fingerprint_video(path, self._child)
                self._keep(id, video.sha256, prints)
                return prints
        return None

    def _keep(self, id: str, sha256: str | None, prints: Prints) -> None:
        with (
            atomic_path(self._path(id, sha256), derived=True) as temporary,
            open(temporary, "w+b") as file,
        ):  # "w+b": as ghostpad.feed.pictures
            np.save(file, prints)

    def _kept(self, id: str, sha256: str | None) -> Prints | None:
        try:
            kept: Prints = np.load(self._path(id, sha256))
        except (OSError, ValueError, EOFError):
            return None  # derived, and not there or damaged: it is made again
        return kept if kept.dtype == PRINT else None

    def _path(self, id: str, sha256: str | None) -> Path:
        return self._corpus.cache / "fingerprints" / f"{sha256 or id}.npy"

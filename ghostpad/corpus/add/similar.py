"""Which video of a corpus shows the same pictures as a new one, without comparing it with all: an index of short codes of fingerprints.

The code of a second is 128 signs of random projections of how its blocks change: two seconds differ in as many of them as they differ in
angle (Charikar 2002, "Similarity estimation techniques from rounding algorithms"). The seconds of a video that change most have one. The
index is eight hash tables by parts of the signs; a search looks where its own signs point and where they would if the least certain ones
were others (Lv and others 2007, "Multi-probe LSH"). What is found there, of like length and with like codes, is compared by `likeness`.

Reads and writes nothing: the caller keeps fingerprints and codes, and loads the index from the codes.

A search among videos of 6 s costs 0.4 CPU-ms at 1,000 of them, 0.5 at 10,000, 1.6 at 100,000 and 4.2 at 1,000,000, in 112 MB at 100,000 and
500 MB at 1,000,000 (measured on made-up fingerprints). It found all of 1,148 ordered pairs of the same among the encodings named in
`ghostpad.corpus.add.fingerprint`; of made-up ones, each second as far off as it may be but for 0.05, 0.1 and 0.2 of agreement, it finds 93,
98 and 100 % at 100,000.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import idctn

from ghostpad.corpus.add.fingerprint import BLOCKS, PRINT, Prints, least_agreement, likeness

MOST_CODES = 8
"""Seconds of a video that have a code, those that change most."""

_LEAST_CHANGE = 1.0
"""Change of a second, in levels, from which on it has a code: below that of compared seconds, as it differs between encodings (a guess)."""

_SIGNS, _TABLES = 128, 8

_WHITEN = 0.8
"""Power of the spatial frequency that projections are weighed by. Large shapes are alike in all footage: of powers from 0 to 1.2 this one
misses the fewest encodings, and finds a third fewer others (measured, on the videos named in `ghostpad.corpus.add.fingerprint`)."""

_FEWEST_BITS, _MOST_BITS = 16, 22
"""Signs that a table hashes. Two more from a code a place on, as long as the tables stay below 150 MB."""

_LONGEST = 200
"""Codes at one place that are looked at, newest first: what more videos share is a title screen (a guess)."""

_SLACK = 4.0
"""Signs that the middle one of the seconds in common may differ in beyond those of the least agreement: most of the chance in 128 signs."""

CODE = np.dtype([("second", "<u4"), ("signs", "<u8", (2,))])
"""One second with a code: which, and its signs. 20 bytes."""

Signs = NDArray[np.uint64]
"""[n, 2], the first sign in the lowest bit."""


def codes_of(prints: Prints) -> bytes:
    """The codes of a fingerprint, to be kept beside it: up to 8 times 20 bytes, none for a video that stands still."""
    chosen = _chosen(prints)
    found = np.zeros(len(chosen), CODE)
    found["second"], found["signs"] = chosen["second"], _pack(_project(chosen))
    return found.tobytes()


class SimilarIndex:
    """The codes of many videos in memory, and which of them may show the same pictures as another."""

    def __init__(self) -> None:
        self._ids, self._id_ends = bytearray(), _Grown(np.int64)
        self._durations_s, self._code_ends = _Grown(np.float32), _Grown(np.int64)
        self._rows, self._seconds, self._signs = _Grown(np.int32), _Grown(np.uint32), _Grown(np.uint64, 2)
        self._hash_by(_FEWEST_BITS)

    def __len__(self) -> int:
        return self._durations_s.count

    def add(self, ids: Sequence[str], durations_s: Sequence[float] | NDArray[np.floating], codes: Sequence[bytes]) -> None:
        """Add videos with what `codes_of` gave for each, one or many: 0.15 ms for one, and 4 to 10 us each for many (measured)."""
        names = [id.encode() for id in ids]
        new, counts = np.frombuffer(b"".join(codes), CODE), np.array([len(one) // CODE.itemsize for one in codes], np.int64)
        self._rows.extend(np.repeat(np.arange(len(self), len(self) + len(ids)), counts))
        self._id_ends.extend(len(self._ids) + np.cumsum([len(name) for name in names], dtype=np.int64))
        self._ids += b"".join(names)
        self._durations_s.extend(np.asarray(durations_s))
        self._code_ends.extend(self._seconds.count + np.cumsum(counts))
        self._seconds.extend(new["second"])
        self._signs.extend(new["signs"])
        bits = self._bits
        while self._seconds.count > 1 << bits and bits < _MOST_BITS:
            bits += 2
        if bits > self._bits:
            self._hash_by(bits)
        else:
            self._link(self._seconds.count - len(new))

    def same(self, prints: Prints, duration_s: float, prints_of: Callable[[str], Prints | None]) -> str | None:
        """The id of the first added video that shows the same pictures, its length at most a tenth or a second off, if one is found.

        `prints_of` gives the fingerprint of a video, or None for one that does not count; it is asked for few videos.
        """
        for id in self.candidates(prints, duration_s):
            other = prints_of(id)
            if other is not None and likeness(prints, other) > 0:
                return id
        return None

    def candidates(self, prints: Prints, duration_s: float) -> Iterator[str]:
        """The ids of videos of like length and with like codes, in the order of adding."""
        search = _Search(prints, self._bits)
        found, at = self._found(search)
        found = found[search.beyond(self._signs.used[found], at) <= 0]
        rows = np.unique(self._rows.used[found])
        rows = rows[np.abs(self._durations_s.used[rows] - duration_s) <= max(1.0, 0.1 * duration_s)]
        for row in self._like(rows, search):
            start = self._id_ends.used[row - 1] if row else 0
            yield self._ids[start : self._id_ends.used[row]].decode()

    def _hash_by(self, bits: int) -> None:
        """Make the tables anew by so many signs."""
        self._bits = bits
        self._heads = np.full((_TABLES, 1 << bits), -1, np.int32)  # the newest code at each place of a table
        self._before = _Grown(np.int32, _TABLES)  # the one before each code at its place in a table
        self._link(0)

    def _link(self, first: int) -> None:
        """Put the codes from `first` on at their places: each becomes the newest there and names the one before."""
        places = _places(self._seconds.used[first:], self._signs.used[first:], self._bits)
        self._before.extend(np.empty(places.shape, np.int32))
        for heads, before, place in zip(self._heads, self._before.used.T, places.T, strict=True):
            order = np.argsort(place, kind="stable")
            place, order = place[order], order + first
            opens = np.diff(place, prepend=-1) != 0
            before[order] = np.where(opens, heads[place], np.roll(order, 1))
            closes = np.roll(opens, -1)
            heads[place[closes]] = order[closes]

    def _found(self, search: "_Search") -> tuple[NDArray[np.int32], NDArray[np.intp]]:
        """The codes at the likeliest places of a search, and for which of its seconds each was found."""
        at, table, _ = np.unravel_index(np.arange(search.places.size), search.places.shape)
        code = self._heads[table, search.places.ravel()]
        found = [(code[:0], at[:0])]
        for _ in range(_LONGEST):
            there = np.flatnonzero(code >= 0)
            if not len(there):
                break
            code, at, table = code[there], at[there], table[there]
            found.append((code, at))
            code = self._before.used[code, table]
        return np.concatenate([code for code, _ in found]), np.concatenate([at for _, at in found])

    def _like(self, rows: NDArray[np.int32], search: "_Search") -> NDArray[np.int32]:
        """Those of the rows that differ in few enough signs in the middle one of the seconds in common, of which each has one."""
        ends = self._code_ends.used
        starts = np.where(rows > 0, ends[rows - 1], 0) if len(rows) else rows
        counts = ends[rows] - starts
        of = np.repeat(np.arange(len(rows)), counts)
        code = np.arange(len(of)) + (starts - np.cumsum(counts) + counts)[of]
        at = search.at(self._seconds.used[code])
        of, code, at = of[at >= 0], code[at >= 0], at[at >= 0]
        beyond = search.beyond(self._signs.used[code], at)
        beyond = beyond[np.lexsort((beyond, of))]
        counts = np.bincount(of, minlength=len(rows))
        middle, compared = (
            np.cumsum(counts) - counts + (counts - 1) // 2,
            counts > 0,
        )  # another second's code may lie where one is looked for
        return rows[compared][beyond[middle[compared]] <= 0]


class _Search:
    """What is looked for: the seconds and signs of a fingerprint, and the places to look at, int [seconds, tables, probes]."""

    def __init__(self, prints: Prints, bits: int):
        chosen = _chosen(prints)
        projected = _project(chosen)
        self._seconds, self._signs = chosen["second"], _pack(projected)
        self._most = np.arccos(least_agreement(chosen["change"])) * (_SIGNS / np.pi) + _SLACK
        hashed = np.abs(projected[:, (np.arange(0, _SIGNS, _SIGNS // _TABLES)[:, None] + np.arange(bits)) % _SIGNS])
        changed = (1 << np.argsort(hashed, axis=-1)).astype(np.float32) @ _likely_changes(bits)
        self.places = _places(self._seconds, self._signs, bits)[..., None] ^ changed.astype(np.int32)

    def at(self, seconds: NDArray[np.integer]) -> NDArray[np.intp]:
        """Which of the seconds that are looked for these are, -1 for none."""
        at = np.minimum(np.searchsorted(self._seconds, seconds), len(self._seconds) - 1)
        return np.where(self._seconds[at] == seconds, at, -1)

    def beyond(self, signs: Signs, at: NDArray[np.integer]) -> NDArray[np.float64]:
        """In how many signs more than the same pictures these differ from those of the seconds `at`."""
        differing = np.bitwise_count(signs ^ self._signs[at])
        return differing[:, 0] + differing[:, 1] - self._most[at]


class _Grown:
    """An array that grows in place; what was `used` must be asked for again after `extend`."""

    def __init__(self, dtype: np.typing.DTypeLike, *shape: int):
        self._room, self.count = np.empty((1024, *shape), dtype), 0

    @property
    def used(self) -> np.ndarray:
        return self._room[: self.count]

    def extend(self, more: np.ndarray) -> None:
        count = self.count + len(more)
        if count > len(self._room):
            self._room.resize((max(count, len(self._room) * 5 // 4), *self._room.shape[1:]), refcheck=False)
        self._room[self.count : count], self.count = more, count


@cache
def _projections() -> NDArray[np.float32]:
    """Float32 [size of a print, 128]. They come out of a hash, not out of a random generator, as stored codes must stay valid."""
    shape = PRINT["blocks"].shape[0] // (BLOCKS[0] * BLOCKS[1]), *BLOCKS, _SIGNS
    random = np.unpackbits(np.frombuffer(hashlib.shake_256(b"similar videos").digest(int(np.prod(shape)) // 8), np.uint8))
    y, x = np.ogrid[: BLOCKS[0], : BLOCKS[1]]
    weighed = (random.reshape(shape) * 2.0 - 1) * (np.hypot(y / BLOCKS[0], x / BLOCKS[1]) ** _WHITEN)[..., None]
    found: NDArray[np.float32] = idctn(weighed, axes=(1, 2), norm="ortho").reshape(-1, _SIGNS).astype(np.float32)
    return found


@cache
def _likely_changes(bits: int) -> NDArray[np.float32]:
    """Sets of signs to change, 0 or 1 [bits, probes], over the signs from the least certain on, from the likeliest set on.

    The projection of the i-th least certain of n signs is about i / (n + 1) of the largest, and a set is the likelier the smaller the sum
    of their squares. Twice as many are looked at for two more signs, so that as little is missed (measured).
    """
    costs = (np.arange(1, bits + 1) / (bits + 1)) ** 2
    sets = [list(chosen) for size in range(5) for chosen in combinations(range(bits), size)]
    sets = sorted(sets, key=lambda chosen: costs[chosen].sum())[: 1 << (bits // 2 - 2)]
    return np.array([np.isin(np.arange(bits), chosen) for chosen in sets], np.float32).T


def _chosen(prints: Prints) -> Prints:
    """The seconds that have a code, in order."""
    moving = prints[prints["change"] >= _LEAST_CHANGE]
    return moving[np.sort(np.argsort(-moving["change"], kind="stable")[:MOST_CODES])]


def _project(prints: Prints) -> NDArray[np.float32]:
    return prints["blocks"].astype(np.float32) @ _projections()


def _pack(projected: NDArray[np.float32]) -> Signs:
    return np.packbits(projected > 0, axis=1, bitorder="little").view("<u8")


def _places(seconds: NDArray[np.integer], signs: Signs, bits: int) -> NDArray[np.int32]:
    """Where codes lie in each table, [n, tables]: table t hashes the signs from 16 t on. Other seconds lie elsewhere, as only equal ones
    are compared."""
    scattered = (seconds.astype(np.uint64) * np.uint64(2654435761)) >> np.uint64(8)
    mask, places = np.uint64((1 << bits) - 1), np.empty((len(signs), _TABLES), np.int32)
    for table in range(_TABLES):
        word, shift = divmod(table * (_SIGNS // _TABLES), 64)
        following = signs[:, 1 - word] << np.uint64(63 - shift) << np.uint64(1)
        places[:, table] = ((signs[:, word] >> np.uint64(shift) | following) ^ scattered) & mask
    return places

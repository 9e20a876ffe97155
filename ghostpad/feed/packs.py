"""Rows at one byte a number: the aligned rows of a video, packed for training, beside the pictures they belong to.

A pack is a line of JSON, which holds the facts of the video, and 26 bytes a row: a button's probability in steps of 1/254, a stick axis
in steps of 1/127, 255 where unknown; then how sure the row is in steps of 1/255, 0 where it is not learned from. An hour of 60 Hz rows
takes 5.6 MB. Reads and writes packs, each whole or not at all; they may be deleted at any time.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ghostpad.base.errors import FormatError
from ghostpad.base.files import atomic_path
from ghostpad.base.pad import BUTTONS, PAD_DIM, PRESSED
from ghostpad.base.places import Place
from ghostpad.feed.footage import ClipFacts
from ghostpad.feed.ranges import Ranges
from ghostpad.video.paint import Share

VERSION = 1
"""Of the format, to be raised with it: packs of others are not read."""

_WIDTH = PAD_DIM + 1
_UNKNOWN = 255
_ZERO = np.where(np.arange(PAD_DIM) < len(BUTTONS), 0, 127).astype(np.float32)
_ONE = np.where(np.arange(PAD_DIM) < len(BUTTONS), 254, 127).astype(np.float32)
"""The byte of 0, and how many bytes further that of 1 lies, for each slot."""

ONE_CONTENT = ""
"""Mark of files whose name says what is in them: no store need be asked for another."""

_HEAD_BYTES = 1 << 16
"""How much of a file is read at first, in which most heads end: 1 KB and 12 bytes for every 10 s."""


@dataclass(frozen=True, eq=False)
class Head:
    """What the head of a pack says: the facts of its video, where its rows begin, and what they are made of.

    content    hex digits that name the bytes of its rows
    sureness   int64 [256], how many rows of the source (kept or not) have each byte of confidence; empty where all are sure
    """

    facts: ClipFacts
    rows: int
    begin: int
    made_of: str
    content: str
    masks: tuple[Share, ...]
    sureness: NDArray[np.int64]

    @property
    def size_bytes(self) -> int:
        """How long the whole pack is."""
        return self.begin + self.rows * _WIDTH


def sure_bytes(confidence: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The bytes of confidence 0...1: 1...255, as 0 stands for what is not learned from, whatever the power of confidence."""
    return np.rint(255 * confidence).clip(1, 255).astype(np.uint8)


def write_pack(
    path: Place,
    pads: NDArray[np.float32],
    known: NDArray[np.bool_],
    sure: NDArray[np.uint8],
    facts: ClipFacts,
    masks: Sequence[Share],
    sureness: NDArray[np.int64],
) -> None:
    """Write pads float32 [n, 25] with what is `known` bool [n, 25] and the byte of confidence [n]; `facts.mark` says what it is made of."""
    codes = np.full((len(pads), _WIDTH), _UNKNOWN, np.uint8)
    codes[:, :PAD_DIM][known] = np.rint(_ZERO + pads * _ONE).clip(0, 254).astype(np.uint8)[known]
    codes[:, PAD_DIM] = sure
    head: dict[str, Any] = {name: getattr(facts, name).tolist() for name in ("starts", "windows", "idle")}
    head |= {"rows": len(pads), "made_of": facts.mark, "known": np.flatnonzero(facts.known).tolist(), "sureness": sureness.tolist()}
    head["content"] = hashlib.sha256(codes.data).hexdigest()[:16]
    head |= {"first_s": facts.first_s, "last_s": facts.last_s, "masks": masks}
    with atomic_path(path, derived=True) as temporary:
        temporary.write_bytes(json.dumps(head).encode() + b"\n" + codes.tobytes())


def read_head(path: Place, ranges: Ranges) -> Head:
    """The head of a pack. Raises `MissingError` for no file and `FormatError` for what is none."""
    size, data = _HEAD_BYTES, b""
    while b"\n" not in data and len(data) in (0, size // 2, size):
        data, size = ranges.read(path, 0, size, ONE_CONTENT), 2 * size
        if len(data) < size // 2:
            break
    line, end, _ = data.partition(b"\n")
    try:
        head = json.loads(line)
        starts, windows, idle = (np.array(head[name], np.int32) for name in ("starts", "windows", "idle"))
        known = np.isin(np.arange(PAD_DIM), head["known"])
        facts = ClipFacts(starts, windows, idle, known, head["first_s"], head["last_s"], head["made_of"])
        masks = tuple((left, top, right, bottom) for left, top, right, bottom in head["masks"])
        return Head(
            facts, head["rows"], len(line) + len(end), head["made_of"], head["content"], masks, np.array(head["sureness"], np.int64)
        )
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path} holds no packed rows ({error}): remove it, and it is made again") from None


@dataclass(frozen=True, eq=False)
class Pack:
    """The rows of a pack.

    weights  float32 [256], the loss weight of each byte of confidence
    hard     whether a button teaches pressed or not, whichever is likelier, instead of its probability
    """

    path: Place
    ranges: Ranges
    rows: int
    begin: int
    weights: NDArray[np.float32]
    hard: bool = False

    def codes(self, index: Any) -> NDArray[np.uint8]:
        """The bytes of rows, uint8 [n, 26]: a slice or numbers, which are read with what lies between them."""
        wanted = np.arange(self.rows)[index]
        if not wanted.size:
            return np.zeros((0, _WIDTH), np.uint8)
        first, last = int(wanted.min()), int(wanted.max()) + 1
        data = self.ranges.read(self.path, self.begin + first * _WIDTH, self.begin + last * _WIDTH, ONE_CONTENT)
        if len(data) != (last - first) * _WIDTH:
            raise FormatError(f"{self.path} is cut off: remove it, and it is made again")
        codes = np.frombuffer(data, np.uint8).reshape(-1, _WIDTH)
        return codes[wanted - first]

    def decoded(self, index: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Pads and weights of rows, each float32 [n, 25]; unknown numbers are 0 and weigh nothing."""
        codes = self.codes(index)
        known, numbers = codes[..., :PAD_DIM] != _UNKNOWN, codes[..., :PAD_DIM].astype(np.float32)
        pads = np.where(known, (numbers - _ZERO) / _ONE, 0).astype(np.float32)
        if self.hard:
            pads[..., : len(BUTTONS)] = pads[..., : len(BUTTONS)] >= PRESSED
        return pads, known * self.weights[codes[..., PAD_DIM]][..., None]


class PackedPads:
    """The pads of a pack, read like an array float32 [n, 25]."""

    def __init__(self, pack: Pack):
        self.pack = pack

    def __len__(self) -> int:
        return self.pack.rows

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        return self.pack.decoded(index)[0]


class PackedWeights(PackedPads):
    """The loss weights of a pack, read like an array float32 [n, 25]."""

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        return self.pack.decoded(index)[1]

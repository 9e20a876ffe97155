"""Predict the rows of long videos in pieces, of several videos at once: every frame is encoded once, and the cut does not matter.

A prediction depends on `reach` rows each way, so a piece is predicted together with that many row vectors before and after it, and only
its own rows are kept. At the ends of a stretch there is nothing beyond, as in training.

On a GPU pieces of equal length go through the model as one batch, in as many kernels as one, and the host waits for none of them: see
`Prediction`. Rows predicted in other company differ by rounding (1e-6, measured); those of one video alone repeat exactly.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain, islice
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ghostpad.base.pad import PAD_DIM
from ghostpad.feed.window import WindowSpec
from ghostpad.idm.calibrate import Calibration
from ghostpad.nn.device import Fetched, send

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

PIECE_ROWS = 64
"""Rows predicted at a time (a guess; the result does not depend on it)."""

Rows = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Pads [n, 25] and stick spreads [n, 4] of successive rows."""


class Logits(NamedTuple):
    """What an IDM's heads give for rows; a part is empty where there is no head for it."""

    held: Tensor
    """[B, T, buttons] whether each is down."""
    events: Tensor
    """[B, T, 2, buttons] whether a press begins, and ends, in this row."""
    bins: Tensor
    """[B, T, sticks, bins] over the values of each stick axis."""


class AnyIdm(Protocol):
    """What labelling uses of `ghostpad.idm.model.Idm`, which labels by it."""

    calibration: Calibration | None
    bins: Tensor

    @property
    def window(self) -> WindowSpec:
        """Size and rate of its frames."""
        ...

    @property
    def reach(self) -> int:
        """Rows each way that a prediction depends on."""
        ...

    def precision(self) -> AbstractContextManager[object]:
        """The context to compute in."""
        ...

    def slots_of(self, game: str | None) -> list[str]:
        """The slots it predicts in a game's footage."""
        ...

    def game_rows(self, games: Sequence[str | None]) -> Tensor:
        """The numbers of B games."""
        ...

    def encode(self, frames: Tensor) -> Tensor:
        """Row vectors [B, T, dim] of frames [B, T + 1, H, W, 1], each of its two frames alone."""
        ...

    def relate(self, rows: Tensor, games: Tensor) -> Logits:
        """Logits of row vectors and `game_rows`."""
        ...

    def pads_of(self, logits: Logits) -> tuple[Tensor, Tensor]:
        """Pads [B, T, 25] and stick spreads [B, T, 4]."""
        ...


class Stretch:
    """How far a stretch of frames, without a gap, of a `game` has been read."""

    def __init__(self, game: str | None):
        self.game = game
        self.vectors: list[Tensor] = []  # [n, dim], the row vectors that are still needed
        self.done = 0  # how many of them, from the first on, are predicted


class Piece(NamedTuple):
    """The next frames of a stretch uint8 [n + 1, H, W, 1], of which the first is the last of the piece before; None: the stretch ends."""

    stretch: Stretch
    frames: NDArray[np.uint8] | None


class Prediction:
    """The rows that some pieces made known, on their way from the device; until they are asked for, the host may prepare the next."""

    def __init__(self, model: AnyIdm, pieces: Sequence[Piece]):
        self._rows: list[tuple[Fetched, int, int, int] | None] = [None] * len(pieces)
        with torch.inference_mode(), model.precision():
            _encode(model, pieces)
            self._relate(model, pieces)

    def rows(self) -> Iterator[Rows | None]:
        """For each piece the rows that are known by it, or None where there are none yet."""
        for found in self._rows:
            if found is None:
                yield None
            else:
                fetched, number, start, stop = found
                values = fetched.numpy()[number, start:stop]
                yield values[:, :PAD_DIM], values[:, PAD_DIM:]

    def _relate(self, model: AnyIdm, pieces: Sequence[Piece]) -> None:
        ends = [_length(piece.stretch) - (0 if piece.frames is None else model.reach) for piece in pieces]
        for length, numbers in _groups(range(len(pieces)), lambda number: _length(pieces[number].stretch)):
            known = [number for number in numbers if ends[number] > pieces[number].stretch.done]
            if not known:
                continue
            stretches = [pieces[number].stretch for number in known]
            vectors = torch.cat([part for stretch in stretches for part in stretch.vectors]).view(len(known), length, -1)
            pads, spreads = model.pads_of(model.relate(vectors, model.game_rows([stretch.game for stretch in stretches])))
            fetched = Fetched(torch.cat([pads, spreads], -1))
            for place, (number, stretch) in enumerate(zip(known, stretches, strict=True)):
                self._rows[number] = fetched, place, stretch.done, ends[number]
                drop = max(0, ends[number] - model.reach)
                stretch.vectors, stretch.done = [vectors[place, drop:]], ends[number] - drop


def predict_rows(
    model: AnyIdm, frames: Iterable[NDArray[np.uint8]], piece_rows: int = PIECE_ROWS, game: str | None = None
) -> Iterator[Rows]:
    """Yield (pads [n, 25], spreads [n, 4]) for successive rows of a stream of frames uint8 [H, W, 1], uncalibrated."""
    stretch = Stretch(game)
    for images in chain(map(np.stack, cut(frames, piece_rows)), [None]):
        for rows in Prediction(model, [Piece(stretch, images)]).rows():
            if rows is not None:
                yield rows


def cut(items: Iterable[T], rows: int) -> Iterator[list[T]]:
    """Successive items, `rows` + 1 at a time and at the end fewer; the last of a list is the first of the next."""
    stream = iter(items)
    piece = list(islice(stream, 1))
    while more := list(islice(stream, rows)):
        piece = [piece[-1], *more]
        yield piece


def _encode(model: AnyIdm, pieces: Sequence[Piece]) -> None:
    """Add the row vectors of the pieces to their stretches."""
    with_frames = [(piece.stretch, piece.frames) for piece in pieces if piece.frames is not None]
    for _, group in _groups(with_frames, lambda one: len(one[1])):
        frames = np.stack([images for _, images in group])
        for (stretch, _), vectors in zip(group, model.encode(send(torch.from_numpy(frames), model.bins.device)), strict=True):
            stretch.vectors.append(vectors)


def _length(stretch: Stretch) -> int:
    return sum(len(part) for part in stretch.vectors)


def _groups(items: Iterable[T], key: Callable[[T], K]) -> Iterator[tuple[K, list[T]]]:
    """Items of equal key together."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    yield from groups.items()

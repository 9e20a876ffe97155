"""The members of a `.tar.gz` or `.tar` read as a stream, past any damage: nothing is written, nothing is held but one member.

Why not `tarfile`: with `ignore_zeros=True` it does go on after a bad header, but it takes about 30 us a header and loses the bytes before
damage in a gzip stream and all behind it. Here a damaged header is skipped to the next one whose checksum is right, every byte before a
fault in gzip is used, and reading goes on at the next gzip member (several compressors write many). Unpacking runs in a thread of its own.

Costs as much as zlib, and about 3 us a header (measured here). Names are text, never paths to open.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO

from ghostpad.base.ahead import read_ahead

BLOCK = 512  # bytes; a tar's unit
PIECE_BYTES = 1 << 18  # read at once: a guess between calls and memory
MOST_OUT_BYTES = 1 << 22  # unpacked at once, so that a bomb stays small
MOST_EXTRA_BYTES = 1 << 20  # of a long name or extended header
_GZIP = b"\x1f\x8b\x08"


class DamageError(Exception):
    """Bytes of a stream are lost here; reading may go on behind them. Not for users: it becomes a `Fault`, and that a row with a reason."""

    name: str | None = None
    """The member it hit, if that is known."""


@dataclass(frozen=True)
class Fault:
    """Damage of an archive: the member it hit, if that is known, and the reason."""

    name: str | None
    reason: str


@dataclass(frozen=True)
class Member:
    """A plain file in an archive. `read()` gives its bytes, once and only before the next member is asked for.

    It raises `DamageError` if they are not all there; a `Fault` that names the member follows.
    """

    name: str
    size: int
    read: Callable[[], bytes]


def tar_members(file: BinaryIO, gzipped: bool) -> Iterator[Member | Fault]:
    """The plain files and the faults of an archive, in its order. Raises nothing for damage."""
    with closing(read_ahead(_inflate(_pieces(file)) if gzipped else _pieces(file), 8)) as blocks:
        yield from _members(_Stream(blocks))


class _Stream:
    """Bytes by count from an iterator of blocks; `position` counts them."""

    def __init__(self, blocks: Iterator[bytes | DamageError]):
        self._blocks, self._block, self._at = blocks, b"", 0
        self.position = 0

    def read(self, count: int) -> bytes:
        """`count` bytes, fewer at the end of the stream. Raises `DamageError` where bytes are lost; the next call goes on behind them."""
        if self._at + count <= len(self._block):
            self._at, self.position = self._at + count, self.position + count
            return self._block[self._at - count : self._at]
        parts, wanted = [], count
        while wanted and self._fill():
            part = self._block[self._at : self._at + wanted]
            self._at += len(part)
            wanted -= len(part)
            parts.append(part)
        self.position += count - wanted
        return b"".join(parts)

    def skip(self, count: int) -> bool:
        """Pass over `count` bytes without copying them; False if the stream ends before. Raises as `read`."""
        while count:
            if not self._fill():
                return False
            step = min(count, len(self._block) - self._at)
            self._at, self.position, count = self._at + step, self.position + step, count - step
        return True

    def _fill(self) -> bool:
        while self._at >= len(self._block):
            block = next(self._blocks, None)
            if block is None:
                return False
            self._block, self._at = b"", 0
            if isinstance(block, DamageError):
                raise block
            self._block = block
        return True


@dataclass
class _Header:
    name: str
    size: int
    kind: bytes


def _members(stream: _Stream) -> Iterator[Member | Fault]:
    """The members; after a fault the next good header is looked for at every multiple of 512 bytes from it, then at every byte."""
    name, size, ended, seeking = "", -1, False, False
    window = b""
    while True:
        try:
            window += stream.read(BLOCK - len(window))
        except DamageError as error:
            yield Fault(None, str(error))
            window, seeking = b"", True
            continue
        if len(window) < BLOCK:
            break
        header = _parse(window)
        if header is None:
            if not window.strip(b"\0"):
                ended, window = True, b""
                continue
            if not seeking:
                yield Fault(None, "a member's header in the archive is damaged")
            seeking = True
            window = _to_magic(window)
            continue
        window, seeking, ended = b"", False, False
        header.name, header.size = name or header.name, header.size if size < 0 else size
        name, size = "", -1
        try:
            if header.kind in b"Lx":
                name, size = _extra(stream, header)
            elif header.kind in b"0\0" and not header.name.endswith("/"):
                yield from _plain(stream, header)
            elif header.kind not in b"123456":
                stream.skip(_padded(header.size))
        except DamageError as error:
            yield Fault(error.name, str(error))
            seeking = True
    if window.strip(b"\0") or not (ended or seeking):
        yield Fault(None, "the archive ends without its end mark: it may be cut off")


def _plain(stream: _Stream, header: _Header) -> Iterator[Member]:
    begin, lost = stream.position, DamageError("the archive is cut off")

    def read() -> bytes:
        nonlocal lost
        try:
            body = stream.read(header.size)
        except DamageError as error:
            lost = error
            raise
        if len(body) < header.size:
            raise lost
        return body

    yield Member(header.name, header.size, read)
    lost.name = header.name
    if str(lost) != "the archive is cut off":
        raise lost
    try:
        whole = stream.skip(_padded(header.size) - (stream.position - begin))
    except DamageError as error:
        error.name = header.name if stream.position < begin + header.size else None
        raise
    if not whole and stream.position < begin + header.size:
        raise lost


def _parse(block: bytes) -> _Header | None:
    """The header in a block of 512 bytes, or None if its checksum is wrong."""
    try:
        checksum = int(block[148:156].strip(b" \0") or b"x", 8)
        if checksum != sum(block) - sum(block[148:156]) + 256:
            return None
        size = int.from_bytes(block[125:136]) if block[124] & 0x80 else int(block[124:136].strip(b" \0") or b"0", 8)
    except ValueError:
        return None
    name = block[:100].partition(b"\0")[0]
    if block[257:263] == b"ustar\0" and block[345]:
        name = block[345:500].partition(b"\0")[0] + b"/" + name
    return _Header(name.decode("utf-8", "replace"), size, block[156:157])


def _extra(stream: _Stream, header: _Header) -> tuple[str, int]:
    """The name and size (or "" and -1) of the next member, from a long-name or extended header."""
    if header.size > MOST_EXTRA_BYTES:
        stream.skip(_padded(header.size))
        return "", -1
    body = stream.read(header.size)
    stream.skip(_padded(header.size) - header.size)
    if header.kind == b"L":
        return body.partition(b"\0")[0].decode("utf-8", "replace"), -1
    name, size = "", -1
    while body:
        length = body.partition(b" ")[0]
        if not length.isdigit() or not 0 < int(length[:9]) <= len(body):
            break
        record, body = body[len(length) + 1 : int(length)], body[int(length) :]
        key, _, value = record.rstrip(b"\n").partition(b"=")
        if key == b"path":
            name = value.decode("utf-8", "replace")
        elif key == b"size" and value.isdigit():
            size = int(value[:18])
    return name, size


def _to_magic(block: bytes) -> bytes:
    """The end of a block that may begin a header: from 257 bytes before its "ustar", else its last 256 + 5 bytes."""
    at = block.find(b"ustar", 258)
    return block[at - 257 :] if at >= 0 else block[-261:]


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _pieces(file: BinaryIO) -> Iterator[bytes | DamageError]:
    try:
        yield from iter(lambda: file.read(PIECE_BYTES), b"")
    except OSError as error:
        yield DamageError(f"reading stopped: {error}")


def _inflate(pieces: Iterable[bytes | DamageError]) -> Iterator[bytes | DamageError]:
    """Unpack gzip members; behind a fault the next member's mark is looked for."""
    engine, data, seeking = None, b"", False
    for piece in pieces:
        if isinstance(piece, DamageError):
            yield piece
            return
        data += piece
        while data:
            if engine is None:
                at = data.find(_GZIP)
                if at < 0:
                    data = data[-2:]
                    break
                data, engine = data[at:], zlib.decompressobj(31)
            before = engine.copy()
            try:
                out = engine.decompress(data, MOST_OUT_BYTES)
            except zlib.error as error:
                saved = _byte_by_byte(before, data)
                if saved:
                    yield saved
                if saved or not seeking:
                    yield DamageError(f"the gzip stream is damaged ({error})")
                engine, data, seeking = None, data[1:], True
                continue
            if out:
                seeking = False
                yield out
            if engine.eof:
                data, engine = engine.unused_data, None
            else:
                data = engine.unconsumed_tail
    if engine is not None:
        yield DamageError("the gzip stream is cut off")


def _byte_by_byte(engine: "zlib._Decompress", data: bytes) -> bytes:
    """The output before a fault: zlib returns nothing from a call that fails, so it is fed one byte a call."""
    parts, total = [], 0
    for at in range(len(data)):
        try:
            parts.append(engine.decompress(data[at : at + 1]))
        except zlib.error:
            break
        total += len(parts[-1])
        if engine.eof or total > MOST_OUT_BYTES:
            break
    return b"".join(parts)

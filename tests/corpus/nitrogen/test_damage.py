"""Damaged shards: nothing crashes, every chunk before the damage is there, and every one behind it where the format allows."""

import gzip
import io
import json
import random
import tarfile
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostpad.base.records import CHUNKS as CHUNK_COLUMNS
from ghostpad.corpus.nitrogen.chunk import BrokenChunkError, Chunk, describe, parse_metadata
from ghostpad.corpus.nitrogen.reader import ShardReader
from ghostpad.corpus.nitrogen.rows import UnreadChunk, read_chunks
from ghostpad.corpus.nitrogen.source import find_sources
from ghostpad.corpus.nitrogen.tar import DamageError, Fault, Member, tar_members
from ghostpad.lab.made_up.nitrogen_shards import SampleChunk, parquet_bytes, sample_files, tar_bytes

CHUNKS = [SampleChunk("v1", n, 30) for n in range(12)]
FILES = sample_files(CHUNKS)
TAR = tar_bytes(FILES)
GOOD = parquet_bytes(CHUNKS[0].table())


def read(folder: Path, body: bytes, name: str) -> tuple[list[Chunk], bool]:
    path = folder / name
    path.write_bytes(body)
    (source,) = find_sources([path])
    reader = ShardReader(source)
    return list(reader), reader.damaged


def good(chunks: list[Chunk]) -> set[int]:
    return {chunk.row["chunk"] for chunk in chunks if chunk.row["status"] == "ok"}


def ends() -> list[int]:
    """Where in the tar each chunk's last file ends."""
    with tarfile.open(fileobj=io.BytesIO(TAR)) as archive:
        members = archive.getmembers()
    return [members[index].offset_data + members[index].size for index in range(1, len(members), 2)]


@pytest.mark.parametrize("cut", [0, 1, 300, 511, 512, 5000, 20000, 60000, len(TAR) - 1200, len(TAR) - 600])
def test_an_archive_that_is_cut_off_keeps_every_chunk_before_the_cut(tmp_path: Path, cut: int) -> None:
    chunks, damaged = read(tmp_path, TAR[:cut], "SHARD_0.tar")
    assert good(chunks) == {index for index, end in enumerate(ends()) if end <= cut}
    whole_end = not TAR[ends()[-1] + 511 : cut].strip(b"\0") and cut > ends()[-1] + 1024
    assert damaged != whole_end
    if damaged:
        assert any("cut off" in (chunk.row["reason"] or "") for chunk in chunks)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.5, 0.9, 0.999])
def test_a_gzip_stream_that_is_cut_off_keeps_what_came_out(tmp_path: Path, share: float) -> None:
    body = gzip.compress(TAR)
    cut = int(len(body) * share)
    out = len(zlib.decompressobj(31).decompress(body[:cut]))
    chunks, damaged = read(tmp_path, body[:cut], "SHARD_0.tar.gz")
    assert damaged and good(chunks) == {index for index, end in enumerate(ends()) if end <= out}


def test_gzip_members_behind_a_damaged_one_are_found_again(tmp_path: Path) -> None:
    cuts = [0, *(end + -end % 512 for end in ends())]
    parts = [gzip.compress(TAR[start:end]) for start, end in zip(cuts, cuts[1:], strict=False)] + [gzip.compress(TAR[cuts[-1] :])]
    hurt = bytearray(parts[4])
    hurt[len(hurt) // 2 : len(hurt) // 2 + 40] = b"\xff" * 40
    chunks, damaged = read(tmp_path, b"".join([*parts[:4], bytes(hurt), *parts[5:]]), "SHARD_0.tar.gz")
    assert damaged and good(chunks) == set(range(12)) - {4}


def test_bytes_lost_or_flipped_in_a_tar_cost_the_chunks_they_hit(tmp_path: Path) -> None:
    rng = random.Random(0)
    for _ in range(60):
        at = rng.randrange(len(TAR) - 2000)
        hit = next((index for index, end in enumerate(ends()) if at < end), 11)
        flipped = bytearray(TAR)
        flipped[at] ^= 1 << rng.randrange(8)
        lost = TAR[:at] + TAR[at + rng.randrange(1, 3000) :]
        for body, cost in ((bytes(flipped), {hit}), (lost, {hit - 1, hit, hit + 1, hit + 2})):
            chunks, _ = read(tmp_path, body, "SHARD_0.tar")
            assert set(range(12)) - cost <= good(chunks)


def test_flipped_bytes_in_a_gzip_never_crash_and_keep_what_came_before(tmp_path: Path) -> None:
    body, rng = gzip.compress(TAR), random.Random(1)
    for _ in range(60):
        hurt = bytearray(body)
        at = rng.randrange(12, len(hurt))
        hurt[at] ^= 1 << rng.randrange(8)
        out = len(zlib.decompressobj(31).decompress(body[: at - 1]))
        chunks, damaged = read(tmp_path, bytes(hurt), "SHARD_0.tar.gz")
        assert damaged and {index for index, end in enumerate(ends()) if end <= out} <= good(chunks)


def test_an_unreadable_start_and_other_files_are_faults(tmp_path: Path) -> None:
    for body in (b"", b"not a gzip file at all" * 100, b"\x1f\x8b\x08" * 400, b"\0" * 5000):
        chunks, damaged = read(tmp_path, body, "SHARD_0.tar.gz")
        assert damaged and not good(chunks)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_those_that_the_standard_library_finds(form: int) -> None:
    names = [f"{'d' * (20 * index % 90)}/{'sub/' * (index % 30)}file {index}" for index in range(40)] + ["é/ü", "-x/--y"]
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as archive:
        for index, name in enumerate(names):
            about = tarfile.TarInfo(name)
            about.size = index * 97
            archive.addfile(about, io.BytesIO(bytes([index]) * about.size))
        for kind, name in ((tarfile.DIRTYPE, "folder"), (tarfile.SYMTYPE, "link"), (tarfile.LNKTYPE, "hard"), (tarfile.FIFOTYPE, "pipe")):
            about = tarfile.TarInfo(name)
            about.type, about.linkname = kind, "/etc/passwd"
            archive.addfile(about)
    for packed in (False, True):
        body = gzip.compress(sink.getvalue()) if packed else sink.getvalue()
        found = [(member.name, member.read()) for member in tar_members(io.BytesIO(body), packed) if isinstance(member, Member)]
        assert found == [(name, bytes([index]) * (index * 97)) for index, name in enumerate(names)]


def test_a_file_system_that_fails_is_a_fault_and_not_a_crash() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 20000:
                raise OSError("connection reset")
            return super().read(1 << 12)

    seen: list[Any] = []
    for member in tar_members(Failing(TAR), False):
        try:
            seen.append(member if isinstance(member, Fault) else member.read())
        except DamageError:
            seen.append("lost")
    assert "connection reset" in seen[-1].reason and len(seen) > 4


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
FIELDS = [*CHUNKS[0].metadata()]
VIDEO_FIELDS = [*CHUNKS[0].metadata()["original_video"]]


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4), st.dictionaries(st.sampled_from(VIDEO_FIELDS), JSON, max_size=4))
def test_metadata_of_any_type_is_read_or_refused_with_a_reason(outer: dict[str, Any], inner: dict[str, Any]) -> None:
    told = CHUNKS[0].metadata()
    told["original_video"] |= inner
    about = describe(parse_metadata(json.dumps(told | outer).encode())) | {"video": "v", "shard": "s", "chunk": 0}
    (chunk,) = read_chunks([UnreadChunk(about, GOOD)])
    assert (chunk.row["status"] == "ok") == (chunk.actions is not None) and (chunk.row["reason"] is None) == (chunk.row["status"] == "ok")
    assert chunk.row.keys() == set(CHUNK_COLUMNS.names)
    assert pa.Table.from_pylist([chunk.row], schema=CHUNK_COLUMNS).num_rows == 1


@settings(max_examples=150)
@given(st.binary(max_size=200))
def test_metadata_of_any_bytes(body: bytes) -> None:
    try:
        describe(parse_metadata(body))
    except BrokenChunkError as error:
        assert "metadata.json" in str(error)


def test_deep_metadata_is_refused() -> None:
    with pytest.raises(BrokenChunkError):
        parse_metadata(b"[" * 200_000)


def test_damaged_tables_are_read_or_refused_with_a_reason() -> None:
    about = describe(CHUNKS[0].metadata()) | {"video": "v", "shard": "s", "chunk": 0}
    rng = random.Random(2)
    for _ in range(300):
        hurt = bytearray(GOOD)
        for _ in range(rng.randrange(1, 4)):
            hurt[rng.randrange(len(hurt))] = rng.randrange(256)
        body = bytes(hurt[: rng.choice([len(hurt), rng.randrange(len(hurt))])])
        (chunk,) = read_chunks([UnreadChunk(about, body)])
        assert (chunk.row["status"] == "ok") == (chunk.actions is not None)
    assert read_chunks([UnreadChunk(about, b"")])[0].row["reason"] == "the table is not a readable parquet file"

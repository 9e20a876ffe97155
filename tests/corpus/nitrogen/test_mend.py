"""An index that others disturb: odd names, files that are deleted or cut short, two processes at once, masks set by hand."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from upath import UPath

from ghostpad.base.errors import SettingsError
from ghostpad.cli.corpus_index import corpus_index
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.masks import set_masks
from ghostpad.corpus.nitrogen.index import IndexCounts, index_shards
from ghostpad.corpus.nitrogen.source import find_sources
from ghostpad.lab.made_up.nitrogen_shards import SampleChunk, sample_files, write_shard

A = [SampleChunk("-aaa", n, 40) for n in (0, 1, 3)] + [SampleChunk("v2", n, 20) for n in (0, 1)]
B = [SampleChunk("-aaa", n, 40) for n in (2, 5)] + [SampleChunk("ccc", 0, 30)]


@pytest.fixture
def two(tmp_path: Path) -> Path:
    for number, group in enumerate((A, B)):
        write_shard(tmp_path / "shards" / f"SHARD_{number:04d}.tar.gz", sample_files(group))
    return tmp_path / "shards"


def index(folder: Path, out: Path | UPath) -> IndexCounts:
    return index_shards(Corpus.create(out), find_sources([folder]))


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.parquet"))}


def rows_path(root: Path, video: str) -> Path:
    return root / "actions" / "recorded" / f"{video}.parquet"


def put(folder: bytes, chunk: SampleChunk, old: bytes, new: bytes) -> None:
    """Write the files of a chunk with another name."""
    for name, body in chunk.files():
        path = folder + b"/" + name.encode().replace(old, new)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(body)


def test_d01_names_that_cannot_name_a_file_are_counted_and_lock_nothing(tmp_path: Path) -> None:
    for shard in (b"SHARD_0000", b"bb:bb", b"b\xffb", b"s" * 220):
        folder = os.fsencode(tmp_path) + b"/" + shard
        put(folder, SampleChunk(f"good{len(shard)}", 0, 20), b"", b"")
        for name in (b"bb:bb", b"b\xff", b"back\\slash", b".dot"):
            put(folder, SampleChunk("zzz", 0, 20), b"zzz", name)
        put(folder, SampleChunk("z", 0, 20), b"z/", b"z" * 210 + b"/")
    shards = [tmp_path / os.fsdecode(name) for name in (b"SHARD_0000", b"bb:bb", b"b\xffb", b"s" * 220)]
    for present in (0, 4):
        counts = index_shards(Corpus.create(tmp_path / "c"), find_sources(shards))
        assert counts.broken == {"the video's name cannot name a file": 20} and (counts.videos, counts.present) == (4, present)
    assert [video.id for video in Corpus.open(tmp_path / "c").each()] == ["good10", "good220", "good3", "good5"]


@pytest.mark.parametrize("damage", ["deleted", "cut short", "emptied", "an older one"])
def test_d03_rows_that_are_gone_are_made_again_by_the_same_command(two: Path, tmp_path: Path, damage: str) -> None:
    root = tmp_path / "c"
    index(two / "SHARD_0000.tar.gz", root)
    path = rows_path(root, "-aaa")
    older = path.read_bytes()
    index(two, root)
    before = contents(root)
    whole = path.read_bytes()
    if damage == "deleted":
        path.unlink()
    else:  # the older one is what a process leaves that joined chunks at the same moment
        path.write_bytes({"cut short": whole[: len(whole) // 2], "emptied": b"", "an older one": older}[damage])
    counts = index(two, root)
    assert contents(root) == before and (counts.present, counts.lost) == (2, {})


def test_d03_rows_whose_shard_is_elsewhere_are_told(two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "c"
    index(two, root)
    rows_path(root, "-aaa").unlink()
    assert corpus_index((str(two / "SHARD_0001.tar.gz"),), out=root) == 1
    assert "3 chunks of SHARD_0000.tar.gz have no rows here any more: index it again" in capsys.readouterr().out
    assert corpus_index((str(two / "SHARD_0000.tar.gz"),), out=root) == 0
    index(two, tmp_path / "fresh")
    assert contents(root) == contents(tmp_path / "fresh")


def test_rows_that_came_from_elsewhere_since_stay(two: Path, tmp_path: Path) -> None:
    root = tmp_path / "c"
    index(two, root)
    own = Corpus.open(root).actions("recorded", "v2")
    assert own is not None
    Corpus.open(root).write_actions("recorded", "v2", own.slice(0, 3))
    assert not index(two, root).lost
    assert Corpus.open(root).actions("recorded", "v2").num_rows == 3  # type: ignore[union-attr]


def test_processes_that_index_at_once_end_with_the_bytes_of_one(tmp_path: Path) -> None:
    for part in range(3):  # every video is spread over all shards
        chunks = [SampleChunk(f"v{video}", number, 30) for video in range(6) for number in range(part, 12, 3)]
        write_shard(tmp_path / "shards" / f"SHARD_{part:04d}.tar.gz", sample_files(chunks))
    index(tmp_path / "shards", tmp_path / "one")
    command = [sys.executable, "-m", "ghostpad", "corpus", "index", str(tmp_path / "shards"), "--out", str(tmp_path / "c")]
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert contents(tmp_path / "c") == contents(tmp_path / "one")
    assert list(Corpus.open(tmp_path / "c").each()) == list(Corpus.open(tmp_path / "one").each())


def test_an_index_at_an_address_is_that_of_a_folder(two: Path, tmp_path: Path) -> None:
    there = UPath("memory://index/c")
    index(two, tmp_path / "c")
    index(two, there)
    assert index(two, there).present == 2
    (there / "actions/recorded/v2.parquet").unlink()
    index(two, there)
    assert {path.relative_to(there).as_posix(): path.read_bytes() for path in there.rglob("*.parquet")} == contents(tmp_path / "c")


def test_a_mask_set_by_hand_outlives_a_later_index(two: Path, tmp_path: Path) -> None:
    index(two / "SHARD_0000.tar.gz", tmp_path / "c")
    corpus = Corpus.open(tmp_path / "c")
    corpus.add_video(replace(corpus.video("-aaa"), status="ok", reason=None))  # fetched
    set_masks(corpus, ["-aaa"], (10, 20, 300, 200), (1280, 720))
    set_masks(corpus, ["v2"], None, None)
    index(two, tmp_path / "c")
    assert (corpus.video("-aaa").overlay_px, corpus.video("-aaa").overlay_of_px) == ((10, 20, 300, 200), (1280, 720))
    assert corpus.video("v2").overlay_px is None and corpus.video("ccc").overlay_px == (1500, 800, 360, 240)


def test_fewer_than_one_worker_is_refused(two: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--workers is 0"):
        index_shards(Corpus.create(tmp_path / "c"), find_sources([two]), workers=0)

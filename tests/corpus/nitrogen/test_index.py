"""Many shards into one corpus: one timeline a video, the same bytes however often a run was killed, nothing fetched is forgotten."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostpad.base.errors import SettingsError
from ghostpad.base.records import ACTIONS, Video, table_facts
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.nitrogen import index as nitrogen_index
from ghostpad.corpus.nitrogen.index import IndexCounts, index_shards
from ghostpad.corpus.nitrogen.source import find_sources
from ghostpad.corpus.nitrogen.timeline import Stretch, free_from_s, kept_rows
from ghostpad.corpus.nitrogen.videos import NOT_FETCHED, video_row
from ghostpad.lab.made_up.nitrogen_shards import SampleChunk, sample_files, write_shard

A = [SampleChunk("-aaa", n, 40) for n in (0, 1, 3)] + [SampleChunk("v2", n, 20, "Hollow Knight") for n in (0, 1)]
B = [SampleChunk("-aaa", n, 40) for n in (2, 5)] + [SampleChunk("ccc", 0, 30, "other")]


def shards(folder: Path, *groups: list[SampleChunk]) -> Path:
    for index, group in enumerate(groups):
        write_shard(folder / f"SHARD_{index:04d}.tar.gz", sample_files(group))
    return folder


def index(folder: Path, out: Path, labels: str = "raw", games: list[str] | None = None) -> IndexCounts:
    return index_shards(Corpus.create(out), find_sources([folder]), labels, games)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.parquet"))}


@pytest.fixture
def two(tmp_path: Path) -> Path:
    (tmp_path / "shards").mkdir()
    return shards(tmp_path / "shards", A, B)


def row(corpus: Corpus, id: str) -> Video:
    return corpus.video(id)


def test_a_video_spread_over_shards_is_one_timeline(two: Path, tmp_path: Path) -> None:
    counts = index(two, tmp_path / "c")
    corpus = Corpus.open(tmp_path / "c")
    assert (counts.videos, counts.chunks, counts.shards, counts.present) == (3, 8, 2, 0)
    assert (counts.holes, counts.holes_s, counts.overlaps_s) == (1, 20, 0) and counts.hours == pytest.approx(160 / 3600)
    table = corpus.actions("recorded", "-aaa")
    assert table is not None and table.schema.remove_metadata() == ACTIONS
    assert np.allclose(table.column("pts_s").to_numpy(), [n * 20 + i / 2 for n in (0, 1, 2, 3, 5) for i in range(40)])
    assert table.column("chunk").to_pylist() == [n for n in (0, 1, 2, 3, 5) for _ in range(40)]
    assert table_facts(table)["labels"] == "raw" and "CC BY-NC" in table_facts(table)["licence"]
    about = row(corpus, "-aaa")
    assert (about.status, about.reason, about.labels, about.game, about.source) == (
        "missing",
        NOT_FETCHED,
        "raw",
        "celeste",
        "youtube",
    )
    assert (about.fps, about.frames, about.duration_s) == ("2", 200, 100)
    assert about.overlay_px == (1500, 800, 360, 240) and about.overlay_of_px == (1920, 1080)
    assert row(corpus, "v2").game == "hollow_knight" and row(corpus, "ccc").game is None
    chunks = corpus.chunks()
    assert chunks.column("chunk").to_pylist() == [0, 1, 2, 3, 5, 0, 0, 1] and chunks.column("game_label")[6].as_py() == "Hollow Knight"


def test_again_reads_nothing_and_changes_nothing(two: Path, tmp_path: Path) -> None:
    index(two, tmp_path / "c")
    before = contents(tmp_path / "c")
    counts = index(two, tmp_path / "c")
    assert counts.present == 2 and counts.chunks == 8 and contents(tmp_path / "c") == before


def test_shards_may_come_one_by_one(two: Path, tmp_path: Path) -> None:
    index(two, tmp_path / "once")
    for path in sorted(two.iterdir()):
        index(path, tmp_path / "apart")
    assert contents(tmp_path / "apart") == contents(tmp_path / "once")


def test_rows_joined_in_small_pieces_give_the_same_bytes(two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index(two, tmp_path / "whole")
    monkeypatch.setattr(nitrogen_index, "HELD_ROWS", 0)
    index(two, tmp_path / "pieces")
    assert contents(tmp_path / "pieces") == contents(tmp_path / "whole")


def test_killed_at_any_moment_the_same_command_ends_with_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    groups = [[SampleChunk(f"v{video}", number, 200) for video in range(12) for number in range(part, 15, 3)] for part in range(3)]
    shards(tmp_path / "shards", *groups)
    index(tmp_path / "shards", tmp_path / "whole")
    command = [sys.executable, "-m", "ghostpad", "corpus", "index", str(tmp_path / "shards"), "--out", str(tmp_path / "c")]
    actions, ledger = tmp_path / "c/actions/recorded", tmp_path / "c/nitrogen"
    for ready in (lambda: any(actions.glob("*.parquet")), lambda: any(ledger.glob("SHARD_0000*")), lambda: any(ledger.glob("SHARD_0001*"))):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not ready():
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
    first = next(ledger.glob("SHARD_0000*")).stat().st_mtime_ns
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert contents(tmp_path / "c") == contents(tmp_path / "whole")
    assert next(ledger.glob("SHARD_0000*")).stat().st_mtime_ns == first, "a finished shard was read again"


def test_a_shard_that_was_replaced_or_is_damaged_is_read_again(two: Path, tmp_path: Path) -> None:
    path = two / "SHARD_0000.tar.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    counts = index(two, tmp_path / "c")
    assert counts.broken and counts.chunks < 8
    assert index(two, tmp_path / "c").present == 1
    path.write_bytes(whole)
    counts = index(two, tmp_path / "c")
    assert counts.chunks == 8 and not counts.broken
    index(two, tmp_path / "fresh")
    assert contents(tmp_path / "c") == contents(tmp_path / "fresh")


def test_where_chunks_overlap_the_first_to_start_is_kept(tmp_path: Path) -> None:
    files = dict(sample_files([SampleChunk("v", 0, 40, duration_s=20), SampleChunk("v", 1, 40, duration_s=20)]))
    name = next(name for name in files if "0001/metadata" in name)
    told = json.loads(files[name])
    told["original_video"]["start_time"] = 15.0
    write_shard(tmp_path / "SHARD_0.tar.gz", [*(files | {name: json.dumps(told).encode()}).items()])
    counts = index(tmp_path / "SHARD_0.tar.gz", tmp_path / "c")
    table = Corpus.open(tmp_path / "c").actions("recorded", "v")
    assert table is not None and counts.overlaps_s == 5
    assert np.allclose(table.column("pts_s").to_numpy(), np.arange(70) / 2) and table.column("chunk").to_pylist() == [0] * 40 + [1] * 30
    about = row(Corpus.open(tmp_path / "c"), "v")
    assert about.frames == 70 and about.duration_s == 35


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30), st.integers(1, 50)), min_size=1, max_size=8))
def test_kept_rows_are_counted_as_they_are_kept(drawn: list[tuple[int, int, int]]) -> None:
    stretches = {number: Stretch(float(start), float(length), rows) for number, (start, length, rows) in enumerate(drawn)}
    free = free_from_s(stretches)
    taken: list[tuple[float, int]] = []
    for number, (start_s, length_s, rows) in stretches.items():
        times = start_s + np.arange(rows) / (rows / length_s)
        kept = times[times >= free[number] - 1e-6]
        assert len(kept) == kept_rows(stretches)[number]
        taken += [(time_s, number) for time_s in kept]
    for time_s, number in taken:  # nobody who started before covers a kept row
        others = [(s, n) for n, s in stretches.items() if (s.start_s, n) < (stretches[number].start_s, number)]
        assert not any(s.start_s <= time_s < s.start_s + s.duration_s - 1e-5 for s, _ in others)


def test_only_wanted_games_in_any_spelling(two: Path, tmp_path: Path) -> None:
    index(two, tmp_path / "c", games=["HOLLOW knight"])
    assert [video.id for video in Corpus.open(tmp_path / "c").list_videos()] == ["v2"]
    index(two, tmp_path / "c", games=["celeste", "hollow_knight"])
    corpus = Corpus.open(tmp_path / "c")
    assert [video.id for video in corpus.list_videos()] == ["-aaa", "v2"] and corpus.chunks().num_rows == 7


def test_unknown_games_get_the_nearest_that_were_seen(two: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        index(two, tmp_path / "c", games=["celest", "hollow_knight", "zzz"])
    assert "'celest': did you mean 'celeste'?" in str(caught.value) and len(caught.value.problems) == 2
    assert [video.id for video in Corpus.open(tmp_path / "c").list_videos()] == ["v2"]
    with pytest.raises(SettingsError, match="names no game"):
        index(two, tmp_path / "c", games=["other"])


def test_raw_and_processed_do_not_meet_in_one_corpus(tmp_path: Path) -> None:
    write_shard(tmp_path / "SHARD_0.tar.gz", sample_files([SampleChunk("v", 0, 20, processed=True), SampleChunk("w", 0, 20)]))
    counts = index(tmp_path, tmp_path / "p", labels="processed")
    corpus = Corpus.open(tmp_path / "p")
    assert row(corpus, "v").labels == "processed" and counts.broken == {"actions_processed.parquet is missing": 1}
    assert (row(corpus, "w").status, row(corpus, "w").reason) == ("broken", "none of its chunks can be read")
    with pytest.raises(SettingsError, match="use another folder"):
        index(tmp_path, tmp_path / "p")


def test_rows_that_came_otherwise_are_not_overwritten(two: Path, tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "c")
    corpus.write_actions("recorded", "-aaa", ACTIONS.empty_table())
    with pytest.raises(SettingsError, match="'-aaa'"):
        index(two, tmp_path / "c")
    assert corpus.actions("recorded", "-aaa").num_rows == 0  # type: ignore[union-attr]


def test_what_was_fetched_or_looked_for_is_not_forgotten(two: Path, tmp_path: Path) -> None:
    index(two / "SHARD_0000.tar.gz", tmp_path / "c")
    corpus = Corpus.open(tmp_path / "c")
    corpus.add_video(replace(row(corpus, "-aaa"), status="ok", reason=None, frames=7, lag_ms=20.0, fps="30"))
    corpus.add_video(replace(row(corpus, "v2"), reason="private since 2026-11-24"))
    index(two, tmp_path / "c")
    kept = row(corpus, "-aaa")
    assert (kept.status, kept.frames, kept.lag_ms, kept.fps, kept.labels) == ("ok", 7, 20, "30", "raw")
    assert row(corpus, "v2").reason == "private since 2026-11-24" and row(corpus, "ccc").reason == NOT_FETCHED


def test_a_video_is_what_its_chunks_say() -> None:
    def chunk(number: int, **changes: Any) -> dict[str, Any]:
        base = {"chunk": number, "status": "ok", "game": "a", "source": "youtube", "url": "u", "start_s": number * 20.0, "duration_s": 20.0,
                "rows": 40, "rate": "2", "width_px": 1920, "height_px": 1080, "overlay_px": [100.0, 100.0, 50.0, 50.0]}  # fmt: skip
        return base | changes

    about = video_row("v", [chunk(0), chunk(1, overlay_px=[200.0, 90.0, 50.0, 50.0]), chunk(2, overlay_px=None, game=None)], "raw")
    assert about.overlay_px == (100, 90, 150, 60) and about.game == "a" and about.fps == "2"
    about = video_row("v", [chunk(0), chunk(1), chunk(2, width_px=960, height_px=540, rate="3", rows=60, game="b")], "raw")
    assert about.overlay_of_px == (1920, 1080) and about.overlay_px == (100, 100, 200, 200)
    assert about.fps is None and about.frames == 140 and about.duration_s == 60
    about = video_row("v", [chunk(0, width_px=None, height_px=None, overlay_px=None)], "raw")
    assert about.overlay_px is None and about.overlay_of_px is None and about.width_px is None


def test_ten_thousand_videos_are_written_at_once(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path)
    corpus.add_video(Video(id="v00007", game="old"))
    corpus.put_videos((Video(id=f"v{number:05d}") for number in range(10_000)), lambda old, new: old)
    assert len(corpus.list_videos()) == 10_000 and corpus.list_videos()[7].game == "old"
    with pytest.raises(SettingsError):
        corpus.put_videos([Video(id="x"), Video(id="../y")])
    assert len(corpus.list_videos()) == 10_000 and not os.path.exists(tmp_path / "y")

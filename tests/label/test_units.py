"""Labelling by units: every engine writes the same files, stretches join to what one pass gives, and a kill costs the units in flight."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ghostpad.base.engines.settings import Share
from ghostpad.base.records import Video, table_facts
from ghostpad.cli.main import main
from ghostpad.corpus.failures import Failures
from ghostpad.corpus.folder import Corpus
from ghostpad.idm import load
from ghostpad.label.label import label_corpus
from ghostpad.label.labeller import Labeller, label_source_of
from ghostpad.label.parts import merged
from ghostpad.label.settings import LabelSettings
from ghostpad.label.units import units_of
from ghostpad.video.damage import Gap

CUT_S = 2.5
"""10 s of footage are four stretches."""


def write_video(path: Path, stamps_ms: list[int]) -> None:
    """A small H.264 video of noise that changes slowly, a frame at each stamp, a keyframe every 20."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (48, 64, 3), np.uint8).astype(float)
    with av.open(str(path), "w") as container:
        options = {"crf": "20", "preset": "ultrafast", "x264-params": "mbtree=0:keyint=20", "threads": "1"}
        stream = container.add_stream("libx264", rate=20, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 64, 48, "yuv420p", Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        for stamp_ms in stamps_ms:
            picture = np.roll(0.9 * picture + 0.1 * rng.integers(0, 256, picture.shape), 1, axis=1)
            frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = stamp_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def corpus_of(root: Path, stamps_ms: list[int], *names: str) -> Corpus:
    corpus = Corpus.create(root)
    (root / "videos").mkdir()
    for name in names:
        write_video(root / "videos" / f"{name}.mp4", stamps_ms)
        corpus.add_video(Video(id=name, game="doom", fps="20", duration_s=(stamps_ms[-1] - stamps_ms[0] + 50) / 1000))
    return corpus


STEADY_MS = list(range(0, 10_000, 50))


def files(corpus: Corpus) -> dict[str, bytes]:
    """Everything below actions/, hidden files and folders too."""
    return {str(path.relative_to(corpus.root)): path.read_bytes() for path in (corpus.root / "actions").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Three videos of 10 s. Copy before changing."""
    return corpus_of(tmp_path_factory.mktemp("footage") / "c", STEADY_MS, "a", "b", "c")


@pytest.fixture
def corpus(footage: Corpus, tmp_path: Path) -> Corpus:
    return Corpus.open(shutil.copytree(footage.root, tmp_path / "c"))


@pytest.fixture(scope="module")
def undisturbed(footage: Corpus, idm_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What labelling them in stretches here writes."""
    copy = Corpus.open(shutil.copytree(footage.root, tmp_path_factory.mktemp("undisturbed") / "c"))
    done = label_corpus(copy, idm_run, stretch_s=CUT_S)
    assert done.made == 3 and done.minutes == pytest.approx(0.5)
    return files(copy)


@pytest.mark.parametrize("name", ["pool", "ray"])
def test_every_engine_writes_the_same_files(
    name: str, request: pytest.FixtureRequest, corpus: Corpus, undisturbed: dict[str, bytes], idm_run: Path
) -> None:
    address = request.getfixturevalue("ray_cluster").address if name == "ray" else None
    engine = LabelSettings(engine=name, workers=2, ray_address=address)  # type: ignore[arg-type]
    assert label_corpus(corpus, idm_run, engine, stretch_s=CUT_S).made == 3 and files(corpus) == undisturbed


class Poisoned(Corpus):
    """A corpus with a video that ends whoever reads it."""

    def footage(self, video: Video) -> AbstractContextManager[Path]:
        if video.id == "b":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().footage(video)


def test_a_video_that_kills_its_workers_is_a_row_and_stops_no_other(corpus: Corpus, undisturbed: dict[str, bytes], idm_run: Path) -> None:
    done = label_corpus(Poisoned(corpus.root), idm_run, LabelSettings(engine="pool", workers=1, tries=2), stretch_s=CUT_S)
    assert done.made == 2 and list(done.unreadable) == ["b"]
    failure = Failures(corpus, done.source).known()["b"]
    assert "died at this item 2 times" in failure.reason and failure.attempts == 1 and failure.passing
    again = label_corpus(corpus, idm_run, stretch_s=CUT_S)
    assert (again.made, again.present) == (1, 2) and files(corpus) == undisturbed and not Failures(corpus, done.source).known()


def check_stretches(path: Path, video: Video, run: Path, stretch_s: float) -> None:
    """The stretches of a video, one after the other, are the rows of one pass."""
    idm = load(run)
    corpus = Corpus(path.parent.parent)
    labeller, parts, gaps = Labeller(corpus, run, LabelSettings(), idm), list[pa.Table](), list[Gap]()
    units = units_of(video, stretch_s)
    for unit in units:
        ((_, rows, found),) = labeller.label([unit])
        assert not isinstance(rows, Exception), rows
        parts.append(rows)
        gaps += found
    labeller.close()
    told = list[Gap]()
    whole, joined = idm.label(path, game=video.game, gaps=told), pa.concat_tables(parts)
    assert joined.column("pts_s").equals(whole.column("pts_s"))
    for name in whole.column_names:
        one, other = whole.column(name), joined.column(name)
        assert one.null_count == other.null_count
        if not one.null_count:
            np.testing.assert_allclose(one.to_numpy(), other.to_numpy(), atol=1e-5, rtol=0)
    assert merged(gaps) == told


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps_ms=st.lists(st.integers(5, 400), min_size=60, max_size=120), stretch_s=st.floats(0.5, 6.0), first_ms=st.sampled_from([0, 700]))
def test_joined_stretches_are_the_rows_of_one_pass_whatever_the_stamps(
    steps_ms: list[int], stretch_s: float, first_ms: int, idm_run: Path, tmp_path: Path
) -> None:
    stamps_ms = [first_ms, *(first_ms + int(stamp) for stamp in np.cumsum(steps_ms))]
    shutil.rmtree(tmp_path / "v", ignore_errors=True)
    corpus = corpus_of(tmp_path / "v", stamps_ms, "v")
    check_stretches(corpus.root / "videos" / "v.mp4", corpus.video("v"), idm_run, stretch_s)


def test_a_gap_across_a_cut_is_one_gap(corpus: Corpus, idm_run: Path) -> None:
    path = corpus.root / "videos" / "a.mp4"
    body = bytearray(path.read_bytes())
    middle = len(body) // 2
    body[middle : middle + 400] = bytes(400)
    path.write_bytes(body)
    told = list[Gap]()
    load(idm_run).label(path, gaps=told)
    (gap,) = told
    check_stretches(path, corpus.video("a"), idm_run, stretch_s=(gap.start_s + gap.end_s) / 2)
    corpus.change(["a"], lambda video: replace(video, sha256=None))
    done = label_corpus(corpus, idm_run, stretch_s=(gap.start_s + gap.end_s) / 2)
    table = corpus.actions(done.source, "a")
    assert table is not None and f"[[{gap.start_s}, {gap.end_s}, " in table_facts(table)["gaps"] and list(done.in_parts) == ["a"]


def test_overlapping_gaps_merge_and_neighbours_stay_two() -> None:
    seen = [Gap(1.0, 3.0, "left"), Gap(5.0, 6.0, "two"), Gap(2.5, 4.0, "right"), Gap(6.0, 7.0, "three"), Gap(1.0, 3.0, "again")]
    assert merged(seen) == [Gap(1.0, 4.0, "left"), Gap(5.0, 6.0, "two"), Gap(6.0, 7.0, "three")]


def test_stretches_cover_a_video_and_only_the_last_is_longer() -> None:
    for duration_s in (None, 0.0, 599.0, 1199.0, 1200.0, 36_000.5):
        units = units_of(Video(id="v", duration_s=duration_s), 600.0)
        assert len(units) == max(1, int((duration_s or 0) // 600)) and units[0].start_s == 0 and units[-1].end_s is None
        assert all(one.end_s == other.start_s for one, other in zip(units, units[1:], strict=False))
        assert sum(unit.minutes for unit in units) == pytest.approx((duration_s or 0) / 60)


def test_killed_stretches_go_on_with_the_same_command(corpus: Corpus, undisturbed: dict[str, bytes], idm_run: Path) -> None:
    words = ["label", str(corpus.root), "--idm", str(idm_run), "--stretch-s", str(CUT_S)]
    process = subprocess.Popen([sys.executable, "-m", "ghostpad", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    parts = corpus.root / "actions" / label_source_of(idm_run) / ".parts"
    while process.poll() is None and not list(parts.rglob("*-of-4.parquet")):
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the labelling was over before it could be killed"
    assert list(parts.rglob("*-of-4.parquet")) and main(words) == 0 and files(corpus) == undisturbed


def test_parts_that_a_killed_joiner_left_are_removed(corpus: Corpus, undisturbed: dict[str, bytes], idm_run: Path) -> None:
    source = label_source_of(idm_run)
    for name, body in undisturbed.items():
        (corpus.root / name).parent.mkdir(parents=True, exist_ok=True)
        (corpus.root / name).write_bytes(body)
    left = corpus.root / "actions" / source / ".parts" / "a"
    left.mkdir(parents=True)
    (left / "x-1-of-4.parquet").write_bytes(b"rows")
    os.link(corpus.actions_path(source, "b"), corpus.root / "actions" / source / ".b.parquet.tmp-000000-0.parquet")
    assert label_corpus(corpus, idm_run, stretch_s=CUT_S).present == 3 and files(corpus) == undisturbed and not left.parent.exists()


def test_stretches_of_a_corpus_at_an_address_are_the_same(
    bucket: Any, corpus: Corpus, undisturbed: dict[str, bytes], idm_run: Path
) -> None:
    bucket.put(f"{corpus.root}/", "s3://bucket/c/", recursive=True)
    there = Corpus.open("s3://bucket/c")
    halves = [label_corpus(there, idm_run, share=Share(number, 2), stretch_s=CUT_S).made for number in (1, 2)]
    assert sum(halves) == 3 and label_corpus(there, idm_run, stretch_s=CUT_S).present == 3
    assert {path.removeprefix("bucket/c/"): bucket.cat(path) for path in bucket.find("bucket/c/actions")} == undisturbed


def test_shares_do_everything_once(corpus: Corpus, undisturbed: dict[str, bytes], idm_run: Path) -> None:
    parts = [label_corpus(corpus, idm_run, share=Share(number, 3), stretch_s=CUT_S) for number in (1, 2, 3)]
    assert sum(part.minutes for part in parts) == pytest.approx(0.5) and all(part.minutes < 0.5 for part in parts)
    assert sum(part.made for part in parts) == 3 and files(corpus) == undisturbed


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(corpus: Corpus, idm_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in corpus.root.rglob("*")}
    assert main(["label", str(corpus.root), "--idm", str(idm_run), "--dry-run", "--stretch-s", "2.5", "--workers", "2"]) == 0
    told = capsys.readouterr().out
    assert "3 videos in 12 units, 0.008333 hours" in told and "CPU-hours" in told and "with 2 workers" in told and "are free" in told
    assert {path: path.stat().st_mtime_ns for path in corpus.root.rglob("*")} == before


def test_several_videos_at_once_have_the_rows_of_each_alone(corpus: Corpus, idm_run: Path, tmp_path: Path) -> None:
    """As on a GPU: stretches, a video that cannot be read, and more units than are open at once."""
    there = Corpus.open(shutil.copytree(corpus.root, tmp_path / "together"))
    there.path_of(there.video("b")).write_bytes(b"no video")  # type: ignore[union-attr]
    alone = Corpus.open(shutil.copytree(there.root, tmp_path / "alone"))
    done = label_corpus(there, idm_run, LabelSettings(videos_at_once=3), stretch_s=CUT_S)
    one = label_corpus(alone, idm_run, stretch_s=CUT_S)
    assert (done.made, list(done.unreadable)) == (one.made, list(one.unreadable)) == (2, ["b"])
    for id in there.with_rows(done.source).to_pylist():
        rows, wanted = (each.actions(done.source, id) for each in (there, alone))
        assert rows is not None and wanted is not None and rows.column("pts_s").equals(wanted.column("pts_s"))
        for name in rows.column_names:
            if not rows.column(name).null_count:
                np.testing.assert_allclose(rows.column(name).to_numpy(), wanted.column(name).to_numpy(), atol=1e-5, rtol=0)
    assert label_corpus(there, idm_run, LabelSettings(videos_at_once=3), stretch_s=CUT_S).present == 2

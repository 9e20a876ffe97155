"""A corpus's segments as training reads them: the pictures of the arrays, nearly; which footage they are of; and what a kill leaves."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ghostpad.base.engines.settings import EngineSettings
from ghostpad.base.errors import MediaError, MissingError
from ghostpad.base.records import Video
from ghostpad.base.settings import build_settings
from ghostpad.cli.main import main
from ghostpad.corpus.folder import Corpus
from ghostpad.feed.dataset import WindowDataset
from ghostpad.feed.footage import Footage
from ghostpad.feed.load import load_footage, picture_store
from ghostpad.feed.make_segments import make_segments
from ghostpad.feed.rows import RecordedRows
from ghostpad.feed.segments import SegmentStore
from ghostpad.feed.settings import DataSettings
from ghostpad.feed.window import WindowSpec
from ghostpad.idm.model import idm_window
from ghostpad.idm.settings import IdmSettings
from ghostpad.lab.made_up.videos import write_sample
from ghostpad.video.paint import GREY

SPEC = WindowSpec((-1, 0, 1, 2), (0, 1), 64, 48, True, rate_hz=20.0)
LEAST_DB = 40.0
"""Of the pictures of segments beside decoded ones; Doom at 64x48 gray has 41.8 dB (measured)."""


@pytest.fixture(scope="module")
def made(small: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus with segments. Copy before changing."""
    root = shutil.copytree(small.novice, tmp_path_factory.mktemp("made") / "c", ignore=shutil.ignore_patterns("cache"))
    assert make_segments(Corpus.open(root), SPEC).made == 2
    return root


@pytest.fixture
def corpus(made: Path, tmp_path: Path) -> Corpus:
    return Corpus.open(shutil.copytree(made, tmp_path / "c"))


def footage(corpus: Corpus, pictures: str = "auto") -> list[Footage]:
    data = build_settings(DataSettings, {"pictures": pictures}, "test")
    return load_footage(corpus, corpus.ok_ids(), RecordedRows(), SPEC, data)


def psnr_db(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(np.float64) - other) ** 2)))


def files(root: Path, suffix: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(root.rglob(f"*{suffix}"))}


def test_a_training_finds_them_with_the_stamps_and_rows_of_arrays_and_nearly_their_pictures(corpus: Corpus) -> None:
    for one, other in zip(footage(corpus), footage(corpus, "arrays"), strict=True):
        assert (one.video, one.game, one.masks, len(one.frames)) == (other.video, other.game, other.masks, len(other.frames))
        assert np.array_equal(one.pts_s[:], other.pts_s[:]) and len(one.pts_s) > 100
        assert np.array_equal(one.pads[0 : len(one.pads)], other.pads[0 : len(other.pads)])
        assert np.array_equal(one.weight[0 : len(one.pads)], other.weight[0 : len(other.pads)])
        assert psnr_db(np.asarray(one.frames[:]), np.asarray(other.frames[:])) > LEAST_DB
    assert isinstance(picture_store(corpus, SPEC, DataSettings()), SegmentStore)


def test_arrays_are_read_where_they_are_wished_and_where_there_are_no_segments_of_this_size(corpus: Corpus) -> None:
    before = footage(corpus, "arrays")
    for path in (corpus.root / "segments").rglob("*.mp4"):
        path.write_bytes(b"")
    for one, other in zip(before, footage(corpus, "arrays"), strict=True):
        assert np.array_equal(one.frames[:], other.frames[:])
    other_size = WindowSpec((0, 1), (0,), 32, 32, True)
    assert not isinstance(picture_store(corpus, other_size, DataSettings()), SegmentStore)
    with pytest.raises(MediaError, match="cut off"):
        footage(corpus)[0].frames[:3]


def test_a_window_is_the_same_read_alone_and_together(corpus: Corpus) -> None:
    dataset = WindowDataset([footage(corpus)], SPEC)
    keys = [(0, int(at)) for at in np.random.default_rng(0).integers(0, dataset.sizes[0], 24)]
    keys += [(0, at) for at in (0, 1, 2, 2, dataset.sizes[0] - 1)]
    for key, together in zip(keys, dataset.__getitems__(keys), strict=True):
        alone = dataset[key]
        assert all(torch.equal(one, other) for one, other in zip(alone[:3], together[:3], strict=True)) and alone[3] == together[3]


def test_a_video_without_segments_is_left_out_and_told_of(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    gone, kept = corpus.ok_ids()
    for path in (corpus.root / "segments").rglob(f"{gone}*"):
        path.unlink()
    assert [one.video for one in footage(corpus)] == [kept]
    told = capsys.readouterr().err
    assert f"{gone}: {gone} has no segments in" in told and "run 'ghostpad corpus proxy' again" in told
    assert make_segments(corpus, SPEC).made == 1 and len(footage(corpus)) == 2


@pytest.mark.parametrize("listed", [True, False])
def test_segments_of_footage_that_was_replaced_are_refused_until_they_are_made_again(
    listed: bool, corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another file is known by its checksum in the catalogue, and where none is listed by its size and time."""
    one, other = corpus.ok_ids()
    if not listed:
        corpus.change([one], lambda video: replace(video, sha256=None))
        assert make_segments(corpus, SPEC).made == 1
    before = files(corpus.root / "segments", ".mp4")
    shutil.copy(str(corpus.video_path(other)), str(corpus.video_path(one)))
    if listed:
        corpus.change([one], lambda video: replace(video, sha256=corpus.video(other).sha256))
    assert [clip.video for clip in footage(corpus)] == [other]
    assert f"the segments of {one} are of other footage or another mask" in capsys.readouterr().err
    assert make_segments(corpus, SPEC).made == 1
    after = files(corpus.root / "segments", ".mp4")
    assert len(after) == 2 and len(before.keys() & after.keys()) == 1, "the old ones are gone"
    assert len(footage(corpus)) == 2


def test_a_mask_is_in_the_pictures(corpus: Corpus) -> None:
    id = corpus.ok_ids()[0]
    corpus.change([id], lambda video: replace(video, overlay_px=(160, 120, 100, 80), overlay_of_px=(320, 240)))
    assert make_segments(corpus, SPEC).made == 1
    clip = footage(corpus)[0]
    assert clip.video == id and len(clip.masks) == 1
    inside = np.asarray(clip.frames[:])[:, 25:39, 33:51]
    assert (inside == GREY).all(), "exactly, as in the arrays, whatever the codec makes of its edge"


def test_a_training_that_runs_is_not_disturbed_when_rows_change(corpus: Corpus) -> None:
    id = corpus.ok_ids()[0]
    running = footage(corpus)[0]
    before = running.pads[5:50].copy()
    table = corpus.actions("recorded", id)
    assert table is not None
    corpus.write_actions("recorded", id, table.slice(10))
    later = footage(corpus)[0]
    assert not np.array_equal(later.weight[0:50], running.weight[0:50])
    assert np.array_equal(running.pads[5:50], before)


def test_any_engine_makes_the_same_bytes(corpus: Corpus, made: Path) -> None:
    shutil.rmtree(corpus.root / "segments")
    counts = make_segments(corpus, SPEC, EngineSettings(engine="pool", workers=2))
    assert (counts.made, counts.present, counts.unreadable) == (2, 0, {})
    assert files(corpus.root, ".mp4") == files(made, ".mp4")
    assert make_segments(corpus, SPEC).present == 2 and len(files(corpus.root, ".rows")) == 2


def test_a_name_that_begins_like_another_keeps_its_own(tmp_path: Path) -> None:
    corpus = Corpus.create(tmp_path / "c")
    for number, id in enumerate(("a", "a-1", "a.index", "a-12345678")):
        write_sample(corpus.root / "videos" / f"{id}.mp4", width_px=96, height_px=64, fps=10, frames=20 + number)
        corpus.add_video(Video(id=id))
    assert make_segments(corpus, SPEC).made == 4
    corpus.add_video(Video(id="a", overlay_px=(8, 8, 40, 30), overlay_of_px=(96, 64)))
    counts = make_segments(corpus, SPEC)
    assert (counts.made, counts.present) == (1, 3)
    store = picture_store(corpus, SPEC, DataSettings())
    assert [len(store.pictures(corpus.video(id)).pts_s) for id in ("a", "a-1", "a.index", "a-12345678")] == [20, 21, 22, 23]


def test_a_killed_training_goes_on_to_the_same_bytes_with_other_workers(small: Any, small_idm_flags: list[str], tmp_path: Path) -> None:
    root = shutil.copytree(small.novice, tmp_path / "c", ignore=shutil.ignore_patterns("cache"))
    assert make_segments(Corpus.open(root), idm_window(build_settings(IdmSettings, {"width_px": 64, "height_px": 48}, "test"))).made == 2
    flags = [*small_idm_flags, "--data.pictures=segments", "--train.steps=12", "--train.checkpoint-every=2"]

    def words(out: str, workers: int) -> list[str]:
        return ["train", "idm", str(root), "--out", str(tmp_path / out), *flags, f"--data.workers={workers}"]

    assert main(words("whole", 0)) == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "ghostpad", *words("killed", 2)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not list((tmp_path / "killed").glob("checkpoints/step-*")):
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the training was over before it could be killed"
    assert main(words("killed", 1)) == 0
    for name in ("model.safetensors", "calibration.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert not (root / "cache").exists(), "nothing was decoded into arrays"


def test_segments_that_are_gone_while_a_training_runs_are_told_of(corpus: Corpus) -> None:
    clip = footage(corpus)[0]
    for path in (corpus.root / "segments").rglob("*.index"):
        path.unlink()
    with pytest.raises(MissingError, match="run 'ghostpad corpus proxy' again"):
        clip.frames[:3]

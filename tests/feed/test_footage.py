"""Rows under frames: by time stamp, by verdict and confidence; windows at the ends of a video; broken videos."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ghostpad.base.errors import FormatError, MissingError, SettingsError, TrainingError
from ghostpad.base.pad import PAD_DIM, slot
from ghostpad.base.records import VERDICTS, Video, actions_table, labels_table, pads_of
from ghostpad.base.settings import build_settings
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.table import Table
from ghostpad.feed.dataset import WindowDataset, batches
from ghostpad.feed.footage import Footage
from ghostpad.feed.gather import split_videos
from ghostpad.feed.load import load_footage, rows_under
from ghostpad.feed.order import Order
from ghostpad.feed.rows import PseudoLabelRows, RecordedRows, WithheldRows, label_source
from ghostpad.feed.settings import DataSettings
from ghostpad.feed.window import WindowSpec
from ghostpad.idm.settings import IdmRun
from ghostpad.lab.made_up.small_videos import write_video

SPEC = WindowSpec((0, 1), (0,), 16, 16, True)
ROWS = 6
STEP = 0.5 / 127
"""Half of what one byte of a packed stick is worth."""


def numbered(pts_s: np.ndarray) -> pa.Table:
    """True rows whose right_x counts them in hundredths."""
    pads = np.zeros((len(pts_s), PAD_DIM), np.float32)
    pads[:, slot("right_x")] = np.arange(len(pts_s)) / 100
    return actions_table(pts_s, pads, np.ones(PAD_DIM, np.bool_))


def aligned(frame_pts_s: np.ndarray, row_pts_s: np.ndarray) -> tuple[list[int], list[bool]]:
    """Which row lies under each frame but the last (0 for none), and whether there is one."""
    at = rows_under(frame_pts_s, row_pts_s)
    assert at.shape == (len(frame_pts_s) - 1,)
    return at.clip(0).tolist(), (at >= 0).tolist()


@given(st.lists(st.floats(0.005, 0.5), min_size=2, max_size=40))
def test_rows_of_a_video_at_any_changing_rate_stay_under_their_frames(steps_s: list[float]) -> None:
    pts_s = np.cumsum(steps_s)
    assert aligned(pts_s, pts_s[:-1]) == (list(range(len(pts_s) - 1)), [True] * (len(pts_s) - 1))


def test_a_lower_rate_takes_the_row_in_force_at_the_frame() -> None:
    rows_s = np.arange(40) / 35
    assert aligned(rows_s[::2], rows_s)[0] == list(range(0, 38, 2))
    off_s = np.arange(10) / 10  # 10 Hz over rows at 35 Hz: no common stamps
    assert aligned(off_s, rows_s)[0] == [int(np.floor(time * 35 + 1e-3)) for time in off_s[:-1]]


def test_frames_in_a_hole_between_chunks_weigh_nothing() -> None:
    rows_s = np.concatenate([np.arange(30) / 30, 5 + np.arange(30) / 30])
    frames_s = np.arange(7 * 60) / 60
    rows, weighs = aligned(frames_s, rows_s)
    hole = (frames_s[:-1] >= 1.02) & (frames_s[:-1] < 4.99)
    assert not np.array(weighs)[hole].any() and all(np.array(weighs)[(frames_s[:-1] < 0.99)]) and all(np.array(weighs)[300:359])
    assert rows[300:304] == [30, 30, 31, 31]


def test_frames_before_and_after_the_rows_weigh_nothing() -> None:
    rows, weighs = aligned(np.arange(12) / 10, np.arange(3, 8) / 10)
    assert weighs == [False] * 3 + [True] * 5 + [False] * 3
    assert rows[3:8] == [0, 1, 2, 3, 4]
    assert not any(aligned(np.arange(4) / 10, np.zeros(0))[1])


@given(st.integers(0, 9), st.integers(1, 5), st.integers(1, 5))
def test_windows_repeat_the_edge_frame_and_weigh_nothing_outside(row: int, before: int, ahead: int) -> None:
    spec = WindowSpec(tuple(range(-before, 1)), tuple(range(ahead)), 16, 16, True)
    assert spec.frames_at(row, 11).tolist() == [max(0, row + offset) for offset in range(-before, 1)]
    rows, inside = spec.rows_at(row, 10)
    assert inside.tolist() == [row + offset < 10 for offset in range(ahead)]
    assert rows.tolist() == [min(9, row + offset) for offset in range(ahead)]


def clip_of(rows: int, video: str = "a") -> Footage:
    frames = np.broadcast_to(np.arange(rows + 1, dtype=np.uint8)[:, None, None, None], (rows + 1, 8, 8, 1))
    pads = np.broadcast_to(np.arange(rows, dtype=np.float32)[:, None] / np.float32(100), (rows, PAD_DIM))
    return Footage(video, np.arange(rows + 1) / 10, frames, pads, np.ones((rows, PAD_DIM), np.float32), f"game of {video}")


def places(dataset: WindowDataset) -> list[tuple[str, int]]:
    """The video and row of every window of the first group."""
    return [(ref.video, ref.row) for *_, ref in (dataset[0, index] for index in range(dataset.sizes[0]))]


def test_a_window_of_the_dataset_holds_its_frames_rows_and_name() -> None:
    dataset = WindowDataset([[clip_of(4, "first"), clip_of(6, "second")]], WindowSpec((-1, 0), (0, 1), 8, 8, True))
    frames, pads, weight, ref = dataset[0, 4 + 5]
    assert (ref.video, ref.row, ref.game) == ("second", 5, "game of second") and frames[:, 0, 0, 0].tolist() == [4, 5]
    assert pads[:, 0].tolist() == pytest.approx([0.05, 0.05]) and weight[:, 0].tolist() == [1, 0]


def test_windows_that_learn_later_rows_stand_before_them() -> None:
    """NitroGen's `action_shift` 3: the first row learned is the third after the one in force when the newest frame is shown."""
    clip = clip_of(10)
    clip.weight[4] = 0  # no window may stand where its first row would weigh nothing
    dataset = WindowDataset([[clip]], WindowSpec((-1, 0), (3, 4, 5), 8, 8, True))
    assert places(dataset) == [("a", row) for row in (0, 2, 3, 4, 5, 6)]
    frames, pads, weight, ref = dataset[0, 5]
    assert ref.row == 6 and frames[:, 0, 0, 0].tolist() == [5, 6]
    assert pads[:, 0].tolist() == pytest.approx([0.09, 0.09, 0.09]) and weight[:, 0].tolist() == [1, 0, 0]


def test_inside_windows_never_leave_the_video_and_short_videos_give_one() -> None:
    dataset = WindowDataset([[clip_of(10), clip_of(3)]], WindowSpec(tuple(range(5)), tuple(range(4)), 8, 8, True, inside=True))
    assert dataset.sizes == [7 + 1]
    assert all(dataset[0, index][2].all() for index in range(7))
    assert dataset[0, 7][2][:, 0].tolist() == [1, 1, 1, 0]


SPARSE = WindowSpec(tuple(range(5)), tuple(range(4)), 8, 8, True, inside=True)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_inside_windows_stand_where_any_of_their_rows_weighs(known: list[bool]) -> None:
    clip = clip_of(len(known))
    clip.weight[~np.array(known)] = 0
    dataset = WindowDataset([[clip]], SPARSE)
    everywhere = range(max(1, len(known) - 3))
    assert places(dataset) == [("a", row) for row in everywhere if any(known[row : row + 4])]
    assert all(dataset[0, index][2].any() for index in range(dataset.sizes[0]))


def test_where_every_row_is_known_there_is_a_window_wherever_one_fits() -> None:
    """Clip by clip: weights of any size above 0 change nothing."""
    clips = [clip_of(10, "a"), clip_of(3, "b"), clip_of(25, "c")]
    clips = [replace(clip, game="") for clip in clips]
    clips[2].weight[:, :-1] = 0
    clips[2].weight[:] *= 0.01
    dataset = WindowDataset([clips], SPARSE)
    assert places(dataset) == [("a", row) for row in range(7)] + [("b", 0)] + [("c", row) for row in range(22)]


def test_processes_share_a_batch_and_worker_processes_change_nothing() -> None:
    dataset = WindowDataset([[clip_of(20)]], SPEC)
    order = Order([group.layout() for group in dataset.groups], [1.0], 4, 3, together=2)
    whole = list(batches(dataset, order, 2, 6))
    halves = [list(batches(dataset, order, 2, 6, rank=rank, ranks=2)) for rank in (0, 1)]
    for batch, one, two in zip(whole, *halves, strict=True):
        assert set(batch.refs) == set(one.refs) | set(two.refs) and len(one.refs) == len(two.refs) == 2
    ahead = list(batches(dataset, order, 2, 6, workers=1))
    assert all(torch.equal(a.frames, b.frames) and a.refs == b.refs for a, b in zip(whole, ahead, strict=True))
    with pytest.raises(TrainingError, match="multiple of 3"):
        batches(dataset, order, 0, 1, ranks=3)


@given(st.integers(0, 30), st.sampled_from([1, 2, 3, 4, 6]), st.integers(0, 5))
def test_any_number_of_processes_gets_the_same_batches_from_any_step_on(first: int, ranks: int, seed: int) -> None:
    """So a run goes on after a kill with more processes or fewer: what they hold together is a function of (seed, step)."""
    dataset = WindowDataset([[clip_of(20)], [clip_of(9, "b")]], SPEC)
    order = Order([group.layout() for group in dataset.groups], [0.3, 0.7], 12, seed, together=3)
    straight = [[(ref.video, ref.row) for ref in batch.refs] for batch in batches(dataset, order, 0, first + 2)][first:]
    parts = [list(batches(dataset, order, first, first + 2, rank=rank, ranks=ranks)) for rank in range(ranks)]
    for step, wanted in enumerate(straight):
        woven: list[tuple[str, int]] = [("", 0)] * 12
        for rank, part in enumerate(parts):
            woven[rank::ranks] = [(ref.video, ref.row) for ref in part[step].refs]
        assert woven == wanted


def test_an_impossible_window_names_every_problem() -> None:
    with pytest.raises(SettingsError) as caught:
        WindowSpec((), (0,), 4, 16, True, rate_hz=0)
    assert len(caught.value.problems) == 3


@given(st.lists(st.text("abcdef", min_size=1, max_size=6), unique=True, max_size=12), st.floats(0, 0.9))
def test_whole_videos_are_held_out_and_each_stands_on_one_side(videos: list[str], share: float) -> None:
    kept, tested = split_videos(videos, share)
    assert sorted(kept + tested) == sorted(videos) and not set(kept) & set(tested)
    if len(videos) >= 2:
        assert kept and bool(tested) == (share > 0)


# ---- corpora ----------------------------------------------------------------------------------------------------


def judged_corpus(root: Path, source: str) -> Corpus:
    """Labels of ROWS rows with confidence 0.4 or, in the last, 0.8; the verdicts drop rows 2...3."""
    corpus = Corpus.create(root)
    corpus.add_video(Video(id="v"))
    (corpus.root / "videos").mkdir()
    write_video(corpus.root / "videos" / "v.mp4", "h264-no-b", stamps=range(ROWS + 1), clock_hz=10)
    shape = (ROWS, PAD_DIM)
    known = np.arange(PAD_DIM) == slot("right_x")
    table = labels_table(
        np.arange(ROWS) / 10,
        np.full(shape, 0.25, np.float32),
        np.ones((ROWS, 4), np.float32),
        known,
        np.array([0.4] * (ROWS - 1) + [0.8], np.float32),
    )
    corpus.write_actions("idm-a", "v", table)
    rows = [("v", 0, 1, 0.2, True, "kept"), ("v", 2, 3, 0.2, False, "idle"), ("v", 4, 5, 0.2, True, "kept")]
    corpus.write_verdicts(
        "default", pa.Table.from_pylist([dict(zip(VERDICTS.names, row, strict=True)) for row in rows], VERDICTS), {"source": source}
    )
    return corpus


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_dropped_rows_weigh_nothing_and_the_rest_by_confidence(tmp_path: Path, power: float) -> None:
    data = DataSettings(confidence_power=power)
    corpus = judged_corpus(tmp_path, "idm-a")
    (clip,) = load_footage(corpus, ["v"], PseudoLabelRows(corpus, "idm-a", data), SPEC, data)
    low, high = ROWS / (ROWS - 1 + 2**power), ROWS * 2**power / (ROWS - 1 + 2**power)  # twice as sure, and 1 on average
    assert clip.weight[:][:, slot("right_x")].tolist() == pytest.approx([low, low, 0, 0, low, high])
    assert not clip.weight[:][:, slot("south")].any() and clip.known.tolist() == (np.arange(PAD_DIM) == slot("right_x")).tolist(), (
        "a slot that the labels do not know weighs nothing"
    )


def test_with_power_0_rows_of_no_confidence_teach_like_all_others(tmp_path: Path) -> None:
    corpus, data = judged_corpus(tmp_path, "idm-a"), DataSettings(confidence_power=0)
    known = np.arange(PAD_DIM) == slot("right_x")
    pads, ones = np.zeros((ROWS, PAD_DIM), np.float32), np.ones((ROWS, 4), np.float32)
    corpus.write_actions("idm-a", "v", labels_table(np.arange(ROWS) / 10, pads, ones, known, np.zeros(ROWS, np.float32)))
    (clip,) = load_footage(corpus, ["v"], PseudoLabelRows(corpus, "idm-a", data), SPEC, data)
    assert clip.weight[:][:, slot("right_x")].tolist() == [1, 1, 0, 0, 1, 1]


def test_soft_targets_are_the_probabilities_and_hard_ones_the_likelier_side(tmp_path: Path) -> None:
    corpus = judged_corpus(tmp_path, "idm-a")
    known = np.isin(np.arange(PAD_DIM), [slot("south"), slot("east"), slot("right_x")])
    pads = np.zeros((ROWS, PAD_DIM), np.float32)
    pads[:, slot("south")], pads[:, slot("east")], pads[:, slot("right_x")] = np.linspace(0, 1, ROWS), 0.3, -0.25
    times_s, ones = np.arange(ROWS) / 10, np.ones((ROWS, 4), np.float32)
    corpus.write_actions("idm-a", "v", labels_table(times_s, pads, ones, known, np.ones(ROWS, np.float32)))
    for targets, south, east in (("soft", np.linspace(0, 1, ROWS), 0.3), ("hard", [0, 0, 0, 1, 1, 1], 0.0)):
        data = DataSettings(targets=targets)
        (found,) = load_footage(corpus, ["v"], PseudoLabelRows(corpus, "idm-a", data), SPEC, data)
        values, weight = found.pads[:], found.weight[:]
        np.testing.assert_allclose(values[:, slot("south")], south, atol=STEP)
        np.testing.assert_allclose(values[:, [slot("east"), slot("right_x")]], [[east, -0.25]] * ROWS, atol=STEP)
        assert weight[:, known].any(axis=0).all() and not weight[:, ~known].any(), "what is unknown stays unknown and weighs nothing"
    with pytest.raises(SettingsError, match="data.targets"):
        build_settings(IdmRun, {"data": {"targets": "softt"}}, "test")


def test_without_verdicts_nothing_is_dropped(tmp_path: Path) -> None:
    corpus, data = judged_corpus(tmp_path, "idm-b"), DataSettings(verdicts="none")
    (clip,) = load_footage(corpus, ["v"], PseudoLabelRows(corpus, "idm-a", data), SPEC, data)
    assert clip.weight[:][:, slot("right_x")].all()


def test_verdicts_on_another_source_and_missing_ones_are_refused(tmp_path: Path) -> None:
    corpus = judged_corpus(tmp_path, "idm-b")
    with pytest.raises(FormatError, match="judge idm-b, not idm-a.*ghostpad filter"):
        PseudoLabelRows(corpus, "idm-a", DataSettings())
    with pytest.raises(MissingError, match="did you mean 'default'"):
        PseudoLabelRows(corpus, "idm-a", DataSettings(verdicts="defaullt"))


def test_which_labels_a_setting_names(tmp_path: Path) -> None:
    corpus = judged_corpus(tmp_path, "idm-a")
    assert label_source(corpus, "latest") == label_source(corpus, "idm-a") == "idm-a" and label_source(corpus, "none") is None
    assert label_source(Corpus.create(tmp_path / "empty"), "latest") is None
    with pytest.raises(MissingError, match="no labels 'idm-x'"):
        label_source(corpus, "idm-x")


def test_a_broken_video_is_reported_and_the_rest_is_used(small: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = shutil.copytree(small.novice, tmp_path / "corpus")
    corpus = Corpus.open(root)
    good, bad = corpus.ok_ids()
    path = corpus.video_path(bad)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    footage = load_footage(corpus, [good, bad], RecordedRows(), SPEC)
    assert [clip.video for clip in footage] == [good]
    told = capsys.readouterr().err
    assert "1 videos cannot be read" in told and f"  {bad}: {path}" in told
    assert not list((root / "cache" / SPEC.picture).glob(f"*{bad}*"))
    corpus.video_path(good).unlink()
    assert load_footage(corpus, [good], RecordedRows(), SPEC) == [] and "does not exist" in capsys.readouterr().err
    assert corpus.ok_ids() == [good, bad], "reading changes no status"


def test_real_footage_has_a_row_between_every_two_frames_and_is_decoded_once(small: Any, tmp_path: Path) -> None:
    corpus = Corpus.open(shutil.copytree(small.novice, tmp_path / "corpus"))
    (first, second), again = (load_footage(corpus, corpus.ok_ids(), RecordedRows(), SPEC) for _ in range(2))
    assert first.frames[:].shape == (240, 16, 16, 1) and second.frames[:].shape == (110, 16, 16, 1)
    table = corpus.actions("recorded", first.video)
    np.testing.assert_allclose(first.pads[:], pads_of(table)[0], atol=STEP)
    np.testing.assert_array_equal(first.weight[:], pads_of(table)[1])
    np.testing.assert_array_equal(first.frames[:], again[0].frames[:])


def test_footage_encoded_again_has_the_same_rows_under_other_pictures_and_a_cache_of_its_own(small: Any, tmp_path: Path) -> None:
    corpus = Corpus.open(shutil.copytree(small.novice, tmp_path / "corpus"))
    id = corpus.ok_ids()[1]
    (plain,), (again,) = (load_footage(corpus, [id], RecordedRows(), SPEC, crf=crf) for crf in (None, 45))
    for part in ("pts_s", "pads", "weight"):
        np.testing.assert_array_equal(getattr(again, part)[:], getattr(plain, part)[:])
    assert (again.video, again.game) == (plain.video, plain.game) == (id, "doom") and len(again.frames) == len(plain.frames)
    worse, good = again.frames[:].astype(int), plain.frames[:].astype(int)
    assert 0.5 < np.abs(worse - good).mean() < 0.5 * np.abs(good - good.mean()).mean(), "worse, but the same pictures"
    assert {SPEC.picture, f"{SPEC.picture}-crf45"} <= {folder.name for folder in (corpus.root / "cache").iterdir()}
    assert {path.name for path in (corpus.root / "videos").iterdir()} == {f"{row.id}.mp4" for row in corpus.list_videos()}


@pytest.mark.parametrize("crf", [[52], [-1], [23, 99], [2.5]])
def test_a_quality_that_does_not_exist_is_refused(crf: list[float]) -> None:
    with pytest.raises(SettingsError, match="data.reencode_crf"):
        build_settings(IdmRun, {"data": {"reencode_crf": crf}}, "test")


def test_a_video_that_was_replaced_is_decoded_again(small: Any, tmp_path: Path) -> None:
    corpus = Corpus.open(shutil.copytree(small.novice, tmp_path / "corpus"))
    first, second = corpus.ok_ids()
    load_footage(corpus, [first, second], RecordedRows(), SPEC)
    shutil.copyfile(corpus.video_path(second), corpus.video_path(first))
    one, other = load_footage(corpus, [first, second], RecordedRows(), SPEC)
    np.testing.assert_array_equal(one.frames[:], other.frames[:])


def test_of_processes_that_want_the_same_pictures_one_decodes(small: Any, tmp_path: Path) -> None:
    corpus = Corpus.open(shutil.copytree(small.novice, tmp_path / "corpus"))
    shutil.rmtree(corpus.root / "cache", ignore_errors=True)
    code = (
        "import sys; from pathlib import Path; from ghostpad.corpus.folder import Corpus; from ghostpad.feed.load import load_footage;"
        "from ghostpad.feed.rows import RecordedRows; from ghostpad.feed.window import WindowSpec;"
        "from ghostpad.video.child import VideoChild; real = VideoChild.frames\n"
        "def noting(*rest, **named):\n    print('decoded'); return real(*rest, **named)\n"
        "VideoChild.frames = noting; corpus = Corpus.open(Path(sys.argv[1]))\n"
        "for clip in load_footage(corpus, corpus.ok_ids(), RecordedRows(), WindowSpec((0, 1), (0,), 16, 16, True)):"
        " print(clip.frames[:].shape)"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(corpus.root)], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert "".join(said).count("decoded") == 2 and all(text.count("16, 16, 1") == 2 for text in said)


def test_withheld_truth_is_found_by_video(small: Any) -> None:
    corpus = Corpus.open(small.wild)
    (id,) = corpus.ok_ids()
    assert RecordedRows().read(corpus, id) is None and load_footage(corpus, [id], RecordedRows(), SPEC) == []
    (found,) = load_footage(corpus, [id], WithheldRows(small.truth), SPEC)
    assert len(found.pads) == 174 and found.weight[:].max() == 1
    with pytest.raises(MissingError, match="no folder of true rows"):
        WithheldRows(small.truth / "gone")


def test_d13_ids_that_end_like_files_of_the_cache_keep_their_own_pictures(small: Any, tmp_path: Path) -> None:
    corpus = Corpus.open(shutil.copytree(small.novice, tmp_path / "corpus"))
    films = [corpus.video(id) for id in corpus.ok_ids()]
    rows = [corpus.actions("recorded", video.id) for video in films]
    names = ["clip", "clip.pts", "clip.npy", "clip.npz"]
    for at, name in enumerate(names):
        shutil.copyfile(corpus.path_of(films[at % 2]), corpus.root / "videos" / f"{name}.mp4")
        corpus.add_video(replace(films[at % 2], id=name, path=""))
        corpus.write_actions("recorded", name, rows[at % 2])
    for _ in range(2):
        lengths = [len(clip.frames) for clip in load_footage(corpus, names, RecordedRows(), SPEC)]
        assert lengths == [240, 110, 240, 110]


def test_d14_a_link_to_an_older_file_is_decoded_again(small: Any, tmp_path: Path) -> None:
    corpus = Corpus.open(shutil.copytree(small.novice, tmp_path / "corpus"))
    first, second = corpus.ok_ids()
    load_footage(corpus, [first, second], RecordedRows(), SPEC)
    older = tmp_path / "older.mp4"
    shutil.copyfile(corpus.video_path(second), older)
    os.utime(older, (1e9, 1e9))
    corpus.video_path(first).unlink()
    corpus.video_path(first).symlink_to(older)
    one, other = load_footage(corpus, [first, second], RecordedRows(), SPEC)
    np.testing.assert_array_equal(one.frames[:], other.frames[:])


def test_pictures_that_were_cut_off_are_made_again(small: Any, tmp_path: Path) -> None:
    corpus = Corpus.open(shutil.copytree(small.novice, tmp_path / "corpus"))
    (id, _) = corpus.ok_ids()
    (before,) = load_footage(corpus, [id], RecordedRows(), SPEC)
    frames, kept = before.frames[:].copy(), corpus.cache / SPEC.picture / f"{id}.npy"
    for size in (0, 50, 5000, kept.stat().st_size - 3):
        content = kept.read_bytes()
        kept.unlink()  # what is mapped stays as it is
        kept.write_bytes(content[:size])
        (again,) = load_footage(corpus, [id], RecordedRows(), SPEC)
        np.testing.assert_array_equal(again.frames[:], frames)


def test_d26_training_does_not_read_the_table_of_videos_for_every_video(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, reads = Corpus.open(small.novice), list[int]()
    for name in ("find", "scan"):
        read = getattr(Table, name)
        monkeypatch.setattr(Table, name, lambda *given, read=read: (reads.append(1), read(*given))[1])
    assert len(load_footage(corpus, corpus.ok_ids() * 3, RecordedRows(), SPEC)) == 6
    assert len(reads) == 2, "one for the ids, one for the videos"


def test_the_latest_labels_are_those_written_last(tmp_path: Path) -> None:
    corpus = judged_corpus(tmp_path, "idm-a")
    for day, source in enumerate(("idm-c", "idm-a", "idm-b")):
        corpus.write_actions(source, "v", corpus.actions("idm-a", "v"))
        os.utime(corpus.actions_path(source, "v"), (1e9 + day, 1e9 + day))
    assert label_source(corpus, "latest") == "idm-b"
    corpus.actions_path("idm-c", "w").write_bytes(corpus.actions_path("idm-c", "v").read_bytes())
    (corpus.actions_path("idm-a", "v").parent / ".stray").touch()
    assert label_source(corpus, "latest") == "idm-c", "the rows, not the folder or what lies beside them"


def test_packed_rows_that_are_damaged_or_cut_off_are_made_again(small: Any, tmp_path: Path) -> None:
    corpus = Corpus.open(shutil.copytree(small.novice, tmp_path / "corpus"))
    shutil.rmtree(corpus.cache, ignore_errors=True)
    (id, _) = corpus.ok_ids()
    (before,) = load_footage(corpus, [id], RecordedRows(), SPEC)
    (pack,) = corpus.cache.rglob("*.rows")
    whole, pads = pack.read_bytes(), before.pads[:]
    for damaged in (b"", b"{}\n", b"no json", whole[:40], b"\xff" * 100):
        pack.write_bytes(damaged)
        (again,) = load_footage(corpus, [id], RecordedRows(), SPEC)
        np.testing.assert_array_equal(again.pads[:], pads)
        assert pack.read_bytes() == whole and list(corpus.cache.rglob("*.rows")) == [pack]

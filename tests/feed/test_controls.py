"""The controls of a study: labels under other moments of their video, and only the first minutes of it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostpad.base.pad import PAD_DIM, slot
from ghostpad.base.records import Video, labels_table, pads_of
from ghostpad.corpus.folder import Corpus
from ghostpad.feed.footage import Footage, first_minutes
from ghostpad.feed.rows import PseudoLabelRows, shuffled
from ghostpad.feed.settings import DataSettings

TURN, FIRE = slot("right_x"), slot("right_trigger")


def labels(rows: int, seed: int = 0) -> "tuple[np.ndarray, object]":
    """Pads float32 [rows, 25] in which the stick counts rows, and their table of labels."""
    rng = np.random.default_rng(seed)
    pads = np.zeros((rows, PAD_DIM), np.float32)
    pads[:, TURN], pads[:, FIRE] = np.linspace(-1, 1, rows), rng.random(rows)
    confidence = rng.uniform(0.1, 1, rows).astype(np.float32)
    return pads, labels_table(np.arange(rows) / 20, pads, np.full((rows, 4), 0.1, np.float32), np.ones(PAD_DIM, np.bool_), confidence)


@given(st.integers(0, 200), st.integers(0, 99), st.text(min_size=1, max_size=8))
def test_shuffling_hands_the_believed_rows_on_and_touches_nothing_else(rows: int, seed: int, video: str) -> None:
    pads, table = labels(rows)
    believed = np.random.default_rng(seed).random(rows) < 0.7
    moved_table = shuffled(table, np.flatnonzero(believed), seed, video)  # type: ignore[arg-type]
    moved, known = pads_of(moved_table)
    assert known.all()
    assert np.array_equal(moved[~believed], pads[~believed])
    assert np.array_equal(np.sort(moved[:, TURN]), np.sort(pads[:, TURN])), "each label is used once"
    assert moved[believed].sum() == pytest.approx(pads[believed].sum(), abs=1e-3), "presses keep their rate"
    for name in ("pts_s", "confidence"):
        assert moved_table.column(name).equals(table.column(name))  # type: ignore[attr-defined]
    count = int(believed.sum())
    if count >= 8:
        place = {value: index for index, value in enumerate(pads[believed][:, TURN])}
        steps = {(index - place[value]) % count for index, value in enumerate(moved[believed][:, TURN])}
        assert len(steps) == 1 and count // 4 <= steps.pop() <= 3 * count // 4, "one shift for all, far from where they were"


def test_videos_and_seeds_move_labels_differently_and_the_same_again(tmp_path: Path) -> None:
    pads, table = labels(400)
    corpus = Corpus.create(tmp_path / "corpus")
    for video in ("a", "b"):
        corpus.add_video(Video(id=video))
        corpus.write_actions("idm-1", video, table)  # type: ignore[arg-type]

    def read(video: str, **settings: object) -> tuple[np.ndarray, np.ndarray]:
        found = PseudoLabelRows(corpus, "idm-1", DataSettings(verdicts="none", **settings)).read(corpus, video)  # type: ignore[arg-type]
        assert found is not None and found.confidence is not None
        return pads_of(found.table)[0], found.confidence

    plain, weight = read("a")
    one, one_weight = read("a", shuffle_seed=1)
    assert np.array_equal(plain, pads) and np.array_equal(weight, one_weight), "weights stay with their frames"
    assert not np.array_equal(one, plain) and np.array_equal(one, read("a", shuffle_seed=1)[0])
    assert not np.array_equal(one, read("a", shuffle_seed=2)[0]) and not np.array_equal(one, read("b", shuffle_seed=1)[0])


def clip(frames: int, video: str) -> Footage:
    pads = np.zeros((frames - 1, PAD_DIM), np.float32)
    return Footage(video, np.arange(frames) / 10, np.zeros((frames, 8, 8, 1), np.uint8), pads, np.ones_like(pads))


def test_the_first_minutes_cut_the_last_video_and_leave_the_rest() -> None:
    footage = [clip(301, "a"), clip(301, "b"), clip(301, "c")]  # 30 s each
    assert [len(one.pads) for one in first_minutes(footage, None)] == [300, 300, 300]
    cut = first_minutes(footage, 0.75)
    assert [(one.video, len(one.frames), len(one.pads), len(one.weight)) for one in cut] == [("a", 301, 300, 300), ("b", 151, 150, 150)]
    assert [one.video for one in first_minutes(footage, 60)] == ["a", "b", "c"]
    assert first_minutes(footage, 1e-6) == []

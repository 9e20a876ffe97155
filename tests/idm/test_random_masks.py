"""Where random masks come from: the footage that is learned from, whose masks travel with the IDM."""

from pathlib import Path
from typing import Any

import numpy as np

from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.masks import mask_shares
from ghostpad.corpus.record import record_corpus
from ghostpad.feed.dataset import WindowDataset
from ghostpad.feed.footage import Footage
from ghostpad.feed.load import load_footage
from ghostpad.feed.rows import RecordedRows
from ghostpad.games.overlay import Overlay
from ghostpad.idm.model import Idm, idm_window
from ghostpad.idm.train import MASKS_MOST, masks_of, train_idm
from ghostpad.train.checkpoint import load_model
from ghostpad.video.paint import Share


def clip(*masks: Share) -> Footage:
    nothing = np.zeros((1, 25), np.float32)
    return Footage("v", np.zeros(2), np.zeros((2, 4, 4, 1), np.uint8), nothing, nothing, "", masks)


def test_masks_keep_their_distribution() -> None:
    small, large = (0.8, 0.8, 0.9, 0.9), (0.1, 0.1, 0.4, 0.4)
    assert masks_of([clip(small), clip(), clip(large), clip(small)]) == [large, small, small]
    many = masks_of([clip(small)] * 300 + [clip(large)] * 100 + [clip()] * 50)
    assert len(many) == MASKS_MOST and many.count(large) == MASKS_MOST / 4
    assert masks_of([clip(), clip()]) == []


def test_an_idm_remembers_the_masks_of_its_footage_and_which_windows_have_one(small: Any, small_idm: Any, tmp_path: Path) -> None:
    record_corpus("doom", "novice", minutes=0.1, seed=3, out=tmp_path / "drawn", overlay=Overlay("ps5", "top-left"))
    run = small_idm(train={"steps": 2}, model={"mask": 1.0}, data={"validation_share": 0})
    train_idm([tmp_path / "drawn", small.novice], tmp_path / "run", run)
    model, corpus = load_model(tmp_path / "run", Idm), Corpus.open(tmp_path / "drawn")
    assert isinstance(model, Idm)
    (row,) = corpus.list_videos()
    assert model.masks == list(mask_shares(row, corpus.video_path(row.id))) and len(model.masks) == 1
    spec = idm_window(run.model)
    groups = [load_footage(one, one.ok_ids(), RecordedRows(), spec) for one in (corpus, Corpus.open(small.novice))]
    windows = WindowDataset(groups, spec)
    assert windows[0, 0][3].masked and not windows[1, 0][3].masked

"""The IDM: what a row depends on, reading in pieces, mirrors, and that it learns something real."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ghostpad.base.errors import MediaError, SettingsError
from ghostpad.base.pad import PAD_DIM, SLOTS, STICKS, slot
from ghostpad.base.records import pads_of
from ghostpad.corpus.folder import Corpus, truth_table
from ghostpad.feed.batch import Batch, WindowRef
from ghostpad.idm import load
from ghostpad.idm.model import Idm
from ghostpad.idm.settings import IdmSettings
from ghostpad.idm.stream import label_video, predict_rows

TINY = {
    "width_px": 32,
    "height_px": 32,
    "dim": 8,
    "heads": 2,
    "attention_rows": 3,
    "convolution_rows": 2,
    "search_x_px": 2,
    "search_y_px": 1,
}
PAD_SLOTS = ["dpad_left", "dpad_right", "south", "left_x", "right_x"]
FRAMES = torch.randint(0, 256, (40, 32, 32, 1), generator=torch.Generator().manual_seed(5), dtype=torch.uint8)


def tiny(slots: list[str] = PAD_SLOTS, **changes: Any) -> Idm:
    torch.manual_seed(0)
    return Idm(IdmSettings(**(TINY | changes)), {"slots": slots}).eval()


WINDOW = tiny(layers=2)
WHOLE = WINDOW.predict(FRAMES)


@hypothesis_settings(max_examples=25, deadline=None)
@given(st.integers(1, 45), st.integers(2, 40))
def test_a_video_read_in_pieces_gives_the_rows_of_the_whole(piece_rows: int, frames: int) -> None:
    pads, spreads = WHOLE if frames == 40 else WINDOW.predict(FRAMES[:frames])
    pieces = list(predict_rows(WINDOW, FRAMES[:frames].numpy(), piece_rows))
    torch.testing.assert_close(torch.from_numpy(np.concatenate([piece[0] for piece in pieces])), pads, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.from_numpy(np.concatenate([piece[1] for piece in pieces])), spreads, atol=1e-5, rtol=0)


def changed_rows(model: Idm, frame: int) -> list[int]:
    """The rows that change when one frame does."""
    other = FRAMES.clone()
    other[frame] = 255 - other[frame].flip(0)
    return torch.nonzero((model.predict(FRAMES)[0] - model.predict(other)[0]).abs().amax(1) > 1e-7).flatten().tolist()


def test_a_row_of_the_pair_variant_depends_on_its_two_frames_alone() -> None:
    model = tiny(variant="pair")
    assert model.reach == 0 and changed_rows(model, 20) == [19, 20]


def test_a_row_of_the_window_variant_depends_on_its_reach() -> None:
    assert WINDOW.reach == 2 + 2 * 3
    rows = changed_rows(WINDOW, 20)
    assert min(rows) >= 19 - WINDOW.reach and max(rows) <= 20 + WINDOW.reach and len(rows) > 2


def test_beliefs_lie_in_their_ranges_and_slots_without_a_head_are_zero() -> None:
    pads, spreads = WHOLE
    others = [index for index, name in enumerate(SLOTS) if name not in PAD_SLOTS]
    assert pads[:, : -len(STICKS)].min() >= 0 and pads.max() <= 1 and pads.min() >= -1 and not pads[:, others].any()
    assert (spreads[:, [0, 2]] > 0).all() and not spreads[:, [1, 3]].any()


@pytest.mark.parametrize("slots", [["south"], ["right_x"]])
def test_an_idm_of_buttons_alone_or_sticks_alone_works(slots: list[str]) -> None:
    model = tiny(slots)
    pads, _ = model.predict(FRAMES[:10])
    loss, logs = model.loss(batch_of(2), torch.Generator().manual_seed(0))
    assert torch.isfinite(loss) and logs and pads[:, slot(slots[0])].any()


def test_an_idm_without_slots_is_refused() -> None:
    with pytest.raises(SettingsError, match="at least one known pad slot"):
        tiny([])


# ---- learning ---------------------------------------------------------------------------------------------------


def batch_of(count: int) -> Batch:
    rng = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (count, 9, 32, 32, 1), generator=rng, dtype=torch.uint8)
    pads = torch.rand(count, 8, PAD_DIM, generator=rng) * 2 - 1
    pads[..., : -len(STICKS)] = (pads[..., : -len(STICKS)] > 0).float()
    return Batch(frames, pads, torch.rand(count, 8, PAD_DIM, generator=rng), tuple(WindowRef("a", row) for row in range(count)))


def test_what_weighs_nothing_teaches_nothing() -> None:
    model, batch = tiny(mirror=False), batch_of(2)
    batch.weight[:, 4:] = 0
    other = Batch(batch.frames, batch.pads.clone(), batch.weight, batch.refs)
    other.pads[:, 4:] *= -1
    losses = [model.loss(each, torch.Generator().manual_seed(0))[0] for each in (batch, other)]
    assert torch.equal(*losses)
    empty = Batch(batch.frames, batch.pads, torch.zeros_like(batch.weight), batch.refs)
    assert model.loss(empty, torch.Generator().manual_seed(0))[0].item() == 0


def test_a_little_training_beats_the_prior_on_another_player(small: Any, idm_run: Path) -> None:
    model = load(idm_run)
    corpus = Corpus.open(small.wild)
    (id,) = corpus.ok_ids()
    truth = truth_table(small.truth, id)
    right_x = slot("right_x")
    predicted, true = (pads_of(table)[0][:, right_x] for table in (model.label(corpus.video_path(id)), truth))
    prior = np.mean(
        np.concatenate(
            [pads_of(Corpus.open(small.novice).actions("recorded", name))[0][:, right_x] for name in Corpus.open(small.novice).ok_ids()]
        )
    )

    def r2(values: Any) -> float:
        return float(1 - np.mean((values - true) ** 2) / true.var())

    assert r2(prior) <= 0 and r2(predicted) > 0.3


# ---- labels -----------------------------------------------------------------------------------------------------


def test_slots_the_idm_does_not_know_are_null_in_its_labels(small: Any, idm_run: Path) -> None:
    model = load(idm_run)
    corpus = Corpus.open(small.wild)
    table = model.label(corpus.video_path(corpus.ok_ids()[0]))
    assert table.num_rows == 174 and 0 < len(model.facts["slots"]) < PAD_DIM
    for name in SLOTS:
        assert table.column(name).null_count == (0 if name in model.facts["slots"] else table.num_rows), name
    for name in STICKS:
        assert table.column(f"{name}_spread").null_count == (0 if name in model.facts["slots"] else table.num_rows), name
    confidence = table.column("confidence").to_numpy()
    assert confidence.min() >= 0 and confidence.max() <= 1 and confidence.std() > 0


def test_labels_do_not_depend_on_the_pieces(small: Any, idm_run: Path) -> None:
    model = load(idm_run)
    path = next((small.wild / "videos").iterdir())
    one, other = (label_video(model, path, piece_rows=rows) for rows in (7, 1000))
    np.testing.assert_array_equal(one.column("pts_s"), other.column("pts_s"))
    np.testing.assert_allclose(pads_of(one)[0], pads_of(other)[0], atol=1e-5)


def test_a_video_that_breaks_off_is_not_labelled(small: Any, tmp_path: Path) -> None:
    path = Path(shutil.copy(next((small.wild / "videos").iterdir()), tmp_path / "cut.mp4"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match=r"cut\.mp4"):
        tiny(width_px=64, height_px=48).label(path)

"""Masks: where they stand in the frames that are here, and that models see them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostpad.base.errors import MediaError
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.masks import MARGIN_PX, USUAL_MASKS, mask_box, mask_shares
from ghostpad.corpus.record import record_corpus
from ghostpad.feed.load import load_footage
from ghostpad.feed.rows import RecordedRows
from ghostpad.feed.window import WindowSpec
from ghostpad.games.overlay import Overlay
from ghostpad.video.paint import GREY, covered


def test_a_box_is_scaled_padded_and_clipped() -> None:
    assert mask_box([1500, 800, 360, 240], [1920, 1080], 1920, 1080) == (1492, 792, 1868, 1048)
    assert mask_box([1500, 800, 360, 240], [1920, 1080], 1280, 720) == (992, 525, 1248, 702)
    assert mask_box([1800, 1000, 245, 85], [1920, 1080], 1920, 1080) == (1792, 992, 1920, 1080), "boxes overflow by up to 125 px"


@given(
    st.tuples(st.floats(0, 1500), st.floats(0, 700), st.floats(1, 400), st.floats(1, 300)), st.integers(100, 4000), st.integers(100, 2200)
)
def test_a_mask_holds_the_whole_box_at_any_size(box: tuple[float, ...], width: int, height: int) -> None:
    left, top, right, bottom = mask_box(box, [1920, 1080], width, height)
    x, y, wide, high = box
    assert 0 <= left <= max(0, x * width / 1920 - MARGIN_PX) + 1e-6 and 0 <= top <= max(0, y * height / 1080 - MARGIN_PX) + 1e-6
    assert width >= right >= min(width, (x + wide) * width / 1920 + MARGIN_PX) - 1e-6
    assert height >= bottom >= min(height, (y + high) * height / 1080 + MARGIN_PX) - 1e-6


@pytest.mark.parametrize(
    ("box", "says"),
    [
        ([10, 10, 0, 5], "empty"),
        ([10, 10, -5, 5], "empty"),
        ([10, float("nan"), 5, 5], "empty"),
        ([2500, 10, 50, 50], "outside"),
        ([0, 0, 1900, 1000], "covers 93%"),
    ],
)
def test_what_is_no_box_is_refused_with_a_reason(box: list[float], says: str) -> None:
    with pytest.raises(MediaError, match=says):
        mask_box(box, [1920, 1080], 1920, 1080)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Real footage with a controller drawn into it."""
    root = tmp_path_factory.mktemp("drawn") / "c"
    record_corpus("doom", "novice", minutes=0.5, seed=5, out=root, overlay=Overlay("xbox", "bottom-right", 0.9))
    return Corpus.open(root)


def test_the_pictures_that_models_see_are_masked_and_made_again_for_another_box(drawn: Corpus) -> None:
    spec, row = WindowSpec((0, 1), (0,), 64, 48, True), drawn.list_videos()[0]
    (clip,) = load_footage(drawn, [row.id], RecordedRows(), spec)
    assert (clip.frames[:, 40:46, 50:62] == 128).all() and np.ptp(clip.frames[:, :20, :20].astype(int), axis=0).max() > 20
    drawn.add_video(replace(row, overlay_px=[0.0, 0.0, 64.0, 42.0]))
    (moved,) = load_footage(drawn, [row.id], RecordedRows(), spec)
    drawn.add_video(row)
    assert (moved.frames[:, :8, :12] == 128).all() and not (moved.frames[:, 40:46, 50:62] == 128).all()


def test_footage_tells_its_masks_as_shares_of_the_picture(drawn: Corpus) -> None:
    spec, row = WindowSpec((0, 1), (0,), 64, 48, True), drawn.list_videos()[0]
    (clip,) = load_footage(drawn, [row.id], RecordedRows(), spec)
    (mask,) = clip.masks
    assert mask == mask_shares(row, drawn.video_path(row.id))[0]
    rows, columns = covered(mask, 64, 48)
    assert (clip.frames[:, rows, columns] == GREY).all() and (clip.frames[:, rows.start - 1] != GREY).any()
    assert mask_shares(replace(row, overlay_px=None), drawn.video_path(row.id)) == ()
    assert all(0 < left < right < 1 and 0 < top < bottom < 1 for left, top, right, bottom in USUAL_MASKS)

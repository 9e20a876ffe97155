"""Masks: where they stand in the frames that are here, and that nothing beside them gives the pad away."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostpad.base.errors import MediaError
from ghostpad.cli.main import main
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.leaks import MARGIN, probe_leaks
from ghostpad.corpus.overlay import mask_box
from ghostpad.corpus.record import record_corpus
from ghostpad.feed.footage import load_footage, truth_rows
from ghostpad.feed.window import WindowSpec
from ghostpad.games.overlay import Overlay


def test_a_box_is_scaled_padded_and_clipped() -> None:
    assert mask_box([1500, 800, 360, 240], [1920, 1080], 1920, 1080) == (1496, 796, 1864, 1044)
    assert mask_box([1500, 800, 360, 240], [1920, 1080], 1280, 720) == (996, 529, 1244, 698)
    assert mask_box([1800, 1000, 245, 85], [1920, 1080], 1920, 1080) == (1796, 996, 1920, 1080), "boxes overflow by up to 125 px"


@given(
    st.tuples(st.floats(0, 1500), st.floats(0, 700), st.floats(1, 400), st.floats(1, 300)), st.integers(100, 4000), st.integers(100, 2200)
)
def test_a_mask_holds_the_whole_box_at_any_size(box: tuple[float, ...], width: int, height: int) -> None:
    left, top, right, bottom = mask_box(box, [1920, 1080], width, height)
    x, y, wide, high = box
    assert 0 <= left <= max(0, x * width / 1920 - 4) + 1e-6 and 0 <= top <= max(0, y * height / 1080 - 4) + 1e-6
    assert width >= right >= min(width, (x + wide) * width / 1920 + 4) - 1e-6
    assert height >= bottom >= min(height, (y + high) * height / 1080 + 4) - 1e-6


@pytest.mark.parametrize(
    ("box", "says"),
    [
        ([10, 10, 0, 5], "empty"),
        ([10, 10, -5, 5], "empty"),
        ([10, float("nan"), 5, 5], "empty"),
        ([2500, 10, 50, 50], "outside"),
        ([0, 0, 1900, 1000], "covers 92%"),
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


def test_the_probe_passes_a_right_mask_and_finds_one_that_is_8_px_too_small(drawn: Corpus) -> None:
    row = drawn.rows()[0]
    right, small = probe_leaks(drawn, row), probe_leaks(drawn, row, pad_px=-8)
    assert right is not None and small is not None
    assert not right.leaks and right.excess < MARGIN / 2
    assert small.leaks and small.ring_auc > 0.95
    left, top, edge, bottom = small.mask or (0, 0, 0, 0)
    assert small.heat[top:bottom, left:edge].max() == 0 and small.heat.max() == 1


def test_the_command_shows_where_a_mask_leaks(drawn: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "leaks", str(drawn.root)]) == 0
    assert "passes" in capsys.readouterr().out and not list(drawn.root.glob("leaks/*"))
    assert main(["corpus", "leaks", str(drawn.root), "--pad-px", "-8"]) == 1
    assert "LEAKS" in capsys.readouterr().out
    assert list(drawn.root.glob("leaks/*.png"))
    assert main(["corpus", "leaks", str(drawn.root)]) == 0
    assert not list(drawn.root.glob("leaks/*")), "what passes keeps no picture of an older mask"


def test_the_pictures_that_models_see_are_masked_and_made_again_for_another_box(drawn: Corpus) -> None:
    spec, row = WindowSpec((0, 1), (0,), 64, 48, True), drawn.rows()[0]
    (clip,) = load_footage(drawn, [row["id"]], truth_rows, spec)
    assert (clip.frames[:, 40:46, 50:62] == 128).all() and np.ptp(clip.frames[:, :20, :20].astype(int), axis=0).max() > 20
    drawn.add_video(row | {"overlay_px": [0.0, 0.0, 64.0, 42.0]})
    (moved,) = load_footage(drawn, [row["id"]], truth_rows, spec)
    drawn.add_video(row)
    assert (moved.frames[:, :8, :12] == 128).all() and not (moved.frames[:, 40:46, 50:62] == 128).all()

"""The leak probe: a right mask passes, one that is too small on any side that shows something fails, and so does none at all."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostpad.base.pad import PAD_DIM, slot
from ghostpad.base.records import Video, actions_table
from ghostpad.cli.main import main
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.leaks.probe import LEAK_EXCESS, Probe, probe_leaks
from ghostpad.corpus.leaks.strips import around, corners, whole_box
from ghostpad.corpus.masks import MARGIN_PX
from ghostpad.corpus.record import record_corpus
from ghostpad.games.overlay import Overlay
from ghostpad.video.probe import read_stamps
from ghostpad.video.record import VideoRecorder


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Real footage with a controller drawn into it."""
    root = tmp_path_factory.mktemp("drawn") / "c"
    record_corpus("doom", "novice", minutes=0.3, seed=5, out=root, overlay=Overlay("xbox", "bottom-right", 0.9))
    return Corpus.open(root)


def probed(corpus: Corpus, margin_px: int = MARGIN_PX, **changes: Any) -> Probe:
    found = probe_leaks(corpus, replace(corpus.list_videos()[0], **changes), margin_px=margin_px)
    assert found is not None
    return found


def test_a_right_mask_passes_and_one_that_is_8_px_too_small_does_not(drawn: Corpus) -> None:
    right, small = probed(drawn), probed(drawn, -8)
    assert not right.leaks and right.excess < LEAK_EXCESS
    assert small.leaks and small.auc > 0.95 and small.excess > 2 * LEAK_EXCESS
    left, top, edge, bottom = small.mask or (0, 0, 0, 0)
    assert small.heat[top:bottom, left:edge].max() == 0 and small.heat.max() == 1


@pytest.mark.parametrize("side", ["left", "bottom"])
def test_one_side_that_is_too_small_is_found_and_named(drawn: Corpus, side: str) -> None:
    x, y, wide, high = drawn.list_videos()[0].overlay_px
    less = MARGIN_PX + 8  # the pad stands on the other sides
    box = [x + less, y, wide - less, high] if side == "left" else [x, y, wide, high - less]
    found = probed(drawn, overlay_px=box)
    assert found.leaks and found.place == side


def shown(root: Path, what: str) -> Probe:
    """What the probe finds beside a mask in made-up footage of 160 x 120 in which one thing shows with a button."""
    rng, at = np.random.default_rng(0), np.arange(400)
    angle = at * 2 * np.pi / 40
    held = np.sin(angle + 0.7) > 0 if what == "clock" else np.repeat(rng.random(40) > 0.5, 10)
    ground = rng.integers(60, 160, (120, 160, 3))
    corpus = Corpus.create(root)
    (root / "videos").mkdir()
    with VideoRecorder(root / "videos" / "v.mp4", 20, crf=12) as recorder:
        for index in at:
            picture = ground + rng.normal(0, 2, ground.shape)
            if what == "flash":  # of the game: it shows everywhere
                picture += 60 * held[index]
            elif what == "clock":  # beside the mask, of a period that the button happens to have
                picture[78:82, 100:130] = 128 + 80 * np.sin(angle[index])
                picture[78:82, 130:160] = 128 + 80 * np.cos(angle[index])
            else:
                picture[78:82, 120:124] = 255 * held[index]
            recorder.add(picture.clip(0, 255).astype(np.uint8))
    pads = np.zeros((400, PAD_DIM), np.float32)
    pads[:, slot("south")] = held
    corpus.write_actions("recorded", "v", actions_table(at / 20, pads, np.ones(PAD_DIM, np.bool_)))
    corpus.add_video(Video(id="v", overlay_px=[108.0, 90.0, 52.0, 30.0], overlay_of_px=[160, 120]))
    found = probe_leaks(corpus, corpus.list_videos()[0])
    assert found is not None and found.target == "south"
    return found


def test_what_shows_everywhere_or_at_any_time_is_no_leak_and_a_lamp_is(tmp_path: Path) -> None:
    lamp, flash, clock = (shown(tmp_path / what, what) for what in ("lamp", "flash", "clock"))
    assert lamp.leaks and lamp.place == "top" and lamp.auc > 0.95
    assert not flash.leaks and min(flash.auc, flash.elsewhere_auc) > 0.95 and flash.moved_auc < 0.8
    assert not clock.leaks and min(clock.auc, clock.moved_auc) > 0.95 and max(clock.beside_auc, clock.elsewhere_auc) < 0.8


def test_where_no_mask_is_left_the_box_itself_is_read(drawn: Corpus) -> None:
    found = probed(drawn, -30)
    assert found.leaks and found.place == "box" and found.mask is None


def test_a_controller_that_nobody_told_of_is_found_in_its_corner(drawn: Corpus, small: Any) -> None:
    found = probed(drawn, overlay_px=None, overlay_of_px=None)
    assert found.leaks and found.place == "bottom-right"
    assert not probed(Corpus.open(small.novice)).leaks, "a game without one"


def test_the_command_shows_where_a_mask_leaks(drawn: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "check-masks", str(drawn.root)]) == 0
    assert "passes" in capsys.readouterr().out and not list(drawn.root.glob("leaks/*"))
    assert main(["corpus", "check-masks", str(drawn.root), "--margin-px", "-30"]) == 1
    told = capsys.readouterr()
    assert (
        "LEAKS    box" in told.out
        and "there is no mask; see" in told.out
        and "leak (excess above 1)" in told.err
        and "broken" not in told.out
    )
    pictures = {path: path.read_bytes() for path in drawn.root.glob("leaks/*.png")}
    assert main(["corpus", "check-masks", str(drawn.root), "--margin-px", "-30", "--engine", "pool", "--workers", "2"]) == 1
    assert pictures and capsys.readouterr() == told, "a pool finds the same"
    assert pictures == {path: path.read_bytes() for path in drawn.root.glob("leaks/*.png")}
    assert main(["corpus", "check-masks", str(drawn.root)]) == 0
    assert not list(drawn.root.glob("leaks/*")), "what passes keeps no picture of an older mask"


def test_what_cannot_be_told_is_said(drawn: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, row = Corpus.create(tmp_path / "c"), drawn.list_videos()[0]
    assert main(["corpus", "check-masks", str(corpus.root)]) == 1, "nothing that was looked at is no pass"
    assert "has no video with footage" in capsys.readouterr().err
    video = corpus.root / row.path
    video.parent.mkdir()
    video.write_bytes(drawn.video_path(row.id).read_bytes())
    corpus.add_video(row)
    assert probe_leaks(corpus, row) is None, "no rows"
    assert main(["corpus", "check-masks", str(corpus.root)]) == 0
    assert "unknown" in (told := capsys.readouterr().out) and "1 could not be judged" in told
    corpus.add_video(replace(row, overlay_px=[900.0, 900.0, 10.0, 10.0]))
    assert main(["corpus", "check-masks", str(corpus.root)]) == 1
    assert "broken" in (shown := capsys.readouterr()).out and "1 are broken" in shown.err


@given(st.integers(100, 400), st.integers(80, 300), st.tuples(*[st.floats(0, 0.7)] * 2), st.tuples(*[st.floats(0.05, 0.5)] * 2))
def test_every_place_lies_in_the_picture_and_controls_keep_clear_of_the_mask(
    width: int, height: int, start: tuple[float, float], size: tuple[float, float]
) -> None:
    left, top = int(start[0] * width), int(start[1] * height)
    mask = left, top, min(width, left + 2 + int(size[0] * width)), min(height, top + 2 + int(size[1] * height))
    for places in (around(mask, width, height), whole_box(mask, width, height), corners(width, height)):
        shown = np.zeros((height, width), bool)
        for boxes in places.all().values():
            assert boxes
            for one in boxes:
                assert 0 <= one[0] < one[2] <= width and 0 <= one[1] < one[3] <= height
        for boxes in (*places.beside.values(), *places.elsewhere.values()):
            for x0, y0, x1, y1 in boxes:
                shown[y0:y1, x0:x1] = True
        assert not shown[mask[1] : mask[3], mask[0] : mask[2]].any()


def test_d08_a_change_of_size_is_probed_through(tmp_path: Path, growing_video: Any) -> None:
    """Half of the footage is twice as large; a lamp of the controller shows inside the mask only."""
    rng, held = np.random.default_rng(0), np.random.default_rng(1).random(160) > 0.5
    corpus, images = Corpus.create(tmp_path / "c"), []
    (corpus.root / "videos").mkdir()
    for index in range(160):
        times = 1 + index // 80
        images.append(np.kron(rng.integers(60, 160, (30, 40, 3)), np.ones((2 * times, 2 * times, 1))).astype(np.uint8))
        images[-1][45 * times : 55 * times, 60 * times : 75 * times] = 255 * held[index]
    growing_video(corpus.root / "videos" / "v.ts", images)
    pads = np.zeros((160, PAD_DIM), np.float32)
    pads[:, slot("south")] = held
    start_s = float(read_stamps(corpus.root / "videos" / "v.ts")[0])
    corpus.write_actions("recorded", "v", actions_table(start_s + np.arange(160) / 20, pads, np.ones(PAD_DIM, np.bool_)))
    corpus.add_video(Video(id="v", path="videos/v.ts", overlay_px=[60.0, 45.0, 15.0, 10.0], overlay_of_px=[80, 60]))
    found = probe_leaks(corpus, corpus.list_videos()[0], margin_px=4)
    assert found is not None and found.frames == 160 and not found.leaks and found.image.shape == (60, 80, 3)
    bare = probe_leaks(corpus, corpus.list_videos()[0], margin_px=-4)
    assert bare is not None and bare.leaks

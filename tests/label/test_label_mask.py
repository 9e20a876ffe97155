"""Labelling sees a video through its mask: what lies below it cannot change a label."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ghostpad.base.errors import MediaError
from ghostpad.base.records import Video
from ghostpad.corpus.folder import Corpus
from ghostpad.corpus.masks import mask_box
from ghostpad.label.label import label_corpus
from ghostpad.video.record import VideoRecorder

BOX = [96.0, 64.0, 40.0, 28.0]


@pytest.fixture
def pair(tmp_path: Path) -> Corpus:
    """Two lossless videos that differ below the mask of BOX alone."""
    corpus, rng = Corpus.create(tmp_path / "pair"), np.random.default_rng(0)
    frames = np.repeat(np.repeat(rng.integers(0, 256, (20, 30, 40, 3), np.uint8), 4, 1), 4, 2)
    (corpus.root / "videos").mkdir()
    for name, below in (("dark", 0), ("noise", 255)):
        with VideoRecorder(corpus.root / "videos" / f"{name}.mp4", 20, crf=0) as video:
            for frame in frames:
                shown = frame.copy()
                x, y, wide, high = map(int, BOX)
                shown[y : y + high, x : x + wide] = rng.integers(0, below + 1, (high, wide, 3))
                video.add(shown)
        corpus.add_video(Video(id=name, game="doom", fps="20", duration_s=1.0, overlay_px=BOX, overlay_of_px=[160, 120]))
    return corpus


def test_labels_do_not_depend_on_what_lies_below_the_mask(pair: Corpus, idm_run: Path) -> None:
    source = label_corpus(pair, idm_run).source
    dark, noise = (pair.actions(source, id) for id in ("dark", "noise"))
    assert dark is not None and noise is not None and dark.num_rows == 19 and dark.equals(noise)


def test_without_the_mask_they_do(pair: Corpus, idm_run: Path) -> None:
    pair.put_videos([replace(row, overlay_px=None) for row in pair.list_videos()])
    source = label_corpus(pair, idm_run).source
    dark, noise = (pair.actions(source, id) for id in ("dark", "noise"))
    assert dark is not None and noise is not None and not dark.equals(noise)


def test_a_video_whose_box_is_none_is_broken_and_not_read_without_a_mask(pair: Corpus, idm_run: Path) -> None:
    row = replace(pair.list_videos()[0], overlay_px=(500.0, 500.0, 10.0, 10.0))
    pair.add_video(row)
    with pytest.raises(MediaError, match="lies outside"):
        mask_box(row.overlay_px, row.overlay_of_px, 160, 120)
    done = label_corpus(pair, idm_run)
    assert done.made == 1 and "lies outside" in done.unreadable["dark"] and pair.actions(done.source, "dark") is None

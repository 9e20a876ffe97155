"""Clips have one frame a row, play in a browser, appear whole, and say what is missing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest

from ghostpad.base.errors import MediaError, MissingError, SettingsError
from ghostpad.base.pad import PAD_DIM, neutral
from ghostpad.base.records import read_table, write_table
from ghostpad.corpus.folder import RECORDED, Corpus
from ghostpad.games.spec import game_spec
from ghostpad.measure.evaluate import judge, match_video
from ghostpad.video.probe import probe_video as probe
from ghostpad.video.probe import read_stamps
from ghostpad.video.record import VideoRecorder
from ghostpad.view.clip import idm_clip, write_agent_clip

SOURCE = "idm-0123456789ab"


@pytest.fixture(scope="module")
def out(make_out: Callable[[], Path]) -> Path:
    return make_out()


def test_an_idm_clip_has_a_frame_for_every_row(out: Path, tmp_path: Path) -> None:
    clip = idm_clip(Corpus.open(out / "wild"), "v0", out / "truth", SOURCE, tmp_path / "a.mp4", start_s=0.0, seconds=99)
    found = probe(clip)
    assert found.frames == 29, "30 frames have 29 rows between them"
    assert float(found.duration_s) == pytest.approx(29 / 17.5, abs=0.01)
    with av.open(str(clip)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")


def test_a_stretch_starts_and_ends_where_asked(out: Path, tmp_path: Path) -> None:
    corpus = Corpus.open(out / "wild")
    clip = idm_clip(corpus, "v0", out / "truth", SOURCE, tmp_path / "a.mp4", start_s=1.0, seconds=1.0)
    assert probe(clip).frames == sum(1.0 <= row / 17.5 < 2.0 for row in range(29))
    again = idm_clip(corpus, "v0", out / "truth", SOURCE, tmp_path / "b.mp4", start_s=1.0, seconds=1.0)
    assert clip.read_bytes() == again.read_bytes()


def test_truth_may_lie_in_the_corpus(make_out: Callable[[], Path], tmp_path: Path) -> None:
    folder = make_out()
    corpus = Corpus.open(folder / "wild")
    assert [one.video.id for one in judge(corpus, SOURCE, folder / "truth")] == ["v0", "v1"]
    write_table(corpus.actions_path(RECORDED, "v1"), read_table(folder / "truth" / "v1.parquet", "actions"), "actions")
    assert [id for id in ("v0", "v1") if match_video(corpus, corpus.video(id), SOURCE, None) is not None] == ["v1"]
    assert probe(idm_clip(corpus, "v1", None, SOURCE, tmp_path / "a.mp4", seconds=1)).frames > 0


def test_d17_a_variable_rate_has_a_clip_with_the_times_of_its_frames(make_out: Callable[[], Path], tmp_path: Path) -> None:
    folder = make_out()
    corpus, rng = Corpus.open(folder / "wild"), np.random.default_rng(0)
    stamps = np.array([0, *np.sort(rng.choice(140, 28, replace=False)) * 1000 + 5000, 150_001]) / 90_000
    with VideoRecorder(path := corpus.video_path("v0"), 60) as video:
        for pts_s in stamps:
            video.add(rng.integers(0, 255, (48, 64, 3), np.uint8), float(pts_s))
    about, rows_s = probe(path), [float(stamp) for stamp in read_stamps(path)][:-1]
    assert about.variable_rate and about.fps.numerator > 1_000_000, "no rate for a recording"
    corpus.add_video(replace(corpus.video("v0"), fps=str(about.fps), frames=30, duration_s=about.duration_s))
    for rows in (corpus.actions_path(SOURCE, "v0"), folder / "truth" / "v0.parquet"):
        kind = "labels" if rows.is_relative_to(corpus.root) else "actions"
        table = read_table(rows, kind)
        write_table(rows, table.set_column(table.column_names.index("pts_s"), table.schema.field("pts_s"), pa.array(rows_s)), kind)
    clip = idm_clip(corpus, "v0", folder / "truth", SOURCE, tmp_path / "a.mp4", seconds=99)
    assert np.abs(np.array(read_stamps(clip), float)[:29] - (stamps - stamps[0])[:29]).max() < 1e-4


@pytest.mark.parametrize(
    ("video", "source", "start_s", "error", "words"),
    [
        ("v9", SOURCE, 0.0, SettingsError, "no video called 'v9'"),
        ("v0", "idm-ffffffffffff", 0.0, MissingError, "run `ghostpad label`"),
        ("v0", SOURCE, 500.0, SettingsError, "no pseudo-labelled frame between 500 s"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_left(
    out: Path, tmp_path: Path, video: str, source: str, start_s: float, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        idm_clip(Corpus.open(out / "wild"), video, out / "truth", source, tmp_path / "a.mp4", start_s=start_s)
    assert not list(tmp_path.iterdir())


def test_no_truth_is_said(out: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no true rows for v0"):
        idm_clip(Corpus.open(out / "wild"), "v0", None, SOURCE, tmp_path / "a.mp4")


def test_an_agent_clip_takes_iterators_and_drops_the_frame_without_a_pad(tmp_path: Path) -> None:
    frames = (np.full((48, 64, 3), shade, np.uint8) for shade in range(31))
    clip = write_agent_clip(frames, (neutral() for _ in range(30)), game_spec("doom"), tmp_path / "clips" / "agent.mp4")
    assert probe(clip).frames == 30


def test_an_agent_may_reuse_its_pad_array(tmp_path: Path) -> None:
    """The lines of the past are of the pads as they were, not as the array is now."""
    spec, frames = game_spec("doom"), [np.zeros((48, 64, 3), np.uint8)] * 20
    values = np.random.default_rng(0).uniform(-1, 1, (20, PAD_DIM)).astype(np.float32)
    reused = np.zeros(PAD_DIM, np.float32)

    def pads() -> object:
        for row in values:
            reused[:] = row
            yield reused

    a = write_agent_clip(frames, pads(), spec, tmp_path / "a.mp4")  # type: ignore[arg-type]
    b = write_agent_clip(frames, list(values), spec, tmp_path / "b.mp4")
    assert a.read_bytes() == b.read_bytes()


def test_an_episode_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no picture"):
        write_agent_clip([], [], game_spec("doom"), tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())

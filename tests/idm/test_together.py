"""Labelling several videos side by side: each has the rows that it has alone, and what is wrong with one is its result alone."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from ghostpad.base.errors import FormatError, MediaError, MissingError, SettingsError
from ghostpad.base.records import LABELS
from ghostpad.idm.model import Idm
from ghostpad.idm.settings import IdmSettings
from ghostpad.idm.stream import Job, label_together, label_video
from ghostpad.lab.made_up.videos import write_sample
from ghostpad.video.child import VideoChild
from ghostpad.video.damage import Gap

TINY = {"width_px": 32, "height_px": 32, "dim": 8, "heads": 2, "attention_rows": 3, "convolution_rows": 2, "search_x_px": 2}
LENGTHS = {"a": 40, "b": 100, "c": 100, "d": 17, "e": 2}
"""Videos and their frames."""


def tiny(**changes: Any) -> Idm:
    torch.manual_seed(0)
    model = Idm(IdmSettings(**(TINY | changes)), {"slots": ["south", "left_x", "right_x"], "by_game": {"doom": ["left_x"]}}).eval()
    if model.binding is not None:
        torch.nn.init.normal_(model.binding.weight)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    for name, frames in LENGTHS.items():
        write_sample(folder / f"{name}.mp4", width_px=64 + 2 * frames % 32, height_px=48, fps=60, frames=frames)
    broken = bytearray((folder / "c.mp4").read_bytes())
    middle = len(broken) // 2
    broken[middle : middle + 3000] = bytes(3000)
    (folder / "damaged.mp4").write_bytes(broken)
    (folder / "text.mp4").write_text("no video")
    return folder


def close(found: pa.Table, wanted: pa.Table, atol: float) -> None:
    assert found.num_rows == wanted.num_rows
    for name in LABELS.names:
        assert found.column(name).null_count == wanted.column(name).null_count
        if not wanted.column(name).null_count:
            np.testing.assert_allclose(found.column(name).to_numpy(), wanted.column(name).to_numpy(), atol=atol, rtol=0)


@pytest.mark.parametrize("videos_at_once, children", [(1, False), (1, True), (2, True), (8, True)])
def test_each_video_has_the_rows_that_it_has_alone(folder: Path, videos_at_once: int, children: bool) -> None:
    model, free = tiny(binding="game"), [VideoChild() for _ in range(videos_at_once)] if children else []
    names = ["a", "text", "b", "damaged", "c", "no", "d", "e", "a"]
    games = {"b": "doom", "d": "other"}

    def jobs() -> Iterator[Job]:
        for name in names:
            gaps: list[Gap] = []
            yield Job(folder / f"{name}.mp4", games.get(name), gaps=gaps, child=free.pop() if children else None)

    done = []
    for job, result in label_together(model, jobs(), videos_at_once=videos_at_once, piece_rows=16):
        name = Path(job.path).stem
        done.append(name)
        if name in ("text", "no"):
            assert isinstance(result, MissingError if name == "no" else MediaError) and name in str(result)
        else:
            gaps: list[Gap] = []
            assert not isinstance(result, Exception)
            close(result, label_video(model, job.path, game=games.get(name), piece_rows=16, gaps=gaps), 1e-5)
            assert gaps == job.gaps and bool(gaps) == (name == "damaged")
        if job.child:
            free.append(job.child)
    assert sorted(done) == sorted(names) and len(free) == videos_at_once * children
    for child in free:
        child.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "read ahead"]


def test_pieces_of_several_videos_go_through_the_model_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, sizes = tiny(), []
    encode = model.encode

    def seen(frames: Tensor) -> Tensor:
        sizes.append((len(frames), frames.shape[1] - 1))
        return encode(frames)

    monkeypatch.setattr(model, "encode", seen)
    with ExitStack() as children:
        jobs = [Job(folder / f"{name}.mp4", child=children.enter_context(VideoChild())) for name in "bcbc"]
        assert len(list(label_together(model, jobs, videos_at_once=4, piece_rows=16))) == 4
    assert sum(videos * rows for videos, rows in sizes) == 4 * 99 and max(videos for videos, _ in sizes) > 1
    assert max(videos for videos, _ in sizes) <= 4 and max(rows for _, rows in sizes) == 16


def test_a_stretch_of_a_video_has_the_rows_of_its_frames(folder: Path) -> None:
    model = tiny(variant="pair")
    whole, part = label_video(model, folder / "b.mp4"), label_video(model, folder / "b.mp4", start_s=0.5, end_s=1.0)
    assert part.column("pts_s")[0].as_py() >= 0.5 and part.column("pts_s")[-1].as_py() < 1.0 and 25 < part.num_rows < 31
    first = whole.column("pts_s").to_pylist().index(part.column("pts_s")[0].as_py())
    close(part, whole.slice(first, part.num_rows), 1e-5)


def test_an_error_of_the_model_ends_it_all_and_leaves_no_thread(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny()

    def refuse(frames: Tensor) -> Tensor:
        raise FormatError("no")

    monkeypatch.setattr(model, "encode", refuse)
    with VideoChild() as one, VideoChild() as other, pytest.raises(FormatError):
        jobs = [Job(folder / "a.mp4", child=one), Job(folder / "b.mp4", child=other)]
        list(label_together(model, jobs, videos_at_once=2, piece_rows=4))
    assert not [thread for thread in threading.enumerate() if thread.name == "read ahead"]


def test_impossible_numbers_are_refused_together(folder: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        list(label_together(tiny(), [Job(folder / "a.mp4")], videos_at_once=0, piece_rows=-1))
    assert len(refused.value.problems) == 2
    with pytest.raises(SettingsError, match=r"a\.mp4 has no child"):
        list(label_together(tiny(), [Job(folder / "a.mp4")], videos_at_once=2))


def test_in_bfloat16_the_rows_are_near_those_of_float32(idm_run: Path, small: Any) -> None:
    import ghostpad

    model, video = ghostpad.load_idm(idm_run), next((small.wild / "videos").iterdir())
    plain, quick = model.label(video), model.quicken(bf16=True).label(video)
    assert quick.schema == plain.schema
    close(quick, plain, 0.02)
    assert not quick.equals(plain)

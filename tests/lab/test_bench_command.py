"""`ghostpad lab bench label` measures something of everything it promises."""

import json
from pathlib import Path

import pytest

from ghostpad.cli.main import main
from ghostpad.lab.bench.common import plain_frames
from ghostpad.lab.made_up.videos import repeat_video, write_sample
from ghostpad.video.decode import decode_frames


def test_the_bench_gives_every_number(idm_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["lab", "bench", "label", "--quick", "--repeats", "1", "--idm", str(idm_run), "--out", str(tmp_path / "bench.json")]
    assert main([*words, "--device", "cpu", "--precision", "bf16", "--videos-at-once", "2"]) == 0
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["rates"].keys() == {"all", "20 Hz"} and report["machine"]["torch"]
    assert (report["rates"]["all"]["rows"], report["rates"]["20 Hz"]["rows"]) == (29, 9)
    spreads = [timed[name] for timed in report["rates"].values() for name in ("plain_cpu_s", "label_cpu_s", "ratio")]
    for spread in [*spreads, *report["model_ms_a_row"].values()]:
        assert 0 < spread["min"] <= spread["median"] <= spread["max"]
    parts = report["side_by_side"]
    assert (parts["device"], parts["precision"], parts["videos_at_once"]) == ("cpu", "bf16", 2)
    assert parts["ms_a_row"].keys() == {"decode", "copies", "model_with_copies", "together"} and parts["hours_an_hour"] > 0
    assert 100 < parts["kernels"] < 300 and parts["waits"] == 1 and parts["copies"] <= 3
    memory = report["memory"]
    assert memory["long_s"] == 10 * memory["short_s"] and memory["short_mb"] > 50 and memory["long_mb"] > 50
    told = capsys.readouterr().out
    for words in ("on cpu, bfloat16, videos at once: 2: ", "all:", "20 Hz:", "peak memory:", "hours of video per CPU-hour"):
        assert words in told


def test_the_plain_way_resizes_the_frames_that_labelling_reads(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    write_sample(video, width_px=64, height_px=48, fps=60, frames=30)
    for rate_hz in (None, 20):
        kept = {frame.pts_s for frame in decode_frames(video, gray=True, rate_hz=rate_hz)}
        frames = [frame.to_ndarray().shape for frame in plain_frames(video, 32, 24, "gray", kept)]
        assert frames == [(24, 32)] * len(kept) and len(kept) == (30 if rate_hz is None else 10)


def test_impossible_repeats_and_absent_videos_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "bench", "label", "--repeats", "0"]) == 2
    assert "repeats is 0" in capsys.readouterr().err
    repeat = tmp_path / "no.mp4"
    assert main(["lab", "bench", "label", "--video", str(repeat)]) == 1
    assert "no.mp4 does not exist" in capsys.readouterr().err


def test_a_repeated_video_shows_the_same_pictures_again(tmp_path: Path) -> None:
    write_sample(tmp_path / "a.mp4", width_px=64, height_px=48, fps=60, frames=30)
    repeat_video(tmp_path / "a.mp4", tmp_path / "b.mp4", 3)
    once, thrice = (list(decode_frames(tmp_path / name, gray=True)) for name in ("a.mp4", "b.mp4"))
    assert [frame.pts_s for frame in thrice] == pytest.approx([index / 60 for index in range(90)], abs=1e-4)
    assert all((frame.image == once[index % 30].image).all() for index, frame in enumerate(thrice))

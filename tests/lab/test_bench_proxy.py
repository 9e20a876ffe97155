"""`ghostpad lab bench proxy` measures what it promises, and compares like with like."""

import json
from pathlib import Path

import pytest

from ghostpad.cli.main import main
from ghostpad.feed.window import WindowSpec
from ghostpad.lab.bench.common import plain_frames
from ghostpad.lab.bench.proxy import time_segments
from ghostpad.lab.made_up.videos import write_sample


def test_the_bench_gives_every_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "bench", "proxy", "--quick", "--repeats", "2", "--out", str(tmp_path / "bench.json")]) == 0
    report = json.loads((tmp_path / "bench.json").read_text())
    pictures = ("256x256-rgb", "128x96-gray")
    assert report.keys() == {f"{name}, {picture}" for name in ("made-up video", "Doom") for picture in pictures}
    clocks = [f"{way}_{clock}" for way in ("plain", "segments") for clock in ("cpu_s", "wall_s")]
    for name, told in report.items():
        assert name.endswith(told["picture"]) and 0 < told["gb_per_hour"] < 10
        for measure in (*clocks, "cpu_rate_share", "wall_rate_share", "read_frames_per_cpu_s"):
            assert 0 < told[measure]["min"] <= told[measure]["median"] <= told[measure]["max"]
    assert "Doom, 256x256-rgb (from 320x240 h264)" in capsys.readouterr().out


def test_both_ways_see_every_frame(tmp_path: Path) -> None:
    write_sample(tmp_path / "a.mp4", width_px=64, height_px=48, fps=60, frames=30)
    assert [(frame.width, frame.height) for frame in plain_frames(tmp_path / "a.mp4", 32, 24)] == [(32, 24)] * 30
    told = time_segments(tmp_path / "a.mp4", tmp_path, WindowSpec((0,), (0,), 32, 24, True), 1)
    assert told["video"]["frames"] == 30 and len(list(plain_frames(tmp_path / "segments.mp4", 32, 24))) == 30


def test_impossible_repeats_and_absent_videos_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "bench", "proxy", "--repeats", "0"]) == 2
    assert "repeats is 0" in capsys.readouterr().err
    assert main(["lab", "bench", "proxy", "--video", str(tmp_path / "no.mp4")]) == 1
    assert "no.mp4 does not exist" in capsys.readouterr().err

"""`ghostpad lab bench proxy` measures what it promises, and compares like with like."""

import json
from pathlib import Path

import pytest

from ghostpad.cli.main import main
from ghostpad.lab.bench.common import plain_frames
from ghostpad.lab.bench.proxy import time_proxy
from ghostpad.lab.made_up.videos import write_sample


def test_the_bench_gives_every_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "bench", "proxy", "--quick", "--repeats", "2", "--px", "64", "--out", str(tmp_path / "bench.json")]) == 0
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report.keys() == {"made-up video", "made-up video, masked", "Doom", "Doom, masked"}
    for name, told in report.items():
        assert told["proxy"]["masked"] == name.endswith("masked") and told["proxy"]["height_px"] == 64
        for measure in ("plain_cpu_s", "proxy_cpu_s", "plain_wall_s", "proxy_wall_s", "cpu_rate_share", "wall_rate_share"):
            assert 0 < told[measure]["min"] <= told[measure]["median"] <= told[measure]["max"]
    assert "Doom, masked (320x240 h264 to 86x64)" in capsys.readouterr().out


def test_both_ways_see_every_frame(tmp_path: Path) -> None:
    write_sample(tmp_path / "a.mp4", width_px=64, height_px=48, fps=60, frames=30)
    assert [(frame.width, frame.height) for frame in plain_frames(tmp_path / "a.mp4", 32, 24)] == [(32, 24)] * 30
    assert time_proxy(tmp_path / "a.mp4", tmp_path, 24, 1)["video"]["frames"] == 30


def test_impossible_repeats_and_absent_videos_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "bench", "proxy", "--repeats", "0"]) == 2
    assert "repeats is 0" in capsys.readouterr().err
    assert main(["lab", "bench", "proxy", "--video", str(tmp_path / "no.mp4")]) == 1
    assert "no.mp4 does not exist" in capsys.readouterr().err

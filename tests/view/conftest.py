"""A small OUT folder as a run leaves it: footage with withheld truth, labels, verdicts and evaluations, all real files."""

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ghostpad.base.files import write_json
from ghostpad.base.pad import PAD_DIM, pack, slot
from ghostpad.base.records import VERDICTS, Video, actions_table, labels_table, write_table
from ghostpad.corpus.folder import Corpus
from ghostpad.video.record import VideoRecorder
from ghostpad.view.report import write_report

FPS, FRAMES, SOURCE = Fraction(35, 2), 30, "idm-0123456789ab"


def write_video(corpus: Corpus, truth: Path, name: str, seed: int) -> None:
    """A video of noise with true rows outside the corpus and labels that are the truth and a little more."""
    rng = np.random.default_rng(seed)
    path = corpus.root / "videos" / f"{name}.mp4"
    with VideoRecorder(path, FPS) as video:
        for _ in range(FRAMES):
            video.add(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    length_s = float(FRAMES / FPS)
    corpus.add_video(Video(name, game="doom", fps=str(FPS), frames=FRAMES, duration_s=length_s, licence="BSD-3-Clause"))
    _, known = pack({"left_y": 0.0, "right_x": 0.0, "south": False})
    pads = np.zeros((FRAMES - 1, PAD_DIM), np.float32)
    pads[:, [slot("left_y"), slot("right_x")]] = rng.uniform(-1, 1, (FRAMES - 1, 2))
    pads[10:20, slot("south")] = 1
    pts_s = np.array([float(row / FPS) for row in range(FRAMES - 1)])
    write_table(truth / f"{name}.parquet", actions_table(pts_s, pads, known), "actions")
    believed = np.where(known, pads * 0.9, 0).astype(np.float32)
    spreads, confidence = np.full((len(pads), 4), 0.1, np.float32), np.full(len(pads), 0.8, np.float32)
    corpus.write_actions(SOURCE, name, labels_table(pts_s, believed, spreads, known, confidence))


def score(value: float | None) -> dict[str, Any]:
    """A score with every measure at `value`."""
    sticks = {name: dict.fromkeys(("r2", "mae", "moving_mae", "dead_zone_f1", "n_moving"), value) for name in ("left_y", "right_x")}
    names = ("ap", "prevalence", "f1", "accuracy", "onset_f1", "onset_f1_50ms", "press_rate_ratio", "ece")
    return {
        "rows": 29,
        "unmatched": 0,
        "sticks": sticks,
        "angles": {},
        "buttons": {"south": dict.fromkeys(names, value)},
        "risk_coverage": [],
    }


def idm_evaluation() -> dict[str, Any]:
    """What `ghostpad eval idm` writes."""
    curve = [{"coverage": share / 20, "error": share / 100} for share in range(1, 21)]
    return {
        "run": "idm-s0",
        "source": SOURCE,
        "videos": 1,
        "minutes": 0.1,
        "idm": score(0.9) | {"risk_coverage": curve},
        "baselines": {"always_released": score(0.0), "copy_previous": score(0.5), "prior": score(None)},
        "calibration": {
            "sticks": {"left_y": [{"spread": 0.1, "rmse": 0.1, "n": 5}, {"spread": 0.2, "rmse": 0.3, "n": 5}]},
            "buttons": {"south": [{"p": 0.1, "frequency": 0.2, "n": 5}]},
        },
        "by_video": [{"video": "v0", "rows": 29, "sticks": {"left_y": {"r2": None, "mae": 0.1}}, "buttons": {"south": {"ap": 1.0}}}],
    }


def policy_evaluation(arm: str, mean: float) -> dict[str, Any]:
    """What `ghostpad eval policy` writes."""
    returns = [mean - 10, mean + 10]
    row = {"arm": arm, "run": None, "player": None, "mean": mean, "sem": 10.0, "n": 2}
    row |= {"returns": returns, "frames": [100, 100], "seeds": [1, 2]}
    return {"run": None, "arm": arm, "seeds": [0], "offline": None, "games": [{"game": "doom", "rows": [row]}]}


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OUT folder with every part, the clip of the IDM included. Do not change it: take a copy from `make_out`."""
    out = tmp_path_factory.mktemp("whole") / "out"
    corpus = Corpus.create(out / "wild")
    for seed, name in enumerate(("v0", "v1")):
        write_video(corpus, out / "truth", name, seed)
    stretches = [(0, 19, True, "kept"), (20, 28, False, "idle")]
    rows = [
        {"video": video, "first_row": a, "last_row": b, "duration_s": (b - a + 1) / 17.5, "keep": keep, "reason": reason}
        for video in ("v0", "v1")
        for a, b, keep, reason in stretches
    ]
    corpus.write_verdicts("default", pa.Table.from_pylist(rows, schema=VERDICTS))
    write_json(out / "eval" / "idm-s0.json", idm_evaluation())
    for arm, mean in {"random": 340.0, "recorded": 500.0, "pseudo": 900.0, "oracle": 1000.0}.items():
        write_json(out / "eval" / f"{arm}-s0.json", policy_evaluation(arm, mean))
    losses = [{"step": step, "learned": 1 / step, "held_out": 1.5 / step} for step in (100, 200)]
    write_json(out / "idm-s0" / "validation.json", {"windows": {"learned": 64, "held_out": 64}, "losses": losses})
    write_json(out / "idm-s0" / "run.json", {"kind": "idm", "settings": {"train": {"steps": 1234, "seed": 0}}})
    write_report(out)
    return out


@pytest.fixture(scope="session")
def make_out(tmp_path_factory: pytest.TempPathFactory, made_once: Path) -> Callable[[], Path]:
    """Makes a copy of the OUT folder, as old as the original and without the page."""

    def make() -> Path:
        out = tmp_path_factory.mktemp("copy") / "out"
        shutil.copytree(made_once, out, ignore=shutil.ignore_patterns("report.html"))
        return out

    return make

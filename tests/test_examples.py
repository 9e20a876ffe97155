"""The examples run: those of the API page, and every file of examples/, the plug-ins as an installed package as well."""

import csv
import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import ghostpad
import ghostpad.policy
from ghostpad.base.settings import load_settings
from ghostpad.label.label import label_corpus
from ghostpad.policy.settings import PolicyRun
from ghostpad.policy.train import train_policy

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


def run(name: str, *words: str | Path, path: str = "") -> str:
    """What an example prints (a module by `-m name` if `name` starts with a dash)."""
    program = ["-m", name[1:]] if name.startswith("-") else [str(EXAMPLES / name)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), path, os.environ.get("PYTHONPATH")]))}
    done = subprocess.run([sys.executable, *program, *map(str, words)], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder in which examples/ lies as an installed package."""
    source, target = tmp_path_factory.mktemp("source") / "examples", tmp_path_factory.mktemp("plugins")
    shutil.copytree(EXAMPLES, source)
    words = ["install", "--no-deps", "--no-build-isolation", "--no-index", "-q", "--target", str(target), str(source)]
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return str(target)


def test_every_example_is_tested() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in text] == []


def test_the_examples_of_the_api_page(
    small: Any, idm_run: Path, siglip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = ghostpad.open_corpus(small.novice)
    shutil.copytree(small.novice, tmp_path / "corpus")
    shutil.copytree(idm_run, tmp_path / "runs" / "idm")
    shutil.copyfile(corpus.video_path(corpus.ok_ids()[0]), tmp_path / "clip.mp4")
    shutil.copytree(ROOT / "tests/fixtures/nitrogen_policy/one_frame_with_games", tmp_path, dirs_exist_ok=True)
    (tmp_path / "ng_tiny.pt").rename(tmp_path / "ng.pt")
    settings = load_settings(PolicyRun, None, {"train": {"steps": 1}, "data": {"batch_size": 4}, "model": {"dim": 16, "heads": 2}})
    train_policy([small.novice], tmp_path / "runs" / "agent", settings)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    examples = "\n".join(re.findall(r"```pycon\n(.*?)```", page, re.DOTALL))
    test = doctest.DocTestParser().get_doctest(examples, {"ghostpad": ghostpad, "torch": torch}, "docs/api.md", None, 0)
    assert len(test.examples) >= 10
    told: list[str] = []
    assert doctest.DocTestRunner(verbose=False).run(test, out=told.append).failed == 0, "".join(told)


def test_label_a_clip(small: Any, idm_run: Path, tmp_path: Path) -> None:
    corpus = ghostpad.open_corpus(small.novice)
    shutil.copyfile(corpus.video_path(corpus.ok_ids()[0]), tmp_path / "clip.mp4")
    printed = run("label_a_clip.py", tmp_path / "clip.mp4", idm_run)
    assert "right_x" in printed.splitlines()[0] and "0.0 s" in printed
    with open(tmp_path / "clip.labels.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = ghostpad.label_file(tmp_path / "clip.mp4", idm_run)
    assert [float(row["right_x"]) for row in rows] == pytest.approx(labels["right_x"].to_pylist(), abs=1e-6)
    source = (EXAMPLES / "label_a_clip.py").read_text(encoding="utf-8").partition('"""\n')[2]
    assert len([line for line in source.splitlines() if line.strip()]) <= 12


def test_score_tables_of_anybody(small: Any, tmp_path: Path) -> None:
    corpus = ghostpad.open_corpus(small.novice)
    recorded = corpus.actions_path("recorded", corpus.ok_ids()[0])
    table = pq.read_table(recorded)
    with open(tmp_path / "mine.csv", "w", newline="") as file:
        file.write("pts_s,right_x,south\n")
        file.writelines(f"{row['pts_s']},{row['right_x'] / 2},0\n" for row in table.to_pylist())
    printed = run("score_tables.py", tmp_path / "mine.csv", recorded, "17.5")
    assert printed.startswith(f"{table.num_rows} rows in both tables, 0 in one alone")
    turn = next(line for line in printed.splitlines() if line.startswith("right_x"))
    truth = torch.tensor(table["right_x"].to_pylist())
    wanted = 1 - ((truth / 2) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
    assert float(re.findall(r"r2 (\S+),", turn)[0]) == pytest.approx(float(wanted), abs=0.005)


def test_a_filter_of_ones_own(small: Any, idm_run: Path, plugins: str, tmp_path: Path) -> None:
    shutil.copytree(small.wild, tmp_path / "wild")
    corpus = ghostpad.open_corpus(tmp_path / "wild")
    source = label_corpus(corpus, idm_run).source
    assert "dropped: spread" in run("own_filter.py", tmp_path / "wild")
    labels = pa.concat_tables([table for id in corpus.ok_ids() if (table := corpus.actions(source, id))])
    cut = sorted(labels["right_x_spread"].to_pylist())[labels.num_rows // 2]
    printed = run("-ghostpad", "filter", tmp_path / "wild", "--spread.most", str(cut), "--name", "mine", path=plugins)
    assert "dropped: spread" in printed and "dropped: idle" in printed
    verdicts = corpus.verdicts("mine").to_pylist()
    assert {"spread", "kept"} <= {row["reason"] for row in verdicts}


def test_a_game_of_ones_own(plugins: str, tmp_path: Path) -> None:
    assert "balls caught" in run("own_game.py", tmp_path / "catch.mp4")
    with av.open(str(tmp_path / "catch.mp4")) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 300
    run("-ghostpad", "record", "catch", "--player", "novice", "--minutes", "0.3", "--out", tmp_path / "catch", path=plugins)
    assert ghostpad.open_corpus(tmp_path / "catch").videos()["game"][0].as_py() == "catch"
    printed = run("-ghostpad", "eval", "policy", "--games", "catch", "--episodes", "2", path=plugins)
    returns = {name: float(value) for name, value in re.findall(r"^ +(random|novice|expert) +(\S+)", printed, re.MULTILINE)}
    assert returns["expert"] > returns["novice"] > returns["random"]


@pytest.mark.parametrize(
    ("group", "source", "said"),
    [
        ("filters", "import nonsense_xyz", "adds 'mine' to ghostpad.filters, .*nonsense_xyz"),
        ("filters", "class FILTER:\n    name = 'idle'", "two filters are called 'idle'"),
        ("games", "GAMES, PLAYERS = {'doom': None}, {}", "two games are called 'doom'"),
    ],
)
def test_a_bad_plugin_is_named(group: str, source: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(source)
    about = tmp_path / "bad_plugin-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-plugin\nVersion: 1\n")
    (about / "entry_points.txt").write_text(f"[ghostpad.{group}]\nmine = mine\n")
    names = {"filters": "ghostpad.filters.contract import make_filters", "games": "ghostpad.games.spec import game_names"}[group]
    code = f"from {names} as names\nfrom ghostpad import GhostpadError\ntry:\n    names()\nexcept GhostpadError as error:\n    print(error)"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert re.search(said, done.stdout), done.stdout + done.stderr

"""The tutorial works: its blocks, pasted one after another into one shell, with the smaller numbers that it names itself."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ghostpad

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SMALL = {"MINUTES": "0.8", "IDM_STEPS": "6", "CUT": "0", "AGENT_STEPS": "4", "EPISODES": "1"}

pytestmark = pytest.mark.timeout(600)  # a dozen commands, each of which imports torch


@pytest.fixture(scope="module")
def pasted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which the blocks ran, and what they printed."""
    folder = tmp_path_factory.mktemp("pasted")
    (folder / "bin").mkdir()
    for name, words in {"ghostpad": "-m ghostpad", "python": ""}.items():  # what an activated environment has on its path
        (folder / "bin" / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (folder / "bin" / name).chmod(0o755)
    path = {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(
        ["bash", "-e", "-s"], input="".join(BLOCKS), cwd=folder, env=os.environ | path | SMALL, capture_output=True, text=True, timeout=560
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return folder / "tutorial", done.stdout


def test_the_smaller_numbers_are_those_that_the_page_names() -> None:
    assert set(SMALL) == set(re.findall(r"([A-Z_]+)=\$\{\1:-", BLOCKS[0]))
    assert len(BLOCKS) >= 8 and not re.search(r"^(pip|.venv)", "".join(BLOCKS), re.MULTILINE)


def test_the_own_recording_became_recorded_rows(pasted: tuple[Path, str]) -> None:
    corpus = ghostpad.open_corpus(pasted[0] / "recorded")
    assert corpus.ok_ids() and corpus.ids_with_rows("recorded") == corpus.ok_ids()
    played = ghostpad.open_corpus(pasted[0] / "played")
    for id in corpus.ok_ids():
        rows, truth = corpus.actions("recorded", id), played.actions("recorded", id)
        assert rows is not None and truth is not None and rows["right_x"].equals(truth["right_x"]) and rows["pts_s"].equals(truth["pts_s"])
        assert rows["south"].null_count == rows.num_rows


def test_pseudo_labels_were_written_and_shown(pasted: tuple[Path, str]) -> None:
    folder, printed = pasted
    wild = ghostpad.open_corpus(folder / "wild")
    (source,) = wild.sources()
    assert wild.ids_with_rows(source) == wild.ok_ids() and wild.verdicts("default").num_rows
    assert len(re.findall(r"^\{'pts_s': .*'confidence': ", printed, re.MULTILINE)) == 5
    for page in ("eval/idm.html", "report.html"):
        assert (folder / page).read_text(encoding="utf-8").lstrip().startswith("<!doctype html>")


def test_an_agent_was_trained_and_played(pasted: tuple[Path, str]) -> None:
    folder, printed = pasted
    assert ghostpad.load_policy(folder / "agent").facts["labels"] == ghostpad.open_corpus(folder / "wild").sources()
    assert {"agent", "random", "expert"} <= set(re.findall(r"^ +(\w+) +[-\d.]+ ", printed, re.MULTILINE))
    assert list((folder / "clips").glob("*.mp4"))

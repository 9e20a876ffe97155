"""Training an IDM on more than recorded pads: a round of self-training; and what a run promises about its presses."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ghostpad.base.files import read_json
from ghostpad.cli.main import main
from ghostpad.corpus.folder import Corpus
from ghostpad.feed.batch import Batch
from ghostpad.idm.model import Idm
from ghostpad.idm.train import train_idm
from ghostpad.label.label import label_corpus


@pytest.fixture
def mixed(small: Any, tmp_path: Path) -> Corpus:
    """The novice's videos with their pads, and the expert's without."""
    corpus = Corpus.open(shutil.copytree(small.novice, tmp_path / "mixed"))
    for row in Corpus.open(small.wild).list_videos():
        shutil.copy(small.wild / row.path, corpus.root / row.path)
        corpus.add_video(row)
    return corpus


def test_a_round_of_self_training_learns_from_labelled_videos_beside_the_truth(
    small: Any, small_idm: Any, mixed: Corpus, idm_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = label_corpus(mixed, idm_run).source
    wild = Corpus.open(small.wild).ok_ids()
    seen: list[str] = []
    loss = Idm.loss

    def noting(self: Idm, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        if self.training:  # the validation loss looks at windows too
            seen.extend(ref.video for ref in batch.refs)
        return loss(self, batch, generator)

    monkeypatch.setattr(Idm, "loss", noting)
    run = small_idm(train={"steps": 20}, data={"labels": source, "truth_share": 0.75})
    trained = train_idm([mixed.root], tmp_path / "run", run)
    assert trained.pseudo_label_minutes == pytest.approx(1 / 6, rel=0.02) and 0 < trained.learned_minutes < 1 / 3
    assert 5 < sum(video in wild for video in seen) < 40 and len(seen) == 80  # a quarter of each batch of four
    assert read_json(tmp_path / "run" / "run.json")["facts"]["labels"] == source
    seen.clear()
    alone = train_idm([mixed.root], tmp_path / "alone", small_idm(train={"steps": 2}))
    assert alone.pseudo_label_minutes == 0 and not set(seen) & set(wild)


def test_a_run_keeps_its_thresholds_and_an_evaluation_says_what_they_keep(
    small: Any, idm_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promised = read_json(idm_run / "risk.json")
    slots = read_json(idm_run / "run.json")["facts"]["slots"]
    assert promised["eps"] == 0.02 and sorted([*promised["buttons"], *promised["sticks"]]) == sorted(slots)
    wild = shutil.copytree(small.wild, tmp_path / "wild")
    words = ["eval", "idm", str(idm_run), str(wild), "--truth", str(small.truth), "--out", str(tmp_path / "report.json")]
    assert main(words) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["learned_minutes"] == read_json(idm_run / "run.json")["facts"]["learned_minutes"] < 20 / 60, "half is held out"
    risk = report["risk"]
    refused = [name for kind in ("buttons", "sticks") for name, promise in promised[kind].items() if promise is None]
    assert (risk["eps"], risk["delta"], risk["no_threshold"]) == (promised["eps"], promised["delta"], refused)
    assert sorted([*risk["buttons"], *risk["sticks"], *refused]) == sorted(slots)
    assert "kept by thresholds for at most 2.0% wrong" in capsys.readouterr().out

"""The footage of a training: which minutes count as learned from, as pseudo-labelled and as held out; and what is asked for in vain."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ghostpad.base.errors import MissingError
from ghostpad.base.files import read_json
from ghostpad.base.records import VERDICTS, labels_table, pads_of
from ghostpad.base.settings import load_settings
from ghostpad.corpus.folder import Corpus, truth_table
from ghostpad.feed.gather import gather, known_slots, split_videos
from ghostpad.feed.settings import DataSettings
from ghostpad.feed.window import WindowSpec
from ghostpad.policy.settings import PolicyRun
from ghostpad.policy.train import train_policy

SPEC = WindowSpec((0,), (0,), 16, 16, True)


def test_held_out_minutes_are_not_learned_and_footage_encoded_again_counts_once(small: Any) -> None:
    corpus = Corpus.open(small.novice)
    learned, held_out = split_videos(corpus.ok_ids(), 0.5)
    found = gather([corpus], DataSettings(validation_share=0.5, reencode_crf=(32,)), SPEC)
    assert [clip.video for clip in found.recorded] == learned * 2 and [clip.video for clip in found.held_out] == held_out
    lasts = {video.id: video.duration_s / 60 for video in corpus.list_videos()}
    assert found.minutes["learned_minutes"] == pytest.approx(sum(lasts[id] for id in learned), abs=0.01)
    assert found.minutes["held_out_minutes"] == pytest.approx(sum(lasts[id] for id in held_out), abs=0.01)
    assert found.minutes["pseudo_label_minutes"] == 0 and (len(found.groups), found.shares(0.3)) == (1, [1.0])


def test_withheld_truth_stands_in_for_pseudo_labels(small: Any) -> None:
    found = gather([Corpus.open(small.novice), Corpus.open(small.wild)], DataSettings(label_minutes=0.1), SPEC, small.truth)
    assert found.sources == ["withheld truth"] and found.minutes["pseudo_label_minutes"] == pytest.approx(0.1, abs=0.01)
    assert found.shares(0.25) == [0.25, 0.75] and found.groups == [found.recorded, found.pseudo]
    assert known_slots([]) == []


def test_pseudo_labels_that_are_not_there_are_asked_for(small: Any) -> None:
    wild = Corpus.open(small.wild)
    with pytest.raises(MissingError, match=r"neither recorded pads nor labels: run 'ghostpad label .* --idm RUN'"):
        gather([wild], DataSettings(), SPEC)
    found = gather([wild], DataSettings(labels="none"), SPEC)
    assert found.groups == [] and found.sources == ["none"]


def test_verdicts_that_drop_every_row_are_named(small: Any, tmp_path: Path) -> None:
    novice, wild = Corpus.open(small.novice), Corpus.open(shutil.copytree(small.wild, tmp_path / "wild"))
    ids = wild.ok_ids()
    for id in ids:
        table = truth_table(small.truth, id)
        assert table is not None
        pads, known = pads_of(table)
        pts_s, rows = table.column("pts_s").to_numpy(), table.num_rows
        spreads, sure = np.zeros((rows, 4), np.float32), np.ones(rows, np.float32)
        wild.write_actions("idm-a", id, labels_table(pts_s, pads, spreads, known.all(axis=0), sure))
    dropped = [{"video": id, "first_row": 0, "last_row": 10**6, "duration_s": 1.0, "keep": False, "reason": "idle"} for id in ids]
    wild.write_verdicts("strict", pa.Table.from_pylist(dropped, VERDICTS), {"source": "idm-a"})
    for corpora in ([wild], [novice, wild]):
        with pytest.raises(
            MissingError, match=r"the verdicts 'strict' drop every row of idm-a in .*'ghostpad filter' .*--data.verdicts none"
        ):
            gather(corpora, DataSettings(verdicts="strict"), SPEC)
    assert gather([novice, wild], DataSettings(verdicts="none"), SPEC).minutes["pseudo_label_minutes"] > 0


def test_a_run_says_what_it_learned_from_and_what_it_held_out(small: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {
        "model": {"width_px": 32, "height_px": 32, "dim": 16, "heads": 2, "conv_width": 4, "depth": 2},
        "data": {"batch_size": 4, "validation_share": 0.5},
        "train": {"threads": 1, "steps": 2},
    }
    corpus = Path(shutil.copytree(small.novice, tmp_path / "novice"))
    trained = train_policy([corpus], tmp_path / "run", load_settings(PolicyRun, None, values))
    facts = read_json(tmp_path / "run" / "run.json")["facts"]
    assert facts["learned_minutes"] == trained.learned_minutes > 0.05 < trained.held_out_minutes == facts["held_out_minutes"]
    assert facts["learned_minutes"] + facts["held_out_minutes"] == pytest.approx(1 / 3, rel=0.02)
    assert facts["pseudo_label_minutes"] == 0 and len(read_json(tmp_path / "run" / "validation.json")["losses"]) == 1
    assert "validation loss" in capsys.readouterr().err

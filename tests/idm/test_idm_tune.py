"""An IDM that starts from a finished one: what it keeps, what it learns, what it says where something is missing."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from ghostpad.base.errors import MissingError, SettingsError
from ghostpad.base.files import read_json
from ghostpad.base.pad import BUTTONS, SLOTS, STICKS, slot
from ghostpad.base.records import actions_table, pads_of, write_table
from ghostpad.cli.main import main
from ghostpad.corpus.folder import Corpus, truth_table
from ghostpad.idm import load
from ghostpad.idm.model import Idm
from ghostpad.idm.settings import FinetuneRun, IdmSettings
from ghostpad.idm.train import TrainedIdm, train_idm
from ghostpad.idm.tune import finetune_settings, load_init
from ghostpad.label.label import label_corpus
from ghostpad.train import loop
from ghostpad.train.checkpoint import run_fingerprint, save_checkpoint

QUICK: dict[str, dict[str, Any]] = {"data": {"batch_size": 4, "validation_share": 0}, "train": {"threads": 1, "steps": 4}}
QUICK_FLAGS = ["--data.batch-size=4", "--data.validation-share=0", "--train.threads=1", "--train.steps=4"]


def tuned(base: Path, corpora: list[Path], out: Path, **parts: dict[str, Any]) -> TrainedIdm:
    return train_idm(
        corpora, out, finetune_settings(base, None, {name: QUICK.get(name, {}) | parts.get(name, {}) for name in {*QUICK, *parts}}), base
    )


@pytest.fixture(scope="session")
def mirrored(small: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of two videos of another game: Doom with its turn stick reversed, and a button down while it is to the left."""
    folder = tmp_path_factory.mktemp("given")
    corpus = Corpus.open(small.novice)
    for name, id in zip(("one", "two"), corpus.ok_ids(), strict=True):
        shutil.copy(corpus.video_path(id), folder / f"{name}.mp4")
        table = corpus.actions("recorded", id)
        pads, known = pads_of(table)
        pads[:, slot("right_x")] *= -1
        pads[:, slot("west")] = pads[:, slot("right_x")] < -0.3
        known[:] = False
        known[:, [slot("right_x"), slot("west")]] = True
        write_table(folder / f"{name}.parquet", actions_table(table.column("pts_s").to_numpy(), pads, known), "actions")
    assert main(["corpus", "add", str(folder / "corpus"), str(folder), "--game", "mirrored"]) == 0
    return folder / "corpus"


# ---- what is inherited ------------------------------------------------------------------------------------------

TINY = {"width_px": 32, "height_px": 32, "dim": 8, "heads": 2, "search_x_px": 1, "search_y_px": 1, "bins": 5}


def tiny(slots: set[str], games: set[str], seed: int, **changes: Any) -> Idm:
    torch.manual_seed(seed)
    names = sorted(slots, key=SLOTS.index)
    model = Idm(IdmSettings(**(TINY | changes)), {"slots": names, "by_game": dict.fromkeys(games, names)}).eval()
    if model.binding is not None:
        torch.nn.init.normal_(model.binding.weight)
    return model


def by_slot(model: Idm, rows: torch.Tensor, game: str | None) -> dict[str, torch.Tensor]:
    """Everything that is believed of rows, by the name of the slot."""
    logits = model.relate(rows, model.game_rows([game]))
    found = {SLOTS[index]: torch.cat([logits.held[..., n : n + 1], logits.events[..., n]], -1) for n, index in enumerate(model.buttons)}
    return found | {SLOTS[index]: logits.bins[:, :, n] for n, index in enumerate(model.sticks)}


slot_sets = st.tuples(st.sets(st.sampled_from(BUTTONS), max_size=3), st.sets(st.sampled_from(STICKS), max_size=2)).map(
    lambda both: both[0] | both[1]
)


@hypothesis_settings(max_examples=25)
@given(slot_sets.filter(bool), slot_sets, st.sampled_from(["none", "game"]))
def test_what_was_known_is_believed_as_before_and_a_new_game_begins_as_an_unknown_one(old: set[str], new: set[str], binding: str) -> None:
    base = tiny(old, {"b", "d"}, 1, binding=binding)
    model = tiny(old | new, {"a", "b", "c", "d"}, 2, binding=binding)
    fresh = {name: value.clone() for name, value in model.state_dict().items()}
    load_init(model, base)
    rows = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(0))
    for game, then in (("b", "b"), ("d", "d"), (None, None), ("a", None), ("c", None)):
        before, after = by_slot(base, rows, then), by_slot(model, rows, game)
        assert set(after) == old | new
        assert all(torch.allclose(after[name], before[name], atol=1e-6) for name in old)
    if added := [name for name in BUTTONS if name in new - old]:
        at = [model.buttons.index(slot(name)) for name in added]
        assert torch.equal(model.state_dict()["button_head.weight"][at], fresh["button_head.weight"][at])


def test_an_idm_that_met_no_game_by_name_gives_a_new_one_a_plain_start() -> None:
    base, model = tiny({"south"}, set(), 1, binding="game"), tiny({"south"}, {"a"}, 2, binding="game")
    assert base.binding is None and model.binding is not None
    load_init(model, base)
    assert torch.equal(*(by_slot(model, torch.ones(1, 3, 8), game)["south"] for game in ("a", None)))


# ---- what is learned --------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tuned_run(idm_run: Path, mirrored: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tuned") / "run"
    before = {path: path.read_bytes() for path in idm_run.rglob("*") if path.is_file()}
    found = tuned(idm_run, [mirrored], out, train={"steps": 60, "lr": 0.01}, data={"validation_share": 0.5})
    assert found.new_slots == ["west"] and found.learned_minutes > 0 < found.held_out_minutes and set(found.r2) == {"right_x"}
    assert {path: path.read_bytes() for path in idm_run.rglob("*") if path.is_file()} == before
    return out


def test_another_game_is_learned_in_a_few_steps(small: Any, idm_run: Path, tuned_run: Path) -> None:
    corpus = Corpus.open(small.wild)
    (id,) = corpus.ok_ids()
    truth = -pads_of(truth_table(small.truth, id))[0][:, slot("right_x")]

    def r2(run: Path) -> float:
        predicted = pads_of(load(run).label(corpus.video_path(id), game="mirrored"))[0][:, slot("right_x")]
        return float(1 - np.mean((predicted - truth) ** 2) / truth.var())

    assert r2(idm_run) < 0 < 0.2 < r2(tuned_run)


def test_the_tuned_idm_predicts_what_each_game_reads(small: Any, idm_run: Path, tuned_run: Path) -> None:
    old, new = load(idm_run), load(tuned_run)
    assert new.slots_of("mirrored") == ["west", "right_x"] and new.slots_of("doom") == old.facts["slots"]
    assert new.slots_of(None) == sorted({*old.facts["slots"], "west"}, key=SLOTS.index)


def test_facts_say_where_it_comes_from_and_licences_stay(small: Any, idm_run: Path, tuned_run: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(idm_run, old)
    text = (old / "run.json").read_text()
    (old / "run.json").write_text(text.replace('"licences": [', '"licences": [\n "CC BY-NC 4.0",'))
    tuned(old, [small.novice], tmp_path / "new")
    before, after = read_json(old / "run.json"), read_json(tmp_path / "new" / "run.json")
    assert after["facts"]["started_from"] == run_fingerprint(old) and after["model"] == before["model"]
    assert "CC BY-NC 4.0" in after["facts"]["licences"] and set(before["facts"]["licences"]) <= set(after["facts"]["licences"])
    assert read_json(tuned_run / "run.json")["facts"]["games"] == ["doom", "mirrored"]


@pytest.mark.parametrize("encoder", ["frozen", "trainable"])
def test_what_is_frozen_does_not_move_and_is_not_in_the_optimiser(
    encoder: str, idm_run: Path, mirrored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    averaged: set[str] = set()

    def noting(run: Path, *rest: Any) -> None:
        save_checkpoint(run, *rest)
        averaged.update(load_file(next(run.glob("checkpoints/*/ema.safetensors"))))
        count = len({name.partition(".")[0] for name in load_file(next(run.glob("checkpoints/*/optimizer.safetensors")))})
        assert count == len(averaged)

    monkeypatch.setattr(loop, "save_checkpoint", noting)
    tuned(idm_run, [mirrored], tmp_path / "new", train={"checkpoint_every": 2}, tune={"encoder": encoder})
    before, after = load_file(idm_run / "model.safetensors"), load_file(tmp_path / "new" / "model.safetensors")
    batch_norms = r"motion\.(map_scale|shift_scale)\."
    pattern = batch_norms if encoder == "trainable" else rf"{batch_norms}|(motion\.map_conv\.[0-3]|picture\.[0-4])\."
    frozen = [name for name in after if re.match(pattern, name)]
    assert len(frozen) >= 6 and averaged == {name for name in after if name not in frozen}
    assert all(torch.equal(after[name], before[name]) for name in frozen)
    assert not torch.equal(after["pair_in.weight"], before["pair_in.weight"])
    assert not torch.equal(after["stick_head.weight"], before["stick_head.weight"])


def test_frozen_parts_stay_in_evaluation_mode() -> None:
    model = tiny({"south"}, set(), 0)
    model.freeze(model.motion, None)
    model.train()
    assert model.training and model.conv.training and not any(part.training for part in model.motion.modules())
    assert not any(weight.requires_grad for weight in model.motion.parameters())


def test_without_enough_held_out_the_calibration_of_before_is_kept_and_that_is_said(
    idm_run: Path, mirrored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "idm", str(mirrored), "--init", str(idm_run), "--out", str(tmp_path / "new"), *QUICK_FLAGS]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "new: west" in told and "keep its calibration" in told
    assert (tmp_path / "new" / "calibration.json").read_bytes() == (idm_run / "calibration.json").read_bytes()


def test_how_it_learns_may_change_and_a_round_of_self_training_may_start_there(small: Any, idm_run: Path, tmp_path: Path) -> None:
    wild = Path(shutil.copytree(small.wild, tmp_path / "wild"))
    source = label_corpus(Corpus.open(wild), idm_run).source
    data, model = {"labels": source, "verdicts": "none"}, {"light": 0.1, "clip_rows": 8}
    found = tuned(idm_run, [small.novice, wild], tmp_path / "new", data=data, model=model)
    after = read_json(tmp_path / "new" / "run.json")
    assert found.pseudo_label_minutes == pytest.approx(1 / 6, rel=0.02) and after["facts"]["labels"] == source
    assert after["model"] == read_json(idm_run / "run.json")["model"] | {"light": 0.1, "clip_rows": 8}
    assert FinetuneRun().train.steps == 150 and finetune_settings(idm_run, None, {}).train == FinetuneRun().train


def test_runs_of_the_command_that_there_was_before_still_load_and_are_built_on(small: Any, idm_run: Path, tmp_path: Path) -> None:
    """`ghostpad adapt idm` wrote these facts."""
    old = Path(shutil.copytree(idm_run, tmp_path / "old"))
    description = read_json(old / "run.json")
    description["facts"] |= {"adapted_from": "0123456789ab", "adapted": {"eyes": "frozen"}}
    (old / "run.json").write_text(json.dumps(description))
    assert load(old).facts["adapted_from"] == "0123456789ab"
    tuned(old, [small.novice], tmp_path / "new")
    facts = read_json(tmp_path / "new" / "run.json")["facts"]
    assert facts["started_from"] == run_fingerprint(old) and facts["adapted_from"] == "0123456789ab"


# ---- stopped and continued --------------------------------------------------------------------------------------


def test_a_killed_fine_tuning_continues_to_the_same_bytes(idm_run: Path, mirrored: Path, tmp_path: Path) -> None:
    def words(out: Path) -> list[str]:
        more = ["--train.steps=40", "--train.checkpoint-every=3", "--data.validation-share=0.5"]
        return ["train", "idm", str(mirrored), "--init", str(idm_run), "--out", str(out), *QUICK_FLAGS, *more]

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main(words(whole)) == 0
    process = subprocess.Popen([sys.executable, "-m", "ghostpad", *words(killed)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(killed.glob("checkpoints/step-*")):
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the training was over before it could be killed"
    with pytest.raises(MissingError, match="is not finished: run its 'ghostpad train idm' command again"):
        load(killed)
    assert main(words(killed)) == 0
    for name in ("model.safetensors", "run.json", "calibration.json", "risk.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name


# ---- what cannot work -------------------------------------------------------------------------------------------


def test_what_cannot_be_learned_from_is_refused_with_what_to_do(small: Any, idm_run: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no corpus at"):
        tuned(idm_run, [tmp_path], tmp_path / "out")
    with pytest.raises(MissingError, match="has recorded pads to learn from: 'ghostpad record'"):
        tuned(idm_run, [small.wild], tmp_path / "out")
    assert not (tmp_path / "out" / "run.json").exists()


def test_what_does_not_fit_together_is_refused(small: Any, idm_run: Path, mirrored: Path, tmp_path: Path) -> None:
    before = (idm_run / "run.json").read_bytes()
    with pytest.raises(SettingsError, match="the run to start from, which stays as it is"):
        tuned(idm_run, [small.novice], idm_run)
    assert (idm_run / "run.json").read_bytes() == before
    with pytest.raises(SettingsError, match=r"model\.dim is 40, but .* was built with"):
        tuned(idm_run, [small.novice], tmp_path / "a", model={"dim": 40})
    with pytest.raises(SettingsError, match=r"did you mean '--tune\.encoder'"):
        tuned(idm_run, [small.novice], tmp_path / "a", tune={"encodr": "frozen"})
    tuned(idm_run, [mirrored], tmp_path / "b")
    with pytest.raises(SettingsError, match=r"holds a run with another .*choose another --out"):
        tuned(idm_run, [small.novice], tmp_path / "b")
    with pytest.raises(SettingsError, match="holds a run with another settings"):
        tuned(idm_run, [mirrored], tmp_path / "b", train={"steps": 5})

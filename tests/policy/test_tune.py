"""Fine-tuning: what starts from a run, what of it learns, what travels on, and what cannot start there."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ghostpad.base.errors import FormatError, MissingError, SettingsError
from ghostpad.base.files import read_json
from ghostpad.base.settings import build_settings
from ghostpad.cli.main import main
from ghostpad.policy import load as load_policy
from ghostpad.policy.settings import CHANGEABLE, FinetuneRun, PolicyRun, PolicySettings
from ghostpad.policy.train import train_policy
from ghostpad.policy.tune import finetune_settings
from ghostpad.train.checkpoint import run_fingerprint

Parts = dict[str, dict[str, Any]]
TINY: Parts = {"model": {"width_px": 32, "height_px": 32, "dim": 16, "heads": 2, "conv_width": 4, "depth": 2, "mixer_depth": 1}}
SHORT: Parts = {"data": {"batch_size": 4}, "train": {"threads": 1, "steps": 4}}
SHORT_FLAGS = ["--data.batch-size=4", "--train.threads=1", "--train.steps=4"]


def short(**parts: dict[str, Any]) -> Parts:
    """`SHORT`, with parts of the settings changed."""
    return {name: SHORT.get(name, {}) | parts.get(name, {}) for name in {*SHORT, *parts}}


@pytest.fixture(scope="module")
def base(small: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("base") / "run"
    train_policy([small.novice], out, build_settings(PolicyRun, TINY | SHORT, "test"))
    return out


def tuned(small: Any, base: Path, out: Path, lr: float = 0.01, **parts: dict[str, Any]) -> dict[str, Tensor]:
    """The weights of a run that started from `base`."""
    train_policy([small.novice], out, finetune_settings(base, None, short(train={"lr": lr}, **parts)), None, base)
    return load_file(out / "model.safetensors")


def moved(base: Path, weights: dict[str, Tensor]) -> set[str]:
    """The parts of the model whose weights are not those of `base`."""
    before = load_file(base / "model.safetensors")
    assert weights.keys() == before.keys(), "an ordinary checkpoint, whatever learned"
    return {name.partition(".")[0] for name, value in weights.items() if not torch.equal(value, before[name])}


ALL = {"encoder", "mixer", "denoiser", "embed", "position", "to_velocity"}


def test_all_of_it_learns_from_where_the_run_ended(small: Any, base: Path, tmp_path: Path) -> None:
    weights = tuned(small, base, tmp_path / "run")
    assert moved(base, weights) == ALL
    fresh = tmp_path / "fresh"
    train_policy([small.novice], fresh, build_settings(PolicyRun, TINY | short(train={"lr": 0.01, "seed": 5}), "test"))
    before, other = load_file(base / "model.safetensors"), load_file(fresh / "model.safetensors")
    matrix = "denoiser.blocks.0.attention.to_q.weight"
    assert (weights[matrix] - before[matrix]).norm() < 0.1 * (other[matrix] - before[matrix]).norm()


@pytest.mark.parametrize("parts", [["encoder"], ["encoder", "mixer", "denoiser"]])
def test_frozen_parts_stay_bit_for_bit(small: Any, base: Path, tmp_path: Path, parts: list[str]) -> None:
    assert moved(base, tuned(small, base, tmp_path / "run", tune={"how": "freeze", "parts": parts})) == ALL - set(parts)


def test_low_rank_parts_move_by_a_low_rank(small: Any, base: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    weights = tuned(small, base, out, tune={"how": "lora", "parts": ["mixer", "denoiser"], "rank": 2})
    before = load_file(base / "model.safetensors")
    assert moved(base, weights) == ALL
    changes = {name: weights[name] - value for name, value in before.items() if name.startswith(("mixer", "denoiser"))}
    assert {name for name, change in changes.items() if change.any() and not name.endswith("weight")} == set(), "biases and norms stay"
    ranks = {int(torch.linalg.matrix_rank(change, atol=1e-6)) for change in changes.values() if change.ndim == 2 and change.any()}
    assert ranks and max(ranks) <= 2
    load_policy(out)
    assert read_json(out / "run.json")["facts"]["tuned"] == {"how": "lora", "parts": ["mixer", "denoiser"], "rank": 2}


def test_facts_and_settings_of_the_run_travel_on(small: Any, base: Path, tmp_path: Path) -> None:
    old = shutil.copytree(base, tmp_path / "old")
    description = read_json(old / "run.json")
    description["facts"] |= {"licences": ["CC BY-NC 4.0"], "games": ["another"], "nitrogen": {"rest": {}}}
    (old / "run.json").write_text(json.dumps(description))
    run = finetune_settings(old, None, short(model={"sampling_steps": 3, "dim": 16}))
    assert run.model == PolicySettings(**(description["model"] | {"sampling_steps": 3})) and run.train.lr == FinetuneRun().train.lr
    train_policy([small.novice], tmp_path / "new", run, None, old)
    facts = read_json(tmp_path / "new" / "run.json")["facts"]
    assert "CC BY-NC 4.0" in facts["licences"] and len(facts["licences"]) == 2 and facts["games"] == ["another", "doom"]
    assert facts["nitrogen"] == {"rest": {}} and facts["slots"] == description["facts"]["slots"]
    assert facts["started_from"] == run_fingerprint(old)


def test_what_cannot_start_there_is_refused(small: Any, base: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        finetune_settings(base, None, {"model": {"dim": "32", "gray": "false", "draws": "2"}})
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        f"model.dim is 32, but {base} was built with 16", f"model.gray is False, but {base} was built with True",
    ]  # fmt: skip
    with pytest.raises(SettingsError, match="did you mean '--model.draws'"):
        finetune_settings(base, None, {"model.drawz": ""})
    (tmp_path / "odd.toml").write_text("model = 3")
    with pytest.raises(SettingsError, match="odd.toml: model is 3"):
        finetune_settings(base, tmp_path / "odd.toml", {"model": {"draws": "2"}})
    with pytest.raises(MissingError, match="is not a run"):
        finetune_settings(tmp_path, None, {})
    run = finetune_settings(base, None, SHORT)
    with pytest.raises(SettingsError, match="the run to start from, which stays as it is"):
        train_policy([small.novice], base, run, None, base)
    with pytest.raises(SettingsError, match="the encoder of this policy has no linear layers for LoRA"):
        tuned(small, base, tmp_path / "lora", tune={"how": "lora"})
    other = finetune_settings(base, None, short(model={"frame_offsets": [-4, -2, 0]}))
    with pytest.raises(FormatError, match=f"the weights of {base} do not fit these settings: .*encoder.layers.0.weight"):
        train_policy([small.novice], tmp_path / "frames", other, None, base)


def test_slots_that_the_run_does_not_play_are_named(small: Any, base: Path, tmp_path: Path) -> None:
    old = shutil.copytree(base, tmp_path / "old")
    description = read_json(old / "run.json")
    gone = description["facts"]["slots"].pop()
    (old / "run.json").write_text(json.dumps(description))
    with pytest.raises(SettingsError, match=f"does not play {gone}, which the footage uses"):
        train_policy([small.novice], tmp_path / "new", finetune_settings(old, None, SHORT), None, old)


def test_an_unfinished_run_is_no_start(base: Path, tmp_path: Path) -> None:
    old = shutil.copytree(base, tmp_path / "old")
    (old / "model.safetensors").unlink()
    with pytest.raises(MissingError, match="is not finished"):
        finetune_settings(old, None, {})


def test_changeable_settings_exist() -> None:
    assert set(PolicySettings.model_fields) >= CHANGEABLE


def test_nitrogens_checkpoint_is_fine_tuned_on_a_recording_and_given_back(small: Any, tmp_path: Path) -> None:
    """The command of the README, with a made-up checkpoint of NitroGen's shapes: import, one command, export."""
    pytest.importorskip("transformers")
    from ghostpad.lab.made_up.nitrogen_policy import random_checkpoint, write_checkpoint
    from ghostpad.policy.nitrogen.checkpoint import export_nitrogen, import_nitrogen

    write_checkpoint(tmp_path / "ng.pt", random_checkpoint(tiny=True))
    imported, mine = tmp_path / "nitrogen", tmp_path / "mine"
    import_nitrogen(tmp_path / "ng.pt", imported, heads=2)
    lora = ["--tune.how", "lora", "--tune.parts", "encoder", "mixer", "denoiser", "--tune.rank", "2"]
    command = ["train", "policy", str(small.novice), "--init", str(imported), "--out", str(mine), *SHORT_FLAGS, *lora]
    assert main([*command, "--train.precision=bf16", "--train.recompute=true"]) == 0
    facts, old = read_json(mine / "run.json")["facts"], read_json(imported / "run.json")["facts"]
    assert facts["slots"] == old["slots"] and set(old["licences"]) < set(facts["licences"])
    export_nitrogen(mine, tmp_path / "back.pt")
    before, after = (torch.load(tmp_path / name, weights_only=True)["model"] for name in ("ng.pt", "back.pt"))
    assert before.keys() == after.keys() and any(not torch.equal(value, after[name]) for name, value in before.items())

"""A training run that is killed, continued, repeated, or cannot go on; and what its folder holds."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from ghostpad.base.errors import FormatError, MissingError, SettingsError, TrainingError
from ghostpad.base.files import read_json
from ghostpad.base.pad import PAD_DIM
from ghostpad.cli.main import main
from ghostpad.feed.batch import Batch, WindowRef
from ghostpad.feed.footage import Footage
from ghostpad.feed.gather import Gathered
from ghostpad.feed.settings import DataSettings
from ghostpad.idm import load
from ghostpad.idm.model import Idm
from ghostpad.idm.settings import IdmSettings
from ghostpad.policy.model import Policy
from ghostpad.train import loop
from ghostpad.train.checkpoint import load_model, run_fingerprint, save_checkpoint
from ghostpad.train.loop import Training, data_fingerprint, train
from ghostpad.train.settings import TrainSettings

STEPS = 40


def command(corpus: Path, out: Path, settings: list[str]) -> list[str]:
    words = ["train", "idm", str(corpus), "--out", str(out), *settings, f"--train.steps={STEPS}", "--train.checkpoint-every=3"]
    return [sys.executable, "-m", "ghostpad", *words]


def test_a_killed_training_continues_to_the_same_bytes(small: Any, small_idm_flags: list[str], tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main(command(small.novice, whole, small_idm_flags)[3:]) == 0
    process = subprocess.Popen(command(small.novice, killed, small_idm_flags), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(killed.glob("checkpoints/step-*")):
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the training was over before it could be killed"
    assert list(killed.glob("checkpoints/step-*")) and not (killed / "model.safetensors").exists()
    with pytest.raises(MissingError, match="is not finished: run its 'ghostpad train idm' command again"):
        load(killed)

    later = command(small.novice, killed, [*small_idm_flags, "--data.workers=1"])  # what a run is computed with is no part of its name
    done = subprocess.run(later, check=True, capture_output=True, text=True, timeout=120)
    assert "IDM trained on" in done.stdout
    for name in ("model.safetensors", "run.json", "calibration.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    assert not (killed / "checkpoints").exists() and run_fingerprint(killed) == run_fingerprint(whole)


def test_two_processes_may_train_the_same_run(small: Any, small_idm_flags: list[str], tmp_path: Path) -> None:
    """As when a demo is killed, its command lives on, and the demo is started again."""
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    assert main(command(small.novice, whole, small_idm_flags)[3:]) == 0
    both = [subprocess.Popen(command(small.novice, shared, small_idm_flags), stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert (shared / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


# ---- in this process, on made-up footage ------------------------------------------------------------------------


def footage(value: float = 0.5) -> Footage:
    rng = np.random.default_rng(0)
    pads = np.zeros((20, PAD_DIM), np.float32)
    pads[:, -2] = value
    weight = np.zeros((20, PAD_DIM), np.float32)
    weight[:, -2] = 1
    return Footage("clip", np.arange(21) / 10, rng.integers(0, 255, (21, 32, 32, 1), np.uint8), pads, weight)


def training(out: Path, *, value: float = 0.5, model: dict[str, Any] | None = None, **changes: Any) -> Training:
    tiny = IdmSettings(width_px=32, height_px=32, dim=8, heads=1, clip_rows=8, search_x_px=1, search_y_px=1, **(model or {}))
    settings = TrainSettings(**({"steps": 4, "threads": 1, "checkpoint_every": 2} | changes))
    return Training(Idm, tiny, {"slots": ["right_x"]}, Gathered([footage(value)]), DataSettings(batch_size=2), settings, out)


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    train(training(tmp_path / "run"))
    return tmp_path / "run"


def contents(run: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in run.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_finished_run_is_not_trained_again(finished: Path) -> None:
    before = contents(finished)
    (finished / "checkpoints" / "step-0000002").mkdir(parents=True)  # as left by a kill just after publishing
    model = train(training(finished))
    assert contents(finished) == before and not model.training
    assert not (finished / "checkpoints").exists()


def test_another_run_may_not_use_the_folder(finished: Path) -> None:
    before = contents(finished)
    for other, named in (({"lr": 0.5}, "settings"), ({"model": {"bins": 5}}, "model"), ({"value": 0.25}, "data")):
        with pytest.raises(SettingsError, match=f"another {named}.*choose another --out"):
            train(training(finished, **other))
    assert contents(finished) == before


def test_a_run_folder_holds_json_safetensors_curves_and_meanwhile_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: set[str] = set()

    def noting(run: Path, *rest: Any) -> None:
        save_checkpoint(run, *rest)
        names.update(path.name for path in run.rglob("[!.]*") if path.is_file())

    monkeypatch.setattr(loop, "save_checkpoint", noting)
    train(training(tmp_path / "run"))
    kept = {path.name for path in (tmp_path / "run").rglob("[!.]*") if path.is_file()}
    assert any(name.endswith(".npy") for name in names) and not any(name.endswith(".npy") for name in kept)
    names |= kept
    assert {"run.json", "model.safetensors", "ema.safetensors", "optimizer.safetensors", "state.json"} <= names
    assert all(name.endswith((".json", ".safetensors", ".npy")) or name.startswith("events.out.tfevents") for name in names)
    assert [path.name for path in (tmp_path / "run").rglob(".*")] == [".lock"], "no temporary file is left"


def test_two_runs_of_one_seed_agree_and_of_two_seeds_do_not(finished: Path, tmp_path: Path) -> None:
    train(training(tmp_path / "again"))
    train(training(tmp_path / "other", seed=1))
    weights = [(run / "model.safetensors").read_bytes() for run in (finished, tmp_path / "again", tmp_path / "other")]
    assert weights[0] == weights[1] != weights[2]


def test_a_loss_that_is_not_finite_names_its_windows_and_leaves_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = Idm.loss
    seen: list[tuple[Idm, dict[str, Tensor], tuple[WindowRef, ...]]] = []

    def poisoned(self: Idm, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        total, logs = loss(self, batch, generator)
        if len(seen) < 3:
            seen.append((self, {name: value.detach().clone() for name, value in self.named_parameters()}, batch.refs))
        return (total if len(seen) < 3 else total * float("nan")), logs

    monkeypatch.setattr(Idm, "loss", poisoned)
    with pytest.raises(TrainingError) as caught:
        train(training(tmp_path / "run"))
    model, before, refs = seen[2]
    assert "step 2: the loss is nan" in str(caught.value) and all(f"{ref.video}:{ref.row}" in str(caught.value) for ref in refs)
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())
    assert any(not torch.equal(value, seen[0][1][name]) for name, value in before.items()), "the steps before had moved them"

    monkeypatch.setattr(Idm, "loss", loss)  # mended, the run goes on from its checkpoint at step 2
    train(training(tmp_path / "run"))
    train(training(tmp_path / "whole"))
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_layers_computed_again_give_the_same_bytes_and_a_run_goes_on_however_it_is_computed(finished: Path, tmp_path: Path) -> None:
    train(training(tmp_path / "again", recompute=True, log_every=1, parallel="fsdp"))  # one process has nothing to shard
    for name in ("model.safetensors", "run.json"):
        assert (tmp_path / "again" / name).read_bytes() == (finished / name).read_bytes(), name
    before = contents(finished)
    train(training(finished, recompute=True, checkpoint_every=1))
    assert contents(finished) == before


def test_lower_precision_trains_and_does_not_stay_with_the_process(finished: Path, tmp_path: Path) -> None:
    train(training(tmp_path / "low", precision="bf16"))
    train(training(tmp_path / "again"))
    weights = [(run / "model.safetensors").read_bytes() for run in (finished, tmp_path / "again", tmp_path / "low")]
    assert weights[0] == weights[1] != weights[2]
    assert all(torch.isfinite(value).all() for value in load_model(tmp_path / "low", Idm).state_dict().values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU can do it")
def test_a_precision_that_the_machine_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'fp16', which needs a GPU and train.parallel=ddp: choose 'bf16'"):
        train(training(tmp_path / "run", precision="fp16"))
    assert not (tmp_path / "run").exists()


def test_the_log_says_how_fast_it_went_and_how_long_it_waited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(training(tmp_path / "run", log_every=1))
    facts = read_json(tmp_path / "run" / "speed.json")
    assert facts.pop("samples_per_s") > 0 and 0 <= facts.pop("data_stall") <= 1
    assert facts == {"steps": 3, "processes": 1, "device": "cuda" if torch.cuda.is_available() else "cpu"}, "the first step is left out"
    assert "samples/s, " in capsys.readouterr().err
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert {"loss", "gradient_norm", "samples_per_s", "data_stall"} <= set(events.Tags()["scalars"])
    assert len(events.Scalars("loss")) == 4 and len(events.Scalars("data_stall")) == 2, "a step tells of those since the last entry"
    train(training(tmp_path / "short", steps=1))
    assert "too few steps" in capsys.readouterr().err and read_json(tmp_path / "short" / "speed.json")["steps"] == 0


def test_other_pictures_are_other_data(tmp_path: Path) -> None:
    clip = footage()
    other = replace(clip, frames=clip.frames.copy())
    other.frames[0, 3, 3] += 1
    assert data_fingerprint([[clip]]) == data_fingerprint([[footage()]]) != data_fingerprint([[other]])


def test_nothing_to_learn_from_is_said(tmp_path: Path) -> None:
    plan = training(tmp_path / "run")
    with pytest.raises(TrainingError, match="nothing to learn from"):
        train(Training(Idm, plan.settings, plan.facts, Gathered([]), plan.data, plan.train, plan.out))
    assert not (tmp_path / "run").exists()


# ---- reading runs back ------------------------------------------------------------------------------------------


def edited(run: Path, **changes: Any) -> Path:
    path = run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return run


def test_a_model_comes_back_as_it_was_published(finished: Path) -> None:
    model = load_model(finished, Idm)
    assert model.facts == {"slots": ["right_x"]} and model.settings == training(finished).settings and not model.training
    again = train(training(finished))
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


def test_runs_that_do_not_fit_are_refused_with_the_reason(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="holds a model of kind 'idm', a 'policy' is needed"):
        load_model(finished, Policy)
    with pytest.raises(MissingError, match="is not a run: make one with 'ghostpad train idm"):
        load_model(tmp_path, Idm)
    with pytest.raises(MissingError, match="not calibrated yet: re-run the command that trained it"):
        load(finished)
    with pytest.raises(FormatError, match="pad layout 'xbox-17/1', this version reads"):
        load_model(edited(shutil.copytree(finished, tmp_path / "layout"), layout="xbox-17/1"), Idm)


def test_weights_that_do_not_fit_or_are_cut_off_are_refused(finished: Path, tmp_path: Path) -> None:
    other = json.loads((finished / "run.json").read_text())["model"] | {"bins": 5}
    with pytest.raises(FormatError, match="does not fit its run.json"):
        load_model(edited(shutil.copytree(finished, tmp_path / "bins"), model=other), Idm)
    weights = finished / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(FormatError, match="does not fit its run.json"):
        load_model(finished, Idm)
    with pytest.raises(SettingsError, match="no setting called 'binz': did you mean 'bins'"):
        load_model(edited(finished, model=other | {"binz": 1}), Idm)

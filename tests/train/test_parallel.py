"""Training by several processes that torchrun starts: the loss curve of one process, in copies and in shards, killed or not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ghostpad.base.files import read_json
from ghostpad.cli.main import main
from ghostpad.train.settings import TrainSettings

STEPS = 10
TINY = ["--model.width-px=32", "--model.height-px=32", "--model.dim=16", "--model.heads=2", "--model.conv-width=4", "--model.depth=2",
        "--model.mixer-depth=1", "--data.batch-size=8", "--train.threads=1", "--train.log-every=1", f"--train.steps={STEPS}",
        "--train.warmup-steps=2", "--data.validation-share=0.5", "--train.validate-every=4"]  # fmt: skip

FARTHEST = STEPS * TrainSettings().lr
"""About how far AdamW can move a weight. Where a gradient is nearly 0 its steps are of rounding; 0.2 % of this was measured."""


def words(corpus: Path, out: Path, *settings: str) -> list[str]:
    return ["train", "policy", str(corpus), "--out", str(out), *TINY, *settings]


def torchrun(*command: str) -> subprocess.Popen[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "ghostpad"]
    return subprocess.Popen([*launcher, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def children(pid: int) -> list[int]:
    """The processes that torchrun started, which outlive it."""
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def curve(run: Path, name: str = "loss") -> list[float]:
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return [event.value for event in events.Scalars(name)]


@pytest.fixture(scope="module")
def alone(small: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a single process."""
    out = tmp_path_factory.mktemp("alone") / "run"
    assert main(words(small.novice, out)) == 0
    return out


def assert_same(run: Path, alone: Path) -> None:
    np.testing.assert_allclose(curve(run), curve(alone), rtol=1e-5)
    np.testing.assert_allclose(curve(run, "gradient_norm"), curve(alone, "gradient_norm"), rtol=1e-4)
    wanted, found = load_file(alone / "model.safetensors"), load_file(run / "model.safetensors")
    assert found.keys() == wanted.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-3, atol=0.01 * FARTHEST)
    losses, others = (read_json(path / "validation.json")["losses"] for path in (run, alone))
    assert len(losses) > 1
    for loss, other in zip(losses, others, strict=True):
        assert loss == pytest.approx(other, rel=1e-4)
    assert (run / "run.json").read_bytes() == (alone / "run.json").read_bytes(), "a run does not tell how many processes trained it"


def test_two_copies_learn_as_one_process_does(small: Any, alone: Path, tmp_path: Path) -> None:
    process = torchrun(*words(small.novice, tmp_path / "run"))
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert said.count("policy trained on") == 1, "the first process speaks for all"
    assert read_json(tmp_path / "run" / "speed.json")["processes"] == 2
    assert_same(tmp_path / "run", alone)


def test_a_batch_in_parts_is_learned_as_at_once(small: Any, alone: Path, tmp_path: Path) -> None:
    """Parts weigh as unevenly as they come, and copies or shards take two parts each; a quarter of a batch is then in memory at a time."""
    assert main(words(small.novice, tmp_path / "parts", "--train.accumulate=4")) == 0
    assert_same(tmp_path / "parts", alone)
    for how in ("ddp", "fsdp"):
        process = torchrun(*words(small.novice, tmp_path / how, "--train.accumulate=2", f"--train.parallel={how}"))
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        np.testing.assert_allclose(curve(tmp_path / how), curve(alone), rtol=1e-5)


def test_a_batch_that_does_not_split_is_refused_before_any_work(small: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(small.novice, tmp_path / "run", "--train.accumulate=3")) != 0
    assert "data.batch_size is 8: choose a multiple of 3" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_shards_learn_as_one_process_does_and_are_continued_by_one_after_a_kill(small: Any, alone: Path, tmp_path: Path) -> None:
    run, settings = tmp_path / "run", ("--train.parallel=fsdp", "--train.recompute=true", "--train.checkpoint-every=2")
    process = torchrun(*words(small.novice, run, *settings))
    while process.poll() is None and not list(run.glob("checkpoints/step-*")):
        time.sleep(0.005)
    for pid in (process.pid, *children(process.pid)):
        os.kill(pid, signal.SIGKILL)
    said, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, said
    before = len(curve(run))
    assert list(run.glob("checkpoints/step-*")) and not (run / "model.safetensors").exists()
    assert main(words(small.novice, run, "--data.workers=1")) == 0
    assert 0 < before < STEPS and len(curve(run)) == STEPS
    assert_same(run, alone)


def test_shards_of_nitrogens_model_go_on_where_one_process_stopped_with_low_rank_additions(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vision tower and all, at a made-up size; weights that nobody reads (the tower's head) must not be waited for.

    At a small rate, because attention's key biases have no gradient but rounding, of which Adam makes steps of the rate's size.
    """
    pytest.importorskip("transformers")
    from ghostpad.lab.made_up.nitrogen_policy import random_checkpoint, write_checkpoint
    from ghostpad.policy.nitrogen.checkpoint import import_nitrogen

    write_checkpoint(tmp_path / "ng.pt", random_checkpoint(tiny=True))
    import_nitrogen(tmp_path / "ng.pt", tmp_path / "ng", heads=2)
    tuning = ["--init", str(tmp_path / "ng"), "--train.steps=4", "--train.warmup-steps=0", "--train.lr=0.001", "--tune.how=lora",
              "--tune.parts", "encoder", "denoiser", "mixer", "--data.batch-size=4", "--model.dropout=0", "--model.mixer-dropout=0",
              "--train.threads=1", "--train.log-every=1", "--train.checkpoint-every=2", "--data.validation-share=0.5",
              "--train.validate-every=2"]  # fmt: skip
    common = ["train", "policy", str(small.novice), "--out"]
    assert main([*common, str(tmp_path / "one"), *tuning]) == 0

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:  # as if killed after its last step: only the checkpoint of step 2 is left
        patched.setattr("ghostpad.train.loop.publish", stop)
        assert main([*common, str(tmp_path / "two"), *tuning]) != 0
    assert [path.name for path in (tmp_path / "two" / "checkpoints").iterdir()] == ["step-0000002"]
    process = torchrun(*common, str(tmp_path / "two"), *tuning, "--train.parallel=fsdp", "--train.recompute=true")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert_same(tmp_path / "two", tmp_path / "one")

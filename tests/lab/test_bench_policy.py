"""The bench of the policy: both schedules do the same sums, ours does fewer of them, and the report says all that was asked."""

import json
from pathlib import Path

import pytest
import torch

from ghostpad.cli.main import main
from ghostpad.lab.bench.policy_timing import recomputed
from ghostpad.lab.made_up.nitrogen_policy import random_policy

pytest.importorskip("transformers")


def inputs(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.rand(batch, 1, 3, 32, 32, generator=generator) - 1, torch.randn(batch, 18, 25, generator=generator)


def test_the_references_schedule_gives_the_same_chunk() -> None:
    policy, (pixels, noise) = random_policy(tiny=True), inputs(3)
    ours = policy.sample_batch(pixels, noise, steps=16)
    assert torch.allclose(ours, recomputed(policy, pixels, noise, 16), atol=1e-4)
    assert (ours - policy.sample_batch(pixels, noise, steps=4)).abs().max() > 1e-3


def test_a_game_of_a_batch_is_played_as_if_alone() -> None:
    policy, (pixels, noise) = random_policy(tiny=True), inputs(3)
    together = policy.sample_batch(pixels, noise)
    for index in range(3):
        assert torch.allclose(together[index], policy.sample(pixels[index], noise=noise[index]), atol=1e-5)


def test_what_does_not_change_over_the_steps_is_computed_once() -> None:
    policy, (pixels, noise) = random_policy(tiny=True), inputs(1)
    calls = dict.fromkeys(("vision", "mixer", "keys", "denoiser"), 0)

    def count(name: str) -> object:
        def hook(*_: object) -> None:
            calls[name] += 1

        return hook

    policy.encoder.tower.register_forward_hook(count("vision"))
    policy.mixer.register_forward_hook(count("mixer"))
    policy.denoiser.blocks[0].attention.to_kv.register_forward_hook(count("keys"))
    policy.denoiser.register_forward_hook(count("denoiser"))
    policy.sample(pixels[0], noise=noise[0], steps=8)
    assert calls == {"vision": 1, "mixer": 1, "keys": 1, "denoiser": 8}
    calls.update(dict.fromkeys(calls, 0))
    recomputed(policy, pixels, noise, 8)
    assert calls == {"vision": 1, "mixer": 8, "keys": 8, "denoiser": 8}


def test_bfloat16_is_near_and_packed_is_the_same() -> None:
    policy, (pixels, noise) = random_policy(tiny=True), inputs(1)
    exact = policy.sample(pixels[0], noise=noise[0], steps=4)
    assert 0 < (policy.quicken(bf16=True).sample(pixels[0], noise=noise[0], steps=4) - exact).abs().max() < 0.2
    assert torch.equal(policy.quicken().sample(pixels[0], noise=noise[0], steps=4), exact)
    names = list(policy.state_dict())
    assert torch.allclose(policy.quicken(pack=True).sample(pixels[0], noise=noise[0], steps=4), exact, atol=1e-5)
    assert list(policy.state_dict()) == names


def test_what_is_compiled_can_be_traced_and_stays_the_same() -> None:
    """Without the code generator, which takes minutes; with it the chunk differed from the plain one by less than 1e-4 (by hand)."""
    policy, (pixels, noise) = random_policy(tiny=True), inputs(1)
    exact = policy.sample(pixels[0], noise=noise[0], steps=2)
    for part in (policy.encoder.tower, policy.mixer, policy.denoiser):
        part.compile(backend="eager")
    assert torch.allclose(policy.sample(pixels[0], noise=noise[0], steps=2), exact, atol=1e-6)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["lab", "bench", "policy", "--quick", "--repeats", "2", "--threads", "1", "--out", str(tmp_path / "bench.json")]
    assert main(arguments) == 0
    printed, report = capsys.readouterr().out, json.loads((tmp_path / "bench.json").read_text())
    for words in ("fp32", "(a) the reference's schedule, 16 steps", "ours, 16 steps", "ours,  8 steps", "ours,  4 steps"):
        assert words in printed
    assert [entry["steps"] for entry in report["ours"]] == [16, 8, 4]
    assert report["unpacked"]["deviation"]["max"] < 1e-4 and report["ours"][0]["deviation"]["max"] < 1e-4
    assert report["ours"][2]["deviation"]["mean"] > report["ours"][1]["deviation"]["mean"] > 1e-4
    assert main(["lab", "bench", "policy", "--repeats", "0"]) == 2
    assert "repeats is 0" in capsys.readouterr().err

"""NitroGen's checkpoints as runs and back: the same bits, the same chunks, licences that stay, and what cannot be given back."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import ghostpad.policy
from ghostpad.base.errors import FormatError, SettingsError
from ghostpad.base.files import read_json, write_json
from ghostpad.base.pad import SLOTS
from ghostpad.base.settings import load_settings
from ghostpad.cli.main import main
from ghostpad.lab.made_up.nitrogen_policy import random_checkpoint, random_policy, sample_config, write_checkpoint
from ghostpad.policy.model import Policy
from ghostpad.policy.nitrogen.checkpoint import export_nitrogen, import_nitrogen
from ghostpad.policy.nitrogen.config import settings_of
from ghostpad.policy.nitrogen.names import as_theirs, entry_of, problems_of
from ghostpad.policy.settings import PolicyRun

pytest.importorskip("transformers")

FIXTURES = Path(__file__).parents[1] / "fixtures" / "nitrogen_policy"
VARIANTS = ["one_frame_with_games", "two_frames_cfg"]


def same_bits(one: Path, other: Path) -> bool:
    """Whether two checkpoints hold the same keys, types, shapes, bits, and the same of everything else."""
    a, b = (torch.load(path, weights_only=True) for path in (one, other))
    weights, others = a.pop("model"), b.pop("model")

    def equal(x: torch.Tensor, y: torch.Tensor) -> bool:
        return x.dtype == y.dtype and x.shape == y.shape and torch.equal(x.contiguous().view(torch.uint8), y.contiguous().view(torch.uint8))

    return a == b and set(weights) == set(others) and all(equal(weights[name], others[name]) for name in weights)


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_was_imported_comes_out_bit_for_bit(variant: str, tmp_path: Path) -> None:
    source = FIXTURES / variant / "ng_tiny.pt"
    import_nitrogen(source, tmp_path / "run")
    export_nitrogen(tmp_path / "run", tmp_path / "back.pt")
    assert same_bits(source, tmp_path / "back.pt")


def test_odd_bits_half_precision_and_counters_survive(tmp_path: Path) -> None:
    checkpoint = random_checkpoint(tiny=True)
    checkpoint.weights["action_decoder.layer2.b"][0, :4] = torch.tensor([float("nan"), float("inf"), -0.0, 1e-42])
    name = "model.transformer_blocks.0.attn1.to_k.weight"
    checkpoint.weights[name] = checkpoint.weights[name].bfloat16()
    checkpoint.rest.update(step=7, epoch=3)
    write_checkpoint(tmp_path / "ng.pt", checkpoint)
    import_nitrogen(tmp_path / "ng.pt", tmp_path / "run", heads=2)
    export_nitrogen(tmp_path / "run", tmp_path / "back.pt")
    assert same_bits(tmp_path / "ng.pt", tmp_path / "back.pt")
    assert not same_bits(tmp_path / "ng.pt", FIXTURES / VARIANTS[0] / "ng_tiny.pt")


def test_the_run_plays_as_the_file_does_and_keeps_its_licences(tmp_path: Path) -> None:
    source, golden = (FIXTURES / VARIANTS[0] / name for name in ("ng_tiny.pt", "golden.pt"))
    wanted = torch.load(golden, weights_only=True)
    import_nitrogen(source, tmp_path / "run", wanted["game_mapping"])
    policy = ghostpad.policy.load(tmp_path / "run")
    chunk = policy.sample(wanted["pixel_values"], game=wanted["game"], noise=wanted["noise"][0])
    assert (chunk - wanted["action"][0]).abs().max() < 1e-5
    facts = read_json(tmp_path / "run" / "run.json")["facts"]
    assert "non-commercial" in facts["licences"][0] and "Apache-2.0" in facts["licences"][1]
    assert facts["game_ids"] == {"celeste": 1, "hollow_knight": 2}
    frames = torch.randint(0, 256, (3, 1, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pads = policy.act(frames, torch.Generator().manual_seed(1), game="celeste")
    assert pads.shape == (3, 16, 25) and pads[..., :21].min() >= 0 and pads.abs().max() <= 1


def test_an_import_is_continued_and_another_file_is_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "a.pt", random_checkpoint(tiny=True, seed=1))
    write_checkpoint(tmp_path / "b.pt", random_checkpoint(tiny=True, seed=2))
    run = tmp_path / "run"
    import_nitrogen(tmp_path / "a.pt", run, heads=2)
    weights = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").unlink()  # as if it had been killed between the two files
    import_nitrogen(tmp_path / "a.pt", run, heads=2)
    assert (run / "model.safetensors").read_bytes() == weights
    with pytest.raises(SettingsError, match="another data"):
        import_nitrogen(tmp_path / "b.pt", run, heads=2)


def test_what_nitrogens_code_would_misread_is_not_exported(tmp_path: Path) -> None:
    import_nitrogen(FIXTURES / VARIANTS[0] / "ng_tiny.pt", tmp_path / "run")
    told = read_json(tmp_path / "run" / "run.json")
    write_json(tmp_path / "run" / "run.json", told | {"model": told["model"] | {"execute": 4, "guidance": 1.0, "dropout": 0.0}})
    export_nitrogen(tmp_path / "run", tmp_path / "back.pt")
    write_json(tmp_path / "run" / "run.json", told | {"model": told["model"] | {"mask_padding": True, "mixer_heads": 2}})
    with pytest.raises(SettingsError, match="changed: mixer_heads, mask_padding"):
        export_nitrogen(tmp_path / "run", tmp_path / "back.pt")
    facts = {name: value for name, value in told["facts"].items() if name != "nitrogen"}
    write_json(tmp_path / "run" / "run.json", told | {"facts": facts})
    with pytest.raises(SettingsError, match="did not come from NitroGen"):
        export_nitrogen(tmp_path / "run", tmp_path / "back.pt")


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, run, back = FIXTURES / VARIANTS[0] / "ng_tiny.pt", tmp_path / "run", tmp_path / "back.pt"
    (tmp_path / "games.json").write_text(json.dumps({"celeste": 1}))
    assert main(["import", "nitrogen", str(source), "--out", str(run), "--games", str(tmp_path / "games.json")]) == 0
    told = capsys.readouterr().out
    assert (
        "0.4 million weights" in told and "chunks of 16 rows from 1 frame of 64x64, 4 steps, 1 games" in told and "non-commercial" in told
    )
    assert main(["export", "nitrogen", str(run), str(back)]) == 0 and same_bits(source, back)
    (tmp_path / "games.json").write_text(json.dumps(["celeste"]))
    assert main(["import", "nitrogen", str(source), "--out", str(run), "--games", str(tmp_path / "games.json")]) == 2
    assert main(["import", "nitrogen", str(tmp_path / "nowhere.pt"), "--out", str(run)]) == 1
    assert main(["export", "nitrogen", str(tmp_path / "nowhere"), str(back)]) == 1


def test_the_released_shape_has_the_published_counts() -> None:
    config, siglip = sample_config()
    policy = Policy.on_meta(settings_of(config, {}, siglip, "released"), {"slots": list(SLOTS), "siglip_config": siglip})
    parts = ("vision_encoder", "vl_self_attention_model", "model", "action_encoder", "action_decoder", "position_embedding")
    counts, theirs = dict.fromkeys(parts, 0), {name: tensor.numel() for name, tensor in as_theirs(policy.state_dict())}
    for name, count in theirs.items():
        counts[name.partition(".")[0]] += count
    assert list(counts.values()) == [315956224, 50384896, 121992192, 3174400, 1075225, 1048576]
    assert len(theirs) == 595 and sum(theirs.values()) == 493631513
    assert all(weight.is_meta for weight in policy.parameters())


def test_the_recipe_builds_the_released_model() -> None:
    config, siglip = sample_config()
    recipe = load_settings(PolicyRun, Path(__file__).parents[2] / "recipes" / "policy-nitrogen.toml", {}).model.model_dump()
    released = settings_of(config, {}, siglip, "released").model_dump()
    assert {name for name in recipe if recipe[name] != released[name]} == {"shift_px", "light"}


def test_entries_go_both_ways() -> None:
    policy, checkpoint = random_policy(tiny=True), random_checkpoint(tiny=True)
    assert problems_of(policy.state_dict(), checkpoint.weights) == []
    for name in policy.state_dict():
        entry = entry_of(name)
        parts = [checkpoint.weights[their] for their in entry.theirs]
        again = entry.split(entry.join(parts))
        assert all(torch.equal(one, other) for one, other in zip(parts, again, strict=True)), name


PEAK = """
import sys
from ghostpad.policy import from_nitrogen
import transformers.models.siglip.modeling_siglip, ghostpad.policy.nitrogen.checkpoint  # what is imported anyway is not loading

def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

before = peak()
policy = from_nitrogen(sys.argv[1], heads=16)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory that Linux tells")
def test_loading_needs_less_memory_than_the_file(tmp_path: Path) -> None:
    """At 250 MB; the released size was measured by hand (docs/design.md)."""
    config, siglip = sample_config()
    siglip |= {"num_hidden_layers": 1}
    config["model_cfg"]["diffusion_model_cfg"]["num_layers"] = 1
    config["model_cfg"]["vl_self_attention_cfg"]["num_layers"] = 1
    write_checkpoint(tmp_path / "ng.pt", random_checkpoint(shape=(config, siglip)))
    done = subprocess.run([sys.executable, "-c", PEAK, str(tmp_path / "ng.pt")], capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout.split()[-1]) < 1.2 * (tmp_path / "ng.pt").stat().st_size


def test_configurations_that_are_no_json_come_out_as_they_went_in(tmp_path: Path) -> None:
    content: dict[str, Any] = torch.load(FIXTURES / VARIANTS[0] / "ng_tiny.pt", weights_only=True)
    content["ckpt_config"]["model_cfg"]["vision_encoder_name"] = str(FIXTURES / VARIANTS[0] / "tiny-siglip")
    odd = {"betas": (0.9, (1, [2, (3,)])), "ids": {None: 0, 1: "a", "b": {2.5: ()}}, "none": None, "flag": True, "__items__": [1]}
    torch.save(content | {"step": 10**12, "extra": odd}, tmp_path / "ng.pt")
    import_nitrogen(tmp_path / "ng.pt", tmp_path / "run")
    export_nitrogen(tmp_path / "run", tmp_path / "back.pt")
    assert same_bits(tmp_path / "ng.pt", tmp_path / "back.pt")
    torch.save(content | {"extra": [1, {"a": torch.zeros(1)}]}, tmp_path / "tensor.pt")
    ghostpad.policy.from_nitrogen(tmp_path / "tensor.pt")
    with pytest.raises(FormatError, match="extra\\[1\\].a is Tensor"):
        import_nitrogen(tmp_path / "tensor.pt", tmp_path / "other")

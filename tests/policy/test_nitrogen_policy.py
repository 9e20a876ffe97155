"""NitroGen's policy: the reference's numbers out of the reference's file, and every way such a file can be wrong."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ghostpad.policy
from ghostpad.base.errors import FormatError, MissingError, SettingsError
from ghostpad.base.pad import BUTTONS, from_unit
from ghostpad.lab.made_up.nitrogen_policy import random_policy, sample_config
from ghostpad.policy.model import Policy
from ghostpad.policy.nitrogen.config import settings_of

pytest.importorskip("transformers")

FIXTURES = Path(__file__).parents[1] / "fixtures" / "nitrogen_policy"
VARIANTS = ["one_frame_with_games", "two_frames_cfg"]
"""The golden tensors; their README says what is in them."""


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> tuple[Policy, dict[str, Any]]:
    """A policy and its golden tensors."""
    return load(request.param)


def load(name: str) -> tuple[Policy, dict[str, Any]]:
    golden = torch.load(FIXTURES / name / "golden.pt", weights_only=True)
    return ghostpad.policy.from_nitrogen(FIXTURES / name / "ng_tiny.pt", golden["game_mapping"]), golden


def checkpoint(name: str = VARIANTS[0]) -> dict[str, Any]:
    return torch.load(FIXTURES / name / "ng_tiny.pt", weights_only=True)


def difference(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return (found - wanted).abs().max().item()


def test_the_reference_numbers(variant: tuple[Policy, dict[str, Any]]) -> None:
    policy, golden = variant
    told = {"dropped": golden["dropped_frames"], "game": golden["game"]}
    assert difference(policy.encoder.look(golden["pixel_values"]), golden["vision_features"][0]) < 1e-5
    chunk = policy.sample(golden["pixel_values"], noise=golden["noise"][0], **told)
    assert chunk.shape == (16, 25) and difference(chunk, golden["action"][0]) < 1e-5
    loss = policy.flow_loss(
        golden["pixel_values"], golden["train_actions"][0], golden["train_noise"][0], golden["train_time"][0], told["dropped"], told["game"]
    )
    assert loss.shape == () and difference(loss, golden["train_loss"]) < 1e-5
    assert policy.settings.chunk == 16 and not policy.training


def test_the_reference_guidance() -> None:
    policy, golden = load("two_frames_cfg")
    chunk = policy.sample(golden["pixel_values"], golden["dropped_frames"], golden["game"], golden["noise"][0], guidance=2.0)
    assert difference(chunk, golden["action_cfg2"][0]) < 1e-5


def test_the_row_of_tokens_is_the_references(variant: tuple[Policy, dict[str, Any]]) -> None:
    """The golden ids say where padding (0), image (1) and game (6) stand; read off here from where the row is zero or the game's."""
    policy, golden = variant
    images = policy.encoder.look(golden["pixel_values"])[None]
    game = policy._rows_of(golden["game"])
    row, mask = policy.context(images, ~golden["dropped_frames"][None], game)
    ids = [0 if not token.any() else 6 if game is not None and torch.equal(token, policy.context.games(game)[0]) else 1 for token in row[0]]
    assert mask is None and ids == golden["vl_token_ids"][0].tolist()


def test_pads_are_decoded_as_the_reference_does(variant: tuple[Policy, dict[str, Any]]) -> None:
    _, golden = variant
    pads = from_unit(golden["action"][0])
    assert np.array_equal(pads[:, : len(BUTTONS)], golden["buttons"][0].float().numpy())
    sticks = torch.cat([golden["j_left"], golden["j_right"]], -1)[0]
    assert np.allclose(pads[:, len(BUTTONS) :], sticks.numpy(), atol=1e-6)


def test_guidance_is_the_formula_over_both_velocities() -> None:
    """One Euler step: x + v + g (v - v'), v' of the newest frame alone."""
    policy, golden = load("two_frames_cfg")
    frames = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    noise = golden["noise"][0]

    def velocity(dropped: list[bool]) -> torch.Tensor:
        return policy.sample(frames, torch.tensor(dropped), noise=noise, steps=1) - noise

    both, newest = velocity([False, False]), velocity([True, False])
    assert difference(both, newest) > 1e-3
    guided = policy.sample(frames, noise=noise, steps=1, guidance=1.5)
    assert difference(guided, noise + both + 1.5 * (both - newest)) < 1e-5


def test_guidance_compares_with_the_newest_frame_even_where_that_is_dropped() -> None:
    """As the reference's mask does: on the other side all but the newest frame are dropped, whatever is dropped on this one."""
    policy, golden = load("two_frames_cfg")
    frames, noise = 2 * torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) - 1, golden["noise"][0]

    def chunk(dropped: list[bool], guidance: float = 0.0) -> torch.Tensor:
        return policy.sample(frames, torch.tensor(dropped), noise=noise, steps=1, guidance=guidance)

    oldest, newest = chunk([False, True]) - noise, chunk([True, False]) - noise
    assert difference(oldest, newest) > 1e-3
    assert difference(chunk([False, True], 2.0), noise + oldest + 2.0 * (oldest - newest)) < 1e-5


def test_the_game_matters_and_guidance_is_told_it_only_on_demand() -> None:
    policy, golden = load("one_frame_with_games")
    frames, noise = golden["pixel_values"], golden["noise"][0]
    chunks = [policy.sample(frames, game=game, noise=noise) for game in (None, "celeste", "hollow_knight")]
    assert difference(chunks[0], chunks[1]) > 1e-3 and difference(chunks[1], chunks[2]) > 1e-3
    with pytest.raises(SettingsError, match="did you mean 'celeste'"):
        policy.sample(frames, game="celest", noise=noise)
    with pytest.raises(SettingsError, match="guide_game"):
        policy.sample(frames, game="celeste", noise=noise, guidance=1.0)
    policy.settings = policy.settings.model_copy(update={"guide_game": True})
    guided = policy.sample(frames, game="celeste", noise=noise, steps=1, guidance=1.0)
    one = [policy.sample(frames, game=game, noise=noise, steps=1) for game in (None, "celeste")]
    assert difference(guided, one[1] + 1.0 * (one[1] - one[0])) < 1e-5


def test_what_sample_is_given_wrongly_is_refused() -> None:
    policy, golden = load("two_frames_cfg")
    frames = golden["pixel_values"]
    with pytest.raises(SettingsError, match="\\[F, 3, 32, 32\\]"):
        policy.sample(frames[:, :, :16])
    with pytest.raises(SettingsError, match="one truth for each of 2 frames"):
        policy.sample(frames, torch.tensor([True, True]))
    with pytest.raises(SettingsError, match="not conditioned on the game"):
        policy.sample(frames, game="celeste")
    with pytest.raises(SettingsError, match="do not fit a row of 12"):
        policy.sample(frames.repeat(2, 1, 1, 1))
    with pytest.raises(SettingsError, match="steps is 0"):
        policy.sample(frames, torch.tensor([True, False]), steps=0)
    one = torch.tensor([True, False])
    for noise in (torch.zeros(3, 25), torch.zeros(16, 25, dtype=torch.long), torch.zeros(1, 16, 25)):
        with pytest.raises(SettingsError, match="noise has shape.*a chunk of this policy is \\[16, 25\\], of floats"):
            policy.sample(frames, one, noise=noise)
    with pytest.raises(SettingsError, match="one truth for each of 2 frames"):
        policy.sample(frames, torch.tensor([1, 0]))  # ~1 is -2, another frame
    with pytest.raises(SettingsError, match="torch.uint8: give floats"):
        policy.sample((127.5 * (frames + 1)).byte(), one)
    with pytest.raises(SettingsError, match="those of this policy"):
        policy.sample(frames[:0])


def test_what_flow_loss_is_given_wrongly_is_refused() -> None:
    policy, golden = load("two_frames_cfg")
    frames, right = golden["pixel_values"], torch.zeros(16, 25)
    one, time = torch.tensor([True, False]), torch.tensor(0.5)
    with pytest.raises(SettingsError, match="actions has shape \\[1, 25\\]"):
        policy.flow_loss(frames, right[:1], right, time, one)  # would be spread over the rows
    with pytest.raises(SettingsError, match="noise has shape \\[16, 1\\]"):
        policy.flow_loss(frames, right, right[:, :1], time, one)
    with pytest.raises(SettingsError, match="time has shape \\[16\\]"):
        policy.flow_loss(frames, right, right, torch.zeros(16), one)


def test_tensors_of_other_floating_types_give_float32() -> None:
    policy, golden = load("one_frame_with_games")
    frames, noise, actions = golden["pixel_values"], golden["noise"][0], golden["train_actions"][0]
    chunk = policy.sample(frames.double(), noise=noise.double())
    assert chunk.dtype == torch.float32 and torch.equal(chunk, policy.sample(frames, noise=noise))
    loss = policy.flow_loss(frames.double(), actions.double(), noise.double(), torch.tensor(0.25, dtype=torch.float64))
    assert loss.item() == policy.flow_loss(frames, actions, noise, torch.tensor(0.25)).item()
    drawn = [torch.manual_seed(seed) and policy.sample(frames, steps=1) for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_the_released_configuration_holds_one_frame() -> None:
    """A row of one frame's tokens: a second frame or a game has no place, as in the reference, unless it is dropped."""
    policy = random_policy(tiny=True)
    s = policy.settings
    assert (s.chunk, s.context_tokens, s.action_shift, s.sampling_steps, s.guidance, s.game_rows) == (18, 4, 2, 16, 0.0, 0)
    assert (s.positions, s.mixer_positions, s.learned_positions, s.frame_offsets) == (0, 0, 32, (0,))
    frames, noise = 2 * torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) - 1, torch.zeros(18, 25)
    with pytest.raises(SettingsError, match="8 tokens of frames and game do not fit a row of 4"):
        policy.sample(frames, noise=noise)
    alone = policy.sample(frames[1:], noise=noise)
    assert difference(policy.sample(frames, torch.tensor([True, False]), noise=noise), alone) < 1e-6
    assert difference(policy.sample(frames[1:], noise=noise, guidance=3.0), alone) < 1e-5, "nothing to compare with but itself"


def test_what_a_configuration_leaves_out_is_the_references_default() -> None:
    config, siglip = sample_config(tiny=True)
    for part, names in (
        (
            "model_cfg",
            ("add_pos_embed", "noise_beta_alpha", "noise_beta_beta", "noise_s", "num_timestep_buckets"),
        ),
        ("tokenizer_cfg", ("max_sequence_length",)),
        ("modality_cfg", ("action_per_chunk", "frame_spacing", "action_shift")),
    ):
        for name in names:
            del config[part][name]
    config["modality_cfg"]["frame_per_sample"] = 3
    for name in ("interleave_self_attention", "dropout", "final_dropout", "positional_embeddings"):
        del config["model_cfg"]["diffusion_model_cfg"][name]
    s = settings_of(config, {}, siglip, "a sample")
    assert s.frame_offsets == (-16, -8, 0) and s.action_shift == 0 and s.learned_positions == 0 and s.context_tokens == 300
    assert (s.time_alpha, s.time_beta, s.latest_time, s.time_buckets, s.sampling_steps) == (1.5, 1.0, 0.999, 1000, 16)
    assert (s.interleave, s.dropout, s.final_dropout, s.positions > 0) == (False, 0.1, True, True)
    config["model_cfg"] |= {"noise_beta_alpha": 1.6, "noise_beta_beta": 0.8}
    s = settings_of(config, {}, siglip, "a sample")
    assert (s.time_alpha, s.time_beta) == (1.6, 0.8)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="nowhere.pt does not exist"):
        ghostpad.policy.from_nitrogen(tmp_path / "nowhere.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(FormatError, match="cannot be read safely"):
        ghostpad.policy.from_nitrogen(tmp_path / "text.pt")
    torch.save({"model": 1}, tmp_path / "other.pt")
    with pytest.raises(FormatError, match="no 'model' and 'ckpt_config'"):
        ghostpad.policy.from_nitrogen(tmp_path / "other.pt")
    torch.save(checkpoint() | {"code": Path("/")}, tmp_path / "code.pt")
    with pytest.raises(FormatError, match="cannot be read safely"):
        ghostpad.policy.from_nitrogen(tmp_path / "code.pt")
    whole = (FIXTURES / VARIANTS[0] / "ng_tiny.pt").read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match="cannot be read safely"):
        ghostpad.policy.from_nitrogen(tmp_path / "half.pt")


def test_every_tensor_that_does_not_fit_is_listed(tmp_path: Path) -> None:
    content = checkpoint()
    del content["model"]["model.proj_out_2.bias"], content["model"]["model.transformer_blocks.1.attn1.to_k.weight"]
    content["model"]["mm_projector.weight"] = torch.zeros(2, 2)
    content["model"]["action_decoder.layer2.W"] = torch.zeros(1, 32, 24)
    content["ckpt_config"]["model_cfg"]["vision_encoder_name"] = str(FIXTURES / VARIANTS[0] / "tiny-siglip")
    torch.save(content, tmp_path / "ng.pt")
    with pytest.raises(FormatError) as caught:
        ghostpad.policy.from_nitrogen(tmp_path / "ng.pt")
    for sentence in (
        "model.proj_out_2.bias is missing",
        "model.transformer_blocks.1.attn1.to_k.weight is missing",
        "mm_projector.weight is unknown",
        "action_decoder.layer2.W has shape [1, 32, 24], not [1, 32, 25]",
    ):
        assert sentence in str(caught.value)


def test_a_configuration_that_means_something_else_is_refused(tmp_path: Path) -> None:
    content = checkpoint()
    content["ckpt_config"]["model_cfg"]["diffusion_model_cfg"]["norm_type"] = "layer_norm"
    content["ckpt_config"]["tokenizer_cfg"]["old_layout"] = True
    del content["ckpt_config"]["model_cfg"]["action_horizon"]
    content["ckpt_config"]["model_cfg"]["vision_encoder_name"] = str(FIXTURES / VARIANTS[0] / "tiny-siglip")
    torch.save(content, tmp_path / "ng.pt")
    with pytest.raises(FormatError, match="norm_type = 'layer_norm'.*old_layout = True.*model has no action_horizon"):
        ghostpad.policy.from_nitrogen(tmp_path / "ng.pt")


def test_the_towers_shape_is_found_without_its_configuration(tmp_path: Path) -> None:
    content, golden = checkpoint(), load(VARIANTS[0])[1]
    content["ckpt_config"]["model_cfg"]["vision_encoder_name"] = "nobody/has-this"
    torch.save(content, tmp_path / "ng.pt")
    with pytest.raises(SettingsError, match="no published SigLIP 2 is 48 wide"):
        ghostpad.policy.from_nitrogen(tmp_path / "ng.pt")
    policy = ghostpad.policy.from_nitrogen(tmp_path / "ng.pt", golden["game_mapping"], heads=4)
    chunk = policy.sample(golden["pixel_values"], golden["dropped_frames"], golden["game"], golden["noise"][0])
    assert difference(chunk, golden["action"][0]) < 1e-5


def test_without_transformers_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingError, match="needs transformers: pip install"):
        load(VARIANTS[0])


@pytest.mark.parametrize(
    ("config", "words"), [("{", "no configuration"), ('{"model_type": "bert"}', "'bert' model"), ("{}", "no configuration")]
)
def test_a_tower_that_is_none_is_refused(config: str, words: str, tmp_path: Path) -> None:
    torch.save(checkpoint(), tmp_path / "ng.pt")
    (tmp_path / "tiny-siglip").mkdir()
    (tmp_path / "tiny-siglip" / "config.json").write_text(config)
    with pytest.raises(FormatError, match=words):
        ghostpad.policy.from_nitrogen(tmp_path / "ng.pt")


def test_games_must_have_a_row(tmp_path: Path) -> None:
    for name, games, words in (
        (VARIANTS[0], {"celeste": 3}, "do not lie in 1...2"),
        (VARIANTS[1], {"celeste": 1}, "not trained with games"),
    ):
        with pytest.raises(SettingsError, match=words):
            ghostpad.policy.from_nitrogen(FIXTURES / name / "ng_tiny.pt", games)

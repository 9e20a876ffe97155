"""The reference-shaped policy in training and play: what its loss may depend on, dropped games and frames, its named corrections."""

from dataclasses import replace

import pytest
import torch

from ghostpad.base.errors import SettingsError
from ghostpad.base.pad import BUTTONS, SLOTS, slot
from ghostpad.base.settings import build_settings
from ghostpad.feed.batch import Batch, WindowRef
from ghostpad.policy.model import Policy
from ghostpad.policy.settings import PolicySettings

transformers = pytest.importorskip("transformers")

SIGLIP = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 16}
REFERENCE = {
    "encoder": "siglip", "frame_marks": False, "width_px": 32, "height_px": 32, "gray": False, "shift_px": 0, "light": 0.0,
    "frame_offsets": [-4, 0], "chunk": 4, "execute": 4, "token_rows": 1, "action_tokens": "timed", "action_space": "unit",
    "learned_positions": 8, "dim": 16, "heads": 2, "mixer_depth": 1, "depth": 2, "last_eps": 1e-6, "context_tokens": 12,
    "game_rows": 3, "draws": 2, "time_buckets": 1000,
}  # fmt: skip
"""A tiny policy that does what the reference does: two frames of 4 tokens, a game, three places of padding."""


def tiny(slots: list[str] | None = None, **changes: object) -> Policy:
    torch.manual_seed(0)
    facts = {"slots": slots or list(SLOTS), "games": ["racing", "doom"], "siglip_config": SIGLIP}
    policy = Policy(build_settings(PolicySettings, REFERENCE | changes, "a test"), facts)
    for weight in policy.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return policy


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(size: int = 6, game: str = "doom") -> Batch:
    generator = seeded(5)
    frames = torch.randint(0, 256, (size, 2, 32, 32, 3), dtype=torch.uint8, generator=generator)
    pads = 2 * torch.rand(size, 4, 25, generator=generator) - 1
    pads[..., : len(BUTTONS)] = (pads[..., : len(BUTTONS)] > 0).float()
    return Batch(frames, pads, torch.ones(size, 4, 25), tuple(WindowRef("a", row, game) for row in range(size)))


def loss(policy: Policy, given: Batch, seed: int = 0) -> float:
    return policy.loss(given, seeded(seed))[0].item()


def test_unknown_slots_carry_no_loss_and_are_not_seen() -> None:
    policy, given = tiny().eval(), batch()
    unknown = torch.ones_like(given.weight)
    unknown[..., [slot(name) for name in ("right_bottom", "right_left", "right_right", "right_up")]] = 0
    known = replace(given, weight=unknown)
    assert loss(policy, known) == loss(policy, replace(known, pads=torch.where(unknown > 0, given.pads, 77.0)))
    assert loss(policy, known) != loss(policy, given)


def test_the_loss_is_flow_loss_of_its_own_draws() -> None:
    """`Policy.loss` on one sample equals `flow_loss` with the noise and time that it drew."""
    policy, given = tiny(draws=1).eval(), batch(1)
    found, generator = loss(policy, given, 3), seeded(3)
    noise = torch.randn(1, 1, 4, 25, generator=generator)
    time = (1 - torch.rand(1, 1, generator=generator) ** (1 / 1.5)) * 0.999
    frames = given.frames[0].permute(0, 3, 1, 2) / 127.5 - 1
    wanted = policy.flow_loss(frames, policy.space.to_flow(given.pads[0]), noise[0, 0], time[0, 0], game="doom")
    assert found == pytest.approx(wanted.item(), rel=1e-5)


def test_sticks_and_buttons_in_the_networks_space() -> None:
    policy, pads = tiny(["south", "left_x"]), torch.tensor([[1.0, -1.0], [0.0, 0.0], [0.5, 1.0]])
    assert policy.space.to_flow(pads).tolist() == [[1.0, 0.0], [0.0, 0.5], [0.5, 1.0]]
    assert policy.space.to_pads(torch.tensor([[1.5, -0.2], [0.25, 0.75]])).tolist() == [[1.0, -1.0], [0.25, 0.5]]


def test_games_are_told_by_name_and_unknown_ones_are_none() -> None:
    policy = tiny().eval()
    assert policy.games == {"doom": 1, "racing": 2} == policy.facts["game_ids"]
    losses = {game: loss(policy, batch(game=game)) for game in ("doom", "racing", "chess", "")}
    assert len(set(losses.values())) == 3 and losses["chess"] == losses[""]
    assert loss(tiny(drop_game=1.0), batch()) == losses[""]
    dropped = tiny(drop_game=0.5)
    assert loss(dropped, batch(40)) not in (loss(policy, batch(40)), loss(policy, batch(40, "")))
    assert loss(dropped.eval(), batch(40)) == loss(policy, batch(40)), "in evaluation mode no game is dropped"
    frames, noise = batch(2).frames, policy.draw_noise(2, seeded())
    assert not torch.equal(policy.act_from(frames, noise, "doom"), policy.act_from(frames, noise, "racing"))
    with pytest.raises(SettingsError, match="game_rows"):
        tiny(game_rows=2)


def test_dropped_frames_are_as_if_they_were_not_there() -> None:
    policy, given = tiny(drop_frames=1.0), batch()
    other = given.frames.clone()
    other[:, 0] = 255 - other[:, 0]
    assert loss(policy, given) == loss(policy, replace(given, frames=other))
    assert loss(policy.eval(), given) != loss(policy, replace(given, frames=other)), "in evaluation mode all frames are seen"
    whole = tiny().eval()
    assert loss(whole, given) != loss(whole, replace(given, frames=other))
    frames = given.frames[0].permute(0, 3, 1, 2) / 127.5 - 1
    noise = policy.draw_noise(1, seeded())[0]
    one = whole.sample(frames, torch.tensor([True, False]), noise=noise)
    assert torch.allclose(one, whole.sample(frames[1:], noise=noise), atol=1e-6)


def test_a_policy_without_a_padded_row_learns_from_dropped_frames_what_it_is_guided_by() -> None:
    """Frames dropped in a batch leave nothing behind: the loss is that of the newest frame alone, which guidance compares with."""
    policy, given = tiny(context_tokens=0, drop_frames=1.0, draws=1, game_rows=0), batch(1)
    found, generator = loss(policy, given, 3), seeded(3)
    noise = torch.randn(1, 1, 4, 25, generator=generator)
    time = (1 - torch.rand(1, 1, generator=generator) ** (1 / 1.5)) * 0.999
    newest = given.frames[0, 1:].permute(0, 3, 1, 2) / 127.5 - 1
    assert found == pytest.approx(policy.flow_loss(newest, policy.space.to_flow(given.pads[0]), noise[0, 0], time[0, 0]).item(), rel=1e-5)


def test_a_guided_policy_is_told_its_game_only_if_guidance_may_be() -> None:
    assert [tiny().conditioning(game) for game in ("doom", "chess", None)] == ["doom", None, None]
    assert tiny(guidance=1.0).conditioning("doom") is None and tiny(guidance=1.0, guide_game=True).conditioning("doom") == "doom"


def test_several_draws_on_one_look_are_those_of_one_draw_each() -> None:
    policy, frames = tiny(guidance=1.0).eval(), batch(3).frames
    noise = torch.stack([policy.draw_noise(3, seeded(seed)) for seed in range(4)], 1)
    together = policy.act_draws(frames, noise)
    assert together.shape == (3, 4, 4, 25)
    for draw in range(4):
        assert torch.allclose(together[:, draw], policy.act_from(frames, noise[:, draw]), atol=1e-5)


def test_padding_takes_part_unless_it_is_masked() -> None:
    frames, noise = 2 * torch.rand(1, 3, 32, 32, generator=seeded(1)) - 1, torch.randn(4, 25, generator=seeded(2))

    def chunk(**changes: object) -> torch.Tensor:
        policy = tiny(**changes).eval()
        policy.sample(frames, noise=noise)
        return policy.sample(frames, noise=noise)

    bare = chunk(context_tokens=0)
    assert torch.allclose(chunk(mask_padding=True), bare, atol=1e-5)
    assert (chunk() - bare).abs().max() > 1e-4


def test_a_masked_batch_with_dropped_frames_equals_its_samples_alone() -> None:
    policy = tiny(mask_padding=True, context_tokens=0).eval()
    images = torch.randn(2, 2, 4, 16, generator=seeded(1))
    kept, games = torch.tensor([[True, True], [False, True]]), torch.tensor([1, 2])
    noise, time = torch.randn(2, 1, 4, 25, generator=seeded(2)), torch.tensor(0.3)
    together = policy.velocity(noise, time, policy.read(images, kept, games))
    for row, seen in enumerate((images[:1], images[1:, 1:])):
        alone = policy.velocity(noise[row : row + 1], time, policy.read(seen, None, games[row : row + 1]))
        assert torch.allclose(together[row], alone[0], atol=1e-5)


def test_time_is_told_in_buckets() -> None:
    policy = tiny().eval()
    reading = policy.read(torch.randn(1, 2, 4, 16, generator=seeded(1)))
    noise = torch.randn(1, 1, 4, 25, generator=seeded(2))
    at = [policy.velocity(noise, torch.tensor(time), reading) for time in (0.5001, 0.5009, 0.5011)]
    assert torch.equal(at[0], at[1]) and not torch.equal(at[1], at[2])


def test_dropout_acts_in_training_only_and_every_weight_learns() -> None:
    policy, given = tiny(dropout=0.5, mixer_dropout=0.5, final_dropout=True, mixer_final_dropout=True), batch()
    policy.eval()
    assert loss(policy, given) == loss(policy, given)
    policy.train()
    assert loss(policy, given) != loss(policy, given)
    both = replace(given, refs=tuple(WindowRef("a", row, ("doom", "racing")[row % 2]) for row in range(6)))
    policy.eval()
    policy.loss(both, seeded())[0].backward()
    idle = [name for name, weight in policy.named_parameters() if weight.requires_grad and (weight.grad is None or not weight.grad.any())]
    assert idle == []


def test_rows_are_learned_and_played_action_shift_rows_later() -> None:
    assert tiny(action_shift=2).window.row_offsets == (2, 3, 4, 5) and tiny().window.row_offsets == (0, 1, 2, 3)


def test_a_conv_policy_has_no_normalised_frames() -> None:
    policy = Policy(PolicySettings(), {"slots": ["south"]})
    with pytest.raises(SettingsError, match="conv encoder"):
        policy.sample(torch.zeros(1, 3, 32, 32))


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(SettingsError, match="3 attention heads do not divide a width of 16"):
        tiny(mixer_heads=3)
    for values, name in (
        ({"learned_positions": 2}, "learned_positions"),
        ({"game_rows": 1}, "game_rows"),
        ({"action_space": "log"}, "action_space"),
    ):
        with pytest.raises(SettingsError, match=name):
            build_settings(PolicySettings, REFERENCE | values, "a test")

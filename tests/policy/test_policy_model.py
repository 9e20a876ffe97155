"""The policy: what its loss may depend on, ranges and shapes of what it plays, and that it learns what frames say."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostpad.base.errors import SettingsError
from ghostpad.base.pad import BUTTONS, slot
from ghostpad.base.settings import build_settings
from ghostpad.feed.batch import Batch
from ghostpad.policy.model import Policy
from ghostpad.policy.settings import PolicySettings

TINY = {"width_px": 32, "height_px": 16, "dim": 16, "heads": 2, "depth": 2, "conv_width": 4, "chunk": 4, "execute": 2, "token_rows": 2}
SLOTS = ["south", "right_trigger", "left_y", "right_x"]


def tiny(seed: int = 0, **changes: object) -> Policy:
    """A small policy whose last layer, too, is random (it starts at zero)."""
    torch.manual_seed(seed)
    policy = Policy(PolicySettings(**(TINY | changes)), {"slots": SLOTS})
    torch.nn.init.normal_(policy.to_velocity.weight, std=0.5)
    return policy


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_batch(size: int = 6, rows: int = 4, channels: int = 1) -> Batch:
    generator = seeded(5)
    frames = torch.randint(0, 256, (size, 2, 16, 32, channels), dtype=torch.uint8, generator=generator)
    pads = 2 * torch.rand(size, rows, 25, generator=generator) - 1
    pads[..., : len(BUTTONS)] = (pads[..., : len(BUTTONS)] > 0).float()
    return Batch(frames, pads, torch.ones(size, rows, 25), ())


def test_the_window_is_frames_up_to_now_and_rows_from_now() -> None:
    window = tiny(frame_offsets=(-3, 0)).window
    assert window.frame_offsets == (-3, 0) and window.row_offsets == (0, 1, 2, 3)
    assert (window.width_px, window.height_px, window.gray, window.rate_hz) == (32, 16, True, None)


def test_a_number_of_weight_zero_changes_nothing() -> None:
    policy, batch = tiny(), random_batch()
    weight = (torch.rand(batch.weight.shape, generator=seeded(1)) < 0.5).float()
    known = replace(batch, weight=weight)
    lies = replace(known, pads=torch.where(weight > 0, batch.pads, 77.0))
    assert policy.loss(known, seeded())[0] == policy.loss(lies, seeded())[0]
    nothing, _ = policy.loss(replace(batch, weight=torch.zeros_like(weight)), seeded())
    nothing.backward()
    assert nothing == 0 and all(not weight.grad.any() for weight in policy.parameters() if weight.grad is not None)


def test_slots_that_the_game_does_not_read_change_nothing() -> None:
    policy, batch = tiny(), random_batch()
    pads = batch.pads.clone()
    pads[..., [slot("north"), slot("left_x")]] = 1.0
    assert policy.loss(batch, seeded())[0] == policy.loss(replace(batch, pads=pads), seeded())[0]


def test_only_the_ratio_of_weights_counts_and_a_heavier_number_counts_more() -> None:
    policy, batch = tiny(), random_batch()
    loss = policy.loss(batch, seeded())[0].item()
    assert policy.loss(replace(batch, weight=0.3 * batch.weight), seeded())[0].item() == pytest.approx(loss, rel=1e-5)
    halves = []
    for kept in (0, 1):
        weight = batch.weight.clone()
        weight[1 - kept :: 2] = 0
        halves.append(policy.loss(replace(batch, weight=weight), seeded())[0].item())
    weight = batch.weight.clone()
    weight[1::2] = 0.25
    mixed = policy.loss(replace(batch, weight=weight), seeded())[0].item()
    assert mixed == pytest.approx((halves[0] + 0.25 * halves[1]) / 1.25, rel=1e-4)


def test_chance_comes_from_the_generator_alone() -> None:
    policy, batch = tiny(), random_batch()
    first = policy.loss(batch, seeded())[0]
    torch.manual_seed(123)
    assert policy.loss(batch, seeded())[0] == first != policy.loss(batch, seeded(1))[0]
    assert torch.equal(policy.act(batch.frames, seeded()), policy.act(batch.frames, seeded()))


@settings(deadline=None, max_examples=15)
@given(
    count=st.integers(1, 5),
    slots=st.lists(st.sampled_from(["south", "left_trigger", "dpad_up", "left_x", "right_y"]), min_size=1, unique=True),
    token_rows=st.sampled_from([1, 2, 4]),
    gray=st.booleans(),
)
def test_pads_keep_their_ranges_and_unplayed_slots_stay_zero(count: int, slots: list[str], token_rows: int, gray: bool) -> None:
    policy = Policy(PolicySettings(**(TINY | {"token_rows": token_rows, "gray": gray})), {"slots": slots})
    torch.nn.init.normal_(policy.to_velocity.weight, std=3.0)
    frames = torch.randint(0, 256, (count, 2, 16, 32, 1 if gray else 3), dtype=torch.uint8)
    pads = policy.act(frames, seeded())
    assert pads.shape == (count, 4, 25) and pads.dtype == torch.float32
    played = [slot(name) for name in slots]
    assert not pads[..., [index for index in range(25) if index not in played]].any()
    assert pads[..., : len(BUTTONS)].min() >= 0 and pads.abs().max() <= 1


def test_a_sample_does_not_depend_on_the_others() -> None:
    policy, frames = tiny(), random_batch().frames
    noise = policy.draw_noise(6, seeded())
    together = policy.act_from(frames, noise)
    for index in range(6):
        assert torch.allclose(together[index], policy.act_from(frames[index : index + 1], noise[index : index + 1])[0], atol=1e-5)


def test_it_plays_the_same_from_a_copy_of_its_weights() -> None:
    policy, frames = tiny(), random_batch().frames
    copy = Policy(build_settings(PolicySettings, policy.settings.model_dump(mode="json"), "a run"), policy.facts)
    copy.load_state_dict(policy.state_dict())
    assert torch.equal(policy.act(frames, seeded()), copy.act(frames, seeded()))


def test_every_weight_learns() -> None:
    policy = tiny(mixer_depth=1)
    for norm in (policy.denoiser.norm, *(block.norm for block in policy.denoiser.blocks)):
        torch.nn.init.normal_(norm.modulation.weight)
    policy.loss(random_batch(), seeded())[0].backward()
    assert [name for name, weight in policy.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_it_finds_what_the_brightness_says() -> None:
    """The stick is the brightness of the frame, the trigger whether it is bright; the forward stick is a coin toss, -1 or 1."""
    torch.manual_seed(0)
    policy = Policy(PolicySettings(**(TINY | {"light": 0.0, "dim": 32, "conv_width": 8, "token_rows": 1})), {"slots": SLOTS})
    generator = seeded()
    optimizer = torch.optim.AdamW(policy.parameters(), 5e-3)

    def lesson(size: int) -> Batch:
        value = 2 * torch.rand(size, generator=generator) - 1
        pads = torch.zeros(size, 4, 25)
        pads[..., slot("right_x")] = value[:, None]
        pads[..., slot("right_trigger")] = (value > 0).float()[:, None]
        pads[..., slot("left_y")] = (2.0 * torch.randint(0, 2, (size, 1), generator=generator) - 1).expand(size, 4)
        frames = (127.5 * (value + 1)).round().to(torch.uint8)[:, None, None, None, None].expand(size, 2, 16, 32, 1)
        return Batch(frames, pads, torch.ones(size, 4, 25), ())

    for step in range(150):
        for group in optimizer.param_groups:
            group["lr"] = 5e-3 * (1 - step / 150)
        optimizer.zero_grad()
        policy.loss(lesson(48), generator)[0].backward()
        optimizer.step()
    test = lesson(200)
    pads = policy.act(test.frames, generator)
    error = (pads - test.pads).abs().mean((0, 1))
    assert error[slot("right_x")] < 0.12 and error[slot("right_trigger")] < 0.1
    forward = pads[:, 0, slot("left_y")]
    assert (forward.abs() > 0.6).float().mean() > 0.7, "a coin toss must come out as one side or the other, not as the mean"
    assert 0.25 < (forward > 0).float().mean() < 0.75


def test_siglip_policy_is_rebuilt_without_its_source(tmp_path_factory: pytest.TempPathFactory) -> None:
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("siglip")
    config = transformers.SiglipVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=16
    )
    transformers.SiglipVisionModel(config).save_pretrained(folder)
    choice = TINY | {"encoder": "siglip", "siglip": str(folder), "gray": False, "mixer_depth": 1, "freeze_encoder": True}
    policy, batch = Policy(PolicySettings(**choice), {"slots": SLOTS}), random_batch(channels=3)
    loss, logs = policy.loss(batch, seeded())
    assert torch.isfinite(loss) and set(logs) == {"velocity_error"}
    moved = policy.settings.model_copy(update={"siglip": "nowhere"})
    copy = Policy(moved, policy.facts)
    copy.load_state_dict(policy.state_dict())
    assert torch.equal(policy.act(batch.frames, seeded()), copy.act(batch.frames, seeded()))


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(SettingsError, match="facts\\['slots'\\]"):
        Policy(PolicySettings(), {})
    with pytest.raises(SettingsError, match="did you mean 'south'"):
        Policy(PolicySettings(), {"slots": ["sout"]})
    bad = [
        ({"execute": 9}, "execute"),
        ({"token_rows": 3}, "token_rows"),
        ({"heads": 5}, "heads"),
        ({"frame_offsets": [1]}, "frame_offsets"),
    ]
    for values, name in bad:
        with pytest.raises(SettingsError, match=name):
            build_settings(PolicySettings, values, "a test")

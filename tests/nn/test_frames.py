"""Frame encoders: shapes, scaling, what SigLIP must be given, and the random shake of training frames."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostpad.base.errors import MissingError, SettingsError
from ghostpad.nn.frames import ConvEncoder, SiglipEncoder, _cut, _gather, shake


def random_frames(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=15)
@given(frames=st.integers(1, 3), channels=st.sampled_from([1, 3]), width=st.integers(16, 70), height=st.integers(16, 70))
def test_conv_tokens_for_any_size(frames: int, channels: int, width: int, height: int) -> None:
    encoder = ConvEncoder(frames * channels, width, height, 12, 8)
    tokens = encoder(random_frames(2, frames, height, width, channels))
    assert tokens.shape == (2, len(encoder.position), 12) and encoder.dim == 12
    assert abs(len(encoder.position) - height * width / 256) <= (height + width) / 16 + 1


def test_conv_takes_bytes_and_floats_of_the_same_range() -> None:
    encoder, frames = ConvEncoder(2, 32, 32, 8), random_frames(2, 2, 32, 32, 1)
    assert torch.allclose(encoder(frames), encoder(frames.float()))


def test_siglip_gives_the_towers_own_tokens_frame_after_frame(siglip_folder: Path) -> None:
    import transformers

    encoder, frames = SiglipEncoder(2, str(siglip_folder)).eval(), random_frames(3, 2, 32, 32, 3)
    tokens = encoder(frames)
    assert tokens.shape == (3, 2 * 4, 16) and encoder.dim == 16
    tower = transformers.SiglipVisionModel.from_pretrained(siglip_folder).eval()
    pixels = (frames[1, 1].permute(2, 0, 1)[None].float() / 255 - 0.5) / 0.5
    assert torch.allclose(tokens[1, 4:], tower(pixel_values=pixels).last_hidden_state[0], atol=1e-5)


def test_siglip_takes_gray_frames_of_any_size(siglip_folder: Path) -> None:
    encoder = SiglipEncoder(1, str(siglip_folder))
    gray = random_frames(2, 1, 72, 96, 1)
    assert torch.allclose(encoder(gray), encoder(gray.expand(-1, -1, -1, -1, 3)), atol=1e-6)
    flat = torch.full((1, 1, 72, 96, 1), 200, dtype=torch.uint8)
    assert torch.allclose(encoder(flat), encoder(torch.full((1, 1, 32, 32, 1), 200, dtype=torch.uint8)), atol=1e-5)


def test_siglip_is_rebuilt_from_its_config_without_the_weights(siglip_folder: Path) -> None:
    encoder = SiglipEncoder(1, str(siglip_folder))
    copy = SiglipEncoder(1, "nowhere", encoder.config)
    copy.load_state_dict(encoder.state_dict())
    frames = random_frames(1, 1, 32, 32, 3)
    assert torch.equal(copy(frames), encoder(frames))


def test_a_frozen_tower_does_not_learn_and_a_free_one_does_whole(siglip_folder: Path) -> None:
    frames = random_frames(1, 1, 32, 32, 3)
    free = SiglipEncoder(1, str(siglip_folder))
    free(frames).square().sum().backward()
    assert all(weight.grad is not None for weight in free.parameters())
    frozen = SiglipEncoder(1, str(siglip_folder), frozen=True)
    frozen(frames).square().sum().backward()
    assert [name for name, weight in frozen.named_parameters() if weight.grad is not None] == ["frame_mark"]


def test_wrong_weights_are_refused(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    with pytest.raises(MissingError, match="no SigLIP weights at"):
        SiglipEncoder(1, str(tmp_path / "nowhere"))
    transformers.BertConfig().save_pretrained(tmp_path)
    with pytest.raises(SettingsError, match="is a 'bert' model"):
        SiglipEncoder(1, str(tmp_path))


def test_shake_moves_and_lights_a_samples_frames_alike() -> None:
    frames = random_frames(64, 1, 20, 30, 1).expand(-1, 2, -1, -1, -1)
    shaken = shake(frames, 2, 0.2, torch.Generator().manual_seed(0))
    assert shaken.shape == frames.shape and shaken.dtype == torch.float32
    assert shaken.min() >= 0 and shaken.max() <= 255
    assert torch.equal(shaken[:, 0], shaken[:, 1])
    assert torch.equal(shaken, shake(frames, 2, 0.2, torch.Generator().manual_seed(0)))
    assert not torch.equal(shaken, shake(frames, 2, 0.2, torch.Generator().manual_seed(1)))


def test_shake_shifts_by_whole_pixels_up_to_the_limit_and_repeats_edges() -> None:
    frames = random_frames(200, 1, 16, 24, 1)
    shaken = shake(frames, 2, 0.0, torch.Generator().manual_seed(3))[:, 0, :, :, 0]
    padded = torch.nn.functional.pad(frames[:, 0, :, :, 0].float(), (2, 2, 2, 2), mode="replicate")
    found = set()
    for sample in range(200):
        places = [(y, x) for y in range(5) for x in range(5) if torch.equal(padded[sample, y : y + 16, x : x + 24], shaken[sample])]
        assert places, "no shift of at most 2 pixels explains this sample"
        found.add(places[0])
    assert len(found) == 25


def test_no_shake_changes_nothing() -> None:
    frames = random_frames(3, 2, 16, 16, 1)
    assert torch.equal(shake(frames, 0, 0.0, torch.Generator()), frames.float())


def test_siglip_without_marks_takes_any_number_of_frames_and_keeps_an_unread_head(siglip_folder: Path) -> None:
    config = SiglipEncoder(1, str(siglip_folder)).config | {"vision_use_head": True}
    encoder = SiglipEncoder(1, "nowhere", config, marks=False)
    assert encoder(random_frames(2, 3, 32, 32, 3)).shape == (2, 3 * 4, 16)
    head = {name for name, _ in encoder.named_parameters() if ".head." in name}
    assert head and {name for name, weight in encoder.named_parameters() if not weight.requires_grad} == head
    assert not any("mark" in name for name in encoder.state_dict())


def test_a_towers_shape_equals_its_copy_on_disk(siglip_folder: Path) -> None:
    config = SiglipEncoder(1, str(siglip_folder)).config
    assert json.loads(json.dumps(config)) == config == SiglipEncoder(1, "nowhere", config).config


@given(shift=st.integers(1, 5), channels=st.sampled_from([1, 3]), seed=st.integers(0, 100))
def test_a_gpu_s_way_to_shift_frames_gives_the_cpu_s(shift: int, channels: int, seed: int) -> None:
    frames = random_frames(4, 2, 9, 7, channels, seed=seed)
    down, right = torch.randint(0, 2 * shift + 1, (2, 4), generator=torch.Generator().manual_seed(seed))
    assert torch.equal(_gather(frames, down, right, shift), _cut(frames, down, right, shift))

"""The small policy stays what it was when the demo's figures were measured: same weights from a seed, same loss, same chunk."""

import pytest
import torch

from ghostpad.base.pad import BUTTONS
from ghostpad.feed.batch import Batch
from ghostpad.policy.model import Policy
from ghostpad.policy.settings import PolicySettings

NAMES = (
    ["position", "encoder.position"]
    + [f"encoder.layers.{layer}.{kind}" for layer in (0, 2, 4) for kind in ("weight", "bias")]
    + ["encoder.norm.weight", "encoder.norm.bias"]
    + [f"mixer.0.{norm}.{kind}" for norm in ("norm_attention", "norm_feed") for kind in ("weight", "bias")]
    + [f"mixer.0.attention.{part}.{kind}" for part in ("to_q", "to_kv", "out") for kind in ("weight", "bias")]
    + [f"mixer.0.feed.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")]
    + ["embed.weight", "embed.bias"]
    + [f"denoiser.time.mlp.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")]
    + [
        f"denoiser.blocks.{block}.{part}.{kind}"
        for block in (0, 1)
        for part in ("norm.modulation", "attention.to_q", "attention.to_kv", "attention.out", "feed.0", "feed.2")
        for kind in ("weight", "bias")
    ]
    + ["denoiser.norm.modulation.weight", "denoiser.norm.modulation.bias", "to_velocity.weight", "to_velocity.bias"]
)
"""Every weight of the small policy with one mixer block, by name (a finished run holds them by these)."""

TINY = {"width_px": 32, "height_px": 16, "dim": 16, "heads": 2, "depth": 2, "conv_width": 4, "chunk": 4, "execute": 2, "token_rows": 2}


@pytest.mark.parametrize(
    ("settings", "slots", "weights", "loss", "chunk"),
    [
        ({}, ["south", "right_trigger", "left_x", "left_y"], 22172.68304170399, 2.128819704055786, 21.235809326171875),
        (TINY | {"gray": False, "mixer_depth": 1}, ["south", "left_y"], 1388.9181867702146, 1.6706204414367676, 10.838289260864258),
    ],
)
def test_weights_loss_and_chunk_of_a_seed(settings: dict[str, object], slots: list[str], weights: float, loss: float, chunk: float) -> None:
    torch.manual_seed(3)
    policy = Policy(PolicySettings(**settings), {"slots": slots})
    assert sum(weight.abs().double().sum().item() for weight in policy.parameters()) == pytest.approx(weights, rel=1e-6)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    s = policy.settings
    frames = torch.randint(0, 256, (5, 2, s.height_px, s.width_px, 1 if s.gray else 3), dtype=torch.uint8, generator=generator)
    pads = 2 * torch.rand(5, s.chunk, 25, generator=generator) - 1
    pads[..., : len(BUTTONS)] = (pads[..., : len(BUTTONS)] > 0).float()
    known = (torch.rand(5, s.chunk, 25, generator=generator) < 0.7).float()
    found, _ = policy.loss(Batch(frames, pads, known, ()), torch.Generator().manual_seed(9))
    assert found.item() == pytest.approx(loss, rel=1e-5)
    assert policy.act(frames, torch.Generator().manual_seed(4)).sum().item() == pytest.approx(chunk, rel=1e-4)


def test_names_of_the_weights() -> None:
    policy = Policy(PolicySettings(**(TINY | {"mixer_depth": 1})), {"slots": ["south"]})
    assert sorted(policy.state_dict()) == sorted(NAMES)

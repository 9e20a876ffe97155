"""Made-up checkpoints with NitroGen's shapes and random weights, for benchmarks and tests without a download or licence.

`python -m ghostpad.lab.made_up.nitrogen_policy ng.pt` writes one of the released size (2 GB, half a minute), `--tiny` one of 2 MB.
"""

import argparse
import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ghostpad.base.files import atomic_path
from ghostpad.base.pad import SLOTS
from ghostpad.nn.frames import plain_config, transformers_package
from ghostpad.policy.model import Policy
from ghostpad.policy.nitrogen.checkpoint import Checkpoint, build
from ghostpad.policy.nitrogen.config import settings_of
from ghostpad.policy.nitrogen.names import as_theirs

RELEASED: dict[str, Any] = {
    "experiment_name": "random weights",
    "model_cfg": {
        "model_type": "nitrogen", "vision_encoder_name": "google/siglip2-large-patch16-256", "vision_hidden_size": 1024,
        "hidden_size": 1024, "max_seq_len": 1024, "add_pos_embed": True, "add_view_embed": False, "action_dim": 25, "action_horizon": 18,
        "num_inference_timesteps": 16, "noise_beta_alpha": 1.5, "noise_beta_beta": 1.0, "noise_s": 0.999, "num_timestep_buckets": 1000,
        "max_num_embodiments": 1,
        "diffusion_model_cfg": {
            "num_attention_heads": 16, "attention_head_dim": 64, "num_layers": 8, "output_dim": 1024, "interleave_self_attention": True,
            "cross_attention_dim": None, "norm_type": "ada_norm", "norm_elementwise_affine": False, "norm_eps": 1e-5, "dropout": 0.2,
            "final_dropout": True, "positional_embeddings": None, "activation_fn": "gelu-approximate", "attention_bias": True,
        },
        "vl_self_attention_cfg": {
            "num_attention_heads": 16, "attention_head_dim": 64, "num_layers": 4, "positional_embeddings": None, "dropout": 0.2,
            "final_dropout": True, "activation_fn": "gelu-approximate", "attention_bias": True,
        },
    },
    "tokenizer_cfg": {
        "tokenizer_id": "nitrogen", "num_visual_tokens_per_frame": 256, "max_sequence_length": 256, "max_action_dim": 25,
        "action_horizon": 18, "old_layout": False, "game_mapping_cfg": None,
    },
    "modality_cfg": {
        "frame_per_sample": 1, "action_per_chunk": 18, "frame_spacing": 18, "action_shift": 3, "action_interleaving": False,
        "token_set": "new",
    },
}  # fmt: skip
"""The configuration of the released checkpoint, as far as the model depends on it (audits of the published file)."""

Shape = tuple[dict[str, Any], dict[str, Any]]
"""A `ckpt_config` and the configuration of its vision tower."""

TINY_HEADS = 2
"""Attention heads of everything in a tiny sample, its vision tower too."""


def sample_config(tiny: bool = False) -> Shape:
    """The `ckpt_config` and the vision tower's shape of the released checkpoint, or of one with every width and depth cut."""
    config = copy.deepcopy(RELEASED)
    sizes: tuple[int, ...] = (1024, 4096, 24, 16, 256)
    if tiny:
        sizes = (32, 64, 2, TINY_HEADS, 32)
        config["model_cfg"] |= {"vision_encoder_name": "", "vision_hidden_size": 32, "hidden_size": 32, "max_seq_len": 32}
        blocks = {"num_attention_heads": TINY_HEADS, "attention_head_dim": 32 // TINY_HEADS}
        config["model_cfg"]["diffusion_model_cfg"] |= blocks | {"num_layers": 4, "output_dim": 32}
        config["model_cfg"]["vl_self_attention_cfg"] |= blocks | {"num_layers": 2}
        config["tokenizer_cfg"] |= {"num_visual_tokens_per_frame": 4, "max_sequence_length": 4}
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size")
    return config, plain_config(transformers_package().SiglipVisionConfig(**dict(zip(names, sizes, strict=True)), patch_size=16))


def random_checkpoint(tiny: bool = False, seed: int = 0, shape: Shape | None = None) -> Checkpoint:
    """A checkpoint in memory, float32; no weight is exactly zero or one, so a policy's actions vary. `shape` is of `sample_config`."""
    config, siglip = shape or sample_config(tiny)
    policy = Policy.on_meta(settings_of(config, {}, siglip, "a sample"), {"slots": list(SLOTS), "siglip_config": siglip})
    generator = torch.Generator().manual_seed(seed)
    weights = {name: _random(name, tensor, generator) for name, tensor in as_theirs(policy.state_dict())}
    return Checkpoint(Path("random weights"), weights, {"step": 0, "epoch": 0, "ckpt_config": config})


def random_policy(tiny: bool = False, seed: int = 0) -> Policy:
    """The policy of a made-up checkpoint."""
    return build(random_checkpoint(tiny, seed), heads=TINY_HEADS if tiny else None)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write it as a file that NitroGen's own code could read, atomically."""
    with atomic_path(path) as temporary:
        torch.save({"model": checkpoint.weights} | checkpoint.rest, temporary)


def _random(name: str, like: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers that keep activations near 1: weights by their inputs, scales of norms near 1, the rest small."""
    drawn = torch.randn(like.shape, generator=generator)
    if like.ndim < 2:
        return 1 + 0.1 * drawn if name.endswith("weight") else 0.1 * drawn
    inputs = like.shape[-2] if name.endswith(".W") else like[0].numel()
    return drawn * (0.1 if "position" in name or name.endswith(".b") else inputs**-0.5)


def main() -> None:
    """The command line of this file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    write_checkpoint(arguments.path, random_checkpoint(arguments.tiny))


if __name__ == "__main__":
    main()

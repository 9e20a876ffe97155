"""NitroGen's configuration (`ckpt_config` of its checkpoints) as our settings.

Source: the published file's configuration, and the reference implementation's defaults where a configuration leaves a value out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ghostpad.base.errors import FormatError, SettingsError
from ghostpad.base.pad import PAD_DIM
from ghostpad.base.settings import build_settings
from ghostpad.nn.frames import plain_config, transformers_package
from ghostpad.policy.settings import PolicySettings

SIGLIP_HEADS = {768: 12, 1024: 16, 1152: 16, 1536: 16}
"""Attention heads of the published SigLIP 2 towers by width (base, large, so400m, giant)."""

REQUIRED: Mapping[str, Mapping[str, Any]] = {
    "model": {"model_type": "nitrogen", "action_dim": PAD_DIM, "max_num_embodiments": 1, "add_view_embed": False},
    "denoiser": {
        "norm_type": "ada_norm", "norm_elementwise_affine": False, "norm_eps": 1e-5, "activation_fn": "gelu-approximate",
        "attention_bias": True,
    },
    "mixer": {"activation_fn": "gelu-approximate", "attention_bias": True},
    "tokenizer": {"old_layout": False, "max_action_dim": PAD_DIM},
    "modality": {"action_interleaving": False, "token_set": "new"},
}  # fmt: skip
"""Values on which the computation depends and that have only one known use; any other is refused."""


def settings_of(config: Mapping[str, Any], weights: Mapping[str, Tensor], siglip: Mapping[str, Any], where: str) -> PolicySettings:
    """The policy settings of a checkpoint.

    Raises `FormatError` naming every part of the configuration that is missing or that this code does not know.
    """
    model, modality, tokens = (dict(config.get(name) or {}) for name in ("model_cfg", "modality_cfg", "tokenizer_cfg"))
    denoiser, mixer = (dict(model.get(name) or {}) for name in ("diffusion_model_cfg", "vl_self_attention_cfg"))
    groups = {"model": model, "denoiser": denoiser, "mixer": mixer, "tokenizer": tokens, "modality": modality}
    problems = [
        f"{group} has {name} = {groups[group][name]!r}, only {wanted!r} is known"
        for group, values in REQUIRED.items()
        for name, wanted in values.items()
        if groups[group].get(name, wanted) != wanted
    ]
    needed = {"model": ("hidden_size", "action_horizon"), "denoiser": ("num_attention_heads", "attention_head_dim", "num_layers")}
    problems += [f"{group} has no {name}" for group, names in needed.items() for name in names if name not in groups[group]]
    if not problems and denoiser["num_attention_heads"] * denoiser["attention_head_dim"] != model["hidden_size"]:
        problems.append("the denoiser's heads times their width is not hidden_size")
    if problems:
        raise FormatError(f"{where}: " + "; ".join(problems))
    side, frames = int(siglip["image_size"]), int(modality.get("frame_per_sample", 1))
    spacing = int(modality.get("frame_spacing") or modality.get("action_per_chunk", 8))
    values = {
        "encoder": "siglip", "siglip": model.get("vision_encoder_name", ""), "frame_marks": False,
        "width_px": side, "height_px": side, "gray": False, "shift_px": 0, "light": 0.0,
        "frame_offsets": [-spacing * (frames - 1 - frame) for frame in range(frames)],
        "action_shift": max(int(modality.get("action_shift", 1)) - 1, 0),
        "chunk": model["action_horizon"], "execute": model["action_horizon"], "token_rows": 1,
        "action_tokens": "timed", "action_space": "unit",
        "learned_positions": model.get("max_seq_len", 1024) if model.get("add_pos_embed") else 0,
        "dim": model["hidden_size"], "heads": denoiser["num_attention_heads"], "depth": denoiser["num_layers"],
        "interleave": denoiser.get("interleave_self_attention", False),
        "mixer_depth": mixer.get("num_layers", 12), "mixer_heads": mixer.get("num_attention_heads", 8),
        "positions": _sinusoids(denoiser, "model.transformer_blocks.0", weights),
        "mixer_positions": _sinusoids(mixer, "vl_self_attention_model.transformer_blocks.0", weights),
        "dropout": denoiser.get("dropout", 0.1), "final_dropout": denoiser.get("final_dropout", True),
        "mixer_dropout": mixer.get("dropout", 0.1), "mixer_final_dropout": mixer.get("final_dropout", True),
        "last_eps": 1e-6, "context_tokens": tokens.get("max_sequence_length", 300),
        "game_rows": len(weights.get("game_embedding.weight", ())), "draws": 1,
        "time_alpha": model.get("noise_beta_alpha", 1.5), "time_beta": model.get("noise_beta_beta", 1.0),
        "latest_time": model.get("noise_s", 0.999), "time_buckets": model.get("num_timestep_buckets", 1000),
        "sampling_steps": model.get("num_inference_timesteps") or 16,
    }  # fmt: skip
    return build_settings(PolicySettings, values, where)


def siglip_config(name: str, checkpoint: Path, weights: Mapping[str, Tensor], heads: int | None) -> dict[str, Any]:
    """The vision tower's shape: from a folder `name` beside the checkpoint or anywhere, from the hub's cache, or from its tensors.

    Nothing is downloaded, since the weights are in the checkpoint. Tensors do not show the number of heads: it is `heads`, else that of
    the published tower of the same width. Raises `FormatError` for a folder without a SigLIP, `SettingsError` where the heads are unknown.
    """
    for folder in (checkpoint.parent / name, Path(name)):
        if name and (folder / "config.json").exists():
            try:
                return _vision_part(str(folder), heads)
            except (OSError, ValueError) as error:
                raise FormatError(f"{folder / 'config.json'} is no configuration of a vision tower ({error})") from None
    try:
        if name:
            return _vision_part(name, heads)
    except (OSError, ValueError):
        pass  # not in the cache, or not a name of the hub
    return _config_of_tensors(weights, heads, str(checkpoint))


def _vision_part(where: str, heads: int | None) -> dict[str, Any]:
    """The tower's shape from a folder or the hub's cache, without a download and without running code from there."""
    config = transformers_package().AutoConfig.from_pretrained(where, local_files_only=True, trust_remote_code=False)
    config = getattr(config, "vision_config", config)
    if config.model_type != "siglip_vision_model":
        raise FormatError(f"{where} is a '{config.model_type}' model, a SigLIP is needed")
    return plain_config(config) | ({"num_attention_heads": heads} if heads else {})


def _config_of_tensors(weights: Mapping[str, Tensor], heads: int | None, where: str) -> dict[str, Any]:
    prefix = "vision_encoder."
    try:
        patches, width = weights[f"{prefix}embeddings.position_embedding.weight"].shape
        patch_px = weights[f"{prefix}embeddings.patch_embedding.weight"].shape[-1]
        inside = weights[f"{prefix}encoder.layers.0.mlp.fc1.weight"].shape[0]
    except KeyError as error:
        raise FormatError(f"{where} holds no {error}, so the shape of its vision tower is unknown") from None
    layers = {name.split(".")[3] for name in weights if name.startswith(f"{prefix}encoder.layers.")}
    heads = heads or SIGLIP_HEADS.get(width)
    if heads is None:
        raise SettingsError(f"no published SigLIP 2 is {width} wide, so its number of attention heads is unknown: give it (heads)")
    config = transformers_package().SiglipVisionConfig(
        hidden_size=width, intermediate_size=inside, num_hidden_layers=len(layers), num_attention_heads=heads,
        image_size=round(patches**0.5) * patch_px, patch_size=patch_px,
    )  # fmt: skip
    return plain_config(config)


def _sinusoids(config: Mapping[str, Any], block: str, weights: Mapping[str, Tensor]) -> int:
    """Rows of the sinusoid table of a stack of blocks; 0 where it has none."""
    if config.get("positional_embeddings", "sinusoidal") is None:
        return 0
    table = weights.get(f"{block}.pos_embed.pe")
    return int(config.get("max_num_positional_embeddings", 512)) if table is None else table.shape[1]

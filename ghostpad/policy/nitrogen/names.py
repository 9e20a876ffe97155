"""How the tensors of NitroGen's checkpoints and ours correspond: names by substitution, shapes in one of four ways, bit for bit both ways.

same     as it is
joined   keys and values, two tensors there, are one of ours
swapped  the last norm's shift comes first there, the scale here
turned   weights of the action layers are [1, in, out] there and [out, in] here, biases [1, out] and [out]
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

RENAMED: tuple[tuple[str, str], ...] = (
    (r"^encoder\.tower\.", "vision_encoder."),
    (r"^mixer\.", "vl_self_attention_model.transformer_blocks."),
    (r"^denoiser\.blocks\.", "model.transformer_blocks."),
    (r"^denoiser\.time\.mlp\.0\.", "model.timestep_encoder.timestep_embedder.linear_1."),
    (r"^denoiser\.time\.mlp\.2\.", "model.timestep_encoder.timestep_embedder.linear_2."),
    (r"^denoiser\.norm\.modulation\.", "model.proj_out_1."),
    (r"^to_velocity\.0\.", "model.proj_out_2."),
    (r"^to_velocity\.1\.weight$", "action_decoder.layer1.W"),
    (r"^to_velocity\.1\.bias$", "action_decoder.layer1.b"),
    (r"^to_velocity\.3\.weight$", "action_decoder.layer2.W"),
    (r"^to_velocity\.3\.bias$", "action_decoder.layer2.b"),
    (r"^embed\.rows\.weight$", "action_encoder.W1.W"),
    (r"^embed\.rows\.bias$", "action_encoder.W1.b"),
    (r"^embed\.join\.weight$", "action_encoder.W2.W"),
    (r"^embed\.join\.bias$", "action_encoder.W2.b"),
    (r"^embed\.out\.weight$", "action_encoder.W3.W"),
    (r"^embed\.out\.bias$", "action_encoder.W3.b"),
    (r"^position$", "position_embedding.weight"),
    (r"^context\.games\.", "game_embedding."),
    # inside the blocks of both stacks
    (r"(blocks\.\d+)\.place\.table$", r"\1.pos_embed.pe"),
    (r"(blocks\.\d+)\.norm_attention\.", r"\1.norm1."),
    (r"(blocks\.\d+)\.norm_feed\.", r"\1.norm3."),
    (r"(blocks\.\d+)\.norm\.modulation\.", r"\1.norm1.linear."),
    (r"(blocks\.\d+)\.attention\.out\.", r"\1.attn1.to_out.0."),
    (r"(blocks\.\d+)\.attention\.", r"\1.attn1."),
    (r"(blocks\.\d+)\.feed\.0\.", r"\1.ff.net.0.proj."),
    (r"(blocks\.\d+)\.feed\.2\.", r"\1.ff.net.2."),
)
"""Patterns of our names and their replacements in NitroGen's, all applied in this order."""


@dataclass(frozen=True)
class Entry:
    """One tensor of ours: the names of NitroGen's tensors that make it, and how to join and split them."""

    theirs: tuple[str, ...]
    join: Callable[[list[Tensor]], Tensor]
    split: Callable[[Tensor], list[Tensor]]


def as_theirs(ours: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a policy as a checkpoint of NitroGen holds them, by its names."""
    for name, tensor in ours.items():
        entry = entry_of(name)
        yield from zip(entry.theirs, entry.split(tensor), strict=True)


def problems_of(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> list[str]:
    """A sentence for every tensor that is missing, unknown, or of another shape than the policy's."""
    without_data = {name: torch.empty_like(tensor, device="meta") for name, tensor in ours.items()}
    expected = {name: tensor.shape for name, tensor in as_theirs(without_data)}
    missing = [f"{name} is missing" for name in expected if name not in theirs]
    unexpected = [f"{name} is unknown" for name in theirs if name not in expected]
    wrong = [
        f"{name} has shape {list(theirs[name].shape)}, not {list(shape)}"
        for name, shape in expected.items()
        if name in theirs and theirs[name].shape != shape
    ]
    return missing + unexpected + wrong


def entry_of(name: str) -> Entry:
    """Where the tensor `name` of a policy is in a checkpoint of NitroGen."""
    their = name
    for pattern, replacement in RENAMED:
        their = re.sub(pattern, replacement, their)
    if ".to_kv." in their:
        return Entry((their.replace("to_kv", "to_k"), their.replace("to_kv", "to_v")), torch.cat, lambda ours: list(ours.chunk(2)))
    if "proj_out_1" in their:
        return Entry((their,), lambda parts: _swapped(parts[0]), lambda ours: [_swapped(ours)])
    if their.endswith(".W"):
        return Entry((their,), lambda parts: parts[0][0].t(), lambda ours: [ours.t()[None]])
    if their.endswith(".b"):
        return Entry((their,), lambda parts: parts[0][0], lambda ours: [ours[None]])
    return Entry((their,), lambda parts: parts[0], lambda ours: [ours])


def _swapped(halves: Tensor) -> Tensor:
    """The two halves of the first axis in the other order."""
    return torch.cat(halves.chunk(2)[::-1])

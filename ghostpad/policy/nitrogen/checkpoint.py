"""NitroGen's checkpoints (`ng.pt`) in and out: the same numbers as the reference, and the same bits back.

    load_nitrogen(ng.pt) -> Policy          in memory; the weights stay mapped to the file
    import_nitrogen(ng.pt, RUN)             a run folder like any other: safetensors and JSON
    export_nitrogen(RUN, ng.pt)             what was imported, or fine-tuned from it, as the reference reads it

A checkpoint is read by torch's safe reader, which runs no code of the file, and every tensor must be accounted for. Cost: loading
reads only what has to be rearranged (keys and values, 5 % of the file); other weights are read when they are first used.

NitroGen's weights are NVIDIA's and for non-commercial research; the facts of an imported run say so (see NOTICE).
"""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ghostpad.base.errors import FormatError, MissingError, SettingsError
from ghostpad.base.files import atomic_path, file_sha256, locked
from ghostpad.base.pad import SLOTS
from ghostpad.policy.model import Policy
from ghostpad.policy.nitrogen.config import settings_of, siglip_config
from ghostpad.policy.nitrogen.names import as_theirs, entry_of, problems_of
from ghostpad.policy.nitrogen.plain import from_plain, to_plain
from ghostpad.policy.settings import CHANGEABLE
from ghostpad.train.checkpoint import claim, load_model, publish

LICENCES = ("NVIDIA License (NitroGen weights: non-commercial research only)", "Apache-2.0 (SigLIP 2)")
"""Licences in the facts of an imported policy and of everything made from it."""

FREE = CHANGEABLE - {"mask_padding"}
"""Settings that fine-tuning may have changed: what NitroGen's code computes with the weights does not depend on them."""

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
"""Types of weights that float32, the type for computing, holds without loss."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of NitroGen: its tensors by name, and everything else in the file, `ckpt_config` included."""

    path: Path
    weights: dict[str, Tensor]
    rest: dict[str, Any]


def load_nitrogen(path: str | Path, games: Mapping[str | None, int] | None = None, heads: int | None = None) -> Policy:
    """See `ghostpad.policy.from_nitrogen`."""
    return build(read_checkpoint(path), games, heads)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """A checkpoint by torch's safe reader, mapped and not read. Raises `MissingError`, or `FormatError` for another kind of file."""
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"{path} does not exist: give NitroGen's checkpoint, a file named ng.pt on the hub (nvidia/NitroGen)")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise FormatError(f"{path} cannot be read safely as a torch checkpoint ({str(error).splitlines()[0]})") from None
    if not (isinstance(content, dict) and isinstance(content.get("model"), dict) and isinstance(content.get("ckpt_config"), dict)):
        raise FormatError(f"{path} is not a checkpoint of NitroGen: it has no 'model' and 'ckpt_config'")
    weights = content.pop("model")
    if odd := [str(name) for name, value in weights.items() if not isinstance(value, Tensor) or value.dtype not in DTYPES]:
        raise FormatError(f"{path} holds things among its weights that are no floats of 32 bits or fewer: {', '.join(odd)}")
    return Checkpoint(path, weights, content)


def import_nitrogen(path: str | Path, out: Path, games: Mapping[str | None, int] | None = None, heads: int | None = None) -> Policy:
    """Write a checkpoint of NitroGen as the run folder `out`; returns the policy. Errors as `load_nitrogen`.

    Raises `SettingsError` if `out` holds another run, `FormatError` for content, apart from the weights, that JSON cannot hold.
    """
    checkpoint = read_checkpoint(path)
    policy = build(checkpoint, games, heads)
    origin = policy.facts["nitrogen"] | {"rest": to_plain(checkpoint.rest, str(checkpoint.path))}
    policy.facts = policy.facts | {"nitrogen": origin}
    with locked(out / ".lock"):
        claim(out, policy, {"imported_from": "NitroGen"}, file_sha256(checkpoint.path))
        if not (out / "model.safetensors").exists():
            publish(out, {name: value.contiguous() for name, value in policy.state_dict().items()})
    return policy


def export_nitrogen(run: str | Path, path: str | Path) -> None:
    """Write a run that came from NitroGen, fine-tuned or not, as a checkpoint that the reference reads.

    An untouched import comes out with the same keys, types and bits. Raises `SettingsError` for a policy that did not come from
    NitroGen, or that was changed in a way that such a checkpoint cannot express.
    """
    policy = load_model(run, Policy)
    origin = policy.facts.get("nitrogen")
    if origin is None:
        raise SettingsError(f"{run} did not come from NitroGen: its layers have no place in such a checkpoint")
    types = {name: getattr(torch, dtype) for name, dtype in origin["dtypes"].items()}  # of those that are not float32
    weights = {name: tensor.to(types.get(name, torch.float32)).contiguous() for name, tensor in as_theirs(policy.state_dict())}
    rest = from_plain(origin["rest"])
    imported = settings_of(rest["ckpt_config"], weights, policy.facts["siglip_config"], str(run)).model_dump()
    now = policy.settings.model_dump()
    if changed := [name for name in imported if name not in FREE and imported[name] != now[name]]:
        raise SettingsError(
            f"{run} is no longer what its ckpt_config says, and NitroGen's code would misread it; changed: {', '.join(changed)}"
        )
    with atomic_path(path) as temporary:
        torch.save({"model": weights} | rest, temporary)


def build(checkpoint: Checkpoint, games: Mapping[str | None, int] | None = None, heads: int | None = None) -> Policy:
    """The policy of a checkpoint; arguments and errors as `load_nitrogen`.

    Its tensors become the policy's weights without a copy, apart from the few that have to be rearranged.
    """
    where, weights, config = str(checkpoint.path), checkpoint.weights, checkpoint.rest["ckpt_config"]
    name = str((config.get("model_cfg") or {}).get("vision_encoder_name", ""))
    siglip = siglip_config(name, checkpoint.path, weights, heads)
    settings = settings_of(config, weights, siglip, where)
    named = {game: row for game, row in (games or {}).items() if game is not None and row}
    if named and not settings.game_rows:
        raise SettingsError(f"{where} was not trained with games: leave them out")
    dtypes = {name: str(value.dtype).removeprefix("torch.") for name, value in weights.items() if value.dtype != torch.float32}
    facts = {
        "slots": list(SLOTS), "siglip_config": siglip, "game_ids": named, "sources": ["NitroGen"], "licences": list(LICENCES),
        "nitrogen": {"rest": checkpoint.rest, "dtypes": dtypes},
    }  # fmt: skip
    policy = Policy.on_meta(settings, facts)
    if problems := problems_of(policy.state_dict(), weights):
        raise FormatError(f"{where} does not fit its configuration: {'; '.join(problems)}")
    entries = {name: entry_of(name) for name in policy.state_dict()}
    ours = {name: entry.join([weights[their].float() for their in entry.theirs]) for name, entry in entries.items()}
    policy.load_state_dict(ours, assign=True)
    policy.eval()
    return policy

"""A run on disk: safetensors and JSON only, whole or not at all.

RUN/run.json                     kind, settings, facts, pad layout, data fingerprint: written before training
RUN/model.safetensors            the published (averaged) weights: written last, so that a run is finished when it is there
RUN/checkpoints/step-0000400/    model, ema, optimizer .safetensors and state.json, to resume from (the newest one is kept)
RUN/tensorboard/                 curves
RUN/speed.json                   samples a second and the share of time waiting for data, of the process that finished the run
RUN/validation.json              losses on held-out and on learned windows (`ghostpad.train.validate`)
RUN/threads.json                 the number of CPU threads, unless a setting gave it (`ghostpad.train.threads`)
RUN/.lock                        held while a process trains the run
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ghostpad.base.errors import FormatError, MissingError, SettingsError
from ghostpad.base.files import atomic_folder, atomic_path, read_json, write_json
from ghostpad.base.pad import LAYOUT, check_layout
from ghostpad.base.settings import build_settings
from ghostpad.train.model import AnyModel, Model

TENSORS = ("model", "ema", "optimizer")
"""The tensors that a checkpoint holds, one file each."""


def claim(run: Path, model: Model, settings: dict[str, Any], data: str) -> None:
    """Make `run` the folder of this training, finished or not; `data` is the fingerprint of the footage.

    Raises `SettingsError` if the folder holds a run with other settings or data.
    """
    path = run / "run.json"
    description = {
        "kind": model.kind,
        "layout": LAYOUT,
        "settings": settings,
        "model": model.settings.model_dump(mode="json"),
        "facts": model.facts,
        "data": data,
    }
    if path.exists():
        old = read_json(path)
        changed = [key for key in description if old.get(key) != description[key]]
        if changed:
            raise SettingsError(f"{run} holds a run with another {', '.join(changed)}: choose another --out, or remove the folder")
    else:
        write_json(path, description)
    if (run / "model.safetensors").exists():  # a process killed right after publishing leaves checkpoints behind
        shutil.rmtree(run / "checkpoints", ignore_errors=True)


@dataclass(frozen=True)
class State:
    """A training after `step` steps, every tensor whole and on the CPU, so that it is the same for any number of processes."""

    step: int
    model: dict[str, Tensor]
    ema: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    scaler: dict[str, Any]


def save_checkpoint(run: Path, state: State) -> None:
    """Write the state after some steps, then remove older checkpoints."""
    folder = run / "checkpoints" / f"step-{state.step:07d}"
    with atomic_folder(folder) as temporary:
        for name in TENSORS:
            save_file(getattr(state, name), temporary / f"{name}.safetensors")
        write_json(temporary / "state.json", {"step": state.step, "scaler": state.scaler})
    for older in folder.parent.glob("step-*"):
        if older != folder:
            shutil.rmtree(older, ignore_errors=True)


def load_checkpoint(run: Path) -> State | None:
    """The newest checkpoint, if there is one."""
    newest = max((run / "checkpoints").glob("step-*"), default=None)
    if newest is None:
        return None
    facts = read_json(newest / "state.json")
    tensors = {name: load_file(newest / f"{name}.safetensors") for name in TENSORS}
    return State(step=int(facts["step"]), scaler=facts.get("scaler", {}), **tensors)


def publish(run: Path, weights: dict[str, Tensor]) -> None:
    """Write the finished weights, which finishes the run, and remove checkpoints."""
    with atomic_path(run / "model.safetensors") as temporary:
        save_file(weights, temporary, metadata={"layout": LAYOUT})
    shutil.rmtree(run / "checkpoints", ignore_errors=True)


def load_model(run: str | Path, cls: type[AnyModel]) -> AnyModel:
    """The finished model of a run, in evaluation mode on the CPU. Raises as `read_run`, and `FormatError` for broken weights."""
    run, description = Path(run), read_run(run, cls.kind)
    model = cls.on_meta(build_settings(cls.settings_class, description["model"], str(run / "run.json")), description["facts"])
    on_meta = any(weight.is_meta for weight in model.parameters())
    try:  # a model on the meta device takes the file's tensors as they are, mapped: no second copy in memory
        model.load_state_dict(load_weights(run), assign=on_meta)
    except RuntimeError as error:
        raise FormatError(f"{run / 'model.safetensors'} does not fit its run.json: {error}") from None
    return model.eval()


def load_weights(run: str | Path) -> dict[str, Tensor]:
    """The published weights of a finished run. Raises `FormatError` for a file that is cut off."""
    path = Path(run) / "model.safetensors"
    try:
        return load_file(path)
    except SafetensorError as error:
        raise FormatError(f"{path} is broken and does not fit its run.json: {error}") from None


def read_run(run: str | Path, kind: str) -> dict[str, Any]:
    """The `run.json` of a finished run. Raises `MissingError` if there is none or it is not finished, `FormatError` for another kind of
    model or pad layout."""
    run = Path(run)
    if not (run / "run.json").exists():
        raise MissingError(f"{run} is not a run: make one with 'ghostpad train {kind} CORPUS --out {run}'")
    description: dict[str, Any] = read_json(run / "run.json")
    check_layout(description.get("layout"), str(run))
    if description.get("kind") != kind:
        raise FormatError(f"{run} holds a model of kind '{description.get('kind')}', a '{kind}' is needed here")
    if not (run / "model.safetensors").exists():
        raise MissingError(f"{run} is not finished: run its 'ghostpad train {kind}' command again, it continues")
    return description


def run_fingerprint(run: str | Path) -> str:
    """Twelve hex digits that name a finished model by the bytes of its files.

    Bytes, because sums of the weights differ in the last bit with the number of threads, and so would the name.
    """
    digest = hashlib.sha256()
    for name in ("run.json", "model.safetensors", "calibration.json"):
        if (path := Path(run) / name).exists():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]

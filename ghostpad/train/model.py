"""`Model`: what every trainable model owes the loop, and how it is found again by the kind written in its checkpoint."""

from abc import abstractmethod
from importlib import import_module
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ghostpad.base.errors import unknown
from ghostpad.base.settings import Settings
from ghostpad.feed.batch import Batch
from ghostpad.feed.window import WindowSpec

MODELS = {"idm": ("ghostpad.idm.model", "Idm"), "policy": ("ghostpad.policy.model", "Policy")}
"""Module and class of each kind of model; named by string because training comes before the models in the folder order."""


class Model(nn.Module):
    """Base of every model: built from its settings and facts, trained through `loss`.

    facts   JSON-able facts that travel in the checkpoint: the pad slots the model predicts, the games, fps and licence of
            what it learned from
    """

    kind: ClassVar[str]
    settings_class: ClassVar[type[Settings]]

    def __init__(self, settings: Settings, facts: dict[str, Any]):
        super().__init__()
        self.settings: Any = settings
        self.facts = facts
        self._frozen: list[nn.Module] = []

    @classmethod
    def hollow(cls, settings: Settings, facts: dict[str, Any]) -> "Model":
        """The model for a checkpoint to fill; large ones come without memory for weights (all on the meta device), others as they are."""
        return cls(settings, facts)

    @property
    @abstractmethod
    def window(self) -> WindowSpec:
        """What the model sees and learns around a row."""

    @abstractmethod
    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar loss of a batch and detached scalars to log. `generator` is the only source of chance."""

    def weigh(self, batch: Batch) -> Tensor:
        """What the loss of a batch counts beside that of another part of the same one: a scalar, the weight that its mean is divided by."""
        return batch.weight.sum()

    def freeze(self, *parts: nn.Module | None) -> None:
        """Keep parts as they are: no gradients, and evaluation mode while the rest trains (batch norms would move otherwise)."""
        for part in parts:
            if part is not None:
                self._frozen.append(part.requires_grad_(False).eval())

    def train(self, mode: bool = True) -> "Model":
        """As torch does, but frozen parts stay in evaluation mode."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """`loss`, under the name that wrappers for many processes call."""
        return self.loss(batch, generator)


def model_class(kind: str) -> type[Model]:
    """The class of a kind of model. Raises `SettingsError` with the nearest kind."""
    if kind not in MODELS:
        raise unknown("kind of model", kind, MODELS)
    module, name = MODELS[kind]
    found: type[Model] = getattr(import_module(module), name)
    return found

"""`Model`: what every trainable model owes the loop."""

from abc import abstractmethod
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from ghostpad.base.settings import Settings
from ghostpad.feed.batch import Batch
from ghostpad.feed.window import WindowSpec

AnyModel = TypeVar("AnyModel", bound="Model")


class Model(nn.Module):
    """Base of every model: built from its settings and facts, trained through `loss`.

    facts   JSON-able facts that travel in the checkpoint: the pad slots the model predicts, the games, fps and licence of
            what it learned from
    """

    kind: ClassVar[str]
    """Its name in commands and in `run.json`."""
    settings_class: ClassVar[type[Settings]]

    def __init__(self, settings: Settings, facts: dict[str, Any]):
        super().__init__()
        self.settings: Any = settings
        self.facts = facts
        self._frozen: list[nn.Module] = []

    @classmethod
    def on_meta(cls: type[AnyModel], settings: Any, facts: dict[str, Any]) -> AnyModel:
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

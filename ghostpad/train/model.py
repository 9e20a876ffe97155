"""`Model`: what every model must define to be trained."""

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

    facts   JSON-able facts that are kept in the run: the pad slots the model predicts, and games, fps, licences of what it learned from
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
        """The model for a checkpoint to fill; a large one may have all its weights on the meta device, which takes no memory."""
        return cls(settings, facts)

    @property
    @abstractmethod
    def window(self) -> WindowSpec:
        """What the model sees and learns around a row."""

    @abstractmethod
    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar loss of a batch and detached scalars to log. All random numbers come from `generator`."""

    def weigh(self, batch: Batch) -> Tensor:
        """The weight of the loss of one part of a batch beside that of another: a scalar, by which its mean is divided."""
        return batch.weight.sum()

    def freeze(self, *parts: nn.Module | None) -> None:
        """Keep parts as they are: no gradients, and evaluation mode while all else trains (batch norms would change otherwise)."""
        self._frozen += [part.requires_grad_(False).eval() for part in parts if part is not None]

    def train(self, mode: bool = True) -> "Model":
        """As torch does, but frozen parts stay in evaluation mode."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """`loss`, under the name that torch's wrappers call."""
        return self.loss(batch, generator)

"""`Batch`: what every model's loss receives. It keeps the names of its windows, so that an error about a loss can name them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class WindowRef:
    """Which window: its video and row, the game ("" where unknown), and whether a mask covers part of its pictures."""

    video: str
    row: int
    game: str = ""
    masked: bool = False


@dataclass(frozen=True)
class Batch:
    """Windows of frames and rows.

    frames  uint8 [B, T, H, W, C], C = 1 (gray) or 3 (RGB)
    pads    float32 [B, K, 25], buttons 0...1, sticks -1...1 (y down)
    weight  float32 [B, K, 25], the loss weight of each number: 0 unknown or outside the video, 1 recorded, confidence for pseudo-labels
    refs    B names of windows
    """

    frames: Tensor
    pads: Tensor
    weight: Tensor
    refs: tuple[WindowRef, ...]

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch with its tensors on `device`; from pinned memory the copies run while the host goes on."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """The same batch in pinned memory; torch's DataLoader calls it where a GPU is."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        return replace(self, frames=change(self.frames), pads=change(self.pads), weight=change(self.weight))

    def part(self, part: int, parts: int) -> "Batch":
        """Its windows `part`, `part + parts`, ..."""
        few = slice(part, None, parts)
        return Batch(self.frames[few], self.pads[few], self.weight[few], self.refs[few])


def collate(samples: list[tuple[Tensor, Tensor, Tensor, WindowRef]]) -> Batch:
    """Stack (frames, pads, weight, ref) samples into a `Batch`."""
    frames, pads, weight, refs = zip(*samples, strict=True)
    return Batch(torch.stack(frames), torch.stack(pads), torch.stack(weight), tuple(refs))

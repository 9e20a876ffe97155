"""`Batch`: what every model's loss receives. References travel with the tensors, so a bad loss names its windows."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class WindowRef:
    """One window by name: the video, the row it stands at, the game, "" where nobody said which, and whether its pictures have a mask."""

    video: str
    row: int
    game: str = ""
    masked: bool = False


@dataclass(frozen=True)
class Batch:
    """Windows of frames and rows.

    frames  uint8 [B, T, H, W, C], C = 1 (gray) or 3 (RGB)
    pads    float32 [B, K, 25], buttons 0...1, sticks -1...1 (y down)
    weight  float32 [B, K, 25], the loss weight of each number: 0 unknown or outside the video, 1 truth, confidence for labels
    refs    the B windows by name
    """

    frames: Tensor
    pads: Tensor
    weight: Tensor
    refs: tuple[WindowRef, ...]

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch with its tensors on `device`."""
        return Batch(self.frames.to(device), self.pads.to(device), self.weight.to(device), self.refs)

    def part(self, part: int, parts: int) -> "Batch":
        """Its windows `part`, `part + parts`, ..."""
        few = slice(part, None, parts)
        return Batch(self.frames[few], self.pads[few], self.weight[few], self.refs[few])


def collate(samples: list[tuple[Tensor, Tensor, Tensor, WindowRef]]) -> Batch:
    """Stack (frames, pads, weight, ref) samples into a `Batch`."""
    frames, pads, weight, refs = zip(*samples, strict=True)
    return Batch(torch.stack(frames), torch.stack(pads), torch.stack(weight), tuple(refs))

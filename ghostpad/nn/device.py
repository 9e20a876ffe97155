"""Work on a GPU without waiting for it: what the host knows is sent and not waited for, and lower precision is asked for in one place.

A copy from ordinary memory, and any number read by the host, makes the host wait until the GPU has done all that was queued before, and
then the GPU wait for the host. `tests/idm/test_launches.py` counts these in a training step and in labelling.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def send(values: Tensor | Sequence[int] | Sequence[bool], device: torch.device) -> Tensor:
    """A tensor or list of the host on `device`; the host does not wait for the copy, which starts from pinned memory."""
    tensor = values if isinstance(values, Tensor) else torch.tensor(values)
    if device.type == "cuda" and torch.cuda.is_available():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


class Fetched:
    """A tensor on its way to the host, which does not wait for it before `numpy`."""

    def __init__(self, tensor: Tensor):
        self._tensor, self._copied = tensor, None
        if tensor.is_cuda:
            self._tensor = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._tensor.copy_(tensor, non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record()

    def numpy(self) -> NDArray[Any]:
        """Its values, when it has come."""
        if self._copied is not None:
            self._copied.synchronize()
        values: NDArray[Any] = self._tensor.cpu().numpy()
        return values


def lower_precision(device: torch.device, bf16: bool) -> AbstractContextManager[object]:
    """The context to compute in: bfloat16 where that is safe, or as it is outside, where training may have asked for a precision."""
    return torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """The context for sums that bfloat16 spoils, whatever precision is asked for outside."""
    return torch.autocast(device.type, enabled=False) if torch.amp.is_autocast_available(device.type) else nullcontext()

"""The kernels that a GPU would be given, and the times the host would wait for it, counted without a GPU.

A model on torch's "meta" device computes shapes and no numbers, and takes every branch that a GPU would. Each operation that is not a view
counts as one kernel; a GPU's own are a little more or fewer, as some operations are two there and some are fused. A number of that device
which the host reads raises an error of torch, as there is none.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ghostpad.nn.distributed import PartGenerator

META = torch.device("meta")
"""The device without numbers."""

_COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
_FREE = {torch.ops.aten._unsafe_view, torch.ops.aten.empty, torch.ops.aten.new_empty, torch.ops.aten.empty_like}
_NOT_MADE_OF_OTHERS = (torch.ops.prim.device.default,)
_MAKERS = (torch.tensor, torch.as_tensor)
_INDEXING = (Tensor.__getitem__, Tensor.__setitem__)


class MetaGenerator(PartGenerator):
    """A generator whose random numbers are drawn on the meta device."""

    device = META


class Launches:
    """Counts while it is entered.

    kernels   operations on the device, by name
    copies    copies to or from it that the host does not wait for
    waits     what the host waited for, by name: blocking copies, lists used as an index, tensors made of lists
    """

    def __init__(self) -> None:
        self.kernels, self.copies, self.waits = Counter[str](), 0, list[str]()
        self._modes = _Operations(self), _Lists(self)

    def __enter__(self) -> "Launches":
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)


class _Operations(TorchDispatchMode):
    def __init__(self, counts: Launches):
        super().__init__()
        self._counts = counts

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func._can_decompose() and func not in _NOT_MADE_OF_OTHERS:  # in inference mode torch does not
            with self:
                return func.decompose(*args, **kwargs)
        out = func(*args, **kwargs)
        places = {one.device.type for one in tree_leaves((args, kwargs, out)) if isinstance(one, Tensor)}
        if func in _COPIES and len(places) > 1:
            if kwargs.get("non_blocking") or (len(args) > 2 and args[2]):
                self._counts.copies += 1
            else:
                self._counts.waits.append(str(func))
        elif "meta" in places and func.overloadpacket not in _FREE and not _is_view(func):
            self._counts.kernels[str(func)] += 1
        return out


def _is_view(func: Any) -> bool:
    return any(made.alias_info and not made.alias_info.is_write for made in func._schema.returns)


class _Lists(TorchFunctionMode):
    """Finds what torch copies to a device without an operation of its own."""

    def __init__(self, counts: Launches):
        super().__init__()
        self._counts = counts

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _INDEXING and args[0].device == META:
            places = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(isinstance(place, list) or (isinstance(place, Tensor) and place.device != META) for place in places):
                self._counts.waits.append(func.__name__)
        elif func in _MAKERS and torch.device(kwargs.get("device") or "cpu") == META:
            self._counts.waits.append(func.__name__)
        return func(*args, **kwargs)

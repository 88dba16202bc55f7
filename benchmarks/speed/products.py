"""The matrix products and convolutions of a computation, noted so that they can be made again alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import flop_registry


class Products(TorchDispatchMode):
    """Notes every product made under it, as calls that repeat it on random operands of the same layout.

    flop: operations of all, as torch counts them.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no annotation there
        self.calls: list[Callable[[], object]] = []
        self.flop = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        count = flop_registry.get(function.overloadpacket)
        if count is not None:
            self.flop += count(*args, **(kwargs or {}), out_val=result)
            self.calls.append(partial(function, *tree_map(like, args), **(kwargs or {})))
        return result


def like(x: Any) -> Any:
    """Random numbers with the shape, the strides and the type of a tensor; what is none as it is."""
    if not isinstance(x, Tensor):
        return x
    reach = 1 + sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True))
    return torch.randn(reach).to(x.dtype).as_strided(x.shape, x.stride())

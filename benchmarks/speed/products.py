"""The matrix products that a computation makes, noted so that they can be made again alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

PRODUCTS = (torch.ops.aten.mm.default, torch.ops.aten.addmm.default)


class Products(TorchDispatchMode):
    """Notes every matrix product made under it, as calls that repeat it on random operands of the same layout."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no annotation there
        self.calls: list[Callable[[], Tensor]] = []
        self.flop = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in PRODUCTS:
            *_, a, b = operands = [like(arg) for arg in args]
            self.flop += 2 * a.shape[0] * a.shape[1] * b.shape[1]
            self.calls.append(partial(function, *operands))
        return function(*args, **(kwargs or {}))


def like(x: Tensor) -> Tensor:
    """Random numbers with the shape and strides of x."""
    return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype).normal_()

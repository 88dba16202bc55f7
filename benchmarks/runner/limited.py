"""A bound on the memory that constructors take, held before any of it is taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

SIZED = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn)
COUNTED = (torch.arange, torch.linspace, torch.randint, torch.randperm)

BYTES = 4
"""Of an element: the networks are in float32."""


class Large(RuntimeError):
    """More memory was asked for than the bound allows."""


class Limited(TorchFunctionMode):
    """Raises Large where tensors that torch makes from a size would take more than `most` bytes together."""

    def __init__(self, most: float) -> None:
        super().__init__()
        self.left = most

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func in SIZED:
            self.take(math.prod(size_of(args, given)))
        elif func in COUNTED:
            self.take(max((part for part in flat(args) if isinstance(part, int)), default=0))
        return func(*args, **given)

    def take(self, elements: int) -> None:
        self.left -= BYTES * elements
        if self.left < 0:
            raise Large


def size_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[int, ...]:
    """The size in a call like torch.empty((2, 3)), torch.empty(2, 3) or torch.empty(size=(2, 3))."""
    size = kwargs.get("size", args[0] if args and isinstance(args[0], Sequence) else args)
    return tuple(size)


def flat(args: Sequence[Any]) -> list[Any]:
    """Arguments with those that are sequences spread out."""
    return [part for arg in args for part in (arg if isinstance(arg, Sequence) else (arg,))]

"""Images that need not exist as floating point all at once."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Indexed(Protocol):
    """One image by its number, several by a slice: a tensor, a data set's split, or anything that gives them."""

    def __getitem__(self, index: int | slice, /) -> Tensor: ...

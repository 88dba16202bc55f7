"""A user's own tensor as a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.config.settings import Run
from benchmarks.datasets import DataError, Dataset
from benchmarks.datasets.base import Source, prepared, split_off
from benchmarks.runner.workspace import Workspace

NAME = "tensor"
"""What the data set is called in settings and messages."""


@dataclass(frozen=True)
class TensorWorkspace(Workspace):
    """A workspace whose one data set is a tensor in memory."""

    tensor: Dataset | None = None

    def dataset(self, run: Run) -> Dataset:
        return super().dataset(run) if self.tensor is None else self.tensor


def dataset_of(x: Tensor | np.ndarray[Any, Any], validation: float, test: float, seed: int) -> Dataset:
    """x, (N, *shape), split at random into training, validation and test examples.

    Bytes are grey levels, of which 255 is 1; truth values are 0 and 1. DataError for what cannot be trained on.
    """
    x = torch.as_tensor(x).detach().cpu()
    if x.ndim < 2 or not x[0].numel():
        raise DataError(f"x has the shape {tuple(x.shape)}: it is (N, *shape), an example a row.")
    if x.is_complex() or not torch.isfinite(x).all():
        raise DataError("x has elements that are no real numbers: leave those examples out.")
    sizes = sizes_of(len(x), validation, test)
    grey = x.dtype == torch.uint8
    stored = x if grey else x.float()
    bounded = grey or (stored.min() >= 0 and stored.max() <= 1)
    two = bool(bounded and ((x == 0) | (x == 1)).all()) and not grey
    splits = split_off(stored, sizes, seed)
    levels = 256 if grey else 2 if two else None
    return prepared(NAME, Source(*splits, scale=1 / 255 if grey else 1.0, bounded=bool(bounded), levels=levels))


def sizes_of(count: int, validation: float, test: float) -> tuple[int, int, int]:
    """Examples to train on, to choose the epoch by, and to compute estimates on."""
    for name, share in (("validation", validation), ("test", test)):
        if not 0 < share < 1:
            raise DataError(f"{name} = {share}: it is the share of x that is held out, larger than 0 and below 1.")
    held, last = max(1, round(validation * count)), max(1, round(test * count))
    if count - held - last < 2:
        raise DataError(f"x has {count} examples, of which {held} + {last} are held out: too few are left to train on.")
    return count - held - last, held, last

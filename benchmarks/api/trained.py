"""A trained autoencoder with its prior, as a person looks at it in Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.common.errors import UsageError
from benchmarks.config.settings import Run
from benchmarks.datasets import Dataset
from benchmarks.metrics import Evaluated
from benchmarks.runner.record import Record
from benchmarks.tables.of_run import estimates, history
from models.base import Autoencoder
from priors.base import IndexedDistribution, Prior


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model and its prior, ready for `prior.sample(n)`, `prior.log_prob(z)`, `encode` and `decode`.

    data: its three splits, of which `data.test[:10]` are the first x. settings: all that it was made with. estimates:
    one a row; history: its losses, a row an epoch. Weights take no gradient; codes and data still do.
    """

    model: Autoencoder
    prior: Prior
    data: Dataset
    settings: Run
    estimates: pd.DataFrame = field(repr=False)
    history: pd.DataFrame = field(repr=False)

    def encode(self, x: Tensor | np.ndarray[Any, Any]) -> IndexedDistribution:
        """q(z|x), batch (B,), of x (B, *data.shape): `.mean` and `.sample()` are codes (B, D).

        Whole numbers are taken as the data set stores them, floats as the model sees them.
        """
        x = torch.as_tensor(x)
        if tuple(x.shape[1:]) != self.data.shape:
            shape = ", ".join(map(str, ("N", *self.data.shape)))
            raise UsageError(f"encode: x has the shape {tuple(x.shape)}, and this model's data have ({shape}).")
        scale = 1.0 if x.is_floating_point() else self.data.train.original.scale
        return self.model.encode(self._here(x) * scale)

    def decode(self, z: Tensor | np.ndarray[Any, Any]) -> Tensor:
        """E[x|z], (..., *data.shape), of codes z (..., D)."""
        z, dimension = torch.as_tensor(z), self.settings.model.latent_dim
        if not z.ndim or z.shape[-1] != dimension:
            raise UsageError(
                f"decode: z has the shape {tuple(z.shape)}, and this model's codes have (..., {dimension})."
            )
        return self.model.decode(self._here(z))

    def _here(self, given: Tensor) -> Tensor:
        """As the networks want it."""
        return given.to(self.data.train.stored.device, torch.float32)


def trained(run: Run, evaluated: Evaluated, record: Record) -> Trained:
    """What has been trained and fitted, with what its record says of it."""
    for part in (evaluated.model, evaluated.prior):
        part.requires_grad_(False)
    return Trained(evaluated.model, evaluated.prior, evaluated.data, run, estimates(record), history(record))

"""Four one-hot vectors: the toy problem on which an aggregated posterior can be drawn."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.datasets.base import Options, Source, register

SIZES = (1000, 100, 1000)


@register("onehot", "the four unit vectors of R^4, 1000/100/1000 in equal parts, binary; made on the fly")
def load(folder: Path, options: Options) -> Source:
    """Mescheder et al. (2017, arXiv:1701.04722) and Takahashi et al. (2019, arXiv:1809.05284): four unit vectors.

    Every split holds the four in equal parts, so the entropy of the data is ln 4 nats exactly. Here splits are not
    disjoint in value: there is nothing to overfit but the weights.
    """
    train, validation, test = (unit_vectors(n) for n in SIZES)
    return Source(train, validation, test, levels=2, log_prob=log_prob)


def unit_vectors(n: int) -> Tensor:
    """(n, 4), each unit vector n / 4 times."""
    return torch.eye(4, dtype=torch.uint8).repeat(n // 4, 1)


def log_prob(x: Tensor) -> Tensor:
    """ln p(x) in nats, (B, 4) -> (B,): -ln 4 at a unit vector, -inf elsewhere."""
    unit = (x.double().sum(-1) == 1) & (x.double().square().sum(-1) == 1)
    return torch.where(unit, -math.log(4), -math.inf).double()

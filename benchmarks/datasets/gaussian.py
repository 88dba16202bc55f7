"""Probabilistic PCA: the data set whose log p(x) is known exactly, so that every bound can be held against it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.distributions import LowRankMultivariateNormal

from benchmarks.datasets.base import Options, Source, register

SIZES = (5000, 1000, 1000)
DIMENSION = 16
LATENT = 4
NOISE = 0.5
SEED = 42


@register("gaussian", "probabilistic PCA with 4 latent and 16 observed dimensions, exact log p(x), 5000/1000/1000")
def load(folder: Path, options: Options) -> Source:
    """x = b + W z + s e with z and e standard normal: x ~ N(b, W W' + s^2 I) (Tipping and Bishop, 1999).

    Drawn in float64 from a seeded generator, kept as float32 (N, 16), real-valued.
    """
    w, b, s = pca_parameters()
    generator = torch.Generator().manual_seed(SEED + 1)
    z, e = (torch.randn(sum(SIZES), d, dtype=torch.float64, generator=generator) for d in (LATENT, DIMENSION))
    x = (b + z @ w.T + s * e).float()
    train, validation, test = x.split(SIZES)
    return Source(train, validation, test, bounded=False, log_prob=log_prob)


def pca_parameters() -> tuple[Tensor, Tensor, float]:
    """W (16, 4), b (16,) in float64, and s: the same on every call."""
    generator = torch.Generator().manual_seed(SEED)
    w = torch.randn(DIMENSION, LATENT, dtype=torch.float64, generator=generator)
    b = torch.randn(DIMENSION, dtype=torch.float64, generator=generator)
    return w, b, NOISE


def log_prob(x: Tensor) -> Tensor:
    """ln N(x; b, W W' + s^2 I) in nats: (B, 16) of any type -> (B,) float64, on x's device."""
    w, b, s = pca_parameters()
    w, b = w.to(x.device), b.to(x.device)
    return LowRankMultivariateNormal(b, w, torch.full_like(b, s**2)).log_prob(x.double())

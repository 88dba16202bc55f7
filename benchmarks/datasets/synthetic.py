"""A low-dimensional law pushed through a fixed random network into 128 dimensions: data whose manifold is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from torch import Generator, Tensor
from torch.nn.functional import leaky_relu

from benchmarks.datasets.base import Options, Source, register

SIZES = (10000, 1000, 2000)
LATENT = 5
COMPONENTS = 8
RADIUS = 2.0
"""Of the circle on which the components' means lie, 10 standard deviations from each other."""
SPREAD = 2 * RADIUS * math.sin(math.pi / COMPONENTS) / 10
HIDDEN = (128, 128)
DIMENSION = 128
SLOPE = 0.2
SEED = 42
GRID = 2**-12
"""Elements are kept as multiples of it, so that the last digits of a product, which differ between machines, do not
reach the data's digest."""

Layers = list[tuple[Tensor, Tensor]]
"""Weights (outputs, inputs) and biases (outputs,) of every layer."""


@register("synthetic", "R^5 normal pushed into R^128 by a network, 10000/1000/2000, real-valued; made on the fly")
def load(folder: Path, options: Options) -> Source:
    """x = f(z), z ~ N(0, I) in R^5, f a fixed random network to R^128 (FlexAE, section 4.1, Figure 2).

    FlexAE's supplement, which would give the network, is not published. Here f has two hidden layers of 128 leaky ReLUs
    (slope 0.2), so it is one to one and the data fill a manifold of exactly 5 dimensions without noise: there is no
    density in R^128. Divided by one number, with which the training set's variance is 1 on average over elements.
    """
    return pushed(normal, LATENT, SEED)


@register("synthetic-mog", "eight Gaussians in R^2 pushed into R^128, 10000/1000/2000, real-valued; made on the fly")
def load_mixture(folder: Path, options: Options) -> Source:
    """As `synthetic`, z from a mixture of Gaussians in R^2 (FlexAE, section 4.1, Figure 3).

    The mixture is a choice as well: 8 equal components round a circle of radius 2, each of standard deviation 0.153, a
    tenth of the distance between neighbouring means.
    """
    return pushed(mixture, 2, SEED + 1)


def normal(n: int, generator: Generator) -> Tensor:
    """z ~ N(0, I), (n, 5) in float64."""
    return torch.randn(n, LATENT, dtype=torch.float64, generator=generator)


def mixture(n: int, generator: Generator) -> Tensor:
    """z ~ 1/8 sum_k N(2 (cos 2 pi k/8, sin 2 pi k/8), 0.153^2 I), (n, 2) in float64."""
    angle = torch.randint(COMPONENTS, (n,), generator=generator).double() * (2 * math.pi / COMPONENTS)
    means = RADIUS * torch.stack([angle.cos(), angle.sin()], dim=1)
    return means + SPREAD * torch.randn(n, 2, dtype=torch.float64, generator=generator)


def pushed(latents: Callable[[int, Generator], Tensor], dimension: int, seed: int) -> Source:
    """f(z) for all three splits' draws of z in R^dimension, float32 (N, 128)."""
    generator = torch.Generator().manual_seed(seed)
    layers = random_layers(dimension, generator)
    x = network(layers, latents(sum(SIZES), generator))
    scale = x[: SIZES[0]].var(0).mean().sqrt()
    train, validation, test = ((x / scale / GRID).round() * GRID).float().split(SIZES)
    return Source(train, validation, test, bounded=False)


def random_layers(inputs: int, generator: Generator) -> Layers:
    """Weights ~ N(0, 2 / inputs) and biases ~ N(0, 1), in float64."""
    layers = []
    for a, b in pairwise((inputs, *HIDDEN, DIMENSION)):
        weight, bias = (torch.randn(b, n, dtype=torch.float64, generator=generator) for n in (a, 1))
        layers.append((math.sqrt(2 / a) * weight, bias.squeeze(1)))
    return layers


def network(layers: Layers, z: Tensor) -> Tensor:
    """f(z), (..., inputs) -> (..., 128): a leaky ReLU after all layers but the last."""
    *hidden, (weight, bias) = layers
    for w, b in hidden:
        z = leaky_relu(z @ w.T + b, SLOPE)
    return z @ weight.T + bias

"""Networks: an encoder x -> numbers of the posterior, and a decoder z -> numbers of the likelihood."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

Shape = tuple[int, ...]


class Backbone(NamedTuple):
    """encoder: (B, *data_shape) -> (B, encoder_outputs). decoder: (B, D) -> (B, P, *data_shape)."""

    encoder: nn.Module
    decoder: nn.Module


class GatedLinear(nn.Module):
    """h = (W x + b) * sigmoid(V x + c), one product for both halves (Dauphin et al. 2016)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.linear = nn.Linear(inputs, 2 * outputs)
        for half in self.linear.weight.data.chunk(2):
            nn.init.xavier_uniform_(half)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.glu(self.linear(x), dim=-1)


def gated_stack(inputs: int, widths: tuple[int, ...], outputs: int) -> nn.Sequential:
    """Gated layers of the given widths, then a linear one, Glorot initialised."""
    sizes = (inputs, *widths)
    layers: list[nn.Module] = [GatedLinear(a, b) for a, b in pairwise(sizes)]
    last = nn.Linear(sizes[-1], outputs)
    nn.init.xavier_uniform_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


def mlp(data_shape: Shape, encoder_outputs: int, latent_dim: int, outputs: int, widths: tuple[int, ...]) -> Backbone:
    """Gated multilayer perceptrons on both sides, the decoder's widths mirrored (IOP: 500, 500; VampPrior: 300, 300).

    No width at all makes both sides linear, which for Gaussian data is the exact model class.
    """
    elements = math.prod(data_shape)
    return Backbone(
        nn.Sequential(nn.Flatten(), gated_stack(elements, widths, encoder_outputs)),
        nn.Sequential(
            gated_stack(latent_dim, widths[::-1], outputs * elements),
            nn.Unflatten(1, (outputs, *data_shape)),
        ),
    )


def conv(data_shape: Shape, encoder_outputs: int, latent_dim: int, outputs: int, widths: tuple[int, ...]) -> Backbone:
    """A small convolutional pair for images: for every width a stride-2 convolution with a ReLU, mirrored.

    Each stage halves the side (rounding up) and the decoder retraces these sides exactly, so any size works.
    """
    if len(data_shape) != 3:
        raise ValueError(f"the conv backbone needs images (channels, height, width), not data of shape {data_shape}")
    if not widths:
        raise ValueError("the conv backbone needs at least one width, for example widths = [32, 64]")
    channels, height, width = data_shape
    sides = [(height, width)]
    for _ in widths:
        sides.append(((sides[-1][0] + 1) // 2, (sides[-1][1] + 1) // 2))
    features = widths[-1] * math.prod(sides[-1])
    return Backbone(
        nn.Sequential(*_downward((channels, *widths)), nn.Flatten(), nn.Linear(features, encoder_outputs)),
        nn.Sequential(
            nn.Linear(latent_dim, features),
            nn.ReLU(),
            nn.Unflatten(1, (widths[-1], *sides[-1])),
            *_upward((*widths[::-1], outputs * channels), sides[::-1]),
            nn.Unflatten(1, (outputs, channels)),
        ),
    )


def _downward(channels: Shape) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for a, b in pairwise(channels):
        layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.ReLU()]
    return layers


def _upward(channels: Shape, sides: list[tuple[int, int]]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for (a, b), (small, large) in zip(pairwise(channels), pairwise(sides), strict=True):
        extra = tuple(big - (2 * little - 1) for big, little in zip(large, small, strict=True))
        layers += [nn.ConvTranspose2d(a, b, 3, stride=2, padding=1, output_padding=extra), nn.ReLU()]
    return layers[:-1]


BACKBONES: dict[str, Callable[[Shape, int, int, int, tuple[int, ...]], Backbone]] = {"mlp": mlp, "conv": conv}

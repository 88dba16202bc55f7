"""Gated networks of two levels of codes, z = (z1, z2), half of the dimensions each."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.backbones.base import BACKBONES, Backbone, Shape
from priors.parts.gated import GatedLinear, gated_stack
from priors.parts.two_levels import halves


class Beside(nn.Module):
    """Two networks of the same x, one's numbers beside the other's."""

    def __init__(self, one: nn.Module, other: nn.Module):
        super().__init__()
        self.one, self.other = one, other

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.other(x)], -1)


class Joined(nn.Module):
    """A network of z1 beside one of z2, z = (z1, z2)."""

    def __init__(self, low: nn.Module, top: nn.Module):
        super().__init__()
        self.low, self.top = low, top

    def forward(self, z: Tensor) -> Tensor:
        z1, z2 = halves(z)
        return torch.cat([self.low(z1), self.top(z2)], -1)


@BACKBONES.register("hvae")
def hvae(
    data_shape: Shape, encoder_outputs: int, latent_dim: int, outputs: int, widths: tuple[int, ...] = (300, 300)
) -> Backbone:
    """HVAE's dense networks, for the posterior two-level (Tomczak and Welling 2018, section 4; both levels see x).

    Encoder: two gated layers to the numbers of q(z2|x), and beside them one gated layer of x, which q(z1|x, z2) reads.
    Decoder: a gated layer of z1 and one of z2, then a gated layer of both.
    """
    if not widths:
        raise ValueError("the hvae backbone needs a width at least, for example [300, 300]")
    elements, top = math.prod(data_shape), latent_dim // 2
    first, second = widths[0], widths[-1]
    of_x = Beside(gated_stack(elements, widths, 2 * top), GatedLinear(elements, encoder_outputs - 2 * top))
    of_z = Joined(GatedLinear(latent_dim - top, second), GatedLinear(top, second))
    return Backbone(
        nn.Sequential(nn.Flatten(), of_x),
        nn.Sequential(
            of_z, gated_stack(2 * second, (first,), outputs * elements), nn.Unflatten(1, (outputs, *data_shape))
        ),
    )

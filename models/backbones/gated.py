"""Gated multilayer perceptrons."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from models.backbones.base import BACKBONES, Backbone, Shape


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


@BACKBONES.register("mlp")
def mlp(
    data_shape: Shape, encoder_outputs: int, latent_dim: int, outputs: int, widths: tuple[int, ...] = (300, 300)
) -> Backbone:
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

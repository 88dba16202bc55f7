"""Gated multilayer perceptrons on both sides."""

from __future__ import annotations

import math

from torch import nn

from models.backbones.base import BACKBONES, Backbone, Shape
from priors.parts.gated import gated_stack


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

"""Multilayer perceptrons without gates."""

from __future__ import annotations

import math

from torch import nn

from models.backbones.base import BACKBONES, Backbone, Shape
from priors.parts import networks


@BACKBONES.register("dense")
def dense(
    data_shape: Shape, encoder_outputs: int, latent_dim: int, outputs: int, widths: tuple[int, ...] = (256, 256)
) -> Backbone:
    """Dense layers with a ReLU after each but the last, mirrored, for points in the plane and other small vectors.

    FlexAE's supplement, which would say what its synthetic experiments used, is not published: the width is a choice.
    """
    elements = math.prod(data_shape)
    return Backbone(
        nn.Sequential(nn.Flatten(), networks.mlp(elements, widths, encoder_outputs)),
        nn.Sequential(
            networks.mlp(latent_dim, widths[::-1], outputs * elements),
            nn.Unflatten(1, (outputs, *data_shape)),
        ),
    )

"""dpVAE's network for MNIST."""

from __future__ import annotations

import math

from torch import nn

from models.backbones.base import BACKBONES, Backbone, Shape, Stage, check_widths, downward, image_size, sizes, upward
from priors.parts.networks import mlp

STAGES = (Stage(4, stride=2, padding=1), Stage(3, stride=1, padding=0)) * 2
"""From sides of 28 pixels they lead to sides of 14, 12, 6 and 4."""


@BACKBONES.register("dpvae")
def dpvae(
    data_shape: Shape, encoder_outputs: int, latent_dim: int, outputs: int, widths: tuple[int, ...] = (32, 256)
) -> Backbone:
    """Four convolutions of the first width and two dense layers of the second, mirrored, ReLU between all.

    Bhalodia et al. (2020) take it from Burgess et al. (2018, arXiv:1804.03599); sizes as in their released code. Sides
    of 16 pixels or more.
    """
    check_widths("dpvae", widths, (32, 256))
    channels, size = image_size("dpvae", data_shape, smallest=16)
    inner, units = (widths[0],) * len(STAGES), (widths[1],) * 2
    smallest = sizes(size, STAGES)[-1]
    features = inner[-1] * math.prod(smallest)
    return Backbone(
        nn.Sequential(*downward((channels, *inner), STAGES), nn.Flatten(), mlp(features, units, encoder_outputs)),
        nn.Sequential(
            mlp(latent_dim, units, features),
            nn.ReLU(),
            nn.Unflatten(1, (inner[-1], *smallest)),
            *upward((*inner, outputs * channels), STAGES, size),
            nn.Unflatten(1, (outputs, channels)),
        ),
    )

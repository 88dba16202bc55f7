"""A small convolutional pair for images of any size."""

from __future__ import annotations

import math

from torch import nn

from models.backbones.base import BACKBONES, Backbone, Shape, Stage, downward, image_size, sizes, upward

HALVING = Stage(kernel=3, stride=2, padding=1)
"""A side of n leaves one of n / 2, rounded up."""


@BACKBONES.register("conv")
def conv(
    data_shape: Shape, encoder_outputs: int, latent_dim: int, outputs: int, widths: tuple[int, ...] = (32, 64)
) -> Backbone:
    """For every width a 3x3 convolution of stride 2 with a ReLU, mirrored."""
    channels, size = image_size("conv", data_shape)
    if not widths:
        raise ValueError("the conv backbone needs at least one width, for example widths = [32, 64]")
    stages = [HALVING] * len(widths)
    smallest = sizes(size, stages)[-1]
    features = widths[-1] * math.prod(smallest)
    return Backbone(
        nn.Sequential(*downward((channels, *widths), stages), nn.Flatten(), nn.Linear(features, encoder_outputs)),
        nn.Sequential(
            nn.Linear(latent_dim, features),
            nn.ReLU(),
            nn.Unflatten(1, (widths[-1], *smallest)),
            *upward((*widths[::-1], outputs * channels), stages, size),
            nn.Unflatten(1, (outputs, channels)),
        ),
    )

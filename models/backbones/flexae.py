"""Two networks with batch normalisation after InfoGAN's: FlexAE's and 2-Stage VAE's.

No layer has a bias where batch normalisation follows, which would cancel it. Running statistics follow PyTorch's
default momentum of 0.1, not the authors' slower ones, so that short runs can be evaluated too.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from models.backbones.base import BACKBONES, Backbone, Shape, Size, Stage, check_widths, image_size

HALVING = Stage(kernel=4, stride=2, padding=1)
"""A side of n leaves one of n / 2, rounded down."""

DEFAULT = (64, 128, 1024)


@BACKBONES.register("flexae")
def flexae(
    data_shape: Shape, encoder_outputs: int, latent_dim: int, outputs: int, widths: tuple[int, ...] = DEFAULT
) -> Backbone:
    """Two 4x4 convolutions of stride 2 and a dense layer; back, with one more convolution, ReLU and batch norm.

    Mondal et al. (2021), sizes as in their released code: the transposed convolutions have as many
    channels as the encoder's, and a 3x3 convolution follows them. Sides of 4 pixels or more.
    """
    check_widths("flexae", widths, DEFAULT)
    channels, size = image_size("flexae", data_shape, smallest=4)
    first, second, _ = widths
    decoder = nn.Sequential(
        *from_code(latent_dim, size, widths),
        HALVING.up(second, second, HALVING.after(size), bias=False),
        nn.BatchNorm2d(second),
        nn.ReLU(),
        HALVING.up(second, first, size, bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(),
        nn.Conv2d(first, outputs * channels, 3, padding=1),
        nn.Unflatten(1, (outputs, channels)),
    )
    return Backbone(to_code(channels, size, widths, encoder_outputs, nn.ReLU()), decoder)


@BACKBONES.register("infogan")
def infogan(
    data_shape: Shape, encoder_outputs: int, latent_dim: int, outputs: int, widths: tuple[int, ...] = DEFAULT
) -> Backbone:
    """The same as `flexae`, but with spectral norm and leaky ReLU (0.2) in the encoder and no convolution at the end.

    Dai and Wipf (2019, arXiv:1903.05789), sizes as in their released code: spectral norm on every convolution and
    dense layer of the encoder, on none of the decoder. Sides of 4 pixels or more.
    """
    check_widths("infogan", widths, DEFAULT)
    channels, size = image_size("infogan", data_shape, smallest=4)
    first, second, _ = widths
    decoder = nn.Sequential(
        *from_code(latent_dim, size, widths),
        HALVING.up(second, first, HALVING.after(size), bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(),
        HALVING.up(first, outputs * channels, size),
        nn.Unflatten(1, (outputs, channels)),
    )
    return Backbone(to_code(channels, size, widths, encoder_outputs, nn.LeakyReLU(0.2), spectral_norm), decoder)


def to_code(
    channels: int,
    size: Size,
    widths: Shape,
    encoder_outputs: int,
    activation: nn.Module,
    normed: Callable[[nn.Module], nn.Module] = lambda layer: layer,
) -> nn.Sequential:
    """The encoder of both; `normed` wraps its convolutions and dense layers."""
    first, second, units = widths
    features = second * math.prod(quarter(size))
    return nn.Sequential(
        normed(HALVING.down(channels, first)),
        activation,
        normed(HALVING.down(first, second, bias=False)),
        nn.BatchNorm2d(second),
        activation,
        nn.Flatten(),
        normed(nn.Linear(features, units, bias=False)),
        nn.BatchNorm1d(units),
        activation,
        normed(nn.Linear(units, encoder_outputs)),
    )


def from_code(latent_dim: int, size: Size, widths: Shape) -> list[nn.Module]:
    """The decoder of both up to the first transposed convolution: z (B, D) -> (B, channels, height/4, width/4)."""
    _, channels, units = widths
    features = channels * math.prod(quarter(size))
    return [
        nn.Linear(latent_dim, units, bias=False),
        nn.BatchNorm1d(units),
        nn.ReLU(),
        nn.Linear(units, features, bias=False),
        nn.BatchNorm1d(features),
        nn.ReLU(),
        nn.Unflatten(1, (channels, *quarter(size))),
    ]


def quarter(size: Size) -> Size:
    """The size that two convolutions of the encoder leave."""
    return HALVING.after(HALVING.after(size))

"""VAEPP's residual networks, for images of 28 x 28 and of 32 x 32 pixels.

"VAEPP: Variational Autoencoder with a Pull-back Prior", sizes as in the authors' released code. Both networks halve the
side twice, rounding up; the decoder cuts what the rounding adds. The encoder's last layer starts at zero, so at first
q(z|x) has mean 0 and log variance 0 for every x.
"""

from __future__ import annotations

import math
from itertools import pairwise

from torch import nn

from models.backbones.base import BACKBONES, Backbone, Shape, Size, check_widths, image_size
from priors.parts.residual import ResidualBlock

CODE_CHANNELS = 16
"""Channels of the map that vaepp-cifar's decoder starts from where a code has not a map's size: the paper's."""


@BACKBONES.register("vaepp")
def vaepp(
    data_shape: Shape, encoder_outputs: int, latent_dim: int, outputs: int, widths: tuple[int, ...] = (16, 32, 64)
) -> Backbone:
    """A residual block for every width, the last two of stride 2, and a dense layer; mirrored, with a 1x1 convolution.

    For Fashion-MNIST's likelihood the paper's widths are 16, 32, 32, 32, 64. Any size of images.
    """
    channels, size = image_size("vaepp", data_shape)
    if len(widths) < 2:
        raise ValueError(f"the vaepp backbone needs at least 2 widths, like [16, 32, 64], not {list(widths)}")
    strides = (*[1] * (len(widths) - 2), 2, 2)
    kernels = (3,) * len(widths)
    features = widths[-1] * math.prod(quarter(size))
    return Backbone(
        nn.Sequential(
            *blocks((channels, *widths), strides, kernels),
            nn.Flatten(),
            zero(nn.Linear(features, encoder_outputs)),
        ),
        nn.Sequential(
            nn.Linear(latent_dim, features),
            nn.Unflatten(1, (widths[-1], *quarter(size))),
            *blocks((widths[-1], *widths[::-1]), strides[::-1], kernels, transposed=True),
            *to_image(widths[0], channels, outputs, size),
        ),
    )


@BACKBONES.register("vaepp-cifar")
def vaepp_cifar(
    data_shape: Shape, encoder_outputs: int, latent_dim: int, outputs: int, widths: tuple[int, ...] = (96, 192)
) -> Backbone:
    """Seven residual blocks and a 1x1 convolution to codes that are maps; back with eight blocks. Any size of images.

    For 32 x 32 pixels a code of 1024 numbers is a map of 16 x 8 x 8. Where the size of a map, height/4 x width/4, does
    not divide the numbers of a code, dense layers stand in. The paper's encoder ends in residual blocks that start at
    zero; their residual branch never gets a gradient, which leaves their 1x1 shortcut.
    """
    check_widths("vaepp-cifar", widths, (96, 192))
    channels, size = image_size("vaepp-cifar", data_shape)
    few, many = widths
    down = blocks((channels, few, few, *[many] * 5), (1, 1, 2, 1, 2, 1, 1), (5, *[3] * 6))
    start, start_channels = from_code(latent_dim, size)
    up = blocks((start_channels, *[many] * 6, few, few), (1, 1, 1, 2, 1, 1, 2, 1), (*[3] * 7, 5), transposed=True)
    return Backbone(
        nn.Sequential(*down, *to_code(many, size, encoder_outputs)),
        nn.Sequential(*start, *up, *to_image(few, channels, outputs, size)),
    )


def blocks(channels: Shape, strides: Shape, kernels: Shape, transposed: bool = False) -> list[nn.Module]:
    """Residual blocks from the first number of channels to the last."""
    shapes = zip(pairwise(channels), strides, kernels, strict=True)
    return [ResidualBlock(a, b, stride, kernel, transposed) for (a, b), stride, kernel in shapes]


def to_code(channels: int, size: Size, encoder_outputs: int) -> list[nn.Module]:
    """Layers (B, channels, height/4, width/4) -> (B, encoder_outputs): a 1x1 convolution, or a dense layer."""
    area = math.prod(quarter(size))
    if encoder_outputs % area:
        return [nn.Flatten(), zero(nn.Linear(channels * area, encoder_outputs))]
    return [zero(nn.Conv2d(channels, encoder_outputs // area, 1)), nn.Flatten()]


def from_code(latent_dim: int, size: Size) -> tuple[list[nn.Module], int]:
    """Layers z (B, D) -> (B, channels, height/4, width/4), and how many channels these are."""
    area = math.prod(quarter(size))
    if latent_dim % area:
        dense = nn.Linear(latent_dim, CODE_CHANNELS * area)
        return [dense, nn.Unflatten(1, (CODE_CHANNELS, *quarter(size)))], CODE_CHANNELS
    return [nn.Unflatten(1, (latent_dim // area, *quarter(size)))], latent_dim // area


def to_image(inputs: int, channels: int, outputs: int, size: Size) -> list[nn.Module]:
    """(B, inputs, 4 height, 4 width) of the quarter's size -> (B, outputs, channels, *size)."""
    below, right = (side - 4 * small for side, small in zip(size, quarter(size), strict=True))
    cut = nn.ZeroPad2d((0, right, 0, below))  # a negative padding cuts
    return [nn.Conv2d(inputs, outputs * channels, 1), cut, nn.Unflatten(1, (outputs, channels))]


def quarter(size: Size) -> Size:
    """A quarter of both sides, rounded up."""
    height, width = (-(-side // 4) for side in size)
    return height, width


def zero(layer: nn.Linear | nn.Conv2d) -> nn.Module:
    """The layer with all its parameters at zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer

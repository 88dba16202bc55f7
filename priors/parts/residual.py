"""Residual blocks without normalisation, and the critic of images made of them."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from priors.parts.networks import Scalar

SLOPE = 0.2
"""The slope of the leaky ReLU below zero."""


class ResidualBlock(nn.Module):
    """h(x) + c2(a(c1(a(x)))): a pre-activation residual block of two convolutions, a = leaky ReLU (He et al. 2016).

    h is the identity where the shape stays and a 1x1 convolution elsewhere; c1 changes the shape. No normalisation:
    a gradient penalty is a number of one input.

    x (B, inputs, H, W) -> (B, outputs, ceil(H / stride), ceil(W / stride)), or with `transposed`, for decoders,
    (B, outputs, stride H, stride W). ValueError for an even `kernel`, which has no centre.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, kernel: int = 3, transposed: bool = False):
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"a residual block needs an odd kernel, not {kernel}")

        def resize(size: int) -> nn.Module:
            """The convolution of this kernel that changes the shape."""
            if transposed:
                return nn.ConvTranspose2d(inputs, outputs, size, stride, size // 2, output_padding=stride - 1)
            return nn.Conv2d(inputs, outputs, size, stride, size // 2)

        self.first, self.second = resize(kernel), nn.Conv2d(outputs, outputs, kernel, padding=kernel // 2)
        self.shortcut = nn.Identity() if (inputs, stride) == (outputs, 1) else resize(1)

    def forward(self, x: Tensor) -> Tensor:
        change = self.second(leaky_relu(self.first(leaky_relu(x, SLOPE)), SLOPE))
        return self.shortcut(x) + change


def residual_critic(data_shape: tuple[int, ...], channels: tuple[int, ...] = (16, 32, 64), width: int = 64) -> Scalar:
    """x (B, *data_shape) -> (B,): VAEPP's critic of images of any size, blocks of stride 2 but the first.

    The two dense layers have no activation between them, as in the authors' code. ValueError for data that are not
    images.
    """
    if len(data_shape) != 3:
        raise ValueError(f"a residual critic needs images (channels, height, width), not data of shape {data_shape}")
    inputs, height, across = data_shape
    blocks = []
    for i, (a, b) in enumerate(pairwise((inputs, *channels))):
        stride = 2 if i else 1
        blocks.append(ResidualBlock(a, b, stride))
        height, across = -(-height // stride), -(-across // stride)
    return Scalar(*blocks, nn.Flatten(), nn.Linear(channels[-1] * height * across, width), nn.Linear(width, 1))

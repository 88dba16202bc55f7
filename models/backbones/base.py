"""What backbones share: the pair, checks of shapes and widths, and convolutions that can be retraced exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from torch import nn

from priors.registry import Registry

Shape = tuple[int, ...]
Size = tuple[int, int]
"""The height and the width of images, in pixels."""


class Backbone(NamedTuple):
    """encoder: (B, *data_shape) -> (B, encoder_outputs). decoder: (B, D) -> (B, P, *data_shape)."""

    encoder: nn.Module
    decoder: nn.Module


BACKBONES: Registry[Callable[..., Backbone]] = Registry(
    "backbone", ("models.backbones",), callable, "a function that makes a Backbone", '@BACKBONES.register("name")'
)


class Stage(NamedTuple):
    """A convolution's geometry. Its transpose leads back to the very size that it came from, odd ones too."""

    kernel: int
    stride: int
    padding: int

    def after(self, size: Size) -> Size:
        """The size that a convolution leaves of `size`."""
        height, width = ((side + 2 * self.padding - self.kernel) // self.stride + 1 for side in size)
        return height, width

    def down(self, inputs: int, outputs: int, bias: bool = True) -> nn.Conv2d:
        """The convolution from `inputs` channels to `outputs`."""
        return nn.Conv2d(inputs, outputs, *self, bias=bias)

    def up(self, inputs: int, outputs: int, size: Size, bias: bool = True) -> nn.ConvTranspose2d:
        """The transposed convolution from `after(size)` back to `size`."""
        least = ((side - 1) * self.stride - 2 * self.padding + self.kernel for side in self.after(size))
        below, right = (side - reached for side, reached in zip(size, least, strict=True))
        return nn.ConvTranspose2d(inputs, outputs, *self, output_padding=(below, right), bias=bias)


def sizes(size: Size, stages: Sequence[Stage]) -> list[Size]:
    """The size before every stage and after the last."""
    return list(accumulate(stages, lambda size, stage: stage.after(size), initial=size))


def downward(channels: Shape, stages: Sequence[Stage]) -> list[nn.Module]:
    """A convolution with a ReLU for every stage."""
    layers: list[nn.Module] = []
    for (a, b), stage in zip(pairwise(channels), stages, strict=True):
        layers += [stage.down(a, b), nn.ReLU()]
    return layers


def upward(channels: Shape, stages: Sequence[Stage], size: Size) -> list[nn.Module]:
    """Transposed convolutions with ReLUs between, back through the stages to `size`; channels as the decoder goes."""
    layers: list[nn.Module] = []
    larger = sizes(size, stages)[-2::-1]
    for (a, b), stage, target in zip(pairwise(channels), stages[::-1], larger, strict=True):
        layers += [stage.up(a, b, target), nn.ReLU()]
    return layers[:-1]


def image_size(backbone: str, data_shape: Shape, smallest: int = 1) -> tuple[int, Size]:
    """Channels and size of images; ValueError for data that are none or that are smaller than the backbone needs."""
    if len(data_shape) != 3:
        raise ValueError(
            f"the {backbone} backbone needs images (channels, height, width), not data of shape {data_shape}: "
            "use mlp or dense"
        )
    channels, height, width = data_shape
    if min(height, width) < smallest:
        raise ValueError(f"the {backbone} backbone needs sides of {smallest} pixels or more, not {height} x {width}")
    return channels, (height, width)


def check_widths(backbone: str, widths: Shape, example: Shape) -> None:
    """ValueError unless there are as many widths as in the example."""
    if len(widths) != len(example):
        raise ValueError(
            f"the {backbone} backbone needs {len(example)} widths, for example {list(example)}, not {list(widths)}"
        )

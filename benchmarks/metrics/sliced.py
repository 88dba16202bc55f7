"""How far generated images lie from real ones in pixels, for data that have neither classes nor Inception's weights.

Pixels are no features: a distance in them sees colours, brightness and where they lie, and hardly what is shown. It
needs no network and no label, and is what it says it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.estimators.estimate import Estimate, Remark, remarks
from benchmarks.estimators.estimator import Estimator
from benchmarks.estimators.sliced import DIRECTIONS, directions, sliced_wasserstein
from benchmarks.metrics.base import BOTH, Deciding, Sees, metric
from benchmarks.metrics.evaluated import Evaluated
from priors.base import Unsupported

SIDE, PATCHES = 7, 16
"""Of a patch, or the image's own where that is smaller; and patches an image."""

SMALL = 10_000
"""Images a side below which estimates say of how many they are."""


def sliced_estimates(evaluated: Evaluated, name: str, what: str, points: Callable[[Tensor], Tensor]) -> list[Estimate]:
    """The distance of generated images to the test images, and that of as many training images.

    points: of images (n, C, H, W) in [0, 1], (m, D). All distances are along the same directions.
    """
    if not evaluated.data.of_pictures:
        raise Unsupported("the data are no pictures with elements in [0, 1]: use fd_data")
    sets = [evaluated.generated, evaluated.training[0], evaluated.test]
    least = min(map(len, sets))  # of few training images there are fewer than test images
    generated, training, test = (points(one[:least].cpu().double() / 255) for one in sets)
    along = directions(test.shape[1])
    distance, floor = (sliced_wasserstein(one, test, along) for one in (generated, training))
    how = Estimator("slices", draws=(DIRECTIONS, least))
    small = Remark("of {} images: biased, compare equal numbers alone", (str(least),)) if least < SMALL else ""
    told = remarks(what, small)
    return [
        Estimate(name, how, distance, "intensity", "lower", remarks=told),
        Estimate(name, replace(how, of="floor"), floor, "intensity", "none", remarks=told),
    ]


@metric(
    "sliced_pixels",
    draws=True,
    deciding=Deciding("samples", "sliced_pixels", "slices", rank=1),
    sees=(Sees("sliced_pixels", BOTH),),
)
def sliced_pixels(evaluated: Evaluated) -> list[Estimate]:
    """Sliced Wasserstein distance of generated images to the test images, in pixels: needs no network and no classes.

    sqrt(E_t W_2^2) over 1000 random directions of all pixels and channels together (Rabin et al. 2011; Bonneel et al.
    2015), in intensities of which 1 is white: a shift of every pixel by 0.1 is 0.1. `-floor` is what as many training
    images get; the bias of few images is in both.
    """
    return sliced_estimates(evaluated, "sliced_pixels", "pixels, no features", lambda x: x.flatten(1))


@metric(
    "sliced_patches",
    draws=True,
    deciding=Deciding("samples", "sliced_patches", "slices", rank=2),
    sees=(Sees("sliced_patches", BOTH),),
)
def sliced_patches(evaluated: Evaluated) -> list[Estimate]:
    """Sliced Wasserstein distance of patches of generated images to those of test images, each less its mean colour.

    16 patches of 7 x 7 an image at random places, less the mean of each channel, so that edges and texture count and
    brightness does not: blurred images are far. After Karras et al. 2018, without their pyramid. Unit, bias and
    `-floor` as of sliced_pixels.
    """
    told = f"{PATCHES} patches an image of {SIDE} x {SIDE} at most, less their mean"
    return sliced_estimates(evaluated, "sliced_patches", told, patches)


def patches(x: Tensor) -> Tensor:
    """Patches of images (n, C, H, W) at random places, less the mean of each channel, (n PATCHES, C h w)."""
    n, _, height, width = x.shape
    h, w = min(SIDE, height), min(SIDE, width)
    windows = x.unfold(2, h, 1).unfold(3, w, 1)  # (n, C, H - h + 1, W - w + 1, h, w)
    image = torch.arange(n).repeat_interleave(PATCHES)
    top, left = (torch.randint(size - part + 1, (len(image),)) for size, part in ((height, h), (width, w)))
    chosen = windows[image, :, top, left]
    return (chosen - chosen.mean((2, 3), keepdim=True)).flatten(1)

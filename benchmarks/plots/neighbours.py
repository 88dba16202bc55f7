"""Whether what is generated has been seen: generated images over their nearest training images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.common import style
from benchmarks.estimators.neighbours import nearest
from benchmarks.metrics import Evaluated
from benchmarks.metrics.memorisation import LEVELS
from benchmarks.plots.base import Drawing, Results, plot
from benchmarks.plots.pictures import generated, seeds, show, trained

COUNT = 8


@plot("neighbours")
def neighbours(results: Results) -> Iterator[Drawing]:
    """Generated images over their nearest training images, with the distances."""
    models = trained(results, of_pictures=True)
    training = next(iter(models.values())).all_training
    images = shown(models)
    count = len(images["test images"])
    text = (
        f"Top rows: each method's first {count} images E[x|z], z ~ p(z), none chosen, beside the first test images. "
        f"Below: the nearest of {len(training)} training images, and the Euclidean distance over pixels in [0, 1]. "
        "A copy is the same picture twice, at a distance near 0; that E[x|z] is somewhat nearer than test images are "
        f"comes of its smoothness as well. {seeds(models).capitalize()}."
    )
    yield Drawing(over_nearest(images, training), text)


def shown(models: Mapping[str, Evaluated]) -> dict[str, Tensor]:
    """Test images, COUNT or as many as there are, and by method as many generated ones."""
    one = next(iter(models.values()))
    count = min(COUNT, len(one.data.test))
    images = {"test images": one.real(one.data.test, torch.arange(count))}
    return images | {method: generated(evaluated, count) for method, evaluated in models.items()}


def over_nearest(images: Mapping[str, Tensor], training: Tensor) -> Figure:
    """A panel a method: two rows of images, and the distance between them as a number below."""
    figure, grid = style.panels(len(images), across=2, size=(4.2, 1.5))
    count = len(next(iter(images.values())))
    found = nearest(torch.cat([*images.values()]), training)
    distance, index = (part.split(count) for part in found)
    for axes, (name, some), apart, near in zip(grid, images.items(), distance, index, strict=True):
        numbers = [f"{one / LEVELS:.2f}" for one in apart.tolist()]
        show(axes, torch.cat([some, training[near]]), count, rows=["image", "nearest"], columns=numbers)
        axes.set(title=name, xlabel="Euclidean distance")
    return figure

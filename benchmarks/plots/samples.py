"""What every method generates and reconstructs, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.common import style
from benchmarks.common.seeds import stream
from benchmarks.metrics import Evaluated
from benchmarks.plots.base import Drawing, Results, plot
from benchmarks.plots.pictures import IMAGE, generated, seeds, show, trained
from benchmarks.runner.pictures import POINTS, reconstructions
from priors.base import Unsupported

SIDE = 5
COUNT = 12
"""Test images that are reconstructed."""


@plot("samples")
def samples(results: Results) -> Iterator[Drawing]:
    """Draws from every method's prior, reconstructions, and the draws where the fewest codes are, side by side."""
    models = trained(results)
    data = next(iter(models.values())).data
    if not data.of_pictures and data.shape != (2,):
        raise Unsupported(f"{data.name} is made neither of pictures nor of points in the plane")
    yield from of_pictures(models) if data.of_pictures else of_points(models)


# Pictures


def of_pictures(models: Mapping[str, Evaluated]) -> Iterator[Drawing]:
    """Grids of draws, rows of reconstructions, and grids of the draws with the lowest q(z) where that is known."""
    drawn = {method: generated(evaluated, SIDE**2) for method, evaluated in models.items()}
    text = (
        f"E[x|z] at the first {SIDE**2} draws z of each method's prior, {seeds(models)}. Equal pictures are equal "
        "draws: a prior that resamples repeats codes of large weight."
    )
    yield Drawing(grids(drawn), text, "draws")
    text = (
        f"The first {COUNT} test images, binarised where the model's data are, and below them, a row a method, E[x|z] "
        f"at one z ~ q(z|x) each, {seeds(models)}."
    )
    yield Drawing(rows(models), text, "reconstructions")
    low = least_covered(models)
    if low:
        text = (
            f"E[x|z] at those {SIDE**2} of {POINTS} draws z of each method's prior where the training set's aggregate "
            f"posterior q(z) is lowest, from the lowest on, {seeds(models)}. Pictures unlike the data show latent "
            "pockets. A method whose posteriors are no normals, or have no density, is left out."
        )
        yield Drawing(grids(low), text, "low-posterior")


def least_covered(models: Mapping[str, Evaluated]) -> dict[str, Tensor]:
    """E[x|z] at the prior's draws with the lowest q(z), by method; without those whose q(z) is unknown."""
    low = {}
    for method, evaluated in models.items():
        with suppress(Unsupported), stream(evaluated.seed, "plot of low posteriors"):
            low[method] = evaluated.decoded(evaluated.least_covered(POINTS, SIDE**2), "samples")
    return low


def grids(images: Mapping[str, Tensor]) -> Figure:
    """A square of pictures a method."""
    figure, grid = style.panels(len(images), across=5, size=(2.0, 2.2))
    for axes, (method, some) in zip(grid, images.items(), strict=True):
        show(axes, some, SIDE)
        axes.set_title(method)
    return figure


def rows(models: Mapping[str, Evaluated]) -> Figure:
    """Test images, and a row of reconstructions a method."""
    again = {}
    for method, evaluated in models.items():
        with stream(evaluated.seed, "plot of reconstructions"):
            x, again[method] = reconstructions(evaluated, COUNT)
    images = evaluated.kept(torch.cat([x, *again.values()]))
    figure = Figure(figsize=(IMAGE * len(x) + 1, IMAGE * (len(again) + 1) + 0.2), layout="compressed")
    show(figure.subplots(), images, len(x), rows=["test images", *again])
    return figure


# Points in the plane


def of_points(models: Mapping[str, Evaluated]) -> Iterator[Drawing]:
    """Draws and reconstructions, each over the test points."""
    drawn, again = {}, {}
    for method, evaluated in models.items():
        with stream(evaluated.seed, "plot of samples"):
            drawn[method] = evaluated.model.likelihood.sample(evaluated.model.parameters_of_x(evaluated.draws[:POINTS]))
        with stream(evaluated.seed, "plot of reconstructions"):
            x, again[method] = reconstructions(evaluated, POINTS)
    ending = f"in black over {len(x)} test points in grey, {seeds(models)}. Those beyond the panel are counted."
    yield Drawing(clouds(drawn, x), f"{POINTS} draws x ~ p(x|z), z ~ p(z), {ending}", "draws")
    yield Drawing(clouds(again, x), f"E[x|z] at one z ~ q(z|x) for each test point x, {ending}", "reconstructions")


def clouds(points: Mapping[str, Tensor], test: Tensor) -> Figure:
    """A panel a method: its points over those of the test set, whose range with a margin all panels have."""
    margin = 0.4 * (test.amax(0) - test.amin(0))
    low, high = test.amin(0) - margin, test.amax(0) + margin
    width, height = (high - low).tolist()
    figure, grid = style.panels(len(points), size=(style.PANEL, style.PANEL * height / width + 0.5))
    limits = dict(zip(("xlim", "ylim"), torch.stack([low, high]).T.tolist(), strict=True))
    for axes, (method, some) in zip(grid, points.items(), strict=True):
        axes.scatter(*test.cpu().T, s=4, color="0.8", linewidths=0)
        axes.scatter(*some.cpu().T, s=2, color="black", linewidths=0)
        beyond = ((some < low) | (some > high)).any(1).sum().item()
        title = f"{method} ({beyond} beyond)" if beyond else method
        axes.set(title=title, xlabel="x1", ylabel="x2", aspect="equal", **limits)
    return figure

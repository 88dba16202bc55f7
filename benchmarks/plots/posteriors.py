"""Posteriors of data sets that have few distinct points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.common import style
from benchmarks.common.seeds import stream
from benchmarks.datasets import Split
from benchmarks.metrics.evaluated import CHUNK
from benchmarks.plots.base import Drawing, Results, plot
from benchmarks.plots.pictures import seeds
from benchmarks.plots.plane import (
    LEGEND,
    MASSES_IN_WORDS,
    Law,
    cloud,
    frame,
    on_a_plane,
    outline,
    prior_of,
    square,
    within,
)
from priors.base import Unsupported

MOST = 10
"""Distinct points that markers can tell apart."""

EACH = 250
"""Draws a point."""

COORDINATES = 4
"""Most that are printed of a point."""


@plot("posteriors")
def posteriors(results: Results) -> Iterator[Drawing]:
    """Draws of every distinct test point's posterior q(z|x), for few points and latent dimension 2 (IOP, Figure 1)."""
    models = on_a_plane(results)
    data = next(iter(models.values())).data
    x = distinct(data.test.seen)
    drawn: dict[str, tuple[Law, Tensor]] = {}
    for method, evaluated in models.items():
        with stream(evaluated.seed, "plot of posteriors"):
            drawn[method] = prior_of(evaluated), evaluated.model.encode(x).sample((EACH,)).transpose(0, 1)
    text = (
        f"Posteriors on {data.name}, {seeds(models)}, each method on a scale of its own: {EACH} draws z ~ q(z|x) for "
        f"each of the {len(x)} distinct points x of the test set. Lines: the regions of highest density that hold "
        f"{MASSES_IN_WORDS} of the prior; where it has no density, its draws."
    )
    yield Drawing(figure(drawn, names(x)), text)


def distinct(split: Split) -> Tensor:
    """The distinct points of a split, (n, *shape), the largest first; Unsupported for more than MOST."""
    found = split[:0]
    for start in range(0, len(split), CHUNK):
        found = torch.cat([found, split[start : start + CHUNK]]).unique(dim=0)
        if len(found) > MOST:
            raise Unsupported(f"the test set has more than {MOST} distinct points: see the figure latent")
    return found.flip(0)


def names(x: Tensor) -> list[str]:
    """Points by their coordinates, or by number where these are many."""
    rows = x.flatten(1)
    if rows.shape[1] > COORDINATES:
        return [f"point {number}" for number in range(1, len(rows) + 1)]
    return [f"x = ({', '.join(f'{value:g}' for value in row)})" for row in rows.tolist()]


def figure(drawn: Mapping[str, tuple[Law, Tensor]], names: Sequence[str]) -> Figure:
    """A panel a method: the prior, and draws (point, draw, 2)."""
    size = (style.PANEL + 0.4, style.PANEL + LEGEND)
    made, grid = style.panels(len(drawn), across=3, size=size)
    for axes, (method, (prior, z)) in zip(grid, drawn.items(), strict=True):
        window = square(torch.cat([within(prior.draws), z.flatten(0, 1)]))
        panel(axes, prior, z, window, names)
        axes.set_title(method)
    style.legend(made, grid)
    return made


def panel(axes: Axes, prior: Law, z: Tensor, window: Tensor, names: Sequence[str]) -> None:
    """Points by marker and from dark to light; the prior by lines, or by draws where it has no density."""
    if prior.log_prob:
        outline(axes, prior, window, "prior p(z)", color="0.35")
    else:
        cloud(axes, prior.draws, "draws of the prior", color="0.85", s=3)
    colours = matplotlib.colormaps["viridis"](torch.linspace(0, 0.9, len(names)).numpy())
    for points, name, colour, marker in zip(z, names, colours, style.MARKERS, strict=False):
        cloud(axes, points, name, s=6, color=[colour], marker=marker)
    frame(axes, window, "z")

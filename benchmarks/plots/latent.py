"""Latent spaces of two dimensions: where prior and codes differ, and what draws from there decode to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.common import style
from benchmarks.common.seeds import stream
from benchmarks.metrics import Evaluated
from benchmarks.plots.base import Drawing, Results, plot
from benchmarks.plots.pictures import seeds
from benchmarks.plots.plane import (
    LEGEND,
    MASSES_IN_WORDS,
    POINTS,
    Law,
    around,
    cloud,
    entry,
    frame,
    levels,
    on_a_plane,
    on_grid,
    outline,
    prior_of,
    square,
    within,
)
from priors.base import Unsupported
from priors.parts.flows import Flow
from priors.parts.normal import log_standard_normal

ACROSS = 4
"""Methods in a drawing."""

FLAT = 0.62
"""Height of a row of data over that of a row of codes."""

GREYS = ("0.92", "0.81", "0.66")
"""Of the prior's regions."""

POOL, MARKED = 1000, 5
"""Draws of the prior, and codes, among which pockets and leaks are looked for, and how many of them are marked."""

Style = Mapping[str, Any]

POCKETS: Style = {
    "marker": "X",
    "s": 46,
    "facecolor": style.COLOURS[1],
    "edgecolor": "white",
    "linewidth": 0.7,
}
LEAKS: Style = {"marker": "^", "s": 34, "facecolor": "white", "edgecolor": "black", "linewidth": 0.9}


@dataclass(frozen=True)
class Space:
    """Prior and codes in some coordinates of the plane; pockets and leaks, (n, 2), n = 0 where they are unknown."""

    name: str
    prior: Law
    codes: Law
    pockets: Tensor
    leaks: Tensor


@plot("latent")
def latent(results: Results) -> Iterator[Drawing]:
    """Latent spaces of two dimensions: prior, aggregate posterior, pockets and leaks (dpVAE, Figures 1 and 3)."""
    models = on_a_plane(results)
    methods = list(models)
    for start in range(0, len(methods), ACROSS):
        some = {method: models[method] for method in methods[start : start + ACROSS]}
        yield Drawing(figure(some), caption(some), str(start // ACROSS + 1) if len(methods) > ACROSS else "")


def figure(models: Mapping[str, Evaluated]) -> Figure:
    """A column a method: its latent space, the data's where that is a plane, the generation space where it has one."""
    plane, flows = rows(models)
    heights = [1, *[FLAT] * plane, *[1] * flows]
    size = (style.PANEL, (sum(heights) * style.PANEL + LEGEND) / len(heights))
    made, grid = style.panels(len(heights) * len(models), len(models), size, height_ratios=heights)
    for column, (method, evaluated) in zip(grid.reshape(len(heights), -1).T, models.items(), strict=True):
        column[0].set_title(method)
        with stream(evaluated.seed, "plot of latent spaces"):
            space = latent_space(evaluated)
            show(column[0], space)
            if plane:
                decoded(column[1], evaluated, space)
            if isinstance(evaluated.prior, Flow):
                show(column[-1], generation_space(space, evaluated.prior))
            elif flows:
                column[-1].set_axis_off()
    style.legend(made, grid, across=3 * len(models) // 2)
    return made


def rows(models: Mapping[str, Evaluated]) -> tuple[bool, bool]:
    """Are the data points of a plane, and has any prior a generation space?"""
    some = models.values()
    return next(iter(some)).data.shape == (2,), any(isinstance(evaluated.prior, Flow) for evaluated in some)


def caption(models: Mapping[str, Evaluated]) -> str:
    data, (plane, flows) = next(iter(models.values())).data, rows(models)
    below = ["data space, test points and what draws of the prior, pockets and leaks decode to"] * plane
    below += ["the generation space z0 = g(z) of priors that are flows, where the prior is N(0, I)"] * flows
    return (
        f"Latent spaces on {data.name}, {seeds(models)}. Grey areas: the regions of highest density that hold "
        f"{MASSES_IN_WORDS} of the prior; black lines: the same of the aggregate posterior q(z) of {len(data.train)} "
        f"training points; points, where there is no density: {POINTS} draws, or codes of test points. Pockets are the "
        f"{MARKED} of {POOL} draws of the prior with the lowest ln q(z), leaks the {MARKED} of {POOL} codes z ~ q(z) "
        "with the lowest ln p(z)." + f" Below: {'; '.join(below)}." * bool(below)
    )


# The laws


def latent_space(evaluated: Evaluated) -> Space:
    """The space that the encoder maps to."""
    pockets = leaks = evaluated.draws[:0]
    codes = Law(evaluated.q[:POINTS].sample())
    with suppress(Unsupported):
        codes = Law(evaluated.codes[0], evaluated.at_codes.aggregate, evaluated.aggregate.log_prob_in_chunks)
        pockets = evaluated.least_covered(POOL, MARKED)
        leaks = evaluated.least_likely(POOL, MARKED)
    return Space("z", prior_of(evaluated), codes, pockets, leaks)


def generation_space(space: Space, flow: Flow) -> Space:
    """The same in z0 = g(z), where the prior is N(0, I).

    A law f of z has there the log-density ln f(z) - ln |det dg/dz| = ln f(z) - ln p(z) + ln N(g(z) | 0, I).
    """

    def there(z: Tensor) -> Tensor:
        return flow.to_base(z.to(flow.origin))

    def moved(law: Law) -> Law:
        z0, own, prior = there(law.draws), law.log_prob, space.prior.log_prob
        if own is None or prior is None:
            return Law(z0)

        def log_prob(z0: Tensor) -> Tensor:
            z = flow.from_base(z0)
            return own(z) - prior(z) + log_standard_normal(z0)

        return Law(z0, log_prob(z0), log_prob)

    return Space("z0", moved(space.prior), moved(space.codes), there(space.pockets), there(space.leaks))


# Panels


def show(axes: Axes, space: Space) -> None:
    """The prior in grey, codes in black, pockets and leaks over them."""
    window = square(torch.cat([within(space.prior.draws), within(space.codes.draws), space.pockets, space.leaks]))
    if space.prior.log_prob:
        axes.contourf(*on_grid(space.prior, window), levels(space.prior), colors=GREYS, extend="max")
        entry(axes, "prior p(z)", marker="s", color=GREYS[1])
    else:
        cloud(axes, space.prior.draws, "draws of the prior", color="0.7", s=3)
    if space.codes.log_prob:
        outline(axes, space.codes, window, "aggregate posterior q(z)", color="black", widths=(0.5, 0.8, 1.2))
    else:
        cloud(axes, space.codes.draws, "codes of test points", color="black", s=1.5)
    mark(axes, space.pockets, space.leaks)
    frame(axes, window, space.name)


def decoded(axes: Axes, evaluated: Evaluated, space: Space) -> None:
    """Test points, and what draws of the prior, pockets and leaks decode to."""
    x = evaluated.data.test[:POINTS]
    chosen = (space.prior.draws[:POINTS], space.pockets, space.leaks)
    drawn, pockets, leaks = (evaluated.decoded(z, "points of the plane") for z in chosen)
    cloud(axes, x, "test points", color="0.75", s=3)
    cloud(axes, drawn, "E[x|z], z ~ p(z)", color="black", s=1.5)
    mark(axes, pockets, leaks)
    frame(axes, around(torch.cat([x, drawn, pockets, leaks])), "x")


def mark(axes: Axes, pockets: Tensor, leaks: Tensor) -> None:
    for points, how, label in ((pockets, POCKETS, "pockets"), (leaks, LEAKS, "leaks")):
        if len(points):
            x, y = points.T.cpu()
            axes.scatter(x, y, **how, label=label, zorder=3)

"""Laws on the plane and how they are drawn: regions of highest density, clouds of points, one scale for both axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor

from benchmarks.metrics import Evaluated
from benchmarks.plots.base import Results
from priors.base import Unsupported

MASSES, MASSES_IN_WORDS = (0.99, 0.9, 0.5), "50, 90 and 99 %"
"""Of a law's regions of highest density."""

SIDE = 200
"""Points along a side of the grid on which densities are known."""

POINTS = 500
"""Of a cloud."""

CUT = 0.001
"""Share of a law's draws that may lie beyond each side of a panel."""

LEGEND = 0.7
"""Height of a legend in inches."""


@dataclass(frozen=True)
class Law:
    """A law on the plane: draws (n, 2) and, where it has a density, ln f in nats at these, (n,), and at any points."""

    draws: Tensor
    at_draws: Tensor | None = None
    log_prob: Callable[[Tensor], Tensor] | None = None

    def log_density(self, z: Tensor) -> Tensor:
        """ln f at any points; Unsupported where there is none."""
        if self.log_prob is None:
            raise Unsupported("a law without a density has no regions of highest density")
        return self.log_prob(z)


def prior_of(evaluated: Evaluated) -> Law:
    """The prior, by its draws alone where it has no density."""
    try:
        return Law(evaluated.draws, evaluated.log_p_at_draws, evaluated.log_p)
    except Unsupported:
        return Law(evaluated.draws)


def on_a_plane(results: Results) -> dict[str, Evaluated]:
    """By method the model of its first seed, where its codes have two dimensions; Unsupported without any."""
    found = {method: run for method, run in results.first().items() if run.model.latent_dim == 2}
    if not found:
        raise Unsupported("no model here has a latent space of two dimensions")
    return {method: results.evaluated(run) for method, run in found.items()}


def levels(law: Law) -> list[float]:
    """ln f on the borders of the smallest regions that hold MASSES: quantiles of ln f at draws of f."""
    at_draws = law.log_density(law.draws) if law.at_draws is None else law.at_draws
    found: list[float] = at_draws.quantile(1 - at_draws.new_tensor(MASSES)).tolist()
    return found


def on_grid(law: Law, window: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """SIDE points along each side of a window, and ln f on their grid, (SIDE, SIDE), a row a second coordinate."""
    x, y = (torch.linspace(low, high, SIDE) for low, high in window.tolist())
    points = torch.cartesian_prod(y, x).flip(1).to(law.draws)
    return x, y, law.log_density(points).reshape(SIDE, SIDE).cpu()


# Panels


def outline(axes: Axes, law: Law, window: Tensor, label: str, color: str, widths: tuple[float, ...] = (0.6,)) -> None:
    """Lines round regions of highest density."""
    axes.contour(*on_grid(law, window), levels(law), colors=color, linewidths=widths, linestyles="solid")
    axes.plot([], [], color=color, linewidth=max(widths), label=label)


def cloud(axes: Axes, points: Tensor, label: str, s: float, **style: Any) -> None:
    x, y = points[:POINTS].T.cpu()
    axes.scatter(x, y, s=s, linewidth=0, **style)
    entry(axes, label, **style)


def entry(axes: Axes, label: str, **style: Any) -> None:
    """A line of the legend, in a size that can be seen there."""
    axes.scatter([], [], s=30, linewidth=0, label=label, **style)


def within(points: Tensor) -> Tensor:
    """Two opposite corners of the box that holds all points but for the share CUT beyond each side, (2, 2)."""
    return points.quantile(points.new_tensor([CUT, 1 - CUT]), dim=0)


def around(points: Tensor) -> Tensor:
    """Lowest and highest of both coordinates with a margin, (2, 2)."""
    low, high = points.amin(0), points.amax(0)
    margin = 0.05 * (high - low).max()
    return torch.stack([low - margin, high + margin], dim=1)


def square(points: Tensor) -> Tensor:
    """As `around`, both sides as long as the longer one, (2, 2)."""
    window = around(points)
    half = (window[:, 1] - window[:, 0]).max() / 2
    return window.mean(1, keepdim=True) + half * window.new_tensor([-1, 1])


def frame(axes: Axes, window: Tensor, name: str) -> None:
    """Limits, one scale for both coordinates, and their names: z0 has z_01 and z_02."""
    axes.set(xlim=window[0].tolist(), ylim=window[1].tolist(), aspect="equal")
    first, second = (f"${name[0]}_{{{name[1:]}{number}}}$" for number in (1, 2))
    axes.set(xlabel=first, ylabel=second)
    axes.locator_params(nbins=5)

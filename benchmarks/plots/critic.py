"""What a critic of data says of the way between two codes (VAEPP, Figure 1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.common import style
from benchmarks.common.seeds import stream
from benchmarks.metrics import Evaluated
from benchmarks.metrics.evaluated import CHUNK
from benchmarks.plots.base import Drawing, Results, plot
from benchmarks.plots.pictures import seeds, show, trained
from priors.base import DataCritic, Unsupported

PAIRS = 64
STEPS = 25
SHOWN = 3
EVERY = 3
"""Of the steps those that are shown as pictures: one in EVERY."""


@plot("critic")
def critic(results: Results) -> Iterator[Drawing]:
    """A prior's critic of data along lines between the codes of test images, with pictures on the way."""
    models = {
        method: evaluated
        for method, evaluated in trained(results, of_pictures=True).items()
        if isinstance(evaluated.prior, DataCritic)
    }
    if not models:
        raise Unsupported("none of these methods' priors has a critic of data")
    figure = Figure(figsize=(4.6 * len(models), 4.6), layout="constrained")
    grid = figure.subplots(2, len(models), squeeze=False, height_ratios=(1, 0.6))
    for (above, below), (method, evaluated) in zip(grid.T, models.items(), strict=True):
        z = between(evaluated)
        lines(above, criticised(evaluated, z).cpu())
        above.set_title(method)
        shown = z[:SHOWN, ::EVERY]
        pictures = evaluated.decoded(shown.flatten(0, 1), "critic")
        show(below, pictures, shown.shape[1], rows=[f"pair {i + 1}" for i in range(len(shown))])
        below.set_anchor("N")
    style.legend(figure, grid[0])
    text = (
        f"Above: the critic of data D at G(z) = E[x|z] on straight lines between codes z ~ q(z|x) of {len(z)} pairs of "
        "test images; black: the mean over pairs in a band of one standard error. D is low on real data, and the prior "
        f"has less density where D is high. Below: G(z) along the first {len(shown)} pairs, whose lines have markers. "
        f"{seeds(models).capitalize()}."
    )
    yield Drawing(figure, text)


def between(evaluated: Evaluated) -> Tensor:
    """Codes on the lines between those of the first test images, two by two, (pairs, STEPS, D); Unsupported where
    there is one image alone."""
    with stream(evaluated.seed, "plot of the critic"):
        z = evaluated.q[: 2 * PAIRS].sample()
    if len(z) < 2:
        raise Unsupported("the critic is shown between two test images, and there is one")
    a, b = z[: len(z) // 2 * 2].unflatten(0, (-1, 2))[:, :, None].unbind(1)
    return torch.lerp(a, b, torch.linspace(0, 1, STEPS, device=z.device)[:, None])


def criticised(evaluated: Evaluated, z: Tensor) -> Tensor:
    """D(G(z)), (pairs, STEPS, D) -> (pairs, STEPS)."""
    if not isinstance(evaluated.prior, DataCritic):
        raise Unsupported("the prior has no critic of data")
    criticise, decode = evaluated.prior.criticise_data, evaluated.model.decode
    values = [criticise(decode(part)) for part in z.flatten(0, 1).split(CHUNK)]
    return torch.cat(values).view(z.shape[:2])


def lines(axes: Axes, values: Tensor) -> None:
    """A line a pair, and their mean in its band; the first ones with a marker at each picture."""
    t = torch.linspace(0, 1, STEPS)
    axes.plot(t, values[SHOWN:].T, color="0.8", linewidth=0.5)
    for i, line in enumerate(values[:SHOWN]):
        how: dict[str, Any] = {"marker": style.MARKERS[i], "markevery": EVERY, "markerfacecolor": "white"}
        axes.plot(t, line, color="0.45", linewidth=0.8, label=f"pair {i + 1}", **how)
    mean = values.mean(0)
    error = values.std(0) / len(values) ** 0.5 if len(values) > 1 else torch.zeros_like(mean)
    axes.fill_between(t, mean - error, mean + error, color="0.5", linewidth=0, zorder=3)
    axes.plot(t, mean, color="black", label="mean", zorder=4)
    margin = 0.5 * EVERY / (STEPS - 1)  # half a picture: the lines stand above theirs
    axes.set(
        xlim=(-margin, 1 + margin), xlabel="position t between the codes", ylabel="critic D(G(z)), lower is more real"
    )

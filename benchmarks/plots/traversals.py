"""What lies between codes, and along the latent dimensions that the encoder uses most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.common import style
from benchmarks.datasets import Dataset
from benchmarks.metrics import Evaluated
from benchmarks.metrics.evaluated import CODES
from benchmarks.plots.base import Drawing, Results, plot
from benchmarks.plots.pictures import IMAGE, seeds, show, trained
from priors.parts.flows import Flow

STEPS = 9
PAIRS = 2
DIMENSIONS = 5
SHIFTS = (-3, -2, -1, 0, 1, 2, 3)
"""Standard deviations by which a latent dimension is moved."""


@plot("traversals")
def traversals(results: Results) -> Iterator[Drawing]:
    """Pictures between the codes of test images, and along the most active latent dimensions."""
    models = trained(results, of_pictures=True)
    data = next(iter(models.values())).data
    chosen = pairs(data)
    text = (
        "Test images x and x' as the encoder sees them, and between them, a row a method, E[x|z] on the straight line "
        "from one posterior mean to the other. 'in z0': on the line between the same ends where the prior's flow maps "
        f"them, in its standard normal's space, and mapped back (dpVAE). {seeds(models).capitalize()}."
    )
    if chosen:
        yield Drawing(interpolations(models, chosen), text, "interpolations")
    text = (
        "E[x|z] around the posterior mean of test image 0, one latent dimension moved at a time by standard deviations "
        f"of the aggregate posterior q(z). Rows: the {DIMENSIONS} dimensions with the largest variance of posterior "
        f"means, largest first. Both are of the first {CODES} training images. {seeds(models).capitalize()}."
    )
    yield Drawing(moves(models), text, "dimensions")


def pairs(data: Dataset) -> list[tuple[int, int]]:
    """Test images to go between, of different classes where there are several: the first of each, two by two. None
    where there is one image alone."""
    classes = [] if data.labels is None else data.labels[2].tolist()
    if len({*classes}) > 1:
        first: Sequence[int] = [classes.index(one) for one in dict.fromkeys(classes)]
    else:
        first = range(min(2 * PAIRS, len(data.test)))
    return list(zip(first[::2], first[1::2], strict=False))[:PAIRS]


def interpolations(models: Mapping[str, Evaluated], chosen: Sequence[tuple[int, int]]) -> Figure:
    """Two test images and what is between them: a panel a pair, a row a method."""
    lines = [named_paths(models, *pair) for pair in chosen]
    size = (IMAGE * (STEPS + 2) * len(chosen) + 1.2, IMAGE * len(lines[0]) + 0.6)
    figure = Figure(figsize=size, layout="compressed")
    steps = ["x", "0", *[""] * (STEPS // 2 - 1), "1/2", *[""] * (STEPS // 2 - 1), "1", "x'"]
    for axes, (a, b), rows in zip(figure.subplots(1, len(chosen), squeeze=False)[0], chosen, lines, strict=True):
        show(axes, torch.cat([*rows.values()]), STEPS + 2, rows=[*rows], columns=steps)
        axes.set(title=f"test images {a} and {b}", xlabel="share of the way from x to x'")
        axes.label_outer()
    return figure


def named_paths(models: Mapping[str, Evaluated], a: int, b: int) -> dict[str, Tensor]:
    """Rows of pictures between two test images, these at the ends, by method and space."""
    rows = {}
    for method, evaluated in models.items():
        index = torch.tensor([a, b], device=evaluated.q.mean.device)
        first, last = evaluated.kept(evaluated.data.test.seen[index]).split(1)
        for space, z in paths(evaluated, *evaluated.q[index].mean).items():
            rows[method + space] = torch.cat([first, evaluated.decoded(z, "interpolations"), last])
    return rows


def paths(evaluated: Evaluated, a: Tensor, b: Tensor) -> dict[str, Tensor]:
    """STEPS codes from a (D,) to b (D,), (STEPS, D): straight in z, and in a flow's generation space."""
    t = torch.linspace(0, 1, STEPS, device=a.device)[:, None]
    straight = {"": torch.lerp(a, b, t)}
    return straight | ({", in z0": evaluated.prior.traverse(a, b, STEPS)} if isinstance(evaluated.prior, Flow) else {})


def moves(models: Mapping[str, Evaluated]) -> Figure:
    """A panel a method: rows are dimensions, columns shifts."""
    figure, grid = style.panels(len(models), across=3, size=(3.2, 2.6))
    for axes, (method, evaluated) in zip(grid, models.items(), strict=True):
        dimensions, z = moved(evaluated)
        images = evaluated.decoded(z.flatten(0, 1), "traversals")
        names = [f"z{d + 1}" for d in dimensions]
        show(axes, images, len(SHIFTS), rows=names, columns=[f"{shift:+d}" if shift else "0" for shift in SHIFTS])
        axes.set(title=method, xlabel="shift in standard deviations")
    return figure


def moved(evaluated: Evaluated) -> tuple[list[int], Tensor]:
    """The most active dimensions d, and the first test image's code moved by SHIFTS along each, (d, SHIFTS, D).

    The aggregate posterior's variance is that of the posterior means plus the mean of the posterior variances.
    """
    q = evaluated.encoded[:CODES]
    activity = q.mean.var(0)
    sd = (activity + q.variance.mean(0)).sqrt()
    dimensions = activity.argsort(descending=True)[:DIMENSIONS]
    shifts = torch.tensor(SHIFTS, dtype=sd.dtype, device=sd.device)
    along = torch.diag(sd)[dimensions]
    return dimensions.tolist(), evaluated.q[:1].mean + shifts[:, None] * along[:, None]

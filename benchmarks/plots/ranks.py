"""Critical-difference diagrams."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from benchmarks.common import style
from benchmarks.estimators.estimate import Direction
from benchmarks.plots.base import Drawing, Results, plot
from benchmarks.statistics.paired import LEVEL
from benchmarks.statistics.ranks import Friedman, cliques, critical_difference, friedman
from priors.base import Unsupported

STEP = 0.28
"""Inches between two lines of a diagram."""


@plot("ranks", across=True)
def ranks(results: Results) -> Iterator[Drawing]:
    """Critical-difference diagrams: methods by their average rank over data sets (Demsar 2006)."""
    headlines = results.headlines()
    exact = headlines[headlines["estimator"] == headlines["base"]]
    drawn = 0
    for metric, rows in exact.groupby("metric", sort=False):
        scores = rows.pivot_table("value", "dataset", "method", sort=False).dropna(axis=1)
        if min(scores.shape[0] - 1, scores.shape[1] - 2) > 0:
            drawn += 1
            yield diagram(str(metric), rows["base"].iloc[0], rows["direction"].iloc[0], scores)
    if not drawn:
        raise Unsupported("average ranks are over data sets: three methods on two data sets are the least")


def diagram(metric: str, estimator: str, direction: Direction, scores: pd.DataFrame) -> Drawing:
    """Of scores by data set and method."""
    found, names = friedman(scores.to_numpy(), direction), list(scores.columns)
    difference = critical_difference(len(names), found.datasets)
    bars = cliques(found.average_ranks, difference)
    lines = (len(names) + 1) // 2 + len(bars)
    figure, (axes,) = style.panels(1, size=(6.0, STEP * (lines + 4)))
    axes.set(xlim=(0.8, len(names) + 0.2), ylim=(-lines - 1, 2.2))
    scale(axes, len(names), difference)
    for depth, members in enumerate(bars):
        ends = found.average_ranks[[members[0], members[-1]]]
        axes.plot(ends + np.array([-0.05, 0.05]), [-0.5 * depth - 0.5] * 2, "k-", linewidth=3.5, solid_capstyle="butt")
    pointers(axes, found.average_ranks, names, 0.5 * len(bars) + 1)
    axes.set_axis_off()
    return Drawing(figure, caption(metric, estimator, found, difference, scores), f"{metric}")


def scale(axes: Axes, methods: int, difference: float) -> None:
    """The axis of ranks, 1 the best, with the critical difference above its left end."""
    axes.plot([1, methods], [0, 0], "k-", linewidth=1)
    for rank in range(1, methods + 1):
        axes.plot([rank, rank], [0, 0.2], "k-", linewidth=1)
        axes.text(rank, 0.3, str(rank), ha="center", va="bottom")
    axes.text((1 + methods) / 2, 1.0, "average rank over data sets (1: best)", ha="center", va="bottom")
    axes.errorbar(1 + difference / 2, 1.9, xerr=difference / 2, color="k", capsize=3, linewidth=1, clip_on=False)
    axes.text(1 + difference + 0.1, 1.9, f"critical difference {difference:.2f}", va="center", clip_on=False)


def pointers(axes: Axes, average: np.ndarray, names: list[str], depth: float) -> None:
    """From every method's place on the axis to its name, the better half on the left."""
    order = np.argsort(average, kind="stable")
    half = (len(order) + 1) // 2
    for i, at in enumerate(order):
        left = i < half
        y = -depth - (i if left else len(order) - 1 - i)
        end = 0.8 if left else len(order) + 0.2
        axes.plot([average[at], average[at], end], [0, y, y], color="0.3", linewidth=0.8)
        axes.text(end, y, f" {names[at]} ({average[at]:.2f}) ", ha="right" if left else "left", va="center")


def caption(metric: str, estimator: str, found: Friedman, difference: float, scores: pd.DataFrame) -> str:
    verdict = "ranks differ" if found.p < LEVEL else "no difference of ranks is shown, so the bars say nothing"
    return (
        f"Average ranks by {metric} ({estimator}) over {found.datasets} data sets ({', '.join(scores.index)}); scores "
        f"are means over seeds. Friedman's test: p = {found.p:.2g}, {verdict}. A bar joins methods closer than "
        f"Nemenyi's critical difference of {difference:.2f} at level {LEVEL}."
    )

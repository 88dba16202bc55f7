"""How much a setting matters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.common import style
from benchmarks.config.settings import Run
from benchmarks.plots.base import Drawing, Results, label, mean_and_error, plot
from priors.base import Unsupported

Settings = dict[str, Any]
LOGARITHMIC = 8.0
"""Ratio of a setting's largest to its smallest value from which its axis is logarithmic."""


@plot("sensitivity")
def sensitivity(results: Results) -> Iterator[Drawing]:
    """Headline estimates over a number in which methods differ, such as K or the latent dimension; others as lines."""
    headlines, drawn = results.headlines(), 0
    for key, values in varied(results).items():
        if headlines["method"].isin(values).any():
            drawn += 1
            yield Drawing(over(results, headlines, key, values), caption(results, key, values), key)
    if not drawn:
        raise Unsupported("no two methods differ in one number alone")


def varied(results: Results) -> dict[str, dict[str, float]]:
    """By setting the methods that differ in it alone, with their values in rising order."""
    settings = {method: flat(results.of(method)[0]) for method in results.methods}
    found: dict[str, dict[str, float]] = {}
    for (method, first), second in product(settings.items(), settings.values()):
        keys = [key for key in first.keys() | second.keys() if first.get(key) != second.get(key)]
        if len(keys) == 1 and all(isinstance(one.get(*keys), int | float) for one in (first, second)):
            found.setdefault(keys[0], {})[method] = float(first[keys[0]])
    return {key: dict(sorted(values.items(), key=lambda item: item[1])) for key, values in found.items()}


def flat(run: Run) -> Settings:
    """All that makes a run's method, as `prior.vampprior.components`."""
    settings: Settings = {"prior": run.prior and run.prior.name}
    parts = [("regulariser", one.name, one.settings) for one in run.regularisers]
    parts += [("prior", run.prior.name, run.prior.settings)] if run.prior else []
    for kind, name, own in parts:
        settings |= {f"{kind}.{name}.{key}": value for key, value in own.items()}
    for name in ("model", "training"):
        settings |= {f"{name}.{key}": value for key, value in getattr(run, name).model_dump(mode="json").items()}
    return settings


def over(results: Results, headlines: pd.DataFrame, key: str, values: Mapping[str, float]) -> Figure:
    """A panel a headline figure."""
    metrics = list(dict.fromkeys(headlines["metric"]))
    styles = style.styles(method for method in results.methods if method not in values)
    figure, grid = style.panels(len(metrics), across=3, size=(3.2, 2.7))
    for axes, metric in zip(grid, metrics, strict=True):
        rows = headlines[headlines["metric"] == metric]
        table = mean_and_error(rows)
        curve = table.loc[[method for method in values if method in table.index]]
        at = [values[method] for method in curve.index]
        axes.errorbar(at, curve["mean"], curve["error"], fmt="ko-", capsize=3, label=f"over {key}")
        for method in (name for name in styles if name in table.index):
            level(axes, table.T[method], method, styles[method])
        axes.set(xlabel=key, ylabel=label(rows))
        if at and min(at) > 0 and max(at) / min(at) > LOGARITHMIC:
            axes.set_xscale("log", base=2)
            axes.set_xticks(at, [f"{value:g}" for value in at])
            axes.minorticks_off()
    style.legend(figure, grid)
    return figure


def level(axes: Axes, row: pd.Series, method: str, style: Mapping[str, Any]) -> None:
    """A method without the setting: a line at its mean, in a band of its standard error."""
    axes.axhline(row["mean"], linestyle=style["linestyle"], color=style["color"], label=method)
    if not math.isnan(row["error"]):
        low, high = row["mean"] - row["error"], row["mean"] + row["error"]
        axes.axhspan(low, high, color=style["color"], alpha=0.15, linewidth=0)


def caption(results: Results, key: str, values: Mapping[str, float]) -> str:
    return (
        f"{', '.join(values)} on {results.datasets[0]}, which differ in {key} alone (points: means over seeds with "
        "standard errors), beside the other methods (lines)."
    )

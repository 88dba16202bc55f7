"""What quality costs."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.common import style
from benchmarks.estimators.estimator import SHARE
from benchmarks.plots.base import Drawing, Results, label, mean_and_error, plot
from priors.base import Unsupported

BETTER = {"lower": "lower is better", "higher": "higher is better"}


@plot("cost")
def cost(results: Results) -> Iterator[Drawing]:
    """Every headline figure over the seconds of training, a point a method with its standard errors over seeds."""
    seconds = mean_and_error(results.estimates[results.estimates["metric"] == "training_time"])
    headlines = results.headlines()
    if headlines.empty or len(seconds) < 2:
        raise Unsupported("costs are held against quality where two methods or more were trained and ranked")
    metrics = list(dict.fromkeys(headlines["metric"]))
    styles = style.styles(results.methods)
    figure, grid = style.panels(len(metrics), across=3, size=(3.2, 2.7))
    for axes, metric in zip(grid, metrics, strict=True):
        rows = headlines[headlines["metric"] == metric]
        quality, estimated = mean_and_error(rows), {*rows[rows["estimator"] != rows["base"]]["method"]}
        for method in quality.index.intersection(seconds.index, sort=False):
            axes.errorbar(
                *(table.loc[method, "mean"] for table in (seconds, quality)),
                *(quality.loc[method, "error"], seconds.loc[method, "error"]),
                **styles[method] | {"linestyle": "none", "markerfacecolor": "none" if method in estimated else None},
                markersize=7, label=method,
            )  # fmt: skip
        axes.set(xlabel="training [s]", ylabel=label(rows), title=BETTER[rows["direction"].iloc[0]])
        style.logarithmic(axes)
    style.legend(figure, grid)
    yield Drawing(figure, caption(results))


def caption(results: Results) -> str:
    devices = {results.record(run).read("env.json")["device"] for run in results.runs}
    shared = f"wall-clock+{SHARE}" in set(results.estimates["estimator"])
    share = " Of seeds that were trained together each has an equal share." if shared else ""
    return (
        f"Quality against the seconds of training on {results.datasets[0]} (wall clock, {', '.join(sorted(devices))}), "
        "means over seeds with standard errors. Hollow: the prior's density is an estimate or a bound. Seconds are "
        "those of one machine under one load; early stopping is part of them, what is fitted afterwards is not."
    ) + share

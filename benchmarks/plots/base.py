"""What a plot gets and what it gives: a suite's finished runs, and drawings with their captions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure

from benchmarks.common import style
from benchmarks.config.settings import Run
from benchmarks.config.suite import Suite
from benchmarks.estimators.estimator import Estimator
from benchmarks.metrics import Evaluated
from benchmarks.runner.recall import recall
from benchmarks.runner.record import Record
from benchmarks.runner.workspace import Workspace
from priors.registry import Registry

IDENTITY = ("dataset", "method", "seed")


@dataclass(frozen=True)
class Results:
    """The runs of a suite that have ended well, and what they left. A plot of one data set sees that one alone."""

    suite: Suite
    runs: tuple[Run, ...]
    workspace: Workspace
    recalled: dict[str, Evaluated] = field(default_factory=dict, repr=False, compare=False)

    @property
    def datasets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(run.dataset for run in self.runs))

    @property
    def methods(self) -> tuple[str, ...]:
        """In the suite's order."""
        return tuple(dict.fromkeys(run.method for run in self.runs))

    def on(self, dataset: str) -> Results:
        """Only the runs on one data set."""
        return replace(self, runs=tuple(run for run in self.runs if run.dataset == dataset))

    def of(self, method: str) -> tuple[Run, ...]:
        """A method's runs, seed by seed."""
        return tuple(run for run in self.runs if run.method == method)

    def first(self) -> dict[str, Run]:
        """By method the run of its first seed: pictures show one model each."""
        return {method: self.of(method)[0] for method in self.methods if self.of(method)[0].prior}

    def evaluated(self, run: Run) -> Evaluated:
        """The run's trained model and prior, with what its metrics shared."""
        if run.name not in self.recalled:
            self.recalled[run.name] = recall(run, self.workspace)
        return self.recalled[run.name]

    def record(self, run: Run) -> Record:
        return self.workspace.record(run)

    def history(self, run: Run) -> pd.DataFrame:
        """The training curve, a row an epoch; empty where nothing was trained."""
        record = self.record(run)
        if "history.csv" not in record.read("training.json")["files"]:
            return pd.DataFrame()
        return pd.read_csv(record.verified("history.csv", "training.json"))

    @cached_property
    def estimates(self) -> pd.DataFrame:
        """A row a run and figure, costs too: dataset, method, seed, asked (the suite's name for it), metric, estimator,
        value, unit, direction, error."""
        rows: list[dict[str, Any]] = []
        for run in self.runs:
            record, identity = self.record(run), {name: getattr(run, name) for name in IDENTITY}
            groups = {name: one.get("figures", ()) for name, one in record.read("metrics.json")["metrics"].items()}
            groups["cost"] = record.read("training.json")["cost"]
            rows += [identity | {"asked": name} | figure for name, group in groups.items() for figure in group]
        columns = (*IDENTITY, "asked", "metric", "estimator", "value", "unit", "direction", "error")
        return pd.DataFrame(rows, columns=columns)

    def headlines(self) -> pd.DataFrame:
        """The estimates that rank methods: of every metric that the suite asks for the one of its own name, by one
        estimator that is the same for all methods but for what a prior's own density adds to it (`+estimate`).

        A method that is unreliable with a seed (`+unreliable`) has none, since its other seeds are not all of it. Of
        importance sampling it is the one with the most draws, otherwise a metric's first that tells methods apart.
        """
        own = self.estimates[
            (self.estimates["metric"] == self.estimates["asked"]) & (self.estimates["direction"] != "none")
        ]
        how = own["estimator"].map(Estimator.parse)
        own = own.assign(base=how.map(lambda one: str(one.base)), doubtful=how.map(lambda one: not one.reliable))
        own = own[how.map(lambda one: not one.variant).astype(bool)]
        doubtful = own["doubtful"].groupby([own[name] for name in ALIKE]).transform("any")
        own = own[~doubtful.astype(bool)]
        kept = [part[part["base"] == telling(part)] for _, part in own.groupby("metric", sort=False)]
        kept.sort(key=lambda part: self.suite.metrics.index(part["metric"].iloc[0]))
        return pd.concat(kept, ignore_index=True) if kept else own


ALIKE = ("dataset", "method", "metric", "base")
"""What amethod's estimates over seeds share."""


def telling(rows: pd.DataFrame) -> str:
    """Of a metric's estimators the one that stands for it."""
    differs = rows.groupby("base", sort=False)["value"].nunique() > 1
    return max(differs.index, key=lambda name: (draws(name), differs[name]))


def draws(estimator: str) -> int:
    """K of importance sampling, 0 of any other estimator."""
    how = Estimator.parse(estimator)
    return how.draws[0] if how.kind == "is" else 0


def mean_and_error(rows: pd.DataFrame) -> pd.DataFrame:
    """By method the mean over seeds of one figure's rows and its standard error, 0 for one seed."""
    values = rows.groupby("method", sort=False)["value"]
    return pd.DataFrame({"mean": values.mean(), "error": (values.std() / values.count() ** 0.5).fillna(0)})


def label(rows: pd.DataFrame) -> str:
    """An axis of headline rows of one metric: what it is, its estimator and its unit."""
    first = rows.iloc[0]
    return f"{first['metric']}\n{first['base']}" + (f" [{first['unit']}]" if first["unit"] != "none" else "")


@dataclass(frozen=True)
class Drawing:
    """A figure with what a reader must know of it. `part` tells several drawings of one plot apart."""

    figure: Figure
    caption: str
    part: str = ""


Draw = Callable[[Results], Iterator[Drawing]]


@dataclass(frozen=True)
class Plot:
    """A kind of figure. `across`: it sees all data sets at once, others are drawn for each."""

    name: str
    draw: Draw
    across: bool

    def drawings(self, results: Results) -> list[Drawing]:
        """All of them, in the project's look; Unsupported where these runs have none."""
        with style.rules(), torch.no_grad():
            return list(self.draw(results))

    @property
    def summary(self) -> str:
        return (self.draw.__doc__ or "").strip().splitlines()[0]


ORDER = (
    *("samples", "traversals", "neighbours"),
    *("latent", "posteriors", "leakage"),
    *("training", "sensitivity", "cost", "ranks", "critic", "controls"),
)
"""Modules of plots, in the order in which a report shows what they draw."""

PLOTS: Registry[Plot] = Registry(
    "plot",
    tuple(f"benchmarks.plots.{name}" for name in ORDER),
    lambda part: isinstance(part, Plot) and callable(part.draw),
    "a function results -> drawings",
    '@plot("name")',
    in_order=True,
)


def plot(name: str, across: bool = False) -> Callable[[Draw], Draw]:
    """Names a plot. It yields its drawings, or raises Unsupported with the reason why these runs have none."""

    def keep(draw: Draw) -> Draw:
        PLOTS.add(name, Plot(name, draw, across), draw)
        return draw

    return keep

"""Tables from cells: one row an estimate, over seeds, with its standing among the methods and the paper's beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import pandas as pd

from benchmarks.common.rows import NO_MODEL, records
from benchmarks.config.settings import Run
from benchmarks.config.suite import Suite
from benchmarks.estimators.estimate import Estimate, Remark
from benchmarks.estimators.estimator import Estimator
from benchmarks.features import inception
from benchmarks.runner.workspace import Workspace
from benchmarks.tables import former, standings
from benchmarks.tables.collect import Cell, Ended, Kept, cells
from benchmarks.tables.ledger import Ledger
from benchmarks.tables.means import of_one_kind, over_seeds
from benchmarks.tables.standings import Row
from benchmarks.tables.table import COLUMNS, OWN

WITHIN = "s.e. over images or draws"
"""Begins what the note of an estimate from one seed says of its error."""


def build(
    suite: Suite, runs: Sequence[Run], workspace: Workspace, ledger: Ledger = MappingProxyType({})
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(estimates, costs) of these runs as they now stand on the disk, or in the ledger where they are not there. Costs
    differ from one run of a command to the next, so they have a table of their own."""
    all_cells = cells(runs, workspace, ledger)
    estimates = [row for cell in all_cells for row in estimate_rows(cell, suite)]
    standings.set_standings(estimates, len(suite.seeds))
    estimates += only_published(suite, estimates)
    estimates += former.rows(suite, former.entries(runs, workspace, ledger))
    costs = [row for cell in all_cells for row in cost_rows(cell)]
    return pd.DataFrame(estimates, columns=COLUMNS), pd.DataFrame(costs, columns=OWN)


# What is said of a row


@dataclass(frozen=True)
class Told:
    """What is said of a row, each part a column of its own; the column `note` has all of it as one text.

    remark: on the estimate, or why there is none. within: the error within a run, of one seed, in words. left_out:
    which seeds are missing in the mean, and why. mixed: that not all were made by the same sources. elsewhere:
    whose records are not on this disk. trial: what was otherwise than the suite has it.
    """

    remark: str = ""
    within: str = ""
    left_out: str = ""
    mixed: str = ""
    elsewhere: str = ""
    trial: str = ""

    def columns(self) -> Row:
        """As the table has it."""
        note = join(self.remark, self.within, self.left_out, self.mixed, self.elsewhere, self.trial)
        return {
            "note": note,
            "remark": self.remark,
            "left_out": join(self.left_out, self.mixed, self.elsewhere),
            "trial": self.trial,
        }


def join(*parts: str) -> str:
    """One text of several, those that are empty left out."""
    return "; ".join(part for part in parts if part)


# Estimates


def estimate_rows(cell: Cell, suite: Suite) -> Iterable[Row]:
    """A row an estimate; where there is none, a row a metric that says why. Protocols are never averaged over."""
    run, good = cell.run, cell.having("ok")
    if not good:
        status, reason = _why_empty(cell)
        for name in run.metrics:
            yield empty(cell, name, status, reason)
    for protocol in dict.fromkeys(one.metrics["hash"] for one in good):
        same = [one for one in good if one.metrics["hash"] == protocol]
        for name in run.metrics:
            for row in _metric_rows(name, [one for one in same if name in one.metrics["metrics"]], cell):
                beside = next(filter(None, (source.beside(run, row) for source in suite.published)), {})
                yield row | {"protocol": protocol} | beside


def head(cell: Cell) -> Row:
    """What a row is of."""
    run = cell.run
    prior, model = (run.prior.name, run.model.type) if run.prior else (NO_MODEL, NO_MODEL)
    return {"suite": run.suite, "dataset": run.dataset, "method": run.method, "prior": prior, "model": model}


def empty(cell: Cell, metric: str, status: str, reason: str) -> Row:
    """A row without an estimate, which says why there is none."""
    told = Told(reason, trial=join(*cell.run.trial))
    return head(cell) | {"metric": metric, "status": status, "n": 0} | told.columns()


def _why_empty(cell: Cell) -> tuple[str, str]:
    for status in ("unsupported", "diverged"):
        if ended := cell.having(status):
            return status, ended[0].training["note"]
    if cell.failures:
        return "failed", cell.failures[0]
    return "not-computed", "not run yet"


def _metric_rows(name: str, runs: Sequence[Ended], cell: Cell) -> Iterable[Row]:
    """A metric's estimates over seeds, joined by what they are: a seed may lack one that the others have."""
    if not runs:  # of a run that has ended: nothing but Inception's weights can be wanting
        yield empty(cell, name, "not-computed", inception.HOW)
        return
    if reason := runs[0].unsupported(name):
        yield empty(cell, name, "unsupported", reason)
        return
    for kept in alike([estimate for one in runs for estimate in one.estimates(name)]):
        yield summary(kept, cell)


def alike(kept: Sequence[Kept]) -> list[list[Kept]]:
    """Estimates of one metric and estimator together. What is unreliable with one seed is so in the mean over all:
    seeds in which it is an estimate are called by the name of that one."""
    names = {(one.estimate.metric, one.estimate.estimator) for one in kept}
    found: dict[tuple[str, Estimator], list[Kept]] = {}
    for one in kept:
        metric, estimator = one.estimate.metric, one.estimate.estimator
        doubted = replace(estimator, certainty="unreliable")
        if estimator.certainty == "estimate" and (metric, doubted) in names:
            one = replace(one, estimate=replace(one.estimate, estimator=doubted))
        found.setdefault((metric, one.estimate.estimator), []).append(one)
    return list(found.values())


def summary(kept: Sequence[Kept], cell: Cell) -> Row:
    """Mean, standard deviation and standard error over seeds, and the error within a run."""
    estimates = [one.estimate for one in kept]
    row = mean_row(estimates, cell)
    model = cell.run.prior is not None  # real images in a model's place are no rival
    row |= {"by seed": {one.seed: one.estimate.value for one in kept}, "compared": model and not cell.run.trial}
    return row | {"images by seed": {one.seed: one.images for one in kept}}


def mean_row(estimates: Sequence[Estimate], cell: Cell) -> Row:
    """The row of an estimate over seeds, in their order."""
    first, count = estimates[0], len(estimates)
    row = head(cell) | over_seeds(estimates) | {"alarm": alarm(estimates)}
    mean = row["mean"]
    remark, finite = common_remarks([estimate.remarks for estimate in estimates]), math.isfinite(mean)
    told = Told(
        remark=remark if finite else join(f"evaluates to {mean}", remark),
        within=f"{WITHIN} {first.error:.3g}" if count == 1 and first.error is not None else "",
        left_out=_left_out(cell, count),
        mixed=_mixed(cell),
        elsewhere=_elsewhere(cell),
        trial=join(*cell.run.trial),
    )
    return row | {"status": "ok" if finite else "diverged"} | told.columns()


def alarm(estimates: Sequence[Estimate]) -> str:
    """What a reader must not miss, of any seed."""
    return next((estimate.alarm for estimate in estimates if estimate.alarm), "")


def common_remarks(seeds: Sequence[Sequence[Remark]]) -> str:
    """The remarks of all seeds, each once, with how many seeds it is of where not of all. Those that differ in their
    numbers alone are one, with the range of each."""
    alike: dict[str, list[Remark]] = {}
    for remark in (remark for of_seed in seeds for remark in of_seed):
        alike.setdefault(remark.words, []).append(remark)
    told = ((str(ranged(some)), len(some)) for some in alike.values())
    return join(*(text if k == len(seeds) else f"{text} ({k} of {len(seeds)} seeds)" for text, k in told))


def ranged(same: Sequence[Remark]) -> Remark:
    """One remark of several with the same words: 0.2 and -0.1 become -0.1 to 0.2."""
    columns = zip(*(remark.numbers for remark in same), strict=True)
    ends = ((min(column, key=float), max(column, key=float)) for column in columns)
    spans = (low if float(low) == float(high) else f"{low} to {high}" for low, high in ends)
    return Remark(same[0].words, tuple(spans))


def _left_out(cell: Cell, count: int) -> str:
    """Which of the cell's seeds are missing from a mean, and why."""
    parts = [f"{count} of {len(cell.runs)} seeds"] if count < len(cell.runs) else []
    if diverged := cell.having("diverged"):
        parts.append(f"{len(diverged)} diverged: {diverged[0].training['note']}")
    if cell.failures:
        parts.append(f"{len(cell.failures)} failed: {cell.failures[0]}")
    return join(*parts)


def _mixed(cell: Cell) -> str:
    """Whether runs that other sources or versions made are averaged with each other."""
    makers = {tuple(sorted(by.items())) for one in cell.ended for by in one.by}
    return f"made by {len(makers)} versions of the sources, torch or numpy" if len(makers) > 1 else ""


def _elsewhere(cell: Cell) -> str:
    """How many of the runs are known by the table's ledger alone."""
    count = sum(not one.here for one in cell.ended)
    return f"{count} of {len(cell.ended)} runs are not on this disk" if count else ""


# Papers and costs


def only_published(suite: Suite, rows: Sequence[Row]) -> list[Row]:
    """The paper's numbers beside which none of ours stands: of systems that are not run here, or not yet."""
    beside = {(row["dataset"], row.get("published_source"), row.get("published")) for row in rows}
    found = []
    for source in suite.published:
        for number in records(source.rows):
            columns = source.columns(number)
            if (number["dataset"], columns["published_source"], columns["published"]) in beside:
                continue
            row = {"suite": suite.name, "method": number["model"], "n": 0, "status": "published"}
            row |= {name: number[name] for name in ("dataset", "metric")}
            found.append(row | Told("the paper's alone").columns() | columns)
    return found


def cost_rows(cell: Cell) -> Iterable[Row]:
    """Costs of training and evaluation."""
    good = cell.having("ok")
    for estimates in of_one_kind(one.costs() for one in good):
        yield mean_row(estimates, cell)
    if good:
        yield mean_row([evaluation_time(one) for one in good], cell)


def evaluation_time(one: Ended) -> Estimate:
    """The seconds that a run's metrics took together."""
    seconds = sum(metric.get("seconds", 0) for metric in one.metrics["metrics"].values())
    return Estimate("evaluation_time", Estimator("wall-clock"), seconds, "s", "lower")

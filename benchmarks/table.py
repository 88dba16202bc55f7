"""Tables from runs: rebuilt from `metrics.json` alone, one row a figure, the paper's beside ours."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.execute import Place
from benchmarks.features import inception
from benchmarks.record import write_atomically
from benchmarks.settings import Run
from benchmarks.suite import Published, Suite

CHECKOUT = Path(__file__).parent.parent / "results" / "published.csv"
PUBLISHED = CHECKOUT if CHECKOUT.is_file() else Path(__file__).parent / "published.csv"
"""The papers' figures: in a checkout's results, or beside this file in an installed package."""

COLUMNS = (
    *("suite", "dataset", "method", "prior", "model", "metric", "estimator", "direction", "unit"),
    *("mean", "std", "n", "stderr", "status", "note", "protocol"),
    *("published", "published_std", "published_source"),
)
WITHIN = "s.e. over images or draws"
"""Begins the note of a figure from one seed."""

DIGITS = 8
"""Significant digits in the CSV: more than any figure's error, fewer than floating point's noise."""


@dataclass(frozen=True)
class Ended:
    """What one run left: how training ended with its costs, and the figures by metric."""

    training: dict[str, Any]
    metrics: dict[str, Any]

    @property
    def status(self) -> str:
        return self.training["status"]


@dataclass(frozen=True)
class Cell:
    """All seeds of a method on a data set: the runs that were asked for, and what those that ended left."""

    runs: tuple[Run, ...]
    ended: tuple[Ended, ...]
    failures: tuple[str, ...] = ()

    def having(self, status: str) -> list[Ended]:
        return [one for one in self.ended if one.status == status]


def build(suite: Suite, runs: Sequence[Run], place: Place) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(figures, costs) of these runs as they now stand on the disk. Costs differ from one run of a command to the
    next, so they have a table of their own."""
    all_cells = cells(runs, place)
    figures = [row for cell in all_cells for row in figure_rows(cell, suite)]
    costs = [row for cell in all_cells for row in cost_rows(cell)]
    return pd.DataFrame(figures, columns=COLUMNS), pd.DataFrame(costs, columns=COLUMNS[:16])


def cells(runs: Sequence[Run], place: Place) -> list[Cell]:
    """The runs by data set and method, in the suite's order."""
    grouped: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        grouped.setdefault((run.dataset, run.method), []).append(run)
    return [_cell(group, place) for group in grouped.values()]


def _cell(runs: Sequence[Run], place: Place) -> Cell:
    ended, failures = [], []
    for run in runs:
        record = place.record(run)
        if place.done(run):
            ended.append(Ended(record.read("training.json"), record.read("metrics.json") or {}))
        elif (error := record.folder / "error.txt").is_file():
            failures.append(error.read_text(encoding="utf-8").partition("\n")[0] or "for a reason that was lost")
    return Cell(tuple(runs), tuple(ended), tuple(failures))


def trouble(runs: Sequence[Run], place: Place) -> bool:
    """Has any of the runs failed or diverged, in this command or an earlier one?"""
    return any(cell.failures or cell.having("diverged") for cell in cells(runs, place))


def head(cell: Cell) -> dict[str, Any]:
    run = cell.runs[0]
    prior, model = (run.prior.name, run.model.type) if run.prior else ("none", "none")
    return {"suite": run.suite, "dataset": run.dataset, "method": run.method, "prior": prior, "model": model}


def figure_rows(cell: Cell, suite: Suite) -> Iterable[dict[str, Any]]:
    """A row a figure; where there is none, a row a metric that says why. Protocols are never averaged over."""
    run, good = cell.runs[0], cell.having("ok")
    if not good:
        status, note = _why_empty(cell)
        for name in run.metrics:
            yield head(cell) | {"metric": name, "status": status, "note": join(note, *run.trial), "n": 0}
    for protocol in dict.fromkeys(one.metrics["hash"] for one in good):
        same = [one.metrics["metrics"] for one in good if one.metrics["hash"] == protocol]
        for name in run.metrics:
            for row in _metric_rows(name, [metrics[name] for metrics in same if name in metrics], cell):
                yield head(cell) | row | {"protocol": protocol} | _published(suite.published, run, row, name)


def _metric_rows(name: str, results: Sequence[dict[str, Any]], cell: Cell) -> Iterable[dict[str, Any]]:
    """A metric's figures over seeds, joined by what they are: a seed may lack one that the others have."""
    if not results:  # of a run that has ended: nothing but Inception's weights can be wanting
        yield {"status": "not-computed", "note": join(inception.HOW, *cell.runs[0].trial), "n": 0}
        return
    if "unsupported" in results[0]:
        yield {"status": "unsupported", "note": results[0]["unsupported"], "n": 0}
        return
    grouped: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in results:
        for figure in result["figures"]:
            grouped.setdefault((figure["metric"], figure["estimator"]), []).append(figure)
    for figures in grouped.values():
        yield summary(figures, cell)


def cost_rows(cell: Cell) -> Iterable[dict[str, Any]]:
    """Costs of training and evaluation."""
    good = cell.having("ok")
    for figures in zip(*(one.training["cost"] for one in good), strict=True):
        yield head(cell) | summary(figures, cell)
    if good:
        seconds = [sum(m.get("seconds", 0) for m in one.metrics["metrics"].values()) for one in good]
        base = {"metric": "evaluation_time", "estimator": "wall-clock", "unit": "s", "direction": "lower"}
        yield head(cell) | summary([base | {"value": s, "error": None, "note": ""} for s in seconds], cell)


def summary(figures: Sequence[dict[str, Any]], cell: Cell) -> dict[str, Any]:
    """Mean, standard deviation and standard error over seeds. One seed has its error over images or draws noted."""
    first, values = figures[0], [figure["value"] for figure in figures]
    count, mean = len(values), sum(values) / len(values)
    row = {key: first[key] for key in ("metric", "estimator", "direction", "unit")}
    note = common_note([figure["note"] for figure in figures])
    if count > 1:
        std = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
        row |= {"std": std, "stderr": std / math.sqrt(count)}
    elif first["error"] is not None:
        note = join(note, f"{WITHIN} {first['error']:.3g}")
    status = "ok"
    if not math.isfinite(mean):
        status, note = "diverged", join(f"evaluates to {mean}", note)
    note = join(note, _incomplete(cell, count), *cell.runs[0].trial)
    return row | {"mean": mean, "n": count, "status": status, "note": note}


def common_note(notes: Sequence[str]) -> str:
    """The notes of all seeds, each once, with how many seeds it is of where not of all."""
    counts = Counter(note for note in notes if note)
    return join(*(note if k == len(notes) else f"{note} ({k} of {len(notes)} seeds)" for note, k in counts.items()))


def _incomplete(cell: Cell, count: int) -> str:
    """What of the cell is missing from a mean."""
    parts = [f"{count} of {len(cell.runs)} seeds"] if count < len(cell.runs) else []
    if diverged := cell.having("diverged"):
        parts.append(f"{len(diverged)} diverged: {diverged[0].training['note']}")
    if cell.failures:
        parts.append(f"{len(cell.failures)} failed: {cell.failures[0]}")
    return join(*parts)


def _why_empty(cell: Cell) -> tuple[str, str]:
    for status in ("unsupported", "diverged"):
        if ended := cell.having(status):
            return status, ended[0].training["note"]
    if cell.failures:
        return "failed", cell.failures[0]
    return "not-computed", "not run yet"


def join(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


@lru_cache
def published_figures(path: Path = PUBLISHED) -> pd.DataFrame:
    """The papers' figures as they printed them."""
    return pd.read_csv(path, dtype={"table": str})


def _published(source: Published | None, run: Run, row: dict[str, Any], name: str) -> dict[str, Any]:
    """The metric's name where the row has none, and the paper's own figure for this metric and estimator."""
    named = {"metric": row.get("metric", name)}
    if source is None or row.get("estimator") is None or source.figures.get(row["metric"]) != row["estimator"]:
        return named
    all_figures = published_figures()
    keys = {"paper": source.paper, "table": source.table, "dataset": run.dataset, "model": run.method}
    keys["metric"] = row["metric"]
    match = all_figures[(all_figures[list(keys)] == pd.Series(keys)).all(axis=1)]
    if match.empty:
        return named
    if len(match) > 1:  # told apart by their notes only: not ours to choose
        return named | {"published_source": f"{source.paper} table {source.table} has {len(match)} such figures"}
    (figure,) = match.to_dict("records")
    where = f"{source.paper} table {source.table}" + (f": {figure['note']}" if pd.notna(figure["note"]) else "")
    return named | {"published": figure["value"], "published_std": figure["std"], "published_source": where}


def write(frame: pd.DataFrame, path: Path) -> None:
    """The CSV, whole or not at all."""
    text = frame.to_csv(index=False, float_format=f"%.{DIGITS}g", lineterminator="\n")
    write_atomically(path, lambda file: file.write(text.encode()))

"""Tables from runs: rebuilt from `metrics.json` alone, one row a figure, the paper's beside ours."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import escape, published, standings
from benchmarks.errors import UsageError
from benchmarks.features import inception
from benchmarks.record import Damaged, Record, write_atomically
from benchmarks.settings import Run
from benchmarks.suite import Suite
from benchmarks.workspace import Workspace

OWN = (
    *("suite", "dataset", "method", "prior", "model", "metric", "estimator", "direction", "unit"),
    *("mean", "std", "n", "stderr", "status", "note", "protocol"),
)
"""Columns that every table has."""

YOUNGER = (*published.COLUMNS, *standings.COLUMNS)
"""What a table says of papers and of rankings: those of costs do not, and those of earlier versions not all."""

COLUMNS = (*OWN, *YOUNGER)

NUMBERS = ("mean", "std", "n", "stderr", "published", "published_std", "deviation", *standings.NUMBERS)

WITHIN = "s.e. over images or draws"
"""Begins the note of a figure from one seed."""

NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]*\w)")
"""In a note: no part of a word, a hash or a version."""

DIGITS = 8
"""Significant digits in the CSV: more than any figure's error, fewer than floating point's noise."""


@dataclass(frozen=True)
class Ended:
    """What one run left: how training ended with its costs, the figures by metric, and what made it; and its record."""

    seed: int
    training: dict[str, Any]
    metrics: dict[str, Any]
    by: tuple[dict[str, str], ...]
    record: Record

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


def build(suite: Suite, runs: Sequence[Run], workspace: Workspace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(figures, costs) of these runs as they now stand on the disk. Costs differ from one run of a command to the
    next, so they have a table of their own."""
    all_cells = cells(runs, workspace)
    figures = [row for cell in all_cells for row in figure_rows(cell, suite)]
    standings.set_standings(figures, len(suite.seeds))
    figures += only_published(suite, figures)
    costs = [row for cell in all_cells for row in cost_rows(cell)]
    return pd.DataFrame(figures, columns=COLUMNS), pd.DataFrame(costs, columns=OWN)


def cells(runs: Sequence[Run], workspace: Workspace) -> list[Cell]:
    """The runs by data set and method, in the suite's order."""
    grouped: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        grouped.setdefault((run.dataset, run.method), []).append(run)
    return [_cell(group, workspace) for group in grouped.values()]


def _cell(runs: Sequence[Run], workspace: Workspace) -> Cell:
    ended, failures = [], []
    for run in runs:
        record = workspace.record(run)
        try:
            if workspace.done(run):
                ended.append(_ended(run, record))
            elif failure := record.failure():
                failures.append(failure)
        except Damaged as error:
            failures.append(f"{error.name} {error.why}")
    return Cell(tuple(runs), tuple(ended), tuple(failures))


def _ended(run: Run, record: Record) -> Ended:
    training, metrics, made = (record.read(f"{name}.json") for name in ("training", "metrics", "made"))
    for name, content in (("training.json", training), ("made.json", made)):
        if content is None:
            raise Damaged(record.folder / name, "is missing")
    return Ended(run.seed, training, metrics or {}, tuple(made["by"]), record)


def trouble(runs: Sequence[Run], workspace: Workspace) -> bool:
    """Has any of the runs failed or diverged, in this command or an earlier one, or a figure that is no number?"""
    return any(cell.failures or cell.having("diverged") or _not_finite(cell) for cell in cells(runs, workspace))


def _not_finite(cell: Cell) -> bool:
    results = [result for one in cell.having("ok") for result in one.metrics["metrics"].values()]
    return not all(math.isfinite(figure["value"]) for result in results for figure in result.get("figures", ()))


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
        same = [one for one in good if one.metrics["hash"] == protocol]
        for name in run.metrics:
            for row in _metric_rows(name, [one for one in same if name in one.metrics["metrics"]], cell):
                beside = next(filter(None, (source.beside(run, row) for source in suite.published)), {})
                yield head(cell) | row | {"protocol": protocol} | beside


def _metric_rows(name: str, runs: Sequence[Ended], cell: Cell) -> Iterable[dict[str, Any]]:
    """A metric's figures over seeds, joined by what they are: a seed may lack one that the others have."""
    if not runs:  # of a run that has ended: nothing but Inception's weights can be wanting
        note = join(inception.HOW, *cell.runs[0].trial)
        yield {"metric": name, "status": "not-computed", "note": note, "n": 0}
        return
    first = runs[0].metrics["metrics"][name]
    if "unsupported" in first:
        note = join(first["unsupported"], *cell.runs[0].trial)
        yield {"metric": name, "status": "unsupported", "note": note, "n": 0}
        return
    for figures in alike([figure for one in runs for figure in _figures(name, one)]):
        yield summary(figures, cell)


def _figures(name: str, one: Ended) -> Iterable[dict[str, Any]]:
    """A run's figures of a metric, with its seed and a way to their values image by image."""
    for figure in one.metrics["metrics"][name].get("figures", ()):
        key = f"{figure['metric']} {figure['estimator']}"
        images = partial(standings.images, one.record, one.metrics.get("files", {}), name, key)
        yield figure | {"seed": one.seed, "images": images}


def alike(figures: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Figures of one metric and estimator together. What is unreliable with one seed is so in the mean over all: seeds
    in which it is an estimate are called by the name of that one."""
    names = {(figure["metric"], figure["estimator"]) for figure in figures}
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for figure in figures:
        metric, estimator = figure["metric"], figure["estimator"]
        doubted = standings.doubted(estimator)
        name = doubted if (metric, doubted) in names else estimator
        found.setdefault((metric, name), []).append(figure | {"estimator": name})
    return list(found.values())


def only_published(suite: Suite, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The paper's figures beside which none of ours stands: of systems that are not run here, or not yet."""
    beside = {(row["dataset"], row.get("published_source"), row.get("published")) for row in rows}
    found = []
    for source in suite.published:
        for figure in source.rows.to_dict("records"):
            columns = source.columns(figure)
            if (figure["dataset"], columns["published_source"], columns["published"]) in beside:
                continue
            row = {"suite": suite.name, "method": figure["model"], "n": 0, "status": "published"}
            row |= {name: figure[name] for name in ("dataset", "metric")}
            found.append(row | {"note": "the paper's alone"} | columns)
    return found


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
    row |= {"by seed": {figure.get("seed"): figure["value"] for figure in figures}, "compared": not cell.runs[0].trial}
    row |= {"images by seed": {figure["seed"]: figure["images"] for figure in figures if "images" in figure}}
    note = common_note([figure["note"] for figure in figures])
    if count > 1:
        std = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
        row |= {"std": std, "stderr": std / math.sqrt(count)}
    elif first["error"] is not None:
        note = join(note, f"{WITHIN} {first['error']:.3g}")
    status = "ok"
    if not math.isfinite(mean):
        status, note = "diverged", join(f"evaluates to {mean}", note)
    note = join(note, _incomplete(cell, count), _mixed(cell), *cell.runs[0].trial)
    return row | {"mean": mean, "n": count, "status": status, "note": note}


def common_note(notes: Sequence[str]) -> str:
    """The notes of all seeds, each once, with how many seeds it is of where not of all. Those that differ in their
    numbers alone are one, with the range of each."""
    alike: dict[str, list[str]] = {}
    for note in filter(None, notes):
        alike.setdefault(NUMBER.sub("", note), []).append(note)
    parts = ((ranged(some), len(some)) for some in alike.values())
    return join(*(note if k == len(notes) else f"{note} ({k} of {len(notes)} seeds)" for note, k in parts))


def ranged(notes: Sequence[str]) -> str:
    """One note of several that differ in their numbers alone: 0.2 and -0.1 become -0.1 to 0.2."""
    columns = zip(*(NUMBER.findall(note) for note in notes), strict=True)
    ends = ((min(column, key=float), max(column, key=float)) for column in columns)
    spans = [low if float(low) == float(high) else f"{low} to {high}" for low, high in ends]
    words = NUMBER.split(notes[0])
    return "".join(word + span for word, span in zip_longest(words, spans, fillvalue=""))


def _incomplete(cell: Cell, count: int) -> str:
    """What of the cell is missing from a mean."""
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


def _why_empty(cell: Cell) -> tuple[str, str]:
    for status in ("unsupported", "diverged"):
        if ended := cell.having(status):
            return status, ended[0].training["note"]
    if cell.failures:
        return "failed", cell.failures[0]
    return "not-computed", "not run yet"


def join(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def write(frame: pd.DataFrame, path: Path) -> None:
    """The CSV, whole or not at all."""
    text = escape.cells(frame).to_csv(index=False, float_format=f"%.{DIGITS}g", lineterminator="\n")
    write_atomically(path, lambda file: file.write(text.encode()))


def read(path: Path, remedy: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """(a table that `write` wrote, the columns that it is too old to have, which are empty here).

    UsageError, with what to do, where there is no such table.
    """
    if not path.is_file():
        raise UsageError(f"There is no table {path}: {remedy}.")
    try:
        frame = pd.read_csv(path, dtype={name: str for name in COLUMNS if name not in NUMBERS})
    except ValueError as error:
        raise UsageError(f"{path} is no table: {' '.join(str(error).split())}; {remedy}.") from None
    lacking = tuple(name for name in COLUMNS if name not in frame)
    if essential := [name for name in lacking if name in OWN]:
        raise UsageError(f"{path} is no table of a suite: it has no column '{essential[0]}'; {remedy}.")
    return escape.uncells(frame).reindex(columns=COLUMNS), lacking

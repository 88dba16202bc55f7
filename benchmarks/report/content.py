"""What the page shows, gathered from a suite's table, its costs, its runs and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from benchmarks.cli import Selection
from benchmarks.common.errors import UsageError
from benchmarks.common.files import write_atomically
from benchmarks.config import suite
from benchmarks.datasets import DataError
from benchmarks.datasets.base import short_name
from benchmarks.metrics import METRICS
from benchmarks.plots import drawing
from benchmarks.report import front, glossary, page, pictures, provenance, rows, settings, tables
from benchmarks.report.absent import absent
from benchmarks.report.costs import costs
from benchmarks.report.verdicts import verdicts
from benchmarks.statistics import paired
from benchmarks.tables import ledger, table
from benchmarks.tables.console import LEGEND
from benchmarks.tables.spent import spent


def report(command: Selection, as_drawn: bool, console: Console) -> int:
    """Gathers, draws, writes, and prints the page's path. as_drawn: takes the figures as they lie there."""
    chosen = suite.read(command.suite)
    request = command.request()
    suite.check_names(chosen, request)
    suite.preset_sections(chosen, request.preset)
    target = command.results / command.output(chosen)
    remedy = f"make it by `{provenance.invocation(command)}`"
    written, lacking = table.read(target.with_name(f"{target.name}.csv"), remedy)
    frame = selected(written, command)
    if frame.empty:
        raise UsageError(f"{target}.csv has no such rows: leave out --dataset and --method, or run them.")
    told = older(lacking) + ([] if as_drawn else draw(command, console))
    text = page.render(**content(command, chosen, frame, told))
    path = target.with_name(f"{target.name}.html")
    write_atomically(path, lambda file: file.write(text.encode()))
    console.print(f"report: {path}", highlight=False, markup=False, soft_wrap=True)
    return 0


def selected(frame: pd.DataFrame, command: Selection) -> pd.DataFrame:
    """The rows of the data sets and methods that were asked for."""
    for column, names in (("dataset", [short_name(name) for name in command.dataset]), ("method", command.method)):
        if names:
            frame = frame[frame[column].isin(names)]
    return frame


def costs_of(path: Path, known: ledger.Ledger) -> pd.DataFrame:
    """The table of costs; where there is none, those of the ledger."""
    if not path.is_file():
        return spent(known)
    return table.read(path, "remove it, or run the suite again")[0]


def older(lacking: Sequence[str]) -> list[str]:
    """What is to be told of a table that lacks columns."""
    told = [f"The table is of an earlier version and has no {', '.join(lacking)}."] if lacking else []
    other_rule = "p" in lacking and "standing" not in lacking
    return told + (
        ["Its standings are by that version's rule, not by the one that is told below."] if other_rule else []
    )


def draw(command: Selection, console: Console) -> list[str]:
    """Draws all figures anew; what is to be told where they cannot be."""
    try:
        drawing.draw(command, console)
    except (UsageError, DataError) as reason:
        told = f"Figures could not be drawn anew, so that they may be older than the table. {reason}"
        console.print(told, highlight=False, markup=False, soft_wrap=True)
        return [told]
    return []


def content(command: Selection, chosen: suite.Suite, frame: pd.DataFrame, told: Sequence[str]) -> dict[str, Any]:
    """All that the page shows, by the template's names."""
    name = command.output(chosen)
    trial = rows.trial(frame)
    target = command.results / name
    known = ledger.read(target)
    spending = selected(costs_of(command.results / f"{name}-cost.csv", known), command)
    cells = provenance.cells(chosen, command.request(), frame)
    settled = provenance.settings_of(cells, known, frame)
    datasets = tuple(frame["dataset"].unique())
    return {
        "suite": chosen,
        "name": name,
        "datasets": datasets,
        "metrics": {metric: METRICS[metric].summary for metric in chosen.metrics},
        "protocol": provenance.protocol(command.suite),
        "trial": trial,
        "caveats": [*told, *provenance.caveats(cells, trial, known)],
        "command": provenance.invocation(command, provenance.flags(chosen, command, frame)),
        "methods": provenance.methods_of(chosen, frame),
        "facts": provenance.facts(known, target),
        "agrees": f"{1 - paired.LEVEL:.0%}",
        "fronts": front.fronts(frame, spending, known, command.results),
        "legend": LEGEND,
        "level": f"{paired.LEVEL:g}",
        "pair_level": f"{paired.PAIR_LEVEL:g}",
        "least_pairs": paired.LEAST_PAIRS,
        "power": f"{paired.POWER:.0%}",
        "verdicts": verdicts(frame),
        "parts": tables.parts(frame, chosen.metrics, trial),
        "costs": costs(spending),
        "absent": absent(frame),
        "settings": settings.compared(settled) if settled else None,
        "pictures": pictures.read(command.results / "figures" / name, datasets),
        "glossary": glossary.of(frame),
    }

"""What was found of a submission, on a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.common.screen import unbounded
from benchmarks.submissions.comparing import DIFFERS, Row, Summary
from benchmarks.submissions.found import Checked
from benchmarks.tables.changes import counted
from benchmarks.tables.console import rounded

COLUMNS = ("dataset", "method", "metric", "estimator", "claimed", "measured", "apart", "")
"""apart: in standard errors of the difference."""

NUMBERS = ("claimed", "measured", "apart")


def show(console: Console, checked: Checked) -> None:
    """Faults, a line each; claimed beside measured; and the reasons, each once."""
    for fault in checked.faults:
        line(console, f"{checked.name}: {fault}", "red")
    if checked.rows:
        unbounded(console).print(block(checked.rows))
        for word, reason in dict.fromkeys((row.word, row.reason) for row in checked.rows):
            line(console, f"  {word}: {reason}", "red" if word == DIFFERS else None)
        line(console, counted(row.word for row in checked.rows))
    if checked.left_out:
        line(console, f"left out: {checked.left_out}", "yellow")


def line(console: Console, text: str, style: str | None = None) -> None:
    """A line as it stands."""
    console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)


def block(rows: Sequence[Row]) -> Table:
    """A line an estimate, with means and standard errors over seeds."""
    table = Table(box=None, pad_edge=False, header_style="underline")
    for column in COLUMNS:
        table.add_column(column, no_wrap=True, justify="right" if column in NUMBERS else "left")
    for row in rows:
        labels = (row.dataset, row.method, row.metric, row.estimator)
        apart = "" if row.deviation is None else f"{row.deviation:+.2g}"
        style = "red" if row.word == DIFFERS else None
        table.add_row(*labels, number(row.claimed), number(row.measured), apart, row.word, style=style)
    return table


def number(summary: Summary | None) -> str:
    """`22.980 ± 0.008`, to two digits of the error."""
    if summary is None:
        return ""
    error = math.nan if summary.std is None else summary.std / math.sqrt(summary.n)
    told = rounded(summary.mean, error)
    return f"{told} ± {rounded(error, error)}" if error > 0 else told

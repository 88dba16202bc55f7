"""A suite's table as a paper prints it: methods down, data sets and estimates across; as CSV, Markdown or LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmarks.common import escape
from benchmarks.common.rows import records
from benchmarks.tables.cells import cells
from benchmarks.tables.console import mark, value
from benchmarks.tables.notes import text


def wide(frame: pd.DataFrame, metrics: Sequence[str] = (), published: bool = True) -> pd.DataFrame:
    """The tidy table with a row a method and a column a data set, metric and estimator.

    A cell is "mean ± s.e." with the mark of its standing (`console.LEGEND`), or "-" where there is no estimate.
    `metrics` keeps only these, in their order. With `published` a paper's number stands in a column of its own after
    ours, where there is any.
    """
    chosen = frame[frame["metric"].isin(metrics)] if metrics else frame
    rows = [row for row in records(chosen) if row["status"] in ("ok", "published", "unsupported")]
    order = {name: i for i, name in enumerate(metrics)}
    rows.sort(key=lambda row: order.get(row["metric"], len(order)))
    cells: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in rows:
        if row["status"] == "ok":
            key = (row["dataset"], row["metric"], row["estimator"])
            cells.setdefault(key, {})[row["method"]] = cell(row)
        if published and text(row["published"]):
            key = (row["dataset"], row["metric"], "published")
            cells.setdefault(key, {})[row["method"]] = f"{row['published']:g}"
    methods = dict.fromkeys(row["method"] for row in rows)
    data = {key: [found.get(method, "-") for method in methods] for key, found in cells.items()}
    return pd.DataFrame(data, index=pd.Index(methods, name="method"))


def cell(row: dict[str, Any]) -> str:
    """A mean to two digits of its standard error, with the error and the mark."""
    mean, error = value(row)
    return " ".join(filter(None, (mean, error and f"± {error}", mark(row))))


def as_csv(table: pd.DataFrame) -> str:
    """One header line: data set, metric and estimator of a column, separated by spaces."""
    flat = table.set_axis([" ".join(key) for key in table.columns], axis=1).reset_index()
    written: str = cells(flat).to_csv(index=False, lineterminator="\n")
    return written


def as_markdown(table: pd.DataFrame) -> str:
    """A pipe table."""
    head = ["method", *(" ".join(key) for key in table.columns)]
    lines = [head, ["---"] * len(head), *([method, *cells] for method, *cells in table.itertuples())]
    return "\n".join(f"| {' | '.join(map(escape.markdown, line))} |" for line in lines) + "\n"


def as_latex(table: pd.DataFrame) -> str:
    """A tabular with booktabs' rules, the header in three lines."""
    columns = pd.MultiIndex.from_tuples([tuple(map(escape.latex, key)) for key in table.columns])
    escaped = table.map(escape.latex).set_axis(columns, axis=1).set_axis(table.index.map(escape.latex), axis=0)
    written: str = escaped.style.to_latex(hrules=True, multicol_align="c", column_format="l" + "r" * len(columns))
    return written


FORMATS = {"csv": as_csv, "markdown": as_markdown, "latex": as_latex}
